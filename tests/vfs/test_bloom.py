"""The Bloom filter of an upper: docs/format.md §7."""

from __future__ import annotations

import multiprocessing
import struct
from pathlib import Path

import pytest

from rootlay.store.containers.bloom import HEADER_BYTES
from rootlay.vfs.merge.bloom import FNV_START, OPAQUE, RECORD, Bloom, finish, fnv1a


def with_header(path: Path, form: str, at: int, *fields: int) -> Path:
    """A new filter with other fields in its header."""
    Bloom.create(path).close()
    raw = bytearray(path.read_bytes())
    struct.pack_into(form, raw, at, *fields)
    path.write_bytes(raw)
    return path


def test_fnv1a_gives_the_published_values() -> None:
    """http://www.isthe.com/chongo/tech/comp/fnv/, test vectors of FNV-1a 64."""
    assert fnv1a(b"") == FNV_START
    assert fnv1a(b"a") == 0xAF63DC4C8601EC8C
    assert fnv1a(b"foobar") == 0x85944171F73967E8


def test_file_has_the_documented_form(tmp_path: Path) -> None:
    with Bloom.create(tmp_path / "bloom") as bloom:
        bloom.add(b"/a")
        value = finish(fnv1a(b"/a"))
        expected = {value & 0x1FFFF, (value >> 32) & 0x7FFFFF}
    raw = (tmp_path / "bloom").read_bytes()
    assert len(raw) == 64 + (1 << 20)
    assert struct.unpack_from("<8sII", raw) == (b"RLBLOOM1", 5, 23)
    words = struct.unpack_from(f"<{1 << 17}Q", raw, 64)
    assert {64 * i + b for i, word in enumerate(words) if word for b in range(64) if word >> b & 1} == expected


def test_a_filter_of_the_third_version_has_its_bits_where_they_were(tmp_path: Path) -> None:
    path = with_header(tmp_path / "bloom", "<I", 8, 3)
    with Bloom(path) as bloom:
        value = finish(fnv1a(b"/a"))
        assert bloom.bits(b"/a") == (value & 0x7FFFFF, (value >> 32) & 0x7FFFFF)


def test_kinds_have_bits_of_their_own(tmp_path: Path) -> None:
    with Bloom.create(tmp_path / "bloom") as bloom:
        bloom.add(b"/a")
        assert b"/a" in bloom
        assert not bloom.may_have(b"/a", RECORD)
        bloom.add(b"/a", OPAQUE)
        assert bloom.may_have(b"/a", OPAQUE)
        assert b"" not in bloom
    with Bloom(tmp_path / "bloom") as again:
        assert b"/a" in again


def _set_own_bits(path: Path, number: int, count: int) -> None:
    with Bloom(path) as bloom:
        for bit in range(number, count, 4):
            bloom._set(bit)


def test_no_bit_is_lost_when_processes_set_neighbours_at_once(tmp_path: Path) -> None:
    path, count = tmp_path / "bloom", 40_000
    Bloom.create(path).close()
    context = multiprocessing.get_context("fork")
    workers = [context.Process(target=_set_own_bits, args=(path, number, count)) for number in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
        assert worker.exitcode == 0
    assert path.read_bytes()[HEADER_BYTES : HEADER_BYTES + count // 8] == b"\xff" * (count // 8)


def test_other_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(bytes(200))
    with pytest.raises(ValueError, match="not a Bloom filter"):
        Bloom(tmp_path / "x")


def test_create_does_not_replace(tmp_path: Path) -> None:
    Bloom.create(tmp_path / "bloom").close()
    with pytest.raises(FileExistsError):
        Bloom.create(tmp_path / "bloom")
    assert [p.name for p in tmp_path.iterdir()] == ["bloom"]


def counts(path: Path, at: int = 16) -> tuple[int, int]:
    return struct.unpack_from("<II", path.read_bytes(), at)


def test_changes_are_counted_while_they_last_and_when_they_are_over(tmp_path: Path) -> None:
    path = tmp_path / "bloom"
    with Bloom.create(path) as bloom:
        with bloom.changing():
            assert counts(path) == (1, 0)
            assert counts(path, 24) == (1, 0)
        assert counts(path) == (1, 1)
        assert counts(path, 24) == (1, 1)


def test_the_next_change_makes_up_for_one_whose_maker_died(tmp_path: Path) -> None:
    path = with_header(tmp_path / "bloom", "<II", 16, 0xFFFFFFFF, 7)
    with Bloom(path) as bloom, bloom.changing():
        assert counts(path) == (0, 7)
    assert counts(path) == (0, 0)


def test_a_filter_of_the_first_version_has_no_counts(tmp_path: Path) -> None:
    path = with_header(tmp_path / "bloom", "<I", 8, 1)
    with Bloom(path) as bloom:
        with bloom.changing():
            bloom.add(b"/a")
        assert b"/a" in bloom
    assert counts(path) == (0, 0)
