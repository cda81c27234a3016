"""What an ordinary user cannot store is recorded, shown by stat, and goes along (docs/format.md §6)."""

from __future__ import annotations

import errno
import os
import stat

import pytest

from rootlay.vfs.overlay.overlay import Overlay
from tests.vfs.conftest import StackBuilder
from tests.vfs.one_layer import LAYER, names, record_of


@pytest.fixture
def overlay(build: StackBuilder) -> Overlay:
    return build.overlay(layers=(LAYER,))


def test_chown_and_set_id_bits_are_recorded_not_real(overlay: Overlay, build: StackBuilder) -> None:
    os.close(overlay.open("/s", os.O_CREAT | os.O_WRONLY, 0o755))
    overlay.chown("/s", 33, 44)
    overlay.chmod("/s", 0o6755)
    shown, real = overlay.stat("/s"), os.stat(build.upper / "s")
    assert (shown.uid, shown.gid, shown.mode) == (33, 44, 0o106755)
    assert (real.st_uid, stat.S_IMODE(real.st_mode)) == (os.geteuid(), 0o755)
    overlay.chown("/s", 0, 0)
    assert names(build.upper) == [b"s"]
    assert overlay.stat("/s").permissions == 0o755


def test_unreadable_mode_is_recorded_and_the_file_stays_usable(overlay: Overlay, build: StackBuilder) -> None:
    overlay.mkdir("/secret", 0o755)
    overlay.chmod("/secret", 0)
    os.close(overlay.open("/secret/f", os.O_CREAT | os.O_WRONLY, 0))
    assert overlay.stat("/secret").mode == 0o040000
    assert overlay.stat("/secret/f").mode == 0o100000
    assert stat.S_IMODE(os.stat(build.upper / "secret" / "f").st_mode) == 0o600


def test_symlink_owner_is_recorded(overlay: Overlay) -> None:
    overlay.chown("/d/l", 7, 8, follow=False)
    assert (overlay.lstat("/d/l").uid, overlay.stat("/d/l").uid) == (7, 5)
    assert overlay.readlink("/d/l") == b"f"


def test_devices_are_recorded(overlay: Overlay, build: StackBuilder) -> None:
    overlay.mknod("/null", stat.S_IFCHR | 0o666, (1, 3))
    shown = overlay.stat("/null")
    assert (shown.mode, shown.rdev_major, shown.rdev_minor, shown.size) == (0o020644, 1, 3, 0)
    assert record_of(build.upper / "null") == b"m=20644;d=1:3"
    assert [entry.type for entry in overlay.scandir("/") if entry.name == b"null"] == [stat.S_IFCHR]
    with pytest.raises(OSError, match=r".") as caught:
        overlay.open("/null", os.O_RDWR)
    assert caught.value.errno == errno.ENXIO


def test_fifo_and_socket_are_real(overlay: Overlay, build: StackBuilder) -> None:
    overlay.mknod("/fifo", stat.S_IFIFO | 0o600)
    overlay.mknod("/socket", stat.S_IFSOCK | 0o600)
    assert stat.S_ISFIFO(os.stat(build.upper / "fifo").st_mode)
    assert stat.S_ISSOCK(overlay.stat("/socket").mode)
    os.close(overlay.open("/fifo", os.O_RDWR | os.O_NONBLOCK))


def test_hard_links_share_a_changed_record(overlay: Overlay, build: StackBuilder) -> None:
    os.close(overlay.open("/h", os.O_CREAT | os.O_WRONLY))
    overlay.link("/h", "/d/h")
    overlay.chown("/d/h", 9, 9)
    assert overlay.stat("/h").uid == overlay.stat("/d/h").uid == 9
    assert overlay.stat("/h").ino == overlay.stat("/d/h").ino
    overlay.chmod("/h", 0o4755)
    assert overlay.stat("/d/h").mode == 0o104755


def test_link_to_a_lower_file_shares_its_inode_number(overlay: Overlay) -> None:
    ino = overlay.stat("/d/f").ino
    overlay.link("/d/f", "/copy")
    assert overlay.stat("/copy").ino == overlay.stat("/d/f").ino == ino
    assert overlay.stat("/copy").nlink == 2


def test_set_group_id_directory_gives_its_group(overlay: Overlay) -> None:
    overlay.mkdir("/shared")
    overlay.chown("/shared", 0, 50)
    overlay.chmod("/shared", 0o2775)
    overlay.mkdir("/shared/sub")
    os.close(overlay.open("/shared/f", os.O_CREAT | os.O_WRONLY))
    assert (overlay.stat("/shared/sub").gid, overlay.stat("/shared/sub").mode) == (50, 0o042755)
    assert (overlay.stat("/shared/f").gid, overlay.stat("/shared/f").mode) == (50, 0o100644)


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
