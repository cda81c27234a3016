"""Patched call sites: which are, and that the switch is one. What must hold either way is in patches.c."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

from tests.native.engine_launch import PATCH, TRACE
from tests.native.guest import make_guest, need

if os.uname().machine == "x86_64":
    JUMP: tuple[bytes, ...] = (b"e9\n",)
    #: First byte of `mov $nr, %eax` and of `mov 8(%rsp), %rax`.
    WHOLE = {"plain": b"b8\n", "crossing": b"b8\n", "shared": b"48\n"}
    FRAME = re.compile(r"sub +\$(0x[0-9a-f]+),%rsp()")
else:
    JUMP = (b"14\n", b"15\n", b"16\n", b"17\n")
    #: Last byte of `mov x8, #48`, of `mov x0, #-100` and of `mov x5, x6`.
    WHOLE = {"plain": b"d2\n", "crossing": b"92\n", "shared": b"aa\n"}
    FRAME = re.compile(r"\tsub\tsp, sp, #(0x[0-9a-f]+)|\tstp\tx29, x30, \[sp, #-(\d+)\]!")


@pytest.mark.parametrize("site", WHOLE)
def test_sites_of_known_forms_are_patched(engine: Path, programs: Path, tmp_path: Path, site: str) -> None:
    done = make_guest(engine, programs, tmp_path / "box", flags=PATCH).run("/t/patches-glibc", "site", site)
    assert done.returncode == 0, done.stderr
    assert done.stdout in JUMP


@pytest.mark.parametrize("flags", [0, TRACE, PATCH | TRACE])
@pytest.mark.parametrize("site", WHOLE)
def test_nothing_is_patched_unless_asked_nor_when_tracing(
    engine: Path, programs: Path, tmp_path: Path, site: str, flags: int
) -> None:
    done = make_guest(engine, programs, tmp_path / "box", flags=flags).run("/t/patches-glibc", "site", site)
    assert (done.returncode, done.stdout) == (0, WHOLE[site]), done.stderr


def test_stack_of_the_quick_way_is_small(engine: Path) -> None:
    """A program's own stack holds these frames: at most three of them at a time, and one alone is a large one (the
    depth as a whole: test_stack.py)."""
    objdump = need("objdump")
    listing = subprocess.run([objdump, "-d", str(engine)], capture_output=True, text=True, check=True).stdout
    frames: dict[str, int] = {}
    name = ""
    for line in listing.splitlines():
        if line.endswith(">:"):
            name = line.split("<")[1][:-2]
        elif match := FRAME.search(line):
            frames[name] = frames.get(name, 0) + int(match[1] or match[2], 0)
    quick = {
        name: size for name, size in frames.items() if re.match("fast_|attributes|walk|rl_fast|rl_fdcache|named", name)
    }
    if not quick and "ROOTLAY_TEST_ENGINE" in os.environ:
        pytest.skip("an installed engine without names")
    assert len(quick) > 5
    large = quick.pop("fast_getdents64")
    assert large <= 1100, large
    assert max(quick.values()) <= 700, quick
