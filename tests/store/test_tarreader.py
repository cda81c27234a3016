"""The tar reader against CPython's, GNU tar's and damaged archives."""

from __future__ import annotations

import glob
import io
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rootlay.store.model.entry import Entry, EntryType
from rootlay.store.model.errors import NotAnArchive, RootlayError, TruncatedArchive, UnsupportedMedia
from rootlay.store.tar.header import parse_number, pax_mtime_ns
from tests.support.archives.make import make_tar, read_tar

pytestmark = pytest.mark.once

_TYPES = {
    tarfile.REGTYPE: EntryType.FILE, tarfile.AREGTYPE: EntryType.FILE, tarfile.CONTTYPE: EntryType.FILE,
    tarfile.GNUTYPE_SPARSE: EntryType.FILE, tarfile.LNKTYPE: EntryType.HARDLINK, tarfile.SYMTYPE: EntryType.SYMLINK,
    tarfile.CHRTYPE: EntryType.CHAR_DEVICE, tarfile.BLKTYPE: EntryType.BLOCK_DEVICE,
    tarfile.DIRTYPE: EntryType.DIRECTORY, tarfile.FIFOTYPE: EntryType.FIFO,
}  # fmt: skip


def content(data: bytes, entry: Entry) -> bytes:
    """The content of an entry straight out of the archive."""
    out = bytearray(entry.size)
    at = entry.offset
    for start, length in ((0, entry.size),) if entry.sparse is None else entry.sparse:
        out[start : start + length] = data[at : at + length]
        at += length
    return bytes(out)


def assert_same_as_tarfile(data: bytes) -> int:
    """Compare entry by entry; how many there were."""
    entries = read_tar(data)
    with tarfile.open(fileobj=io.BytesIO(data), encoding="utf-8", errors="surrogateescape") as tar:
        members = tar.getmembers()
        assert len(members) == len(entries)
        for member, (name, entry) in zip(members, entries, strict=True):
            assert name.rstrip(b"/") == member.name.encode("utf-8", "surrogateescape")
            assert entry.type is _TYPES.get(member.type, EntryType.FILE)
            assert (entry.mode, entry.uid, entry.gid) == (member.mode & 0o7777, member.uid, member.gid)
            assert entry.mtime_ns / 1e9 == pytest.approx(member.mtime, abs=1e-6)
            if entry.type in (EntryType.SYMLINK, EntryType.HARDLINK):
                assert entry.link == member.linkname.encode("utf-8", "surrogateescape")
            if entry.type in (EntryType.CHAR_DEVICE, EntryType.BLOCK_DEVICE):
                assert (entry.major, entry.minor) == (member.devmajor, member.devminor)
            if member.isreg():
                stream = tar.extractfile(member)
                assert stream is not None
                assert content(data, entry) == stream.read()
    return len(entries)


_NAMES = st.text(st.characters(exclude_characters="/\0", codec="utf-8"), min_size=1, max_size=130) | st.sampled_from(
    ["x" * 99, "x" * 100, "x" * 101, "é" * 60]
)
_PATHS = st.lists(_NAMES, min_size=1, max_size=3).map("/".join).filter(lambda p: p.strip("/. ") == p)


_TEXTS = st.text(min_size=1, max_size=150).filter(lambda text: "\0" not in text)
_FIELDS = st.fixed_dictionaries(
    {
        "mode": st.integers(0, 0o7777),
        "uid": st.integers(0, 2**32 - 1),
        "gid": st.integers(0, 2**21 - 1),
        "mtime": st.integers(-(2**33), 2**33),
    }
)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.tuples(_PATHS, st.sampled_from("fdlhp"), _TEXTS), max_size=5),
    st.sampled_from([tarfile.PAX_FORMAT, tarfile.GNU_FORMAT]),
    _FIELDS,
)
def test_archives_of_tarfile_are_read_alike(
    members: list[tuple[str, str, Any]], tar_format: int, fields: dict[str, int]
) -> None:
    members = [(n, k, p.encode("utf-8", "surrogatepass") if k == "f" else p) for n, k, p in members]
    try:
        data = make_tar(members, tar_format, **fields)
    except UnicodeEncodeError:
        return
    assert_same_as_tarfile(data)


