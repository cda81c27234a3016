"""What an ordinary user cannot store is recorded, shown by stat, and goes along (docs/format.md §6)."""

from __future__ import annotations

import errno
import os
import stat

import pytest

from rootlay.vfs.overlay.overlay import Overlay
from tests.vfs.conftest import StackBuilder
from tests.vfs.one_layer import LAYER, record_of


@pytest.fixture
def overlay(build: StackBuilder) -> Overlay:
    return build.overlay(layers=(LAYER,))


def test_devices_are_recorded(overlay: Overlay, build: StackBuilder) -> None:
    overlay.mknod("/null", stat.S_IFCHR | 0o666, (1, 3))
    shown = overlay.stat("/null")
    assert (shown.mode, shown.rdev_major, shown.rdev_minor, shown.size) == (0o020644, 1, 3, 0)
    assert record_of(build.upper / "null") == b"m=20644;d=1:3"
    assert [entry.type for entry in overlay.scandir("/") if entry.name == b"null"] == [stat.S_IFCHR]
    with pytest.raises(OSError, match=r".") as caught:
        overlay.open("/null", os.O_RDWR)
    assert caught.value.errno == errno.ENXIO


@pytest.mark.parametrize("name", [b"user.x", b"security.capability", b"trusted.overlay"])
def test_xattrs_survive_and_can_be_removed(overlay: Overlay, name: bytes) -> None:
    overlay.setxattr("/d/g", name, b"\0value")
    assert overlay.getxattr("/d/g", name) == b"\0value"
    assert overlay.listxattr("/d/g") == [name]
    overlay.rename("/d/g", "/moved")
    assert overlay.getxattr("/moved", name) == b"\0value"
    overlay.removexattr("/moved", name)
    with pytest.raises(OSError, match=r".") as caught:
        overlay.getxattr("/moved", name)
    assert caught.value.errno == errno.ENODATA


def test_user_xattr_on_a_symlink_is_refused(overlay: Overlay) -> None:
    with pytest.raises(PermissionError):
        overlay.setxattr("/d/l", b"user.x", b"", follow=False)


def test_stale_record_is_not_inherited(overlay: Overlay, build: StackBuilder) -> None:
    """A crash between unlink and the removal of the record leaves this."""
    (build.upper / ".wh..wh.m.ghost").symlink_to("u=99;m=104777")
    assert overlay.find("/ghost") is None
    os.close(overlay.open("/ghost", os.O_CREAT | os.O_WRONLY))
    assert overlay.stat("/ghost").uid == 0


def test_malformed_record_is_an_io_error(overlay: Overlay, build: StackBuilder) -> None:
    (build.upper / "bad").touch()
    (build.upper / ".wh..wh.m.bad").symlink_to("u=nobody")
    with pytest.raises(OSError, match=r".") as caught:
        overlay.stat("/bad")
    assert caught.value.errno == errno.EIO
