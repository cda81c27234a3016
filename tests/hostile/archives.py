"""Hostile root file systems, each with what is to become of it.

An outcome is the name of an error, or `ok`: it is taken, and what a walk then shows is harmless (taking.py). The ideas
are those of CPython's tests of tarfile's filters, of the escapes that containerd, moby and umoci had (links followed
while unpacking, hard links to links, whiteouts of `..`, names cleaned after they were checked), of Go's archive/tar.
"""

# ruff: noqa: E501 -- tables: one case is one line

from __future__ import annotations

import bz2
import gzip
import lzma
import os
from collections.abc import Iterator
from dataclasses import dataclass, replace

import zstandard

from tests.hostile.tarbytes import END, base256, entry, gnu_long, gnu_sparse, header, octal, pad, pax, record

FORMS = ("ustar", "pax", "gnu")
KINDS = {b"0": "file", b"1": "hard link", b"2": "link", b"3": "device", b"5": "directory", b"6": "fifo"}
OK = "ok"


@dataclass(frozen=True)
class Case:
    """One archive. `tree`: names that must be there afterwards, and of which kind (`dflcbp`); None: no matter."""

    group: str
    name: str
    data: bytes
    outcome: str
    tree: dict[str, str] | None = None


def all_cases(canary: bytes = b"canary") -> list[Case]:
    """Every one; the same names whatever the canary is: the path, without its first slash, of a directory outside."""
    return [
        replace(case, name=case.name.replace(os.fsdecode(canary), "CANARY"))
        for make in (
            _leaving, _absolute, _through_links, _hard_links, _whiteouts, _duplicates, _devices, _sparse, _pax, _names,
            _numbers, _cut, _streams,
        )
        for case in make(canary)
    ]  # fmt: skip


def _leaving(canary: bytes) -> Iterator[Case]:
    for name in (b"..", b"../x", b"a/../../x", b"a/../x", b"./../x", b"/../x", b"a/..", b"..//x", b"a/./../x"):
        for kind, word in KINDS.items():
            for form in FORMS:
                data = entry(b"a/target") + entry(name, kind, link=b"a/target" if kind in b"12" else b"", form=form)
                yield Case("`..` in a name", f"{word} {name.decode()} {form}", data + END, "UnsafePath")
    for name in (b"...", b"..x/y", b"x../y", b".. /x", b"..\\x", b"%2e%2e/x", b"\xe2\x80\xa5/x", b"..\xff/x"):
        yield Case("`..` in a name", f"only like it: {name!r}", entry(name) + END, OK)
    yield Case("`..` in a name", "in the ustar prefix", header(b"x", prefix=b"../..") + END, "UnsafePath")
    yield Case(
        "`..` in a name",
        "a global header's path",
        pax(record(b"path", b"../x"), b"g") + entry(b"a") + END,
        "UnsafePath",
    )


def _absolute(canary: bytes) -> Iterator[Case]:
    for name, shown in ((b"/abs", "abs"), (b"//abs", "abs"), (b"/./abs", "abs"), (b"/" + canary + b"/key", None)):
        for form in FORMS:
            tree = {shown: "f"} if shown else None
            yield Case("absolute names", f"{name.decode()} {form}", entry(name, form=form) + END, OK, tree)
    for name in (b"/", b"//", b"./", b".", b"/./."):
        yield Case("absolute names", f"the root as {name.decode()}", entry(name, b"5") + END, OK)
        yield Case("absolute names", f"a file as {name.decode()}", entry(name) + END, "UnsafePath")


