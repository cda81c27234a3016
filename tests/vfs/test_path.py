"""Canonical paths inside an image, and names that are reserved."""

from __future__ import annotations

import pytest

from rootlay.vfs.merge.path import ImagePath, raw_path
from rootlay.vfs.merge.whiteout import Mark, is_reserved, parse_mark, record_name, whiteout_name


@pytest.mark.parametrize(
    ("text", "canonical"), [("/", b"/"), ("a/./b//", b"/a/b"), ("/a/../../b", b"/b"), ("", b"/"), ("/\udcff", b"/\xff")]
)
def test_of_makes_canonical_paths(text: str, canonical: bytes) -> None:
    assert ImagePath.of(text).raw == canonical


@pytest.mark.parametrize("raw", [b"", b"a", b"/a/", b"//", b"/a/../b", b"/.", b"/a\0"])
def test_anything_else_is_refused(raw: bytes) -> None:
    with pytest.raises(ValueError, match="canonical"):
        ImagePath(raw)


def test_parts_of_a_path() -> None:
    path = ImagePath(b"/a/b")
    assert (path.name, path.parent, path.parts) == (b"b", ImagePath(b"/a"), (b"a", b"b"))
    assert ImagePath(b"/").parent == ImagePath(b"/")
    assert ImagePath(b"/") / b"x" == ImagePath(b"/x")
    assert str(path / b"\xff") == "/a/b/\udcff"


def test_nul_is_refused_as_by_os() -> None:
    with pytest.raises(ValueError, match="null byte"):
        raw_path("a\0b")


@pytest.mark.parametrize(
    ("name", "mark"),
    [
        (b"a", None),
        (b".whx", None),
        (b".wh.a", Mark("whiteout", b"a")),
        (b".wh...", Mark("temporary", None)),
        (b".wh..wh..opq", Mark("opaque", None)),
        (b".wh..wh.m.a", Mark("record", b"a")),
        (b".wh..wh.m.", Mark("record", b"")),
        (b".wh..wh.t.1", Mark("temporary", None)),
        (b".wh..wh.aufs", Mark("temporary", None)),
        (b".wh..wh.w.0123456789abcdef", Mark("whiteout", None)),
        (b".wh..wh.n.0123456789abcdef", Mark("record", None)),
    ],
)
def test_marks_are_understood(name: bytes, mark: Mark | None) -> None:
    assert parse_mark(name) == mark
    assert is_reserved(name) == (mark is not None)


@pytest.mark.parametrize("length", [1, 244, 245, 251, 252, 255])
def test_every_name_has_marks_that_fit(length: int) -> None:
    name = b"n" * length
    for mark in (whiteout_name(name), record_name(name)):
        assert len(mark) <= 255
        assert is_reserved(mark)
    assert whiteout_name(name).startswith(b".wh..wh.w.") == (length > 251)
    assert record_name(name).startswith(b".wh..wh.n.") == (length > 244)
