"""Patched call sites: which are, and that the switch is one. What must hold either way is in patches.c."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.native.engine_launch import PATCH, TRACE
from tests.native.guest import make_guest

JUMP = b"e9\n"
#: First byte of `mov $nr, %eax` and of `mov 8(%rsp), %rax`.
WHOLE = {"plain": b"b8\n", "crossing": b"b8\n", "shared": b"48\n"}


@pytest.mark.parametrize("site", WHOLE)
def test_sites_of_known_forms_are_patched(engine: Path, programs: Path, tmp_path: Path, site: str) -> None:
    done = make_guest(engine, programs, tmp_path / "box", flags=PATCH).run("/t/patches-glibc", "site", site)
    assert (done.returncode, done.stdout) == (0, JUMP), done.stderr


@pytest.mark.parametrize("flags", [0, TRACE, PATCH | TRACE])
@pytest.mark.parametrize("site", WHOLE)
def test_nothing_is_patched_unless_asked_nor_when_tracing(
    engine: Path, programs: Path, tmp_path: Path, site: str, flags: int
) -> None:
    done = make_guest(engine, programs, tmp_path / "box", flags=flags).run("/t/patches-glibc", "site", site)
    assert (done.returncode, done.stdout) == (0, WHOLE[site]), done.stderr


def test_stack_of_the_quick_way_is_small(engine: Path) -> None:
    """The deepest chain of frames of fast.c and quick.c stays below 2.5 KiB."""
    listing = subprocess.run(["objdump", "-d", str(engine)], capture_output=True, text=True, check=False).stdout
    if not listing:
        pytest.skip("objdump is not installed")
    frames: dict[str, int] = {}
    name = ""
    for line in listing.splitlines():
        if line.endswith(">:"):
            name = line.split("<")[1][:-2]
        elif ",%rsp" in line and "sub " in line and "$0x" in line and name not in frames:
            frames[name] = int(line.split("$")[1].split(",")[0], 16)
    quick = {f: n for f, n in frames.items() if f.startswith(("fast_", "attributes", "find", "walk", "rl_quick", "rl_known", "named"))}  # fmt: skip
    assert quick, "no frames found"
    assert max(quick.values()) <= 700