def _through_links(canary: bytes) -> Iterator[Case]:
    targets = (
        b"/" + canary,
        b"../../../../../../../" + canary,
        b"/",
        b".",
        b"..",
        b"/proc/self/cwd",
        b"/proc/self/root",
        b"a",
    )
    for target in targets:
        for kind, word in KINDS.items():
            link = b"f" if kind in b"12" else b""
            data = entry(b"f") + entry(b"a", b"2", link=target) + entry(b"a/key", kind, link=link)
            shown = {"a": "d", "f": "f"}
            yield Case("through a link", f"{word} below a link to {target.decode()}", data + END, OK, shown)
        over = entry(b"a", b"2", link=target) + entry(b"a", content=b"overwritten")
        yield Case("through a link", f"a file over a link to {target.decode()}", over + END, OK, {"a": "f"})
        hard = entry(b"a", b"2", link=target) + entry(b"h", b"1", link=b"a") + entry(b"h", content=b"overwritten")
        yield Case(
            "through a link",
            f"a file over a hard link to a link to {target.decode()}",
            hard + END,
            OK,
            {"a": "l", "h": "f"},
        )
        inside = entry(b"a", b"2", link=target) + entry(b"h", b"1", link=b"a/key")
        yield Case("through a link", f"a hard link through a link to {target.decode()}", inside + END, "BrokenHardLink")
        white = entry(b"a", b"2", link=target) + entry(b"a/.wh.key") + entry(b"a/.wh..wh..opq")
        yield Case("through a link", f"whiteouts through a link to {target.decode()}", white + END, OK, {"a": "d"})
    chain = b"".join(entry(b"l%d" % i, b"2", link=b"l%d" % (i + 1)) for i in range(50))
    yield Case("through a link", "a chain of 50", chain + entry(b"l50", b"2", link=b"/" + canary + b"/key") + END, OK)
    steps = entry(b"d", b"5") + entry(b"d/l", b"2", link=b"..") + entry(b"d/l/l", b"2", link=b"../" + canary)
    yield Case("through a link", "step by step", steps + entry(b"d/l/l/key") + END, OK)
    yield Case("through a link", "to nothing", entry(b"a", b"2") + END, "UnsafePath")
    yield Case(
        "through a link", "NUL in the target", pax(record(b"linkpath", b"a\0b")) + entry(b"a", b"2") + END, "UnsafePath"
    )
    yield Case(
        "through a link",
        "a target of 4095 bytes",
        entry(b"a", b"2", link=b"t" * 4095, form="pax") + END,
        OK,
        {"a": "l"},
    )
    yield Case(
        "through a link", "a target of 4096 bytes", entry(b"a", b"2", link=b"t" * 4096, form="gnu") + END, "UnsafePath"
    )


def _hard_links(canary: bytes) -> Iterator[Case]:
    for form in FORMS:
        for target, outcome in (
            (b"../key", "UnsafePath"), (b"a/../../key", "UnsafePath"), (b"..", "UnsafePath"), (b"/", "UnsafePath"),
            (b"gone", "BrokenHardLink"), (b"/" + canary + b"/key", "BrokenHardLink"), (canary + b"/key", "BrokenHardLink"),
            (b"d", "UnsafePath"), (b"f", OK), (b"/f", OK), (b"./f", OK), (b"f/x", "BrokenHardLink"),
        ):  # fmt: skip
            data = entry(b"f", content=b"x") + entry(b"d", b"5") + entry(b"h", b"1", link=target, form=form)
            yield Case("hard links", f"to {target.decode()} {form}", data + END, outcome)
    yield Case("hard links", "to itself", entry(b"h", b"1", link=b"h") + END, "UnsafePath")
    yield Case(
        "hard links",
        "to each other",
        entry(b"h", b"1", link=b"i") + entry(b"i", b"1", link=b"h") + END,
        "BrokenHardLink",
    )
    yield Case(
        "hard links", "to what is below itself", entry(b"h/f") + entry(b"h", b"1", link=b"h/f") + END, "UnsafePath"
    )
    yield Case("hard links", "to a device", entry(b"c", b"3") + entry(b"h", b"1", link=b"c") + END, OK)
    yield Case("hard links", "to a whiteout", entry(b".wh.f") + entry(b"h", b"1", link=b"f") + END, "BrokenHardLink")
    yield Case("hard links", "to nothing at all", entry(b"h", b"1") + END, "UnsafePath")
    many = entry(b"f", content=b"x") + b"".join(entry(b"h%d" % i, b"1", link=b"f") for i in range(3000))
    yield Case("hard links", "3000 of one file", many + END, OK)
    swapped = entry(b"f", content=b"x") + entry(b"h", b"1", link=b"f") + entry(b"f", b"2", link=b"/" + canary + b"/key")
    yield Case("hard links", "the target becomes a link", swapped + END, OK, {"h": "f", "f": "l"})
    contents = header(b"h", b"1", 5, b"f") + entry(b"x")
    yield Case("hard links", "with a size", entry(b"f", content=b"y") + contents + END, OK, {"x": "f"})


