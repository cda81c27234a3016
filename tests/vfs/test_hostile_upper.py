"""What a program that gets round the engine can leave in its upper, and what those outside then read of it."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from rootlay.vfs.changes.diff import iter_layer, iter_tree
from rootlay.vfs.changes.flatten import flatten, has_redirects
from rootlay.vfs.merge.stack import DirLayer
from rootlay.vfs.overlay.overlay import Overlay
from tests.support.oracles.oracle import iter_changes
from tests.vfs.conftest import StackBuilder

MARKS = {
    b".wh...": "file", b".wh..": "file", b".wh.": "file", b".wh..wh.m...": "link r=/a", b".wh..wh.m.": "link u=7",
    b".wh..wh.m.a": "link r=/../secret", b".wh..wh.m.b": "link r=/..", b".wh..wh.m.c": "file",
    b".wh..wh.m.d": "link u=-1;g=99999999999", b".wh..wh.w.0123456789abcdef": "link ../../../secret",
    b".wh..wh.w.fedcba9876543210": "file", b".wh..wh.n.0123456789abcdef": "link r=/..", b".wh..wh..opq": "dir",
    b".wh..wh.t.x": "link /secret", b".wh..wh.plnk": "dir", b".wh..wh.m.e": "link x=76", b".wh.f": "link /secret",
}  # fmt: skip


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / "key").write_text("canary")
    return secret


def plant(upper: Path, mark: bytes, kind: str) -> None:
    path = os.path.join(os.fsencode(upper), mark)
    word, _, target = kind.partition(" ")
    if word == "link":
        os.symlink(target, path)
    elif word == "dir":
        os.mkdir(path)
    else:
        Path(os.fsdecode(path)).touch()
    for name in "abcde":
        (upper / name).mkdir(exist_ok=True)


def walk_all(overlay: Overlay) -> list[bytes]:
    """Everything that those outside do with an upper; the content that they read."""
    found = []
    for walk in (iter_changes, iter_layer, iter_tree):
        try:
            found += [item[2].read() for item in walk(overlay) if isinstance(item, tuple) and item[2] is not None]
        except OSError:  # a damaged record, said in the kernel's words
            continue
    return found


@pytest.mark.parametrize("mark", MARKS)
def test_a_planted_mark_leads_nowhere(build: StackBuilder, outside: Path, mark: bytes) -> None:
    lower = build.lower("lower", lambda path: (path / "a").mkdir())
    overlay = build.overlay(lower)
    plant(build.upper, mark, MARKS[mark])
    assert b"canary" not in walk_all(overlay)
    assert (outside / "key").read_text() == "canary"
    for name in (b"a", b"b", b"c", b"d", b"e", b"f"):
        try:
            overlay.listdir(b"/" + name)
            overlay.stat(b"/" + name)
        except OSError:
            continue


@pytest.mark.parametrize("mark", MARKS)
def test_planted_marks_are_flattened_or_refused(build: StackBuilder, tmp_path: Path, mark: bytes) -> None:
    tops = []
    for name in ("one", "two"):
        fill: Callable[[Path], None] = lambda path: plant(path, mark, MARKS[mark])  # noqa: E731
        tops.append(build.lower(name, fill, marks=True))
    (tmp_path / "target").mkdir()
    build.stack()
    assert all(isinstance(layer, DirLayer) for layer in tops)
    has_redirects(tops[0])
    try:
        flatten(tops, tmp_path / "target", build.base / "bloom")
    except OSError:
        return
    assert not any(b"canary" in p.read_bytes() for p in (tmp_path / "target").rglob("*") if p.is_file())