def _testtars() -> list[str]:
    roots = {sys.base_prefix, "/usr"}
    return sorted(f for r in roots for f in glob.glob(f"{r}/lib/python3*/test/**/testtar.tar", recursive=True))


@pytest.mark.parametrize("path", _testtars() or [None])
def test_cpythons_own_test_archive_is_read_alike(path: str | None) -> None:
    if path is None:
        pytest.skip("CPython's testtar.tar is not installed")
    assert assert_same_as_tarfile(Path(path).read_bytes()) > 20


def _go_archives() -> list[str]:
    return sorted(glob.glob("/usr/*/go*/src/archive/tar/testdata/*.tar"))


# Where tarfile is no oracle: what Go's own reader_test.go expects (names and sizes, or that it is refused).
_GO_EXPECTS: dict[str, list[tuple[bytes, int]] | None] = {
    "gnu-incremental.tar": [(b"test2/", 0), (b"test2/foo", 64), (b"test2/sparse", 536870912)],
    "gnu-multi-hdrs.tar": [(b"GNU2/GNU2/long-path-name", 0)],
    "gnu-sparse-big.tar": [(b"gnu-sparse", 60000000000)],
    "invalid-go17.tar": [(b"a" * 97 + b"/foo", 0)],
    "issue10968.tar": None,
    "issue11169.tar": None,
    "issue12435.tar": None,
    "neg-size.tar": None,
    "pax-bad-hdr-file.tar": None,
    "pax-bad-mtime-file.tar": None,
    "pax-global-records.tar": [(b"global1", 0), (b"file2", 0), (b"file3", 0), (b"file4", 0)],
    "pax-multi-hdrs.tar": [(b"bar", 0)],
    "pax-nil-sparse-data.tar": [(b"sparse.db", 1000)],
    "pax-nil-sparse-hole.tar": [(b"sparse.db", 1000)],
    "pax-nul-xattrs.tar": None,
    "pax-path-hdr.tar": None,  # Go's test does not read its missing content
    "pax-sparse-big.tar": [(b"pax-sparse", 60000000000)],
    "writer-big-long.tar": None,  # headers only: the content of 16 GiB is missing
    "writer-big.tar": None,
}


@pytest.mark.parametrize("path", _go_archives() or [None])
def test_gos_test_archives_are_read_alike(path: str | None) -> None:
    if path is None:
        pytest.skip("Go's archive/tar test data is not installed (golang-src)")
    data = Path(path).read_bytes()
    name = Path(path).name
    if name not in _GO_EXPECTS:
        assert_same_as_tarfile(data)
        return
    expected = _GO_EXPECTS[name]
    if expected is None:
        with pytest.raises(RootlayError):
            read_tar(data)
    else:
        assert [(found, entry.size) for found, entry in read_tar(data)] == expected


@pytest.mark.parametrize("version", ["gnu", "0.0", "0.1", "1.0"])
def test_sparse_files_of_gnu_tar(tmp_path: Path, tool: Callable[[str], str], version: str) -> None:
    tar = tool("tar")
    with open(tmp_path / "sparse", "wb") as out:
        for i in range(30):
            out.seek(i * 300_000)
            out.write(b"data%d" % i * 100)
        out.truncate(30 * 300_000)
    (tmp_path / "after").write_bytes(b"after")
    form = ["--format=gnu"] if version == "gnu" else ["--format=pax", f"--sparse-version={version}"]
    data = subprocess.run(
        [tar, "-C", tmp_path, *form, "--sparse", "-cf", "-", "sparse", "after"], check=True, capture_output=True
    ).stdout
    (name, entry), (_, after) = read_tar(data)
    assert name == b"sparse"
    assert entry.sparse is not None
    assert len(entry.sparse) == 30
    assert len(data) < 1_000_000
    assert content(data, entry) == (tmp_path / "sparse").read_bytes()
    assert content(data, after) == b"after"