def _whiteouts(canary: bytes) -> Iterator[Case]:
    for name, outcome in (
        (b".wh.", "UnsafePath"), (b".wh..", "UnsafePath"), (b".wh...", "UnsafePath"), (b"d/.wh.", "UnsafePath"),
        (b"d/.wh..", "UnsafePath"), (b"d/.wh...", "UnsafePath"), (b"../.wh.x", "UnsafePath"), (b".wh.x/y", "UnsafePath"),
        (b"d/.wh.x/.wh.y", "UnsafePath"), (b".wh.x", OK), (b"d/.wh.x", OK), (b".wh..wh..opq", OK), (b"d/.wh..wh..opq", OK),
        (b".wh..wh.aufs", OK), (b".wh..wh.m.x", OK), (b".wh..wh.t.x", OK), (b".wh..wh.plnk/1", OK), (b".wh..wh.w.0", OK),
        (b".wh." + b"x" * 251, OK), (b".wh." + b"x" * 252, "UnsafePath"), (b".wh.\xff\n", OK), (b".wh..x", OK), (b".wh....", OK),
    ):  # fmt: skip
        for kind in (b"0", b"2", b"3", b"5"):
            data = entry(b"d", b"5") + entry(name, kind, link=b"/" + canary if kind == b"2" else b"")
            yield Case("whiteouts", f"{KINDS[kind]} {name[:20]!r} {len(name)}", data + END, outcome)


def _duplicates(canary: bytes) -> Iterator[Case]:
    file, folder = entry(b"a", content=b"x"), entry(b"a", b"5")
    link = entry(b"a", b"2", link=b"/" + canary)
    child = entry(b"a/c", content=b"y")
    for name, parts, kind in (
        ("file, file", (file, file), "f"), ("file, directory", (file, folder), "d"), ("directory, file", (folder, child, file), "f"),
        ("file, child", (file, child), "d"), ("directory, link", (folder, child, link), "l"), ("link, directory", (link, folder), "d"),
        ("link, child, link", (link, child, link), "l"), ("and back", (file, folder, child, file, folder, child), "d"),
        ("whiteout, file", (entry(b".wh.a"), file), "f"), ("file, whiteout", (file, entry(b".wh.a")), "f"),
        ("child, whiteout, child", (child, entry(b".wh.a"), child), "d"), ("2000 times", (file, folder) * 1000, "d"),
        ("device, directory, link, file", (entry(b"a", b"3"), folder, link, file), "f"),
        ("a hard link over its target", (file, entry(b"b", b"1", link=b"a"), entry(b"a", b"1", link=b"b")), "f"),
    ):  # fmt: skip
        yield Case("duplicate names", name, b"".join(parts) + END, OK, {"a": kind})


def _devices(canary: bytes) -> Iterator[Case]:
    for kind, word, shown in ((b"3", "char", "c"), (b"4", "block", "b")):
        for numbers in (octal(1, 8) + octal(3, 8), octal(8, 8) + octal(0, 8), octal(0o7777777, 8) * 2):
            yield Case("devices", f"{word} {numbers!r}", header(b"x", kind, device=numbers) + END, OK, {"x": shown})
        for numbers in (base256(-1, 8) + octal(0, 8), base256(1 << 33, 8) + octal(0, 8), b"garbage!" * 2):
            yield Case("devices", f"{word} {numbers!r}", header(b"x", kind, device=numbers) + END, "NotAnArchive")
    yield Case("devices", "a fifo with a size", header(b"x", b"6", 512) + entry(b"y") + END, OK, {"x": "p", "y": "f"})
    yield Case("devices", "set-id bits of any owner", header(b"x", mode=b"0006755\0", uid=b"0001750\0") + END, OK)
    for unknown in "MNZ89@":
        outcome = "UnsupportedMedia" if unknown in "MN" else OK
        yield Case("devices", f"the unknown type {unknown}", entry(b"x", unknown.encode()) + END, outcome)


