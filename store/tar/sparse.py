"""Sparse files in tar archives: old GNU (`S`), and GNU's pax formats 0.0, 0.1 and 1.0.

Format: GNU tar manual, "Storing Sparse Files". A map lists the data runs (offset and length in bytes in the expanded
file); the archive holds the runs back to back.
"""

from __future__ import annotations

from collections.abc import Iterable

from rootlay.store.codec.bytestream import ByteSource
from rootlay.store.model.entry import SparseMap
from rootlay.store.model.errors import TruncatedArchive
from rootlay.store.tar.header import (
    BLOCK_BYTES,
    SIZE_LIMIT,
    HeaderError,
    PaxFields,
    PaxRecords,
    parse_number,
    pax_number,
)

# Bounds the cost of a hostile map: 2^17 runs take about 20 MB here.
RUNS_MAX = 1 << 17
_OLD_RUNS_FIRST, _OLD_RUNS_NEXT, _OLD_RUN_BYTES = 4, 21, 24


def check_map(pairs: Iterable[tuple[int, int]], real_bytes: int, stored_bytes: int) -> SparseMap:
    """Drop empty runs. Raises HeaderError unless runs ascend, fit the file and match the stored size."""
    runs = []
    end = total = 0
    for offset, length in pairs:
        if offset < end or length < 0 or offset + length > real_bytes:
            raise HeaderError("sparse file", "the map does not fit the file")
        end = offset + length
        total += length
        if length:
            runs.append((offset, length))
    if total != stored_bytes:
        raise HeaderError("sparse file", "the map does not fit the stored data")
    return tuple(runs)


def _limited(runs: list[tuple[int, int]]) -> None:
    if len(runs) > RUNS_MAX:
        raise HeaderError("sparse file", f"more than {RUNS_MAX} runs")


def read_old_gnu(block: bytes, source: ByteSource, stored_bytes: int, what: str) -> tuple[int, SparseMap]:
    """Return the expanded size and map of a header of type `S`; read the extension blocks that follow it."""
    real_bytes = parse_number(block[483:495], "real size")
    if not 0 <= real_bytes < SIZE_LIMIT:
        raise HeaderError("sparse file", "negative size" if real_bytes < 0 else "the size does not fit 63 bits")
    runs = _old_runs(block, 386, _OLD_RUNS_FIRST)
    more = block[482]
    while more:
        block = source.take(BLOCK_BYTES)
        if len(block) < BLOCK_BYTES:
            raise TruncatedArchive(what)
        runs += _old_runs(block, 0, _OLD_RUNS_NEXT)
        _limited(runs)
        more = block[504]
    return real_bytes, check_map(runs, real_bytes, stored_bytes)


def _old_runs(block: bytes, at: int, count: int) -> list[tuple[int, int]]:
    runs = []
    for start in range(at, at + count * _OLD_RUN_BYTES, _OLD_RUN_BYTES):
        if not block[start]:
            break
        runs.append(
            (parse_number(block[start : start + 12], "offset"), parse_number(block[start + 12 : start + 24], "length"))
        )
    return runs


def read_pax(
    records: PaxRecords, fields: PaxFields, source: ByteSource, stored_bytes: int, what: str
) -> tuple[int, SparseMap, int] | None:
    """Return the expanded size, the map, and the bytes of the map before the data; None if the file is not sparse."""
    version = (fields.get(b"GNU.sparse.major"), fields.get(b"GNU.sparse.minor"))
    if version == (b"1", b"0"):
        real_bytes = pax_number(fields, b"GNU.sparse.realsize", 0)
        runs, map_bytes = _leading_map(source, stored_bytes, what)
        return real_bytes, check_map(runs, real_bytes, stored_bytes - map_bytes), map_bytes
    if version != (None, None) and version not in ((b"0", b"0"), (b"0", b"1")):
        raise HeaderError("sparse file", "unknown version of the sparse format")
    if b"GNU.sparse.map" in fields:
        numbers = fields[b"GNU.sparse.map"].split(b",")
    elif b"GNU.sparse.numblocks" in fields:
        numbers = [v for k, v in records if k in (b"GNU.sparse.offset", b"GNU.sparse.numbytes")]
    else:
        return None
    if numbers == [b""]:
        numbers = []
    if not all(n.isdigit() and len(n) < 20 for n in numbers) or len(numbers) % 2:
        raise HeaderError("sparse file", "malformed map")
    runs = [(int(numbers[i]), int(numbers[i + 1])) for i in range(0, len(numbers), 2)]
    _limited(runs)
    real_bytes = pax_number(fields, b"GNU.sparse.size", pax_number(fields, b"GNU.sparse.realsize", 0))
    return real_bytes, check_map(runs, real_bytes, stored_bytes), 0


def _leading_map(source: ByteSource, stored_bytes: int, what: str) -> tuple[list[tuple[int, int]], int]:
    """Return the map of format 1.0: decimal lines in front of the data, padded to whole blocks."""
    start = source.offset
    text = b""
    numbers: list[int] = []
    wanted = 1
    while len(numbers) < wanted:
        if source.offset - start + BLOCK_BYTES > stored_bytes + BLOCK_BYTES - 1:
            raise HeaderError("sparse file", "the map does not end")
        block = source.take(BLOCK_BYTES)
        if len(block) < BLOCK_BYTES:
            raise TruncatedArchive(what)
        *lines, text = (text + block).split(b"\n")
        for line in lines[: wanted - len(numbers)] if numbers else lines:
            if not line.isdigit() or len(line) > 20:
                raise HeaderError("sparse file", "malformed map")
            numbers.append(int(line))
            if len(numbers) == 1:
                wanted = 1 + 2 * numbers[0]
                if numbers[0] > RUNS_MAX:
                    raise HeaderError("sparse file", f"more than {RUNS_MAX} runs")
            if len(numbers) == wanted:
                break
    runs = [(numbers[i], numbers[i + 1]) for i in range(1, wanted, 2)]
    return runs, source.offset - start
