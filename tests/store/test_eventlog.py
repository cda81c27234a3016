"""The log of events: order, bound, and a reader that follows it while it is turned over."""

from __future__ import annotations

import multiprocessing
from pathlib import Path

import pytest

from rootlay.store.disk import eventlog
from rootlay.store.disk.eventlog import EventReader, append_event

pytestmark = pytest.mark.once


def identities(reader: EventReader) -> list[str]:
    return [event["Actor"]["ID"] for event in reader.read()]


def test_a_reader_gets_what_was_and_what_follows(tmp_path: Path) -> None:
    append_event(tmp_path, "volume", "create", "one", {"driver": "local"}, 5)
    reader, late = EventReader(tmp_path), EventReader(tmp_path, at_end=True)
    (event,) = reader.read()
    assert event == {
        "Type": "volume", "Action": "create", "Actor": {"ID": "one", "Attributes": {"driver": "local"}},
        "scope": "local", "time": 0, "timeNano": 5,
    }  # fmt: skip
    append_event(tmp_path, "volume", "destroy", "one", {})
    assert identities(reader) == identities(late) == ["one"]
    assert identities(reader) == []
    reader.close()
    late.close()


def test_an_empty_store_has_no_events_until_the_first(tmp_path: Path) -> None:
    for at_end in (False, True):
        reader = EventReader(tmp_path / str(at_end), at_end=at_end)
        assert identities(reader) == []
        (tmp_path / str(at_end)).mkdir()
        append_event(tmp_path / str(at_end), "image", "tag", "x", {})
        assert identities(reader) == ["x"]
        reader.close()


def _append(root: Path, writer: int, count: int) -> None:
    for number in range(count):
        append_event(root, "container", "start", f"{writer}-{number}", {})


def test_the_log_is_bounded_and_no_writer_or_reader_misses_an_event(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(eventlog, "LIMIT_BYTES", 30_000)
    reader = EventReader(tmp_path)
    found: list[str] = []
    writers = [
        multiprocessing.get_context("fork").Process(target=_append, args=(tmp_path, writer, 60)) for writer in range(4)
    ]
    for writer in writers:
        writer.start()
    while any(writer.is_alive() for writer in writers):
        found += identities(reader)
    found += identities(reader)
    reader.close()
    assert sorted(found) == sorted(f"{writer}-{number}" for writer in range(4) for number in range(60))
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) < 2 * 30_000 + 1000


def test_a_line_that_is_no_event_is_skipped(tmp_path: Path) -> None:
    (tmp_path / eventlog.NAME).write_bytes(b'rubbish\n[1]\n{"a": 1}\n\n')
    append_event(tmp_path, "image", "tag", "x", {})
    assert identities(EventReader(tmp_path)) == ["x"]
