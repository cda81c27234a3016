"""What operations leave on disk (docs/format.md §6, §7), and what they show."""

import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO

import pytest

from rootlay.vfs.bloom import OPAQUE, RECORD, Bloom
from rootlay.vfs.overlay import Overlay
from rootlay.vfs.rename import RENAME_EXCHANGE
from rootlay.vfs.stack import DirLayer
from rootlay.vfs.whiteout import whiteout_name
from tests.vfs.conftest import StackBuilder
from tests.vfs.memory_view import directory, file, hardlink, symlink

INO = 1 << 48
LONG = b"n" * 255

LAYER = [
    directory(b"", 0o755),
    directory(b"d", 0o750, uid=3, gid=4, mtime_ns=10**18 + 7),
    file(b"d/f", b"content", 0o4755, uid=5, gid=6, mtime_ns=10**18 + 9),
    file(b"d/g", b"g"),
    directory(b"d/sub"),
    file(b"d/sub/x", b"x"),
    symlink(b"d/l", b"f"),
    file(b"one", b"shared"),
    hardlink(b"two", b"one"),
    directory(b"empty"),
    file(LONG, b"long"),
]


@pytest.fixture
def overlay(build: StackBuilder) -> Overlay:
    return build.overlay(layers=(LAYER,))


def names(path: Path) -> list[bytes]:
    return sorted(os.listdir(os.fsencode(path)))


def record_of(path: Path) -> bytes:
    return os.readlink(os.fsencode(path.parent) + b"/.wh..wh.m." + os.fsencode(path.name))


def read(overlay: Overlay, path: str | bytes) -> bytes:
    with overlay.open_content(path) as stream:
        return stream.read()


# ---- copy-up


def test_copy_up_keeps_everything_that_stat_shows(overlay: Overlay, build: StackBuilder) -> None:
    before, directory_before = overlay.stat("/d/f"), overlay.stat("/d")
    overlay.copy_up("/d/f")
    after, directory_after = overlay.stat("/d/f"), overlay.stat("/d")
    for name in ("dev", "ino", "mode", "nlink", "uid", "gid", "size", "mtime_ns"):
        assert getattr(after, name) == getattr(before, name), name
    for name in ("dev", "ino", "mode", "uid", "gid", "mtime_ns"):
        assert getattr(directory_after, name) == getattr(directory_before, name), name
    assert before.ino > INO
    assert record_of(build.upper / "d" / "f") == b"u=5;g=6;m=104755;i=%d" % before.ino
    assert record_of(build.upper / "d") == b"u=3;g=4"
    assert stat.S_IMODE(os.stat(build.upper / "d" / "f").st_mode) == 0o755
    assert os.stat(build.upper / "d" / "f").st_uid == os.geteuid()


def test_copy_up_sets_bits_before_and_leaves_no_temporary(overlay: Overlay, build: StackBuilder) -> None:
    overlay.copy_up("/d/f")
    with Bloom(build.base / "bloom") as bloom:
        for path in (b"/d", b"/d/f"):
            assert bloom.may_have(path)
            assert bloom.may_have(path, RECORD)
        assert not bloom.may_have(b"/d/g")
    assert names(build.upper / "d") == [b".wh..wh.m.f", b"f"]


def test_copy_up_of_one_hard_link_parts_it_from_the_other(overlay: Overlay) -> None:
    assert overlay.stat("/one").ino == overlay.stat("/two").ino
    assert overlay.stat("/one").nlink == 2
    descriptor = overlay.open("/one", os.O_WRONLY | os.O_APPEND)
    os.write(descriptor, b"!")
    os.close(descriptor)
    assert (read(overlay, "/one"), read(overlay, "/two")) == (b"shared!", b"shared")
    assert overlay.stat("/one").ino != overlay.stat("/two").ino


def test_copy_up_keeps_holes(build: StackBuilder) -> None:
    def fill(path: Path) -> None:
        with (path / "sparse").open("wb") as stream:
            stream.seek(64 << 20)
            stream.write(b"end")
            stream.truncate(80 << 20)

    overlay = build.overlay(build.lower("lower", fill))
    overlay.chmod("/sparse", 0o600)
    copy = os.stat(build.upper / "sparse")
    assert copy.st_size == 80 << 20
    assert copy.st_blocks * 512 < 1 << 20
    with overlay.open_content("/sparse") as stream:
        stream.seek((64 << 20) - 1)
        assert stream.read(5) == b"\0end\0"


