"""Stores with many containers: `ps` and `fsck` ask once what can be asked once, so that they are linear."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rootlay.cli.main import main
from rootlay.store.check import scope
from rootlay.store.containers import containers
from rootlay.store.containers.containers import LAUNCHED, Containers, note_session
from rootlay.store.containers.record import ContainerConfig, ContainerState
from rootlay.store.disk.removetree import remove_tree
from rootlay.store.store import ImageStore
from tests.cli.conftest import Rootlay

COUNT = 60


@pytest.fixture
def many(tmp_path: Path) -> Path:
    """A store with containers that ended; every third has a launch file, as a crash leaves it."""
    ImageStore.open(tmp_path / "store")
    made = Containers(tmp_path / "store")
    for number in range(COUNT):
        config = ContainerConfig("", f"c{number}", 1 + number, image="host", lowers=("",), argv=("true",))
        record = made.create(config)
        record.write_state(ContainerState(pid=1, started_ns=2, finished_ns=3, exit_code=number, machine="here"))
        if number % 3 == 0:
            (record.path / "launch-1-abcdef").write_bytes(b"")
    return tmp_path / "store"


def counted(monkeypatch: pytest.MonkeyPatch, where: Any, name: str, wanted: Callable[[Any], bool]) -> list[Any]:
    """The calls of a function whose first argument is wanted."""
    calls: list[Any] = []
    original = getattr(where, name)

    def count(*args: Any, **kwargs: Any) -> Any:
        if args and wanted(args[0]):
            calls.append(args[0])
        return original(*args, **kwargs)

    monkeypatch.setattr(where, name, count)
    return calls


def test_ps_looks_through_the_processes_once(
    many: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    looks = counted(monkeypatch, os, "listdir", lambda path: path == "/proc")
    assert main(["--root", str(many), "ps", "-a", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [row["name"] for row in rows] == [f"c{number}" for number in reversed(range(COUNT))]
    assert {row["running"] for row in rows} == {False}
    assert [row["exit_code"] for row in rows] == list(reversed(range(COUNT)))
    assert len(looks) == 1
    assert main(["--root", str(many), "ps", "-q"]) == 0
    assert capsys.readouterr().out == ""
    assert len(looks) <= 2


def test_ps_reads_the_records_of_running_containers_alone(small: Rootlay, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two run, with several programs each; one has ended, and one is said to run on another machine."""
    for name in ("one", "two"):
        small("run", "-d", "--name", name, "small", "sh", "-c", "sleep 60 & sleep 60")
    small("run", "--name", "ended", "small", "true")
    small("create", "--name", "far", "small", "true")
    far = Containers(small.root).find("far")
    far.write_state(ContainerState(pid=1, started_ns=1, machine="another"))
    (far.path / "launch-1-abcdef").write_bytes(b"")
    note_session(far.path.parent, far.id, "1-abcdef")
    assert {line.split()[-1] for line in small.out("ps").splitlines()[1:]} == {"one", "two", "far"}
    rows = {row["name"]: row for row in json.loads(small.out("ps", "-a", "--json"))}
    assert {name for name, row in rows.items() if row["running"]} == {"one", "two", "far"}
    assert rows["far"]["machine"] == "another"
    assert rows["ended"]["exit_code"] == 0
    small("rm", "-f", "one", "two")
    assert {line.split()[-1] for line in small.out("ps").splitlines()[1:]} == {"far"}


def test_ps_finds_what_an_older_version_has_started(small: Rootlay) -> None:
    small("run", "-d", "--name", "one", "small", "sleep", "60")
    small("run", "--name", "ended", "small", "true")
    small("create", "--name", "far", "small", "true")
    Containers(small.root).find("far").write_state(ContainerState(pid=1, started_ns=1, machine="another"))
    ended = Containers(small.root).find("ended").path
    while list(ended.glob("launch-*")):  # its end is noted after the caller has it
        time.sleep(0.05)
    noted = small.root / "containers" / LAUNCHED
    remove_tree(noted)
    assert {line.split()[-1] for line in small.out("ps").splitlines()[1:]} == {"one", "far"}
    assert len(list(noted.iterdir())) == 2
    (noted / f"{'0' * 64}-1-abcdef").touch()
    assert small.out("fsck").strip() == "nothing wrong was found"
    small("rm", "-f", "one", "far")
    assert small.out("ps", "-q") == ""
    assert list(noted.iterdir()) == []


def test_ps_looks_into_containers_with_programs_alone(many: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    main(["--root", str(many), "ps", "-q"])  # of an older version
    looks = counted(monkeypatch, os, "listdir", lambda path: str(path).startswith(f"{many}/containers/"))
    reads = counted(monkeypatch, containers, "read_state", lambda path: True)
    assert main(["--root", str(many), "ps", "-q"]) == 0
    assert {os.path.basename(path) for path in looks} == {LAUNCHED}
    assert reads == []


def test_fsck_parses_each_record_once_and_says_how_many(
    many: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    parsed = counted(monkeypatch, scope, "read_container", lambda path: True)
    assert main(["--root", str(many), "fsck", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["findings"] == []
    assert (found["looked_at"]["containers"], found["looked_at"]["uppers"]) == (COUNT, COUNT)
    assert len(parsed) == COUNT
