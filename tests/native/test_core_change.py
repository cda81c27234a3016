"""Changes: copy-up, whiteouts, records, ownership, redirects, extended attributes, descriptors of lower files."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.boxes.box import Box, d, f, fails
from tests.support.boxes.corelib import NOFOLLOW
from tests.support.boxes.image import INO, NODES
from tests.support.boxes.launchfile import Dir


@pytest.fixture
def box(make: Callable[..., Box]) -> Box:
    return make(NODES)


def test_copy_up_keeps_everything_a_program_can_see(box: Box) -> None:
    core = box.core
    before, parent = core.stat(b"/etc/conf"), core.stat(b"/etc")
    fd = core.open(b"/etc/conf", os.O_RDWR)
    os.close(fd)
    after = core.stat(b"/etc/conf")
    for name in ("ino", "dev", "mode", "uid", "gid", "size", "mtime", "nlink"):
        assert getattr(before, name) == getattr(after, name), name
    assert core.stat(b"/etc").mtime == parent.mtime
    assert core.stat(b"/etc").ino == parent.ino
    assert core.read(b"/etc/conf") == b"original\n"
    assert core.getxattr(b"/etc/conf", b"security.capability") == b"\x01\x00cap"
    assert box.upper_names("etc") == ["conf"]
    assert box.record("etc/conf") is not None
    real = (box.upper / "etc/conf").stat()
    assert stat.S_IMODE(real.st_mode) == 0o640
    assert (box.record("etc/conf") or "").startswith(f"u=3;g=4;i={before.ino};x")


def test_truncation_does_not_fetch_the_data(box: Box) -> None:
    box.core.write(b"/etc/conf", b"new")
    assert box.asked() == []
    assert box.core.read(b"/etc/conf") == b"new"


def test_the_layer_is_never_written(box: Box) -> None:
    core = box.core
    fd = core.open(b"/etc/conf", os.O_RDONLY)
    core.chmod(None, 0o4711, dirfd=fd)
    core.chown(None, 7, 8, dirfd=fd)
    core.utimens(None, 1, 2 * 10**9, dirfd=fd)
    core.setxattr(None, b"user.b", b"2", fd=fd)
    a = core.stat(b"/etc/conf")
    assert (stat.S_IMODE(a.mode), a.uid, a.gid, a.mtime) == (0o711, 7, 8, 2 * 10**9)
    assert core.getxattr(b"/etc/conf", b"user.b") == b"2"
    assert bytes(core.fstat(fd)) == bytes(a)
    os.close(fd)
    tree = Path(os.fsdecode(os.fsencode(box.trees[0]) + b"/etc/conf"))
    assert stat.S_IMODE(tree.stat().st_mode) == 0o640
    assert tree.stat().st_mtime_ns == NODES[b"/etc/conf"].mtime_ns
    assert tree.read_bytes() == b"original\n"


def test_modes_that_a_real_file_cannot_have_are_recorded(box: Box) -> None:
    core = box.core
    core.chmod(b"/bin/su", 0o6511)
    assert stat.S_IMODE(core.stat(b"/bin/su").mode) == 0o6511
    assert stat.S_IMODE((box.upper / "bin/su").stat().st_mode) == 0o511
    core.chmod(b"/bin/su", 0o755)
    assert "m=" not in (box.record("bin/su") or "")
    core.mkdir(b"/tmp/closed", 0o000)
    core.mkdir(b"/tmp/closed/in")
    assert stat.S_IMODE(core.stat(b"/tmp/closed").mode) == 0
    core.write(b"/tmp/shut", b"1", mode=0o044)
    assert (stat.S_IMODE(core.stat(b"/tmp/shut").mode), box.record("tmp/shut")) == (0o044, "m=100044")


@pytest.mark.parametrize("how", ["open", "truncate", "xattr", "descriptor"])
def test_a_file_that_its_owner_may_only_read_has_a_record_once_root_changes_it(box: Box, how: str) -> None:
    """What git does to each object is no more work than it is outside."""
    core, real = box.core, box.upper / "tmp/ro"
    core.write(b"/tmp/ro", b"1", mode=0o444)
    assert (stat.S_IMODE(core.stat(b"/tmp/ro").mode), box.record("tmp/ro")) == (0o444, None)
    assert stat.S_IMODE(real.stat().st_mode) == 0o444
    core.link(b"/tmp/ro", b"/tmp/second")
    core.unlink(b"/tmp/second")
    core.rename(b"/tmp/ro", b"/tmp/moved")
    core.rename(b"/tmp/moved", b"/tmp/ro")
    assert box.upper_names("tmp") == ["ro"]
    core.identity(1000, 1000)
    with fails(errno.EACCES):
        core.write(b"/tmp/ro", b"2", os.O_WRONLY)
    core.identity(0, 0)
    fd = -1
    change: dict[str, Callable[[], object]] = {
        "open": lambda: core.write(b"/tmp/ro", b"22", os.O_WRONLY),
        "truncate": lambda: core.truncate(b"/tmp/ro", 2),
        "xattr": lambda: core.setxattr(b"/tmp/ro", b"user.a", b"b"),
        "descriptor": lambda: core.setxattr(None, b"user.a", b"b", fd=fd),
    }
    fd = core.open(b"/tmp/ro", os.O_RDONLY)
    change[how]()
    os.close(fd)
    assert (stat.S_IMODE(core.stat(b"/tmp/ro").mode), box.record("tmp/ro")) == (0o444, "m=100444")
    assert core.stat(b"/tmp/ro").size == (1 if how in ("xattr", "descriptor") else 2)


def test_a_mode_that_a_crash_left_behind_its_record_keeps_nobody_from_writing(box: Box) -> None:
    core = box.core
    core.write(b"/tmp/f", b"1")
    core.chmod(b"/tmp/f", 0o4644)
    (box.upper / "tmp/f").chmod(0o444)
    core.write(b"/tmp/f", b"2", os.O_WRONLY)
    assert (core.read(b"/tmp/f"), stat.S_IMODE(core.stat(b"/tmp/f").mode)) == (b"2", 0o4644)


def test_new_objects_belong_to_the_caller(box: Box) -> None:
    core = box.core
    core.write(b"/tmp/root", b"")
    assert box.record("tmp/root") is None
    core.identity(1000, 100, umask=0o027)
    core.write(b"/tmp/f", b"", mode=0o666)
    core.mkdir(b"/tmp/d", 0o777)
    core.symlink(b"f", b"/tmp/l")
    core.mknod(b"/tmp/p", stat.S_IFIFO | 0o666)
    for name, mode in ((b"f", 0o640), (b"d", 0o750), (b"l", 0o777), (b"p", 0o640)):
        a = core.lstat(b"/tmp/" + name)
        assert (a.uid, a.gid, stat.S_IMODE(a.mode)) == (1000, 100, mode), name
    with fails(errno.EPERM):
        core.mknod(b"/tmp/dev", stat.S_IFBLK | 0o600, os.makedev(8, 0))
    with fails(errno.EPERM):
        core.chown(b"/tmp/f", 0, 0)
    core.identity(0, 0)
    core.write(b"/lib/inherits", b"")
    core.mkdir(b"/lib/newdir")
    assert core.stat(b"/lib/inherits").gid == 50
    assert (core.stat(b"/lib/newdir").gid, core.stat(b"/lib/newdir").mode & 0o2000) == (50, 0o2000)


def test_a_stranger_s_write_ends_set_id(box: Box) -> None:
    core = box.core
    core.write(b"/tmp/prog", b"1", mode=0o777)
    core.chmod(b"/tmp/prog", 0o6777)
    core.identity(1000, 1000)
    core.write(b"/tmp/prog", b"2", os.O_WRONLY)
    assert stat.S_IMODE(core.stat(b"/tmp/prog").mode) == 0o777


def test_devices_are_recorded(box: Box) -> None:
    core = box.core
    core.mknod(b"/tmp/sdb", stat.S_IFBLK | 0o660, os.makedev(8, 16))
    a = core.stat(b"/tmp/sdb")
    assert (a.mode, a.rdev_major, a.rdev_minor) == (stat.S_IFBLK | 0o640, 8, 16)
    assert {e.name: e.type for e in core.entries(b"/tmp")}[b"sdb"] == 6
    core.rename(b"/etc/null", b"/tmp/null")
    core.write(b"/tmp/null", b"gone", os.O_WRONLY)
    assert core.read(b"/tmp/null") == b""
    assert core.lstat(b"/tmp/null").ino == INO + box.view.ids[b"/etc/null"]  # type: ignore[union-attr]
    core.unlink(b"/tmp/sdb")
    core.write(b"/tmp/sdb", b"file")
    assert core.stat(b"/tmp/sdb").mode == stat.S_IFREG | 0o644


def test_extended_attributes(box: Box) -> None:
    core = box.core
    assert core.listxattr(b"/etc/conf") == [b"security.capability", b"user.a"]
    assert core.getxattr(b"/etc/conf", b"user.a") == b"1"
    with fails(errno.ENODATA):
        core.getxattr(b"/etc/conf", b"user.z")
    with fails(errno.ENODATA):
        core.removexattr(b"/etc/conf", b"trusted.z")
    assert not (box.upper / "etc/conf").exists()  # what is not there is looked for in the image
    core.setxattr(b"/etc/conf", b"trusted.t", b"")
    core.setxattr(b"/etc/conf", b"security.selinux", b"label\0")
    assert core.listxattr(b"/etc/conf") == [b"security.capability", b"security.selinux", b"trusted.t", b"user.a"]
    assert core.getxattr(b"/etc/conf", b"security.selinux") == b"label\0"
    with fails(errno.EEXIST):
        core.setxattr(b"/etc/conf", b"trusted.t", b"x", os.XATTR_CREATE)
    with fails(errno.ENODATA):
        core.setxattr(b"/etc/conf", b"trusted.u", b"x", os.XATTR_REPLACE)
    core.removexattr(b"/etc/conf", b"security.capability")
    with fails(errno.ENODATA):
        core.getxattr(b"/etc/conf", b"security.capability")
    with fails(errno.EOPNOTSUPP):
        core.setxattr(b"/etc/conf", b"system.other", b"x")
    with fails(errno.EOPNOTSUPP):
        core.setxattr(b"/etc/conf", b"other.x", b"x")
    with fails(errno.EPERM):
        core.setxattr(b"/etc/link", b"user.x", b"x", flags=NOFOLLOW)
    with fails(errno.ENOSPC):
        core.setxattr(b"/etc/conf", b"security.big", b"x" * 3000)
    assert core.call("rl_getxattr", -1, b"/etc/conf", b"user.a", None, 0, 0) == 1
    with fails(errno.ERANGE):
        core.call("rl_listxattr", -1, b"/etc/conf", b"xx", 2, 0)
    core.identity(1000, 1000)
    with fails(errno.EPERM):
        core.setxattr(b"/etc/conf", b"trusted.t", b"x")


def test_the_lowest_descriptor_is_given(box: Box) -> None:
    core = box.core
    core.unlink(b"/etc/conf")
    for path in (b"/bin/su", b"/lib/sub/y"):
        core.read(path)
    box.close()  # the hydrator's own descriptors are in this process, too
    probe = os.dup(0)
    os.close(probe)
    core.identity(1000, 1000)
    core.identity(0, 5)
    for path, flags in ((b"/etc/conf", os.O_CREAT | os.O_RDWR), (b"/bin/su", os.O_RDONLY), (b"/lib/sub/y", os.O_RDWR)):
        fd = core.open(path, flags)
        assert fd == probe
        os.close(fd)
    assert core.stat(b"/etc/conf").gid == 5


def test_openat2_restrictions(box: Box) -> None:
    core = box.core
    fd = core.open(b"/etc", os.O_RDONLY | os.O_DIRECTORY)

    def attempt(path: bytes, resolve: int) -> bytes:
        got = core.open(path, os.O_RDONLY, dirfd=fd, resolve=resolve)
        data = os.read(got, 100)
        os.close(got)
        return data

    no_symlinks, beneath, in_root = 4, 8, 16
    assert attempt(b"conf", beneath | no_symlinks) == attempt(b"link", beneath) == b"original\n"
    assert attempt(b"conf", 0x20) == b"original\n"  # RESOLVE_CACHED
    for path, how, code in (
        (b"link", no_symlinks, errno.ELOOP),
        (b"../bin/su", beneath, errno.EXDEV),
        (b"/etc/conf", beneath, errno.EXDEV),
        (b"conf", 1 << 20, errno.EINVAL),
        (b"conf", beneath | in_root, errno.EINVAL),
    ):
        with fails(code):
            attempt(path, how)
    assert attempt(b"/../../conf", in_root) == b"original\n"
    os.close(fd)


def test_sockets_and_their_names(box: Box) -> None:
    core = box.core
    lock, real = core.name_begin(b"/tmp/sock")
    assert real == os.fsencode(box.upper) + b"/tmp/sock"
    core.identity(1000, 1000)
    os.mknod(real, stat.S_IFSOCK | 0o755)
    core.name_end(real, lock, made=True)
    a = core.stat(b"/tmp/sock")
    assert (a.mode, a.uid) == (stat.S_IFSOCK | 0o755, 1000)
    assert core.real_path(b"/tmp/sock") == real
    with pytest.raises(OSError, match="name_begin") as taken:
        core.name_begin(b"/tmp/sock")
    assert taken.value.errno == errno.EADDRINUSE
    lock, real = core.name_begin(b"/tmp/other")
    core.name_end(real, lock, made=False)
    core.mkdir(b"/tmp/other")  # the lock was given back
    assert core.virtual(real) == b"/tmp/other"


def test_a_fifo_of_the_image_is_a_real_one(box: Box) -> None:
    core = box.core
    fd = core.open(b"/etc/fifo", os.O_RDWR | os.O_NONBLOCK)
    assert stat.S_ISFIFO(os.fstat(fd).st_mode)
    os.close(fd)


def test_sparse_files_stay_sparse(make: Callable[..., Box], tmp_path: Path) -> None:
    low = tmp_path / "low"
    low.mkdir()
    with (low / "sparse").open("wb") as file:
        file.truncate(50 << 20)
        file.seek(20 << 20)
        file.write(b"middle")
    box = make(lowers=[Dir(str(low))])
    box.core.write(b"/sparse", b"!", os.O_WRONLY)
    copy = box.upper / "sparse"
    assert copy.stat().st_size == 50 << 20
    assert copy.stat().st_blocks * 512 < 1 << 20
    with copy.open("rb") as file:
        assert file.read(1) == b"!"
        file.seek(20 << 20)
        assert file.read(6) == b"middle"


def test_a_descriptor_outlives_its_name(box: Box) -> None:
    core = box.core
    fd = core.open(b"/etc/conf", os.O_RDONLY)
    before = bytes(core.fstat(fd))
    core.write(b"/tmp/other", b"other")
    core.rename(b"/tmp/other", b"/etc/conf")
    assert bytes(core.fstat(fd)) == before
    with fails(errno.EROFS):
        core.chmod(None, 0o777, dirfd=fd)
    assert stat.S_IMODE(core.stat(b"/etc/conf").mode) == 0o644
    os.close(fd)
    fd = core.open(b"/etc/conf", os.O_RDONLY)
    core.unlink(b"/etc/conf")
    core.chmod(None, 0o600, dirfd=fd)
    assert stat.S_IMODE(core.fstat(fd).mode) == 0o600
    assert core.fstat(fd).nlink == 0
    with fails(errno.ENOENT):
        core.stat(b"/etc/conf")
    os.close(fd)


@pytest.mark.parametrize("count", [3, 3000])  # read at once, or not
def test_what_rm_has_emptied_goes_with_its_whiteouts(make: Callable[..., Box], count: int) -> None:
    names = [b"/many/%d" % number for number in range(count)]
    core = (box := make({b"/many": d(), **dict.fromkeys(names, f(b"x"))})).core
    core.chmod(names[0], 0o4755)  # a copy, and its record
    for name in names[:-1]:
        core.unlink(name)
    with fails(errno.ENOTEMPTY):
        core.rmdir(b"/many")
    core.unlink(names[-1])
    core.write(b"/many/new", b"x")
    with fails(errno.ENOTEMPTY):
        core.rmdir(b"/many")
    core.unlink(b"/many/new")
    core.rmdir(b"/many")
    assert box.upper_names(".") == [".wh.many"]
    core.mkdir(b"/many", 0o755)
    assert core.listdir(b"/many") == []


@pytest.mark.parametrize("way", ["rmdir", "rename", "wiped"])
def test_what_a_dead_removal_has_left_goes_with_its_directory(make: Callable[..., Box], way: str) -> None:
    """Leftovers in leftovers, and a file that another process made in one before its remover died."""
    core = (box := make({b"/d": d(), b"/d/f": f(), b"/new": d(), b"/new/f": f(b"new")})).core
    if way != "wiped":
        core.chmod(b"/d", 0o700)
    core.unlink(b"/d/f")
    left = box.upper / "d" / ".wh..wh.t.4000000.0.1"
    (left / ".wh..wh.t.4000000.1.1" / ".wh..wh.t.4000000.2.1n").mkdir(parents=True)
    (box.upper / "d" / ".wh..wh.t.4000000.3.1n").mkdir()
    for name in (".wh.g", "made", ".wh..wh.t.4000000.1.1/.wh..wh.opq"):
        (left / name).touch()
    assert core.listdir(b"/d") == []
    if way == "rename":
        core.rename(b"/new", b"/d")
        assert core.read(b"/d/f") == b"new"
    else:
        core.rmdir(b"/d")
        with fails(errno.ENOENT):
            core.stat(b"/d")
    assert [path for path in box.upper.rglob("*") if path.name.startswith(".wh..wh.t.")] == []