def test_truncating_open_copies_nothing(overlay: Overlay) -> None:
    overlay.stack.hydrator.open = None  # type: ignore[union-attr, assignment, method-assign]
    os.close(overlay.open("/d/f", os.O_WRONLY | os.O_TRUNC))
    assert overlay.stat("/d/f").size == 0


def test_lower_layers_never_change(build: StackBuilder) -> None:
    def fill(path: Path) -> None:
        (path / "d").mkdir()
        (path / "d" / "f").write_bytes(b"lower")

    layer = build.lower("lower", fill)
    overlay = build.overlay(layer)
    before = os.stat(build.base / "lower" / "d" / "f")
    descriptor = overlay.open("/d/f", os.O_RDWR)
    os.write(descriptor, b"UPPER")
    os.close(descriptor)
    overlay.chmod("/d/f", 0o600)
    overlay.rename("/d", "/e")
    overlay.unlink("/e/f")
    after = os.stat(build.base / "lower" / "d" / "f")
    assert (after.st_mtime_ns, after.st_ctime_ns, after.st_mode) == (
        before.st_mtime_ns,
        before.st_ctime_ns,
        before.st_mode,
    )


# ---- whiteouts


def test_unlink_of_a_lower_file_leaves_a_whiteout(overlay: Overlay, build: StackBuilder) -> None:
    overlay.unlink("/d/g")
    assert names(build.upper / "d") == [b".wh.g"]
    assert b"g" not in overlay.listdir("/d")
    with Bloom(build.base / "bloom") as bloom:
        assert bloom.may_have(b"/d/g")


def test_unlink_of_an_upper_file_leaves_nothing(overlay: Overlay, build: StackBuilder) -> None:
    os.close(overlay.open("/new", os.O_CREAT | os.O_WRONLY))
    overlay.chown("/new", 1, 1)
    overlay.unlink("/new")
    assert names(build.upper) == []


def test_new_name_takes_the_whiteout_away(overlay: Overlay, build: StackBuilder) -> None:
    overlay.unlink("/d/g")
    overlay.symlink("x", "/d/g")
    assert names(build.upper / "d") == [b"g"]


def test_long_names_are_whited_out_under_their_hash(overlay: Overlay, build: StackBuilder) -> None:
    overlay.unlink(b"/" + LONG)
    assert overlay.find(b"/" + LONG) is None
    assert LONG not in overlay.listdir("/")
    assert names(build.upper) == [whiteout_name(LONG)]
    assert os.readlink(os.fsencode(build.upper) + b"/" + whiteout_name(LONG)) == LONG


def test_whiteout_is_ignored_beside_its_name(overlay: Overlay, build: StackBuilder) -> None:
    overlay.copy_up("/d/g")
    (build.upper / "d" / ".wh.g").touch()
    assert read(overlay, "/d/g") == b"g"
    assert b"g" in overlay.listdir("/d")


def test_mkdir_over_a_removed_lower_directory_is_opaque(overlay: Overlay, build: StackBuilder) -> None:
    overlay.unlink("/d/sub/x")
    overlay.rmdir("/d/sub")
    overlay.mkdir("/d/sub")
    assert names(build.upper / "d") == [b"sub"]
    assert names(build.upper / "d" / "sub") == [b".wh..wh..opq"]
    assert overlay.listdir("/d/sub") == []
    with Bloom(build.base / "bloom") as bloom:
        assert bloom.may_have(b"/d/sub", OPAQUE)


def test_marks_of_a_plain_lower_directory_are_hidden_and_mean_nothing(build: StackBuilder) -> None:
    def fill(path: Path) -> None:
        for name in ("a", ".wh.a", ".wh.b", ".wh..wh..opq"):
            (path / name).touch()

    def fill_below(path: Path) -> None:
        (path / "b").touch()

    upper, below = build.lower("one", fill), build.lower("two", fill_below)
    assert build.overlay(upper, below).listdir("/") == [b"a", b"b"]


