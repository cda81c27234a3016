"""Segments that are needed again come out of memory or of a file without a name, and are the same either way."""

from __future__ import annotations

import os
import random
import tracemalloc
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from rootlay.store.codec import segmentcache
from rootlay.store.codec.content import SegmentReader
from rootlay.store.codec.segment import Checkpoint, SegmentLog
from rootlay.store.model.access import Access

SEGMENT, COUNT = 1000, 20
DATA = random.Random(1).randbytes(SEGMENT * COUNT)


class Counting(SegmentReader):
    """Counts how often each segment is decompressed."""

    def __init__(self, path: Path, checkpoints: Iterable[Checkpoint], scratch: Path | None) -> None:
        self.decoded = [0] * COUNT
        super().__init__(path, Access.TAR, checkpoints, scratch)

    def _decode(self, index: int, checkpoint: Checkpoint) -> bytes:
        self.decoded[index] += 1
        return super()._decode(index, checkpoint)


def reader_of(directory: Path, scratch: Path | None) -> Counting:
    log = SegmentLog()
    for at in range(0, len(DATA), SEGMENT):
        log.begin(at)
        log.feed(DATA[at : at + SEGMENT])
    (directory / "blob").write_bytes(DATA)
    return Counting(directory / "blob", log.finish(), scratch)


def read_at_random(reader: SegmentReader, times: int = 400) -> None:
    rng = random.Random(2)
    for _ in range(times):
        offset, count = rng.randrange(len(DATA)), rng.randrange(1, 100)
        part = bytes(reader.read_some(offset, count))
        assert part
        assert part == DATA[offset : offset + len(part)]
        ready = reader.find_ready(offset, len(part))
        assert ready is not None
        assert ready[0][ready[1] : ready[1] + len(part)] == part


@pytest.fixture(autouse=True)
def _small_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(segmentcache, "CACHE_BYTES", 3 * (SEGMENT + segmentcache._ENTRY_BYTES))


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[Counting]:
    (tmp_path / "scratch").mkdir()
    made = reader_of(tmp_path, tmp_path / "scratch")
    yield made
    made.close()
    assert list((tmp_path / "scratch").iterdir()) == []


def test_no_segment_is_decompressed_three_times(reader: Counting) -> None:
    read_at_random(reader)
    assert max(reader.decoded) == 2


def test_who_reads_in_order_writes_nothing(reader: Counting) -> None:
    before = len(os.listdir("/proc/self/fd"))
    assert b"".join(bytes(reader.read_some(at, SEGMENT)) for at in range(0, len(DATA), SEGMENT)) == DATA
    assert reader.decoded == [1] * COUNT
    assert len(os.listdir("/proc/self/fd")) == before


@pytest.mark.parametrize("trouble", ["none", "missing", "full"])
def test_where_nothing_can_be_written_it_is_decompressed_again(
    tmp_path: Path, trouble: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    scratch = {"none": None, "missing": tmp_path / "missing", "full": tmp_path}[trouble]
    if trouble == "full":
        monkeypatch.setattr(segmentcache, "SPILL_BYTES", 2 * SEGMENT)
    reader = reader_of(tmp_path, scratch)
    read_at_random(reader)
    assert max(reader.decoded) > 2
    reader.close()


def test_a_descriptor_that_was_closed_behind_our_back_harms_no_other_file(reader: Counting, tmp_path: Path) -> None:
    for _ in range(2):
        for at in range(0, len(DATA) // 2, SEGMENT):  # half of it goes to the file
            reader.read_some(at, 1)
    assert reader._cache._spill is not None
    spilled = reader._cache._spill._fd
    (tmp_path / "other").write_bytes(b"mine")
    other = os.open(tmp_path / "other", os.O_RDWR)
    os.dup2(other, spilled)
    read_at_random(reader)
    assert (tmp_path / "other").read_bytes() == b"mine"
    os.close(other)


def test_a_forked_child_reads_the_same(reader: Counting) -> None:
    read_at_random(reader, 60)
    child = os.fork()
    if not child:
        status = 1
        try:
            read_at_random(reader)
            status = 0
        finally:
            os._exit(status)
    read_at_random(reader)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_many_small_segments_take_no_more_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(segmentcache, "CACHE_BYTES", 1 << 20)
    cache = segmentcache.SegmentCache(None, 100_000)
    tracemalloc.start()
    try:
        for number in range(100_000):
            cache.add(number, number, b"%d" % number)
        taken, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert taken < 2 << 20
    assert cache.find(99_999, 99_999, 99_999, 5) == (b"99999", 0)
    cache.close()
