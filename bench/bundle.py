"""How soon does a program start from a bundle nobody has touched yet, against the same tree unpacked?

    python bench/bundle.py DEBIAN.tar [-n 5] [--bare] [--user NAME]

Before each run the page cache is told to forget the files (posix_fadvise DONTNEED on each of them; as root the whole
cache is dropped, and with --user everything else is done as that ordinary user). "First" runs have no hydrated file
either, as on a node that sees the bundle for the first time. Baselines: the unpacked tree as a lower (`--lower`), and
with --bare (as root) chroot. Printed: ms, minimum and median; sizes and numbers of files.
"""

from __future__ import annotations

import argparse
import os
import pwd
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

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


def timed(command: list[str], environ: dict[str, str], who: dict[str, Any]) -> float:
    start = time.perf_counter()
    done = subprocess.run(command, env=environ, check=True, stdout=subprocess.PIPE, **who)
    assert done.stdout.strip() == b"1", done.stdout
    return (time.perf_counter() - start) * 1e3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("debian", type=Path)
    parser.add_argument("-n", type=int, default=5)
    parser.add_argument("--bare", action="store_true")
    parser.add_argument("--user", default=None)
    options = parser.parse_args()
    who: dict[str, Any] = {}
    if options.user:
        account = pwd.getpwnam(options.user)
        who = {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}
    rootlay = str(Path(sys.executable).with_name("rootlay"))
    with tempfile.TemporaryDirectory(prefix="rootlay-bench-") as name:
        scratch = Path(name)
        if who:
            os.chown(scratch, who["user"], who["group"])
        store, local, tree, bundle = scratch / "store", scratch / "local", scratch / "tree", scratch / "image.rlay"
        environ = {**os.environ, "ROOTLAY_ROOT": str(local), "HOME": str(scratch)}
        at_store = {**environ, "ROOTLAY_ROOT": str(store)}
        subprocess.run(
            [rootlay, "import", options.debian, "image"], env=at_store, check=True, stdout=subprocess.DEVNULL, **who
        )
        start = time.perf_counter()
        subprocess.run(
            [rootlay, "bundle", "image", "-o", bundle], env=at_store, check=True, stdout=subprocess.DEVNULL, **who
        )
        print(f"bundle written in {time.perf_counter() - start:.1f} s")
        subprocess.run(["mkdir", tree], check=True, **who)
        subprocess.run(
            ["tar", "-C", tree, "-xf", options.debian, "--no-same-owner", "--exclude=./dev/*"],
            check=True,
            timeout=600,
            **who,
        )
        files = sum(1 for _ in tree.rglob("*"))
        size = sum(p.lstat().st_size for p in tree.rglob("*") if p.is_file())
        print(f"bundle: {bundle.stat().st_size / 1e6:.0f} MB in 1 file; unpacked: {size / 1e6:.0f} MB in {files} files")
        run = [rootlay, "run", "--rm"]
        cases: dict[str, tuple[list[str], Callable[[], None]]] = {
            "bundle, first": ([*run, str(bundle), *PROGRAM], lambda: shutil.rmtree(local, ignore_errors=True)),
            "bundle, again": ([*run, str(bundle), *PROGRAM], lambda: None),
            "unpacked tree": ([*run, "--lower", str(tree), "--", *PROGRAM], lambda: None),
        }
        if options.bare:
            cases["unpacked tree, chroot"] = (["chroot", str(tree), *PROGRAM], lambda: None)
        took: dict[str, list[float]] = {case: [] for case in cases}
        for _ in range(options.n):
            for case, (command, prepare) in cases.items():
                prepare()
                forget(bundle, tree, local)
                took[case].append(timed(command, environ, {} if command[0] == "chroot" else who))
        print("\n| | min ms | median ms |\n|---|---|---|")
        for case, runs in took.items():
            print(f"| {case} | {min(runs):.0f} | {statistics.median(runs):.0f} |")


if __name__ == "__main__":
    main()
