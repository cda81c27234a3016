"""The torture programs (signals.c, processes.c, calls.c, …): each case is one test."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.native.guest import HERE, Guest

PROGRAMS = (
    "signals",
    "processes",
    "identities",
    "traces",
    "threads",
    "calls",
    "patches",
    "localsockets",
    "manymessages",
)
CASES = [
    (program, case)
    for program in PROGRAMS
    for case in dict.fromkeys(re.findall(r"CASE\((\w+)\)", (HERE / f"{program}.c").read_text()))
]


@pytest.mark.parametrize("libc", ["glibc", pytest.param("musl", marks=pytest.mark.once)])
@pytest.mark.parametrize(("program", "case"), CASES)
def test_case(guest: Guest, programs: Path, program: str, case: str, libc: str) -> None:
    if not (programs / "t" / f"{program}-{libc}").exists():
        pytest.skip(f"no static {libc} toolchain")
    done = guest.run(f"/t/{program}-{libc}", case)
    assert (done.returncode, done.stdout) == (0, f"{case} ok\n".encode()), done.stderr


@pytest.mark.parametrize("program", PROGRAMS)
def test_all_cases_in_one_process(guest: Guest, program: str) -> None:
    done = guest.run(f"/t/{program}-glibc")
    assert b"FAIL" not in done.stdout, done.stdout
    assert done.returncode == 0, done.stderr
