"""errnos.c inside against errnos.c outside: several thousand calls, the same answers."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.native.engine_launch import PATCH
from tests.native.guest import HERE, Guest, make_guest

pytestmark = pytest.mark.slow

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
def test_every_call_answers_as_outside(
    guest: Guest, programs: Path, tmp_path: Path, mode: str, at_least: int, request: pytest.FixtureRequest
) -> None:
    uid, gid = os.getuid(), os.getgid()
    if uid == 0:
        pytest.skip("root may do outside what the same user may not do inside: run as an ordinary user")
    patched = request.node.callspec.params["guest"] == PATCH
    if mode == "pairs" and not patched and not os.environ.get("ROOTLAY_TEST_LONG"):
        pytest.skip("ROOTLAY_TEST_LONG is not set: pairs of calls are made by patched sites only")
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
    inside = guest.run("/t/errnos", mode, state=f"{uid}:{gid}:022:{groups}", cwd="/tmp/plain", timeout=600)
    assert inside.returncode == 0, inside.stderr
    lines = outside.splitlines()
    assert len(lines) > at_least
    assert differences(lines, inside.stdout.decode().splitlines()) == []


TREES = 1700
UNREADABLE = (("read", "ok"), ("dir", "ENOTEMPTY"))


@pytest.mark.parametrize("layer", ["lower", "copied"])
def test_every_call_answers_as_outside_on_the_image_s_files(engine: Path, tmp_path: Path, layer: str) -> None:
    """`lower`: files that nobody has changed yet; `copied`: that have just been copied up."""
    uid, gid = os.getuid(), os.getgid()
    if uid == 0:
        pytest.skip("root may do outside what the same user may not do inside: run as an ordinary user")
    program, lower, plain = tmp_path / "errnos", tmp_path / "lower", tmp_path / "plain"
    subprocess.run(["cc", "-O1", "-static", "-o", str(program), str(HERE / "errnos.c")], check=True)
    for place in (plain, lower / "trees"):
        place.mkdir(mode=0o755, parents=True)
        subprocess.run([program, "make", str(TREES)], cwd=place, check=True)
    for name in ("proc", "dev"):
        (lower / name).mkdir()
    shutil.copy(program, lower / "errnos")
    lower.chmod(0o555)  # nobody's own root can be written outside, either
    words = ["each", str(TREES), layer]
    outside = subprocess.run([program, *words], cwd=plain, capture_output=True, text=True, check=True).stdout
    guest = make_guest(engine, lower, tmp_path / "box", flags=PATCH, mapped=(uid, gid))
    state = f"{uid}:{gid}:022:{','.join(map(str, os.getgroups()))}"
    inside = guest.run("/errnos", *words, state=state, cwd="/trees", timeout=600)
    assert inside.returncode == 0, (inside.stdout[-500:], inside.stderr)
    lines = outside.splitlines()
    assert len(lines) > 2000
    subprocess.run(["chmod", "-R", "u+rwX", tmp_path], check=False)  # pytest is to remove it
    different = differences(lines, inside.stdout.decode().splitlines())
    # The kernel knows without permission to read it whether a directory is empty; here it has to be read. (Layers of
    # images can always be read.)
    unreadable = [(f"rmdir no{name} : {outcome}", f"rmdir no{name} : EACCES") for name, outcome in UNREADABLE]
    assert [pair for pair in different if pair not in unreadable] == []
