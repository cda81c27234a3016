"""The program `details` inside against the same outside: the same small things are noticed."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.native.guest import HERE, Guest
from tests.support.madeonce import made_once

SECTIONS = (
    "opath", "samevalue", "sizes", "busy", "locked", "openat2s", "statxs", "binds", "groups", "times", "foreign",
    "race", "status", "tmpfiles", "setgids",
)  # fmt: skip


@pytest.fixture(scope="session")
def details(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program, static."""

    def make(place: Path) -> None:
        command = ["cc", "-O1", "-Wall", "-Wextra", "-Werror", "-static", "-o", str(place / "details")]
        subprocess.run([*command, *map(str, sorted(HERE.glob("detail*.c")))], check=True)

    return made_once(tmp_path_factory, "details", make) / "details"


@pytest.mark.parametrize("section", SECTIONS)
def test_a_program_notices_the_same(guest: Guest, programs: Path, details: Path, tmp_path: Path, section: str) -> None:
    if not (programs / "bin" / "busybox").exists():
        pytest.skip("busybox (static) is not installed")
    uid, gid = os.getuid(), os.getgid()
    plain = tmp_path / "plain"
    plain.mkdir(mode=0o755)
    outside = subprocess.run([details, section], cwd=plain, capture_output=True, text=True, timeout=60, check=True)
    shutil.copy(details, guest.lower / "t" / "details")
    busybox = "/bin/busybox"
    made = guest.run("sh", "-c", f"{busybox} mkdir /tmp/plain && {busybox} chown {uid}:{gid} /tmp/plain")
    assert made.returncode == 0, made.stderr
    groups = ",".join(map(str, os.getgroups()))
    inside = guest.run("/t/details", section, state=f"{uid}:{gid}:022:{groups}", cwd="/tmp/plain")
    assert inside.returncode == 0, (inside.stdout[-500:], inside.stderr)
    assert inside.stdout.decode().splitlines() == outside.stdout.splitlines()


def test_a_message_queue_is_refused_and_leaves_nothing(guest: Guest, details: Path) -> None:
    shutil.copy(details, guest.lower / "t" / "details")
    inside = guest.run("/t/details", "queues", cwd="/tmp")
    assert inside.stdout.decode().splitlines() == ["mq_open: ENOSYS", "mq_unlink: ENOSYS"]
    outside = subprocess.run([details, "queues"], capture_output=True, text=True, timeout=60, check=True)
    opened, unlinked = outside.stdout.splitlines()  # no queue of this name was left by the container
    assert int(opened.removeprefix("mq_open: ")) > 0
    assert unlinked == "mq_unlink: 0"
