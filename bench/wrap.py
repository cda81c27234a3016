"""What does a wrapped command cost against the bare program? (`rootlay wrap`, each kind of upper)

    python -m bench.wrap DEBIAN.tar [-n 200]

Interleaved rounds; `python3 -c pass` for scale.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import tempfile
from functools import partial
from pathlib import Path

from bench.harness import Figures, make_parser, run
from rootlay.vfs import Store
from rootlay.vfs.wrap.options import WrapOptions
from rootlay.vfs.wrap.settings import UPPERS
from rootlay.vfs.wrap.wrap import remove_wrapped, wrap_programs

BARE = "/bin/true"


def measure(options: argparse.Namespace, figures: Figures) -> None:
    with tempfile.TemporaryDirectory(prefix="rootlay-bench-", dir="/var/tmp") as scratch:
        store = Store.open(Path(scratch, "store"))
        store.import_rootfs(options.debian, "debian")
        commands = {BARE: [BARE], "python3 -c pass": ["/usr/bin/python3", "-c", "pass"]}
        for upper in UPPERS:
            made = wrap_programs(store.root, Path(scratch, upper), ["true"], WrapOptions("debian", upper), {})
            commands[f"wrapped, {upper}"] = [str(made.directory / "true")]
        environ = {**os.environ, "HOME": scratch, "TMPDIR": scratch}
        start = partial(subprocess.run, check=True, env=environ, stdin=subprocess.DEVNULL)
        for number in range(options.rounds + 1):
            for name, command in commands.items():
                figures.time(name, "", partial(start, command), warm=number == 0)
        for upper in UPPERS:
            remove_wrapped(Path(scratch, upper))
    for name in commands:
        low, median = figures.wall(name), figures.median(name)
        print(f"{name:24} min {low * 1e3:6.2f} ms   median {median * 1e3:6.2f}   x{low / figures.wall(BARE):.1f}")


def main() -> None:
    parser = make_parser(__doc__, rounds=200)
    parser.add_argument("debian", type=Path)
    run(parser, measure)


if __name__ == "__main__":
    main()
