"""Renames: redirects of lower directories, Bloom bits, exchanges (docs/format.md §6, §7)."""

from __future__ import annotations

import errno
import os

import pytest

from rootlay.vfs.merge.bloom import RECORD, Bloom
from rootlay.vfs.merge.stack import DirLayer
from rootlay.vfs.overlay.overlay import Overlay
from rootlay.vfs.overlay.rename import RENAME_EXCHANGE
from tests.vfs.conftest import StackBuilder
from tests.vfs.one_layer import LAYER, names, read, record_of


@pytest.fixture
def overlay(build: StackBuilder) -> Overlay:
    return build.overlay(layers=(LAYER,))


def test_rename_of_a_lower_directory_is_a_redirect(overlay: Overlay, build: StackBuilder) -> None:
    ino = overlay.stat("/d").ino
    overlay.rename("/d", "/e")
    assert names(build.upper) == [b".wh..wh.m.e", b".wh.d", b"e"]
    assert record_of(build.upper / "e") == b"u=3;g=4;r=/d"
    assert names(build.upper / "e") == []
    assert overlay.stat("/e").ino == ino
    assert overlay.listdir("/e") == [b"f", b"g", b"l", b"sub"]
    assert overlay.find("/d") is None


def test_redirect_of_a_redirect_names_the_lower_path(overlay: Overlay, build: StackBuilder) -> None:
    overlay.rename("/d", "/e")
    overlay.rename("/e/sub", "/s")
    overlay.rename("/e", "/d2")
    assert record_of(build.upper / "s") == b"r=/d/sub"
    assert record_of(build.upper / "d2") == b"u=3;g=4;r=/d"
    assert read(overlay, "/s/x") == b"x"
    assert overlay.find("/d2/sub") is None


def test_rename_back_needs_no_redirect(overlay: Overlay, build: StackBuilder) -> None:
    overlay.rename("/d", "/e")
    overlay.rename("/e", "/d")
    assert names(build.upper) == [b".wh..wh.m.d", b"d"]
    assert record_of(build.upper / "d") == b"u=3;g=4"
    assert read(overlay, "/d/sub/x") == b"x"


def test_redirect_in_a_frozen_upper_is_looked_up_below_it(build: StackBuilder) -> None:
    first = build.overlay(layers=(LAYER,))
    first.rename("/d", "/e")
    first.close()
    build.upper.rename(build.base / "frozen")
    overlay = build.overlay(DirLayer.at(build.base / "frozen", marks=True), layers=(LAYER,))
    overlay.rename("/e", "/d")  # and the new /d must not find the old one through its own name
    overlay.mkdir("/e")
    assert read(overlay, "/d/f") == b"content"
    assert overlay.listdir("/e") == []
    assert record_of(build.upper / "d").endswith(b"r=/e")


def test_pure_upper_directory_does_not_merge_at_its_new_name(overlay: Overlay, build: StackBuilder) -> None:
    overlay.mkdir("/n")
    overlay.rename("/d", "/away")
    overlay.rename("/n", "/d")
    assert overlay.listdir("/d") == []
    assert b".wh..wh..opq" in names(build.upper / "d")


def test_rename_sets_the_bits_of_all_descendants(overlay: Overlay, build: StackBuilder) -> None:
    overlay.mkdir("/n")
    overlay.mkdir("/n/m")
    os.close(overlay.open("/n/m/f", os.O_CREAT | os.O_WRONLY, 0o4644))
    overlay.copy_up("/d/sub/x")
    overlay.unlink("/d/sub/x")
    overlay.rename("/n", "/o")
    overlay.rename("/d", "/p")
    with Bloom(build.base / "bloom") as bloom:
        for path in (b"/o", b"/o/m", b"/o/m/f", b"/p", b"/p/sub", b"/p/sub/x"):
            assert bloom.may_have(path), path
        assert bloom.may_have(b"/o/m/f", RECORD)


def test_rename_over_an_empty_lower_directory(overlay: Overlay) -> None:
    overlay.rename("/d", "/empty")
    assert overlay.listdir("/empty") == [b"f", b"g", b"l", b"sub"]
    with pytest.raises(OSError, match="not empty"):
        overlay.rename("/empty/sub", "/empty")


def test_rename_into_own_subtree_is_refused(overlay: Overlay) -> None:
    with pytest.raises(OSError, match=r".") as caught:
        overlay.rename("/d", "/d/sub/y")
    assert caught.value.errno == errno.EINVAL


def test_rename_of_hard_links_of_one_lower_file_does_nothing(overlay: Overlay) -> None:
    overlay.rename("/one", "/two")
    assert overlay.find("/one") is not None


def test_exchange_of_a_lower_directory_and_a_lower_file(overlay: Overlay) -> None:
    overlay.rename("/d", "/one", RENAME_EXCHANGE)
    assert read(overlay, "/d") == b"shared"
    assert read(overlay, "/one/sub/x") == b"x"
    assert (overlay.stat("/one").uid, overlay.stat("/d").uid) == (3, 0)