def test_marks_of_an_aufs_branch_count(build: StackBuilder) -> None:
    def fill(path: Path) -> None:
        for name in ("a", ".wh.b", ".wh..wh.plnk"):
            (path / name).touch()
        (path / "d").mkdir()
        (path / "d" / ".wh..wh..opq").touch()

    def fill_below(path: Path) -> None:
        (path / "b").touch()
        (path / "c").touch()
        (path / "d").mkdir()
        (path / "d" / "hidden").touch()

    overlay = build.overlay(build.lower("one", fill, marks=True), build.lower("two", fill_below))
    assert overlay.listdir("/") == [b"a", b"c", b"d"]
    assert overlay.listdir("/d") == []


# ---- renames


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


# ---- what an ordinary user cannot store


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


def test_open_directory_and_read_only_stack(build: StackBuilder) -> None:
    with Overlay(build.stack(layers=(LAYER,), writable=False)) as overlay:
        assert read(overlay, "/d/f") == b"content"
        for change in (
            lambda: overlay.mkdir("/x"),
            lambda: overlay.open("/d/f", os.O_WRONLY),
            lambda: overlay.open("/x", os.O_CREAT | os.O_WRONLY),
            lambda: overlay.chmod("/d", 0),
            lambda: overlay.unlink("/d/f"),
        ):
            with pytest.raises(OSError, match=r".") as caught:
                change()
            assert caught.value.errno == errno.EROFS


def test_sweep_removes_what_a_dead_writer_left(overlay: Overlay, build: StackBuilder) -> None:
    overlay.copy_up("/d/g")
    (build.upper / ".wh..wh.t.1").mkdir()
    (build.upper / ".wh..wh.t.1" / "x").touch()
    (build.upper / "d" / ".wh..wh.t.2").touch()
    assert b".wh..wh.t.1" not in overlay.listdir("/")
    mtime = overlay.stat("/d").mtime_ns
    assert overlay.context.upper.sweep() == 2
    assert names(build.upper / "d") == [b".wh..wh.m.g", b"g"]
    assert overlay.stat("/d").mtime_ns == mtime


def test_root_has_the_attributes_of_the_lower_root_until_it_is_changed(build: StackBuilder) -> None:
    layer = [directory(b"", 0o711, uid=9, gid=8)]
    overlay = build.overlay(layers=(layer,))
    assert (overlay.stat("/").permissions, overlay.stat("/").uid, overlay.stat("/").gid) == (0o711, 9, 8)
    overlay.chown("/", 0, -1)
    assert (overlay.stat("/").permissions, overlay.stat("/").uid, overlay.stat("/").gid) == (0o711, 0, 8)
    assert os.readlink(build.upper / ".wh..wh.m.") == "g=8;m=40711"


def test_failed_copy_up_leaves_nothing(build: StackBuilder) -> None:
    def broken(_: object) -> BinaryIO:
        raise OSError(errno.ENOSPC, "full", "/real/path")

    overlay = build.overlay(layers=(LAYER,))
    overlay.stack.hydrator.open = broken  # type: ignore[union-attr, method-assign]
    with pytest.raises(OSError, match=r".") as caught:
        overlay.chmod("/d/f", 0)
    assert (caught.value.errno, caught.value.filename) == (errno.ENOSPC, "/d/f")
    assert names(build.upper / "d") == []


def test_file_put_into_a_directory_while_it_is_removed_is_kept(overlay: Overlay, build: StackBuilder) -> None:
    """The engine makes plain files without the lock."""
    overlay.mkdir("/n")
    empty = overlay._remover.require_empty

    def put(found: object, request: bytes) -> None:
        empty(found, request)  # type: ignore[arg-type]
        (build.upper / "n" / "late").write_bytes(b"kept")

    overlay._remover.require_empty = put  # type: ignore[assignment, method-assign]
    with pytest.raises(OSError, match="not empty"):
        overlay.rmdir("/n")
    assert read(overlay, "/n/late") == b"kept"