def _sparse(canary: bytes) -> Iterator[Case]:
    for size, word in ((10 << 30, "10 GiB"), (1 << 50, "1 PiB"), (1 << 60, "1 EiB"), ((1 << 63) - 1, "8 EiB less one")):
        yield Case("sparse claims", f"GNU {word}", gnu_sparse(b"s", size, [(0, 5)], b"hello") + END, OK, {"s": "f"})
        records = record(b"GNU.sparse.size", b"%d" % size) + record(b"GNU.sparse.map", b"0,5")
        yield Case(
            "sparse claims", f"pax 0.1 {word}", pax(records) + entry(b"s", content=b"hello") + END, OK, {"s": "f"}
        )
        records = record(b"GNU.sparse.major", b"1") + record(b"GNU.sparse.minor", b"0")
        records += record(b"GNU.sparse.realsize", b"%d" % size) + record(b"GNU.sparse.name", b"s")
        content = pad(b"1\n0\n5\n") + b"hello"
        yield Case(
            "sparse claims", f"pax 1.0 {word}", pax(records) + entry(b"x", content=content) + END, OK, {"s": "f"}
        )
    for word, size, runs in (
        ("too large", 1 << 63, [(0, 5)]), ("negative", -5, [(0, 5)]), ("behind the end", 5, [(5, 5)]), ("too long", 9, [(0, 9)]),
        ("overlapping", 99, [(0, 3), (1, 2)]), ("backwards", 99, [(9, 3), (1, 2)]), ("a negative run", 99, [(0, -5)]),
        ("a negative place", 99, [(-5, 5)]),
    ):  # fmt: skip
        yield Case("sparse claims", f"GNU {word}", gnu_sparse(b"s", size, runs, b"hello") + END, "NotAnArchive")
    for text in (b"", b"1", b"0,5,", b"a,b", b"0,-5", b"0,99999999999999999999", b",", b"0;5"):
        records = record(b"GNU.sparse.size", b"9") + record(b"GNU.sparse.map", text)
        yield Case(
            "sparse claims", f"pax map {text!r}", pax(records) + entry(b"s", content=b"hello") + END, "NotAnArchive"
        )
    for text in (b"2\n0\n5\n", b"x\n", b"999999999\n", b"1\n0\n", b"-1\n", b"1" * 600):
        records = (
            record(b"GNU.sparse.major", b"1") + record(b"GNU.sparse.minor", b"0") + record(b"GNU.sparse.realsize", b"9")
        )
        data = pax(records) + entry(b"x", content=pad(text) + b"hello") + END
        yield Case("sparse claims", f"pax 1.0 map {text[:12]!r}", data, "NotAnArchive")


def _pax(canary: bytes) -> Iterator[Case]:
    sound = record(b"path", b"p")
    for word, data, outcome in (
        ("of 1 MiB", record(b"comment", bytes((1 << 20) - 30)), OK),
        ("of more than 1 MiB", record(b"comment", bytes(1 << 20)), "NotAnArchive"),
        ("with a length of 0", b"0 a=b\n", "NotAnArchive"), ("with a length too long", b"99 a=b\n", "NotAnArchive"),
        ("with a length too short", b"3 a=b\n", "NotAnArchive"), ("with no length", b"a=b\n", "NotAnArchive"),
        ("with a negative length", b"-6 a=b\n", "NotAnArchive"), ("without =", b"5 ab\n", "NotAnArchive"),
        ("without a key", b"5 =b\n", "NotAnArchive"), ("without its newline", b"6 a=bX", "NotAnArchive"),
        ("with a length of 30 digits", b"1" * 30 + b" a=b\n", "NotAnArchive"),
        ("with NUL in the path", record(b"path", b"a\0b"), "UnsafePath"), ("with an empty path", record(b"path", b""), OK),
        ("with a negative size", record(b"size", b"-1"), "NotAnArchive"), ("with a size of text", record(b"size", b"x"), "NotAnArchive"),
        ("with a size of 2^63", record(b"size", b"%d" % (1 << 63)), "NotAnArchive"),
        ("with a size of 2^63-1", record(b"size", b"%d" % ((1 << 63) - 1)), "TruncatedArchive"),
        ("with a size of 5000 digits", record(b"size", b"9" * 5000), "NotAnArchive"),
        ("with a uid of 2^32", record(b"uid", b"4294967296"), "NotAnArchive"), ("with a time of text", record(b"mtime", b"x"), "NotAnArchive"),
        ("with a time of 10^29 s", record(b"mtime", b"1" + b"0" * 29), OK), ("with a time of 40 digits", record(b"mtime", b"1" * 40), "NotAnArchive"),
        ("with an xattr without a name", record(b"SCHILY.xattr.", b"x"), "NotAnArchive"),
        ("with NUL in an xattr's name", record(b"SCHILY.xattr.user.a\0b", b"x"), "NotAnArchive"),
        ("with an xattr's name of 256 bytes", record(b"SCHILY.xattr." + b"a" * 256, b"x"), "NotAnArchive"),
        ("with an xattr that is not base64", record(b"LIBARCHIVE.xattr.user.a", b"!!!"), "NotAnArchive"),
        ("with security xattrs", record(b"SCHILY.xattr.security.capability", b"\1\0\0\2" + bytes(16)), OK),
        ("with 9000 xattrs", b"".join(record(b"SCHILY.xattr.user.%06d" % i, b"") for i in range(9000)), "NotAnArchive"),
        ("with an unknown charset", record(b"hdrcharset", b"EBCDIC") + sound, OK), ("of NULs", bytes(100), OK),
        ("with the same key twice", sound + record(b"path", b"q"), OK),
    ):  # fmt: skip
        yield Case("pax headers", word, pax(data) + entry(b"p") + END, outcome)
    yield Case("pax headers", "announcing nothing", pax(sound) + END, OK)
    yield Case("pax headers", "at the very end", entry(b"x") + pax(sound), "TruncatedArchive")
    yield Case("pax headers", "1000 in a row", pax(sound) * 1000 + entry(b"x") + END, OK, {"p": "f"})
    big = b"".join(pax(record(b"key%d" % i, bytes(60_000)), b"g") for i in range(20))
    yield Case("pax headers", "global ones of more than 1 MiB", big + entry(b"x") + END, "NotAnArchive")
    yield Case("pax headers", "a claim of 8 GiB", header(b"x", b"x", (8 << 30) - 1) + END, "NotAnArchive")
    yield Case(
        "pax headers", "a GNU name of 2 MiB", header(b"x", b"L", 2 << 20) + pad(bytes(2 << 20)) + END, "NotAnArchive"
    )
    yield Case("pax headers", "a GNU name of nothing", gnu_long(b"") + entry(b"x") + END, "UnsafePath")