def test_xattrs_of_both_kinds_are_read() -> None:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
        info = tarfile.TarInfo("a")
        info.pax_headers = {
            "SCHILY.xattr.user.b": "1=2",
            "LIBARCHIVE.xattr.user.a%20b": "aGk",
            "SCHILY.xattr.user.a": "",
        }
        tar.addfile(info)
    [(_, entry)] = read_tar(out.getvalue())
    assert entry.xattrs == ((b"user.a", b""), (b"user.a b", b"hi"), (b"user.b", b"1=2"))


def test_global_pax_headers_hold_until_overridden() -> None:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT, pax_headers={"uid": "77"}) as tar:
        tar.addfile(tarfile.TarInfo("a"))
        info = tarfile.TarInfo("b")
        info.pax_headers = {"uid": "78"}
        tar.addfile(info)
        tar.addfile(tarfile.TarInfo("c"))
    assert [entry.uid for _, entry in read_tar(out.getvalue())] == [77, 78, 77]


@pytest.mark.parametrize(
    ("text", "ns"),
    [(b"1", 10**9), (b"1.5", 15 * 10**8), (b"-1.5", -15 * 10**8), (b"0.0000000019", 1), (b"-0.0000000011", -2),
     (b"12345678901.123456789", 2**63 - 1), (b".5", 5 * 10**8)],
)  # fmt: skip
def test_pax_times(text: bytes, ns: int) -> None:
    assert pax_mtime_ns(text) == ns


@pytest.mark.parametrize(
    ("field", "value"),
    [(b"0000644\0", 0o644), (b"   644 \0", 0o644), (b"\0" * 8, 0), (b"\x80\0\0\0\0\0\x01\0", 256), (b"\xff" * 8, -1),
     (b"77777777", 0o77777777)],
)  # fmt: skip
def test_numbers(field: bytes, value: int) -> None:
    assert parse_number(field, "x") == value


def _patched(at: int, value: bytes) -> bytes:
    """A good one-file archive with other bytes in its header, the checksum made to fit."""
    data = bytearray(make_tar([("a", "f", "content")], tarfile.GNU_FORMAT))
    data[at : at + len(value)] = value
    data[148:156] = b" " * 8
    data[148:156] = b"%06o\0 " % sum(data[:512])
    return bytes(data)


@pytest.mark.parametrize(
    ("at", "value"),
    [(124, b"\xff" * 12), (124, b"12x45678901\0"), (108, b"\xff" * 8), (100, b"99999999"), (136, b"-0000000001\0")],
)
def test_bad_numbers_are_refused(at: int, value: bytes) -> None:
    with pytest.raises(NotAnArchive):
        read_tar(_patched(at, value))


@pytest.mark.parametrize("typeflag", [b"M", b"N"])
def test_unsupported_types_are_named(typeflag: bytes) -> None:
    with pytest.raises(UnsupportedMedia):
        read_tar(_patched(156, typeflag))


def _pax_archive(records: bytes) -> bytes:
    """A pax header of these raw records before a file."""
    header = bytearray(make_tar([("PaxHeader", "f", records)], tarfile.USTAR_FORMAT))[
        : 512 + len(records) + -len(records) % 512
    ]
    header[156:157] = b"x"
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header[:512])
    return bytes(header) + make_tar([("a", "f", "content")], tarfile.USTAR_FORMAT)


def _record(text: bytes) -> bytes:
    """One well-formed pax record."""
    length = len(text) + 2
    return b"%d %s\n" % (length + len(str(length + len(str(length)))), text)


def test_the_archive_with_good_records_is_read() -> None:
    [(name, entry)] = read_tar(_pax_archive(_record(b"path=b") + _record(b"uid=7")))
    assert (name, entry.uid) == (b"b", 7)


