"""A merge whose records leave memory gives the same view as one in memory."""

from __future__ import annotations

import os
import random
import resource
from pathlib import Path

import pytest

from rootlay.store.disk import lmdbfile
from rootlay.store.disk.lmdbfile import LmdbFile, write_sorted
from rootlay.store.disk.mappedpages import forget_pages
from rootlay.store.model.entry import Entry, EntryType
from rootlay.store.view.merge import Merge
from tests.store.test_view_merge import LayerModel, Records

pytestmark = pytest.mark.once

D, F, L, H, W = EntryType.DIRECTORY, EntryType.FILE, EntryType.SYMLINK, EntryType.HARDLINK, EntryType.WHITEOUT
CHUNK_BYTES = 65536


def layers() -> list[LayerModel]:
    """Some 40 chunks, in two layers with whiteouts, and hard links within a layer and to the one below."""
    rng = random.Random(7)
    lower, upper = LayerModel(), LayerModel()
    for n in range(12_000):
        path = (b"d%d" % (n % 50), b"%d" % n)
        lower.entries[path[:1]] = Entry(D, mode=0o755)
        lower.entries[path] = Entry(F, size=n, offset=512 * n, xattrs=((b"user.k", rng.randbytes(60)),))
        if n % 7 == 0:
            lower.entries[path[0], b"l%d" % n] = lower.entries[path]
            lower.first[path[0], b"l%d" % n] = path
    for n in range(0, 12_000, 3):
        path = (b"d%d" % (n % 50), b"%d" % n)
        upper.entries[path[:1]] = Entry(D, implicit=True)
        upper.entries[path] = rng.choice((Entry(W), Entry(F, size=1), Entry(L, link=b"x"), Entry(D, mode=0o700)))
        upper.entries[path[0], b"h%d" % n] = Entry(H, link=b"%s/%d" % (path[0], n))
    return [lower, upper]


def merged(spill: int | None) -> tuple[Records, bytes]:
    merge = Merge(spill=spill, chunk_bytes=CHUNK_BYTES)
    for layer in layers():
        merge.add(layer.records())
    entries, _ = merge.finish()
    records = [record for first in range(1, entries, 999) for record in merge.records(first, 999)]
    return records, b"".join(merge.iter_native(bytes(32)))


def test_the_view_is_the_same(tmp_path: Path) -> None:
    fd = os.open(tmp_path / "spill", os.O_RDWR | os.O_CREAT)
    assert merged(fd) == merged(None)
    assert (tmp_path / "spill").stat().st_size > 20 * CHUNK_BYTES
    with pytest.raises(OSError, match="Bad file"):
        os.fstat(fd)  # the merge has closed it


def test_a_file_that_cannot_be_written_is_not_needed(tmp_path: Path) -> None:
    (tmp_path / "spill").touch()
    assert merged(os.open(tmp_path / "spill", os.O_RDONLY)) == merged(None)


def resident_bytes() -> int:
    with open("/proc/self/statm", "rb") as stream:
        return int(stream.read().split()[2]) * resource.getpagesize()  # of files


def peak_kb() -> int:
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.partition("VmHWM:")[2].split()[0])


def test_pages_of_a_read_file_leave_memory_and_are_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "big.lmdb"
    items = [(b"%08d" % n, bytes(1000)) for n in range(20_000)]
    write_sorted(path, items, 20_000 * 1008, 20_000)
    file = LmdbFile(path)
    try:
        monkeypatch.setattr(lmdbfile, "_FORGET_BYTES", 1 << 40)
        assert sum(1 for _ in file.iter_from(b"\0")) == 20_000
        before = resident_bytes()
        forget_pages(path.stat().st_ino)
        after = resident_bytes()
        assert before - after > 10_000_000
        monkeypatch.setattr(lmdbfile, "_FORGET_BYTES", 1 << 20)
        assert list(file.iter_from(b"\0")) == items
        assert resident_bytes() - after < 5_000_000
        monkeypatch.setattr(lmdbfile, "_FORGET_GETS", 1000)
        assert [file.get(key) for key, _ in items] == [value for _, value in items]
        assert resident_bytes() - after < 5_000_000
    finally:
        file.close()


def test_a_transaction_holds_few_large_values(tmp_path: Path) -> None:
    """Windows of gzip have up to 32 KiB each."""
    path = tmp_path / "large.lmdb"
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # the peak counts from here
    before = peak_kb()
    write_sorted(path, ((b"%08d" % n, n.to_bytes(4, "big") * 8192) for n in range(3000)), 3000 * 32_776, 3000)
    assert peak_kb() - before < 50_000
    file = LmdbFile(path)
    try:
        assert [int.from_bytes(value[:4], "big") for _, value in file.iter_from(b"\0")] == list(range(3000))
    finally:
        file.close()
