"""errnos.c inside against errnos.c outside: several thousand calls, the same answers."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.native.guest import HERE, Guest

#: Where two errors apply, the kernel and the engine may look in a different order.
TWO_ERRORS = ("(too long)", "(long name)", "utimensat-bad ")


def differences(outside: list[str], inside: list[str]) -> list[tuple[str, str]]:
    """Lines that differ, but for those where both sides fail and two errors apply."""
    different = [(a, b) for a, b in zip(outside, inside, strict=True) if a != b]
    return [
        (a, b)
        for a, b in different
        if a.endswith(": ok") or b.endswith(": ok") or not any(mark in a for mark in TWO_ERRORS)
    ]


@pytest.mark.parametrize(("mode", "at_least"), [("each", 2000), ("pairs", 2000)])
def test_every_call_answers_as_outside(guest: Guest, programs: Path, tmp_path: Path, mode: str, at_least: int) -> None:
    uid, gid = os.getuid(), os.getgid()
    if uid == 0:
        pytest.skip("root may do outside what the same user may not do inside: run as an ordinary user")
    if not (programs / "bin" / "busybox").exists():
        pytest.skip("busybox (static) is not installed")
    program = tmp_path / "errnos"
    subprocess.run(["cc", "-O1", "-static", "-o", str(program), str(HERE / "errnos.c")], check=True)
    plain = tmp_path / "plain"
    plain.mkdir(mode=0o755)
    outside = subprocess.run([program, mode], cwd=plain, capture_output=True, text=True, check=True).stdout
    shutil.copy(program, guest.lower / "t" / "errnos")
    busybox = "/bin/busybox"
    made = guest.run("sh", "-c", f"{busybox} mkdir /tmp/plain && {busybox} chown {uid}:{gid} /tmp/plain")
    assert made.returncode == 0, made.stderr
    groups = ",".join(map(str, os.getgroups()))
    inside = guest.run("/t/errnos", mode, state=f"{uid}:{gid}:022:{groups}", cwd="/tmp/plain")
    assert inside.returncode == 0, inside.stderr
    lines = outside.splitlines()
    assert len(lines) > at_least
    assert differences(lines, inside.stdout.decode().splitlines()) == []
