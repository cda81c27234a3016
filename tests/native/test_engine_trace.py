"""RL_LAUNCH_TRACE: one line per handled call."""

from __future__ import annotations

from pathlib import Path

from tests.native.engine_launch import TRACE
from tests.native.guest import Guest, make_guest


def test_trace_names_the_call_the_path_the_real_path_and_the_result(
    guest: Guest, programs: Path, tmp_path: Path
) -> None:
    traced = make_guest(guest.engine, programs, tmp_path / "traced", flags=TRACE)
    (tmp_path / "traced" / "trace").touch()
    done = traced.run("/bin/busybox", "cat", "/etc/os-release", "/nowhere")
    assert done.stdout == b"NAME=test\n"
    lines = (tmp_path / "traced" / "trace").read_text().splitlines()
    calls = [line.split(" ", 1)[1] for line in lines]
    assert f"openat(/etc/os-release) -> {programs}/etc/os-release = 3" in calls
    assert "openat(/nowhere) = -2" in calls


def test_trace_shows_what_is_executed(guest: Guest, programs: Path, tmp_path: Path) -> None:
    traced = make_guest(guest.engine, programs, tmp_path / "traced", flags=TRACE)
    (tmp_path / "traced" / "trace").touch()
    assert traced.run("sh", "-c", "/bin/true; true").returncode == 0
    text = (tmp_path / "traced" / "trace").read_text()
    assert f" exec(/bin/true) -> {programs}/bin/busybox\n" in text
