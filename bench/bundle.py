"""How soon does a program start from a bundle nobody has touched yet, against the same tree unpacked?

    python -m bench.bundle DEBIAN.tar [-n 5] [--bare] [--user NAME]

Before each run the page cache is told to forget the files (posix_fadvise DONTNEED on each of them; as root the whole
cache is dropped, and with --user everything else is done as that ordinary user). "First" runs have no hydrated file
either, as on a node that sees the bundle for the first time. Baselines: the unpacked tree as a lower (`--lower`), and
with --bare (as root) chroot.
"""

from __future__ import annotations

import argparse
import os
import pwd
import shutil
import subprocess
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

from bench.harness import ROOTLAY, Figures, make_parser, run

PROGRAM = ["python3", "-c", "import json; print(json.dumps(1))"]


def forget(*roots: Path) -> None:
    """Drop what the page cache has of the files below `roots`."""
    os.sync()
    if os.geteuid() == 0:
        Path("/proc/sys/vm/drop_caches").write_text("3")
        return
    for root in roots:
        for path in [root, *root.rglob("*")] if root.is_dir() else [root]:
            if path.is_file() and not path.is_symlink():
                fd = os.open(path, os.O_RDONLY)
                os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
                os.close(fd)


def measure(options: argparse.Namespace, figures: Figures) -> None:
    who: dict[str, Any] = {}
    if options.user:
        account = pwd.getpwnam(options.user)
        who = {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}
    with tempfile.TemporaryDirectory(prefix="rootlay-bench-") as name:
        scratch = Path(name)
        if who:
            os.chown(scratch, who["user"], who["group"])
        local, tree, bundle = scratch / "local", scratch / "tree", scratch / "image.rlay"
        environ = {**os.environ, "ROOTLAY_ROOT": str(local), "HOME": str(scratch)}
        do = partial(subprocess.run, check=True, stdout=subprocess.DEVNULL, **who)
        at_store = {**environ, "ROOTLAY_ROOT": str(scratch / "store")}
        do([ROOTLAY, "import", options.debian, "image"], env=at_store)
        figures.time("write the bundle", "", lambda: do([ROOTLAY, "bundle", "image", "-o", bundle], env=at_store))
        do(["mkdir", tree])
        do(["tar", "-C", tree, "-xf", options.debian, "--no-same-owner", "--exclude=./dev/*"], timeout=600)
        for kind, files in (("bundle", [bundle]), ("unpacked", [*tree.rglob("*")])):
            figures.add("files", kind, len(files), unit="")
            figures.add("size", kind, sum(p.lstat().st_size for p in files if p.is_file()) / 1e6, unit="MB")
        start = [ROOTLAY, "run", "--rm"]
        cases = {
            "bundle, first": [*start, str(bundle), *PROGRAM],
            "bundle, again": [*start, str(bundle), *PROGRAM],
            "unpacked tree": [*start, "--lower", str(tree), "--", *PROGRAM],
        }
        if options.bare:
            cases["unpacked tree, chroot"] = ["chroot", str(tree), *PROGRAM]
        for _ in range(options.rounds):
            for case, command in cases.items():
                if case == "bundle, first":
                    shutil.rmtree(local, ignore_errors=True)
                forget(bundle, tree, local)
                user = {} if command[0] == "chroot" else who
                figures.time("start", case, partial(subprocess.check_output, command, env=environ, **user))
    figures.print_tables()


def main() -> None:
    parser = make_parser(__doc__, rounds=5)
    parser.add_argument("debian", type=Path)
    parser.add_argument("--bare", action="store_true")
    parser.add_argument("--user", default=None)
    run(parser, measure)


if __name__ == "__main__":
    main()
