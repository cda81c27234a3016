"""The table of a plan, and the file of content digests, against dictionaries."""

from __future__ import annotations

import hashlib
import io
import os
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from rootlay.store.model.entry import Entry, EntryType
from rootlay.vfs.build.context.source import HostTree, Stamp
from rootlay.vfs.build.copy import contentdigest, digestfile, plantable
from rootlay.vfs.build.copy.contentdigest import ContentDigests
from rootlay.vfs.build.copy.digestfile import DigestFile, find_file, record, write_file
from rootlay.vfs.build.copy.planentry import FileContent, Planned
from rootlay.vfs.build.copy.plantable import PlanTable

NAMES = (b"a", b"b", b"a-b", b"a.", b"\xff", b"\x01", b"n" * 200)
OLD = Stamp(1, 2, 3, 4, 5)


@pytest.fixture(params=["held", "in memory", "in a file"])
def table(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[PlanTable]:
    if request.param != "held":
        monkeypatch.setattr(plantable, "HELD_MAX", 50)
    found = PlanTable(tmp_path if request.param == "in a file" else None)
    yield found
    found.close()


def planned(number: int) -> Planned:
    """One of each kind: file with content, link, directory."""
    if number % 3 == 0:
        entry = Entry(
            EntryType.FILE, mode=0o640, uid=number, size=number, mtime_ns=-number, xattrs=((b"user.x", b"y"),)
        )
        content = FileContent(lambda place: io.BytesIO(place), b"%d" % number)
        return Planned(entry, content, Stamp(1 << 63, number, number, -number, number), b"i%d" % (number % 5))
    if number % 3 == 1:
        return Planned(Entry(EntryType.SYMLINK, link=b"to/%d" % number), identity=b"i%d" % (number % 5))
    return Planned(Entry(EntryType.DIRECTORY, mode=0o755))


def test_the_table_is_a_dictionary_in_the_order_of_a_layer(table: PlanTable) -> None:
    known: dict[bytes, Planned] = {}
    choose = random.Random(1)
    for number in range(3000):
        path = b"".join(b"/" + choose.choice(NAMES) for _ in range(choose.randint(1, 4)))
        kind = choose.random()
        if kind < 0.8:
            known[path] = planned(number)
            table.put(path, known[path])
        elif kind < 0.85:
            known = {other: found for other, found in known.items() if not other.startswith(path + b"/")}
            table.delete_below(path)
        else:
            assert table.find(path) == known.get(path)
            assert table.find_entry(path) == (known[path].entry if path in known else None)
            assert table.has_any(path) == any((other + b"/").startswith(path + b"/") for other in known)
    in_order = sorted(known, key=lambda path: path.split(b"/"))
    assert [path for path, _ in table] == in_order
    assert dict(table) == known
    for number in range(5):
        names = [path for path in in_order if known[path].identity == b"i%d" % number]
        assert table.first_name(b"i%d" % number) == names[0]
    for path, found in table:
        if found.content is not None:
            with found.content.open() as stream:
                assert stream.read() == b"%d" % known[path].entry.size


def digest(number: int) -> bytes:
    return hashlib.sha256(b"%d" % number).digest()


def key(number: int) -> bytes:
    return digest(number)[: digestfile.KEY_BYTES]


@pytest.mark.parametrize("count", [0, 1, 63, 64, 65, 3000])
def test_what_is_in_a_file_of_digests_is_found(tmp_path: Path, count: int) -> None:
    path = tmp_path / "digests"
    write_file(path, [record(key(number), number, digest(number + 1)) for number in range(count)])
    file = DigestFile(path)
    assert [file.find(key(number)) for number in range(count)] == [digest(number + 1) for number in range(count)]
    assert not any(file.find(key(number)) for number in range(count, count + 100))
    assert len(list(file)) == count
    file.close()


def test_the_latest_digests_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(digestfile, "RECORDS_MAX", 10)
    path = tmp_path / "digests"
    records = [record(key(number), number, digest(number)) for number in range(20)]
    write_file(path, [*records, record(key(15), 99, digest(0))])
    file = DigestFile(path)
    assert [number for number in range(20) if file.find(key(number))] == list(range(10, 20))
    assert file.find(key(15)) == digest(0)
    file.close()


def test_a_file_is_the_same_whatever_is_in_memory_meanwhile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    records = [record(key(number % 700), number % 90, digest(number)) for number in range(3000)]
    write_file(tmp_path / "held", records)
    monkeypatch.setattr(digestfile, "_WAITING_MAX", 100)
    write_file(tmp_path / "parts", iter(records))
    latest = {found[: digestfile.KEY_BYTES]: found for found in sorted(records)}
    assert (tmp_path / "held").read_bytes() == digestfile.MAGIC + b"".join(latest.values())
    assert (tmp_path / "parts").read_bytes() == (tmp_path / "held").read_bytes()
    assert sorted(os.listdir(tmp_path)) == ["held", "parts"]


@pytest.mark.parametrize("data", [b"", b"{}", b"RLdigst\x02", digestfile.MAGIC + b"x" * 51])
def test_what_is_no_file_of_digests_counts_as_empty(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "digests").write_bytes(data)
    assert find_file(tmp_path / "digests") is None
    with pytest.raises(ValueError, match="digests"):
        DigestFile(tmp_path / "digests")


def test_files_are_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many there are: more than are found again in the same build are found in the next."""
    monkeypatch.setattr(contentdigest, "RECENT_MAX", 7)
    (tmp_path / "tree").mkdir()
    for number in range(30):
        (tmp_path / "tree" / str(number)).write_text(str(number))
        os.utime(tmp_path / "tree" / str(number), (1, 1))
    monkeypatch.setattr(contentdigest, "SETTLED_NS", -1)  # they were made just now
    tree = HostTree(tmp_path / "tree")
    read: list[bytes] = []

    def opened(path: bytes) -> io.BufferedReader:
        read.append(path)
        return open(tmp_path / "tree" / os.fsdecode(path[1:]), "rb")

    def look() -> list[bytes]:
        digests = ContentDigests(tmp_path / "build" / "digests")
        found = []
        for name in tree.listdir(b"/"):
            status = tree.lstat(b"/" + name)
            assert status is not None
            what = Planned(Entry(EntryType.FILE, size=status.size), FileContent(opened, b"/" + name), status.stamp)
            found += [digests.of(what), digests.of(what)]
            assert found[-1] == found[-2] == hashlib.sha256(name).digest()
        digests.save()
        return found

    first = look()
    assert 30 <= len(read) < 60
    read.clear()
    assert look() == first
    assert read == []
    assert not [path.name for path in (tmp_path / "build").iterdir() if path.name != "digests"]