def _names(canary: bytes) -> Iterator[Case]:
    deep = b"/".join([b"d"] * 2047)
    for word, name, outcome in (
        ("not UTF-8", b"\xff\xfe", OK), ("an overlong slash", b"a\xc0\xafb", OK), ("newline and tab", b"a\nb\tc", OK),
        ("terminal escapes", b"\x1b]0;x\x07\x1b[2J", OK), ("spaces", b" ", OK), ("255 bytes", b"n" * 255, OK),
        ("256 bytes", b"n" * 256, "UnsafePath"), ("4094 bytes", b"/".join([b"n" * 194] * 21), OK),
        ("4096 bytes", b"/".join([b"n" * 194] * 21) + b"/x", OK), ("66 KiB", b"/".join([b"n" * 99] * 675), "UnsafePath"),
        ("2047 levels", deep[:4093], OK), ("5000 levels", b"/".join([b"d"] * 5000), OK), ("40000 levels", b"/".join([b"d"] * 40000), "UnsafePath"),
        ("a million slashes", b"/" * 1_000_000 + b"x", OK), ("a backslash", b"a\\b", OK), ("a colon", b"C:\\x", OK),
        ("only dots and slashes", b"./././x", OK), ("a trailing slash", b"x/", OK), ("right to left", "a\u202eb".encode(), OK),
    ):  # fmt: skip
        for form in ("pax", "gnu"):
            yield Case("names", f"{word} {form}", entry(name, form=form) + END, outcome)


