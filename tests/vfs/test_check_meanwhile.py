"""`fsck` while other processes go on: what they remove at the worst moment is not called lost."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from rootlay.store.check import containers
from rootlay.store.containers.containers import Containers
from rootlay.vfs.api.container import Container
from rootlay.vfs.api.store import Store
from rootlay.vfs.merge.upperkeys import list_seen
from tests.vfs.damaged_store import Damaged


def _roll_back(container: Container) -> None:
    container.fs.writetext("/lost", "")
    container.rollback("s")


def _rename(container: Container) -> None:
    Containers(container.record.root).rename(container.record, "other")


MEANWHILE: dict[str, Callable[[Container], None]] = {
    "removed": Container.remove,
    "rolled back": _roll_back,
    "without its snapshot": lambda container: container.remove_snapshot("s"),
    "renamed": _rename,
}
MOMENTS = ("_check_state", "_check_snapshots", "_check_uppers", "bloom_trouble", "_check_files", "_check_names")


@pytest.fixture
def alone(damaged: Damaged) -> Damaged:
    """A store with the one container `c`."""
    with contextlib.closing(Store.open(damaged.root).container("b")) as container:
        container.remove()
    return damaged


@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("what", MEANWHILE)
def test_nothing_is_found(what: str, moment: str, alone: Damaged, monkeypatch: pytest.MonkeyPatch) -> None:
    checked = getattr(containers, moment)
    waiting = [MEANWHILE[what]]

    def late(*given: object) -> object:
        if waiting:
            with contextlib.closing(Store.open(alone.root).container("c")) as container:
                waiting.pop()(container)
        return checked(*given)

    monkeypatch.setattr(containers, moment, late)
    assert alone.check() == []
    assert not waiting


def test_a_snapshot_that_goes_while_it_is_read(alone: Damaged, monkeypatch: pytest.MonkeyPatch) -> None:
    read = Path.read_bytes

    def read_late(path: Path) -> bytes:
        if path.parent.name == "snapshots":
            path.unlink()
        return read(path)

    monkeypatch.setattr(Path, "read_bytes", read_late)
    assert alone.check() == []


def test_an_upper_that_goes_while_it_is_listed(alone: Damaged, monkeypatch: pytest.MonkeyPatch) -> None:
    listed = list_seen

    def list_late(directory: bytes) -> object:
        shutil.rmtree(alone.container(), ignore_errors=True)
        return listed(directory)

    monkeypatch.setattr("rootlay.vfs.containers.check.list_seen", list_late)
    assert alone.check() == []


def test_a_name_that_goes_while_it_is_read(alone: Damaged, monkeypatch: pytest.MonkeyPatch) -> None:
    read, own = os.readlink, alone.container()

    def read_late(path: Path) -> str:
        if Path(path).name == "c" and os.path.lexists(path):
            shutil.rmtree(own, ignore_errors=True)
            os.unlink(path)
        return read(path)

    monkeypatch.setattr(os, "readlink", read_late)
    assert alone.check() == []


def test_what_is_lost_is_found_all_the_same(alone: Damaged, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its upper goes, and the record, the stack and the snapshots still name it."""
    checked = containers._check_uppers

    def late(*given: object) -> Iterator[object]:
        with contextlib.suppress(FileNotFoundError):
            shutil.rmtree(alone.upper())
        return checked(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(containers, "_check_uppers", late)
    assert [outcome.finding.code for outcome in alone.check()] == ["upper-lost"]
