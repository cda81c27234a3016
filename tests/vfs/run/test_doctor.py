"""What `doctor` says of the file system that a store is on."""

from __future__ import annotations

from pathlib import Path

import pytest

import rootlay.vfs.run.doctor as doctor
from rootlay.store.filesystem import NETWORK, file_system_of


def finding(root: Path, monkeypatch: pytest.MonkeyPatch, kind: str, options: str = "rw") -> doctor.Finding:
    """The line about a store on a file system of that type, which only its name is."""
    monkeypatch.setattr(doctor, "file_system_of", lambda path: (kind, frozenset(options.split(","))))
    [found] = [line for line in doctor.examine(root, {}) if line.name == "store"]
    return found


@pytest.mark.parametrize("kind", sorted(NETWORK - {"lustre"}))
def test_network_file_systems_are_warned_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    found = finding(tmp_path, monkeypatch, kind)
    assert found.status == "warn"
    assert f"({kind})" in found.text
    assert "load --link" in found.advice


def test_lustre_may_have_locks_of_one_machine_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "without `flock`" in finding(tmp_path, monkeypatch, "lustre", "rw,localflock").advice
    assert "load --link" in finding(tmp_path, monkeypatch, "lustre", "rw,flock").advice


def test_local_file_systems_are_good(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert finding(tmp_path, monkeypatch, "ext4").status == "ok"


def test_the_file_system_is_asked_of_the_kernel(tmp_path: Path) -> None:
    kind, options = file_system_of(tmp_path)
    mounts = [line.split() for line in Path("/proc/self/mounts").read_text().splitlines()]
    assert kind in {line[2] for line in mounts}
    assert "rw" in options
    assert file_system_of(Path("/proc"))[0] == "proc"