def _numbers(canary: bytes) -> Iterator[Case]:
    for word, size, outcome in (
        ("negative", base256(-1), "NotAnArchive"), ("very negative", base256(-(1 << 70)), "NotAnArchive"),
        ("2^63", base256(1 << 63), "NotAnArchive"), ("2^90", base256(1 << 90), "NotAnArchive"),
        ("of text", b"not a number", "NotAnArchive"), ("of nothing", bytes(12), OK), ("of spaces", b" " * 12, OK),
        ("with a sign", b"-0000000001\0", "NotAnArchive"), ("8 GiB that are not there", b"777777777777", "TruncatedArchive"),
        ("2^63-1 that are not there", base256((1 << 63) - 1), "TruncatedArchive"), ("with an 8", b"00000000008\0", "NotAnArchive"),
    ):  # fmt: skip
        yield Case("numbers", f"a size {word}", header(b"x", size=size) + END, outcome)
    for word, fields, outcome in (
        ("a negative uid", {"uid": base256(-1, 8)}, "NotAnArchive"), ("a uid of 2^40", {"uid": base256(1 << 40, 8)}, "NotAnArchive"),
        ("a mode of text", {"mode": b"rwxr-x--"}, "NotAnArchive"), ("a mode of all bits", {"mode": b"7777777\0"}, OK),
        ("a time of 2^90", {"mtime": base256(1 << 90)}, OK), ("a time before 1970", {"mtime": base256(-(1 << 40))}, OK),
        ("no checksum", {"checksum": bytes(8)}, "NotAnArchive"), ("a wrong checksum", {"checksum": b"000001\0 "}, "NotAnArchive"),
        ("a foreign magic", {"magic": b"evilxx00"}, OK), ("no magic", {"magic": bytes(8)}, OK),
    ):  # fmt: skip
        yield Case("numbers", word, header(b"x", **fields) + END, outcome)


def _cut(canary: bytes) -> Iterator[Case]:
    sound = entry(b"f", content=b"x" * 700) + pax(record(b"path", b"p")) + entry(b"q", content=b"y" * 100)
    for at in (*range(0, len(sound), 256), 1, 511, 513, 700):
        early = "NotAnArchive" if at < 512 else "TruncatedArchive"
        yield Case("cut or concatenated", f"cut at {at}", sound[:at], early)
    yield Case("cut or concatenated", "no end marker", sound, "TruncatedArchive")
    yield Case("cut or concatenated", "two archives", sound + END + entry(b"../x") + END, OK, {"f": "f", "p": "f"})
    yield Case("cut or concatenated", "garbage behind the end", sound + END + b"garbage" * 999, OK)
    yield Case("cut or concatenated", "garbage between entries", sound + b"g" * 512 + entry(b"x") + END, "NotAnArchive")
    yield Case("cut or concatenated", "nothing but an end", END, OK)
    yield Case("cut or concatenated", "one zero block", sound + bytes(512), OK)
    yield Case("cut or concatenated", "a megabyte of 0xff", b"\xff" * (1 << 20), "NotAnArchive")
    yield Case("cut or concatenated", "a zip", b"PK\3\4" + bytes(2000), "UnsupportedMedia")
    yield Case("cut or concatenated", "a cpio", b"070701" + b"0" * 2000, "UnsupportedMedia")
    yield Case("cut or concatenated", "a program", b"\x7fELF" + bytes(2000), "NotAnArchive")


def _streams(canary: bytes) -> Iterator[Case]:
    sound = entry(b"f", content=b"x" * 7000) + END
    for word, compress in (
        ("gzip", gzip.compress),
        ("zstd", zstandard.compress),
        ("xz", lzma.compress),
        ("bzip2", bz2.compress),
    ):
        packed = compress(sound)
        yield Case("compressed", f"{word} cut", packed[: len(packed) // 2], "TruncatedArchive")
        yield Case("compressed", f"{word} of {word}", compress(packed), "NotAnArchive")
        yield Case("compressed", f"{word} of nothing", compress(b""), "NotAnArchive")
        yield Case("compressed", f"{word} of `..`", compress(entry(b"../x") + END), "UnsafePath")
        yield Case("compressed", f"{word} twice", compress(sound[:3000]) + compress(sound[3000:]), OK, {"f": "f"})
        damaged = packed[:-6] + bytes(b ^ 0xFF for b in packed[-6:])
        yield Case("compressed", f"{word} with a wrong end", damaged, "NotAnArchive")
    huge = zstandard.ZstdCompressor().compress(sound)
    yield Case(
        "compressed",
        "zstd that says it has 2^60 bytes",
        huge[:4] + b"\xe0" + (1 << 60).to_bytes(8, "little") + huge[6:],
        "NotAnArchive",
    )
    bomb = header(b"bomb", size=b"77777777777\0") + bytes(40 << 20)
    yield Case("compressed", "a gzip bomb", gzip.compress(bomb), "TooLarge")
    yield Case("compressed", "a zstd bomb", zstandard.compress(bomb), "TooLarge")
    yield Case("compressed", "an xz bomb", lzma.compress(bomb), "TooLarge")
    yield Case("compressed", "200000 entries", gzip.compress(entry(b"x") * 200_000 + END), "TooLarge")
