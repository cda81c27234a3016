"""The core as a shared library that counts its lines, and what it has counted.

    python -m tests.native.withgcov build DIRECTORY     makes DIRECTORY/core.so, for ROOTLAY_CORE_LIB
    python -m tests.native.withgcov report DIRECTORY    prints which share of the lines ran, by file and of all

Without optimization, and with libc, which gcov needs: for counting alone. Children of tests that end by os._exit do not
count.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

from tests.native.conftest import CORE, FLAGS

_TOTAL = re.compile(r"File '(.*)'\nLines executed:([0-9.]+)% of ([0-9]+)")


def build(directory: Path) -> bool:
    """Whether it could be built."""
    compiler = shutil.which("gcc")
    if compiler is None:
        return False
    directory.mkdir(parents=True, exist_ok=True)
    flags = [flag for flag in FLAGS if flag not in ("-O2", "-Werror")]
    objects = []
    for source in [*sorted(CORE.glob("*/*.c")), CORE.parent / "testlib" / "direct.c"]:
        target = directory / f"{source.stem}.o"
        command = [
            compiler,
            *flags,
            "-O0",
            "--coverage",
            "-fprofile-update=atomic",
            "-c",
            str(source),
            "-o",
            str(target),
        ]
        subprocess.run(command, check=True)
        objects.append(str(target))
    subprocess.run(
        [compiler, "-shared", "--coverage", "-Wl,-Bsymbolic", *objects, "-o", str(directory / "core.so")], check=True
    )
    return True


def report(directory: Path) -> None:
    objects = sorted(str(path) for path in directory.glob("*.gcda"))
    if not objects:
        sys.exit("the core's tests counted no lines")
    said = subprocess.run(["gcov", "-n", *objects], check=True, capture_output=True, text=True, cwd=directory).stdout
    rows = [
        (Path(name).name, float(share), int(lines)) for name, share, lines in _TOTAL.findall(said) if str(CORE) in name
    ]
    for name, share, lines in sorted(rows, key=lambda row: row[1])[:5]:
        print(f"coverage of the core, least: {name} {share:.0f} % of {lines} lines")
    reached = sum(share * lines for _, share, lines in rows) / sum(lines for _, _, lines in rows)
    print(f"coverage of the core: {reached:.1f} % of {sum(lines for _, _, lines in rows)} lines")


if __name__ == "__main__":
    place = Path(sys.argv[2])
    if sys.argv[1] == "build":
        sys.exit(not build(place))
    report(place)