@pytest.mark.parametrize(
    "records",
    [b"x", b"9999 a=b\n", b"0 a=b\n", b"6 ab=\n\n", b"7 path\n", _record(b"=x"), _record(b"size=-10"),
     _record(b"uid=1x"), _record(b"uid=4294967296"), _record(b"mtime=abc"), _record(b"mtime=-"),
     _record(b"SCHILY.xattr.=xx"),
     _record(b"SCHILY.xattr." + b"n" * 256 + b"=x"), _record(b"LIBARCHIVE.xattr.a=x"), _record(b"GNU.sparse.major=9"),
     _record(b"GNU.sparse.map=0,99"), _record(b"GNU.sparse.map=0,1,0,6"), _record(b"GNU.sparse.map=0,x"),
     _record(b"GNU.sparse.map=0,7,7"),
     _record(b"GNU.sparse.major=1") + _record(b"GNU.sparse.minor=0") + _record(b"GNU.sparse.realsize=9")],
)  # fmt: skip
def test_bad_pax_records_are_refused(records: bytes) -> None:
    with pytest.raises(NotAnArchive):
        read_tar(_pax_archive(records))


def test_huge_extended_headers_are_refused_unread() -> None:
    header = bytearray(_pax_archive(b"")[:512])
    header[124:136] = b"%011o\0" % (2 << 30)
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    with pytest.raises(NotAnArchive, match="1 MiB"):
        read_tar(bytes(header) + bytes(10240))


def test_every_cut_of_an_archive_is_truncated_or_ends_between_entries() -> None:
    data = make_tar([("a", "f", "x" * 700), ("b" * 120, "f", "y")])
    whole = read_tar(data)
    for cut in range(0, len(data), 97):
        try:
            found = read_tar(data[:cut])
        except TruncatedArchive:
            continue
        except NotAnArchive:
            assert cut < 512
            continue
        assert cut % 512 == 0 or cut >= 512 + 700  # nothing but the padding of the last content is missing
        assert found == whole[: len(found)]


def test_the_padding_of_the_last_content_may_be_missing() -> None:
    data = make_tar([("a", "f", "x" * 700)])
    assert len(read_tar(data[: 512 + 700])) == 1
    with pytest.raises(TruncatedArchive):
        read_tar(data[: 512 + 699])


@pytest.mark.parametrize("data", [b"x", b"hello world" * 100, b"\x7fELF" + bytes(600), b"{}" + b" " * 1000])
def test_what_is_no_tar_is_refused(data: bytes) -> None:
    with pytest.raises(NotAnArchive):
        read_tar(data)


def test_a_damaged_header_is_refused() -> None:
    data = bytearray(make_tar([("a", "f", "x"), ("b", "f", "y")]))
    data[1024 + 3] ^= 1
    with pytest.raises(NotAnArchive, match="at byte 1024"):
        read_tar(bytes(data))


def test_signed_checksums_of_old_archives_fit() -> None:
    data = bytearray(make_tar([("\udce9", "f", "x")], tarfile.GNU_FORMAT))
    data[148:156] = b" " * 8
    data[148:156] = b"%06o\0 " % (sum(data[:512]) - 256 * sum(1 for b in data[:512] if b & 0x80))
    assert [name for name, _ in read_tar(bytes(data))] == [b"\xe9"]


def test_hard_links_have_no_content_whatever_their_size_says() -> None:
    data = make_tar([("a", "f", "x"), ("b", "h", "a")], size=0)
    patched = bytearray(data)
    patched[1024 + 124 : 1024 + 136] = b"%011o\0" % 5
    patched[1024 + 148 : 1024 + 156] = b" " * 8
    patched[1024 + 148 : 1024 + 156] = b"%06o\0 " % sum(patched[1024:1536])
    assert [entry.type for _, entry in read_tar(bytes(patched))] == [EntryType.FILE, EntryType.HARDLINK]
