"""Look-ups: stat, readlink, open for reading and listings over a view, directory layers and binds."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from rootlay.store.containers.bloom import create_full_bloom
from tests.support.boxes.box import Box, d, f, fails, ln
from tests.support.boxes.corelib import Core
from tests.support.boxes.launchfile import BIND_OWNER, BIND_PROC, BIND_RO, MARKS, Bind, Dir
from tests.support.boxes.viewfile import Node

INO = 1 << 48
NODES = {
    b"/etc": d(),
    b"/etc/passwd": f(b"root:x:0:0\n", uid=0, gid=0, mtime_ns=1_500_000_000_123_456_789),
    b"/etc/shadow": f(b"secret", 0o640, gid=42),
    b"/etc/alias": ln(b"passwd"),
    b"/etc/abs": ln(b"/etc/passwd"),
    b"/etc/out": ln(b"../../../../etc/passwd"),
    b"/loop1": ln(b"loop2"),
    b"/loop2": ln(b"/loop1"),
    b"/usr": d(),
    b"/usr/bin": d(),
    b"/usr/bin/perl": f(b"#!perl" * 100, 0o755),
    b"/usr/bin/perl5": f(mode=0o755, same_as=b"/usr/bin/perl", source=b"/usr/bin/perl"),
    b"/bin": ln(b"usr/bin"),
    b"/dev": d(),
    b"/dev/sda": Node(stat.S_IFBLK | 0o660, rdev=(8, 1)),
    b"/dev/null": Node(stat.S_IFCHR | 0o666, rdev=(1, 3)),
    b"/priv": d(0o700),
    b"/priv/x": f(b"x"),
    b"/tmp": d(0o1777),
}


@pytest.fixture
def box(make: Callable[..., Box]) -> Box:
    return make(NODES)


def test_stat_of_a_view_entry_needs_no_disk(box: Box) -> None:
    a = box.core.stat(b"/etc/passwd")
    assert (a.mode, a.uid, a.gid, a.size) == (stat.S_IFREG | 0o644, 0, 0, 11)
    assert a.mtime == 1_500_000_000_123_456_789
    assert a.ino == INO + box.view.ids[b"/etc/passwd"]  # type: ignore[union-attr]
    assert a.dev == box.launch.st_dev
    assert box.asked() == []
    assert os.listdir(box.upper) == []


def test_reading_hydrates_once(box: Box) -> None:
    assert box.core.read(b"/etc/alias") == b"root:x:0:0\n"
    assert box.core.read(b"/etc/passwd") == b"root:x:0:0\n"
    assert box.asked() == [b"/etc/passwd"]


def test_a_hydrator_with_a_long_path_is_reached(core_library: Path, tmp_path: Path, same_process: None) -> None:
    deep = tmp_path / ("x" * 100) / ("y" * 100)
    deep.mkdir(parents=True)
    box = Box(Core(core_library), deep, NODES)
    assert box.core.read(b"/etc/passwd") == b"root:x:0:0\n"
    box.close()


def test_a_dead_hydrator_is_an_input_output_error(box: Box) -> None:
    box.close()
    with fails(errno.EIO):
        box.core.read(b"/etc/passwd")
    with fails(errno.EIO):
        box.core.write(b"/etc/passwd", b"x", os.O_WRONLY | os.O_APPEND)
    assert os.listdir(box.upper / "etc") == []


def test_listing_of_a_view(box: Box) -> None:
    entries = {e.name: e for e in box.core.entries(b"/etc")}
    assert sorted(entries) == [b".", b"..", b"abs", b"alias", b"out", b"passwd", b"shadow"]
    for name in (b"passwd", b"alias"):
        assert entries[name].ino == box.core.lstat(b"/etc/" + name).ino
        assert entries[name].type == stat.S_IFMT(box.core.lstat(b"/etc/" + name).mode) >> 12
    assert entries[b"."].ino == box.core.stat(b"/etc").ino
    assert entries[b".."].ino == box.core.stat(b"/").ino


def test_a_listing_in_small_pieces_is_whole_and_can_be_rewound(make: Callable[..., Box]) -> None:
    nodes = {b"/many": d(), **{b"/many/file-%04d" % i: f() for i in range(3000)}}
    box = make(nodes)
    for size in (64, 300, 4096, 32768):
        names = [e.name for e in box.core.entries(b"/many", size)]
        assert len(names) == len(set(names)) == 3002
    fd = box.core.open(b"/many", os.O_RDONLY | os.O_DIRECTORY)
    first = box.core.getdents(fd, 1024)
    box.core.getdents(fd, 4096)
    os.lseek(fd, 0, os.SEEK_SET)
    assert box.core.getdents(fd, 1024) == first
    os.lseek(fd, first[5].off, os.SEEK_SET)
    assert box.core.getdents(fd, 1024)[0] == first[6]
    os.close(fd)


def test_removing_while_listing_skips_nothing(make: Callable[..., Box]) -> None:
    nodes = {b"/many": d(), **{b"/many/f%03d" % i: f() for i in range(300)}}
    box = make(nodes)
    fd = box.core.open(b"/many", os.O_RDONLY | os.O_DIRECTORY)
    while batch := box.core.getdents(fd, 200):
        for e in batch:
            if e.name not in (b".", b".."):
                box.core.unlink(b"/many/" + e.name)
    os.close(fd)
    box.core.rmdir(b"/many")
    with fails(errno.ENOENT):
        box.core.stat(b"/many")


def test_fstat_shows_what_stat_shows(box: Box) -> None:
    fd = box.core.open(b"/etc/shadow", os.O_RDONLY)
    a, b = box.core.fstat(fd), box.core.stat(b"/etc/shadow")
    assert bytes(a) == bytes(b)
    os.close(fd)
    fd = box.core.open(b"/usr/bin", os.O_RDONLY)
    assert bytes(box.core.fstat(fd)) == bytes(box.core.stat(b"/usr/bin"))
    assert bytes(box.core.stat(b"perl", dirfd=fd)) == bytes(box.core.stat(b"/usr/bin/perl"))
    assert box.core.stat(b"../../etc", dirfd=fd).ino == box.core.stat(b"/etc").ino
    os.close(fd)
    r, w = os.pipe()
    assert (box.core.fstat(r).ino, box.core.fstat(r).dev) == (os.fstat(r).st_ino, os.fstat(r).st_dev)
    os.close(r)
    os.close(w)


def test_working_directory(box: Box) -> None:
    box.core.chdir(b"/bin")
    assert box.core.getcwd() == b"/usr/bin"
    assert box.core.stat(b"perl").size == 600
    box.core.chdir(b"..")
    assert box.core.getcwd() == b"/usr"
    box.core.chdir(b"/")
    assert box.core.getcwd() == b"/"
    with fails(errno.ENOTDIR):
        box.core.chdir(b"/etc/passwd")
    box.core.mkdir(b"/new")
    box.core.chdir(b"/new")
    box.core.rmdir(b"/new")
    with fails(errno.ENOENT):
        box.core.getcwd()


def test_permissions_of_another_user(box: Box) -> None:
    box.core.identity(1000, 1000)
    with fails(errno.EACCES):
        box.core.stat(b"/priv/x")
    with fails(errno.EACCES):
        box.core.open(b"/etc/shadow", os.O_RDONLY)
    with fails(errno.EACCES):
        box.core.write(b"/etc/passwd", b"x")
    with fails(errno.EACCES):
        box.core.mkdir(b"/etc/new")
    with fails(errno.EACCES):
        box.core.access(b"/etc/passwd", os.W_OK)
    box.core.access(b"/etc/passwd", os.R_OK)
    with fails(errno.EACCES):
        box.core.exec(b"/etc/passwd")
    assert box.core.exec(b"/bin/perl").vpath == b"/usr/bin/perl"
    box.core.identity(1000, 1000, (42,))
    assert box.core.read(b"/etc/shadow") == b"secret"
    box.core.write(b"/tmp/mine", b"1")
    a = box.core.stat(b"/tmp/mine")
    assert (a.uid, a.gid) == (1000, 1000)
    box.core.identity(1001, 1001)
    with fails(errno.EPERM):
        box.core.unlink(b"/tmp/mine")
    with fails(errno.EPERM):
        box.core.chmod(b"/tmp/mine", 0o666)


def test_devices_of_an_image(box: Box) -> None:
    a = box.core.stat(b"/dev/sda")
    assert (stat.S_IFMT(a.mode), a.rdev_major, a.rdev_minor) == (stat.S_IFBLK, 8, 1)
    with fails(errno.ENXIO):
        box.core.open(b"/dev/sda", os.O_RDONLY)
    assert box.core.read(b"/dev/null") == b""


def test_exec_needs_a_file_with_an_x_bit(box: Box) -> None:
    with fails(errno.EACCES):
        box.core.exec(b"/etc/passwd")
    with fails(errno.EACCES):
        box.core.exec(b"/etc")
    with fails(errno.ENOENT):
        box.core.exec(b"/nope")
    e = box.core.exec(b"/bin/perl")
    assert Path(os.fsdecode(e.real)).read_bytes() == b"#!perl" * 100


def test_directory_layers_merge_with_marks(make: Callable[..., Box], tmp_path: Path) -> None:
    top, low = tmp_path / "top", tmp_path / "low"
    for p in ("a/sub", "b", "gone", "opq", "file"):
        (low / p).mkdir(parents=True)
    (low / "a/one").write_text("low one")
    (low / "a/two").write_text("low two")
    (low / "opq/hidden").write_text("h")
    for p in ("a", "opq", "b"):
        (top / p).mkdir(parents=True)
    (top / "a/one").write_text("top one")
    (top / "a/.wh.two").touch()
    (top / ".wh.gone").touch()
    (top / "opq/.wh..wh..opq").touch()
    (top / "opq/new").touch()
    (top / "file").write_text("covers a directory")
    (top / "b/.wh..wh.m.x").symlink_to("u=7;g=8;m=104755;i=99")
    (top / "b/x").write_text("x")
    box = make({b"/a": d(), b"/a/two": f(b"view"), b"/a/three": f(b"3")}, lowers=[Dir(str(top), MARKS), Dir(str(low))])
    core = box.core
    assert core.read(b"/a/one") == b"top one"
    assert core.listdir(b"/a") == [b"one", b"sub", b"three"]
    assert core.listdir(b"/opq") == [b"new"]
    assert core.listdir(b"/") == [b"a", b"b", b"file", b"opq"]
    for path in (b"/gone", b"/a/two", b"/a/.wh.two", b"/opq/hidden"):
        with fails(errno.ENOENT):
            core.stat(path)
    a = core.stat(b"/b/x")
    assert (a.uid, a.gid, a.mode, a.ino) == (7, 8, stat.S_IFREG | 0o4755, 99)
    assert {e.name: e.ino for e in core.entries(b"/b")}[b"x"] == 99
    assert not stat.S_ISDIR(core.stat(b"/file").mode)


@pytest.mark.parametrize("filtered", [True, False])
@pytest.mark.parametrize("opaque", [True, False])
def test_the_root_of_a_layer_may_be_opaque(
    make: Callable[..., Box], tmp_path: Path, opaque: bool, filtered: bool
) -> None:
    """A filter that denies nothing is no reason to think so."""
    top = tmp_path / "top"
    (top / "dir").mkdir(parents=True)
    if opaque:
        (top / ".wh..wh..opq").touch()
    full = tmp_path / "full"
    create_full_bloom(full)
    core = make(NODES, lowers=[Dir(str(top), MARKS, str(full) if filtered else "")]).core
    assert core.listdir(b"/") == sorted([b"dir"] if opaque else {b"dir", *(p[1:] for p in NODES if p.count(b"/") == 1)})
    for path in (b"/etc", b"/etc/passwd"):
        if opaque:
            with fails(errno.ENOENT):
                core.stat(path)
        else:
            assert core.stat(path).mode == NODES[path].mode


def test_a_redirect_is_followed_through_the_layers_below(make: Callable[..., Box], tmp_path: Path) -> None:
    top, low = tmp_path / "top", tmp_path / "low"
    (top / "new").mkdir(parents=True)
    (top / ".wh..wh.m.new").symlink_to("r=/mid/dir")
    (top / ".wh.mid").touch()
    (low / "mid").mkdir(parents=True)
    (low / ".wh..wh.m.mid").symlink_to("r=/old")
    (low / "mid/dir").mkdir()
    (low / "mid/dir/l").write_text("l")
    nodes = {b"/old": d(), b"/old/dir": d(), b"/old/dir/v": f(b"v"), b"/new": d(), b"/new/no": f(b"no")}
    box = make(nodes, lowers=[Dir(str(top), MARKS), Dir(str(low), MARKS)])
    assert box.core.listdir(b"/new") == [b"l", b"v"]
    assert box.core.read(b"/new/v") == b"v"
    assert box.core.read(b"/new/l") == b"l"
    assert box.core.stat(b"/new").ino == INO + box.view.ids[b"/old/dir"]  # type: ignore[union-attr]
    with fails(errno.ENOENT):
        box.core.stat(b"/mid")
    with fails(errno.ENOENT):
        box.core.stat(b"/new/no")


def test_binds(make: Callable[..., Box], tmp_path: Path) -> None:
    host = tmp_path / "host"
    (host / "sub").mkdir(parents=True)
    (host / "file").write_text("host")
    (host / "readonly").mkdir()
    (host / "readonly/file").write_text("host")
    (host / "abs").symlink_to("/etc/passwd")
    (host / "up").symlink_to("../../etc/passwd")
    (tmp_path / "single").write_text("one")
    box = make(
        NODES,
        binds=[
            Bind("/usr/mnt", str(host), BIND_OWNER),
            Bind("/tmp/ro", str(host / "readonly"), BIND_RO),
            Bind("/etc/passwd", str(tmp_path / "single"), BIND_RO),
        ],
    )
    core = box.core
    assert core.read(b"/usr/mnt/file") == b"host"
    assert core.read(b"/usr/mnt/up") == core.read(b"/usr/mnt/abs") == core.read(b"/etc/alias") == b"one"
    assert core.listdir(b"/usr") == [b"bin", b"mnt"]
    assert core.listdir(b"/tmp") == [b"ro"]
    a = core.stat(b"/usr/mnt/file")
    assert (a.ino, a.dev, a.uid) == ((host / "file").stat().st_ino, (host / "file").stat().st_dev, 0)
    assert core.stat(b"/usr/mnt/..").ino == core.stat(b"/usr").ino
    core.write(b"/usr/mnt/new", b"n")
    assert (host / "new").read_text() == "n"
    core.rename(b"/usr/mnt/new", b"/usr/mnt/newer")
    calls: tuple[Callable[[], object], ...] = (
        lambda: core.write(b"/tmp/ro/x", b"x"),
        lambda: core.write(b"/etc/passwd", b"x"),
        lambda: core.unlink(b"/tmp/ro/file"),
        lambda: core.chmod(b"/tmp/ro/file", 0o600),
        lambda: core.access(b"/tmp/ro/file", os.W_OK),
        lambda: core.truncate(b"/tmp/ro/file", 0),
    )
    for call in calls:
        with fails(errno.EROFS):
            call()
    with fails(errno.EXDEV):
        core.rename(b"/usr/mnt/file", b"/usr/x")
    with fails(errno.EXDEV):
        core.link(b"/usr/mnt/file", b"/usr/x")
    for call in (
        lambda: core.rename(b"/usr/mnt", b"/x"),
        lambda: core.rmdir(b"/usr/mnt"),
        lambda: core.rename(b"/usr", b"/x"),
    ):
        with fails(errno.EBUSY):
            call()
    core.chdir(b"/usr/mnt/sub")
    assert core.getcwd() == b"/usr/mnt/sub"
    assert core.listdir(b"..") == [b"abs", b"file", b"newer", b"readonly", b"sub", b"up"]


def test_proc_shows_virtual_names(make: Callable[..., Box]) -> None:
    box = make({**NODES, b"/proc": d()}, binds=[Bind("/proc", "/proc", BIND_PROC)])
    core = box.core
    core.exe.value = b"/usr/bin/perl"
    fd = core.open(b"/etc/passwd", os.O_RDONLY)
    core.chdir(b"/usr/bin")
    for me in (b"/proc/self", b"/proc/%d" % os.getpid(), b"/proc/thread-self"):
        assert core.readlink(me + b"/exe") == b"/usr/bin/perl"
        assert core.readlink(me + b"/cwd") == b"/usr/bin"
        assert core.readlink(me + b"/root") == b"/"
        assert core.readlink(me + b"/fd/%d" % fd) == b"/etc/passwd"
    assert core.read(b"/proc/self/root/etc/alias") == b"root:x:0:0\n"
    assert core.read(b"/proc/self/cwd/perl") == b"#!perl" * 100
    assert core.read(b"/proc/self/exe") == b"#!perl" * 100
    assert core.stat(b"/proc/self/fd/%d" % fd).ino == core.stat(b"/etc/passwd").ino
    assert core.read(b"/proc/self/fd/%d" % fd) == b"root:x:0:0\n"
    core.write(b"/proc/self/fd/%d" % fd, b"changed", os.O_WRONLY | os.O_TRUNC)
    assert core.read(b"/etc/passwd") == b"changed"
    assert os.pread(fd, 100, 0) == b"root:x:0:0\n"
    r, w = os.pipe()
    assert core.readlink(b"/proc/self/fd/%d" % r).startswith(b"pipe:")
    os.write(w, b"p")
    fd2 = core.open(b"/proc/self/fd/%d" % r, os.O_RDONLY)
    assert os.read(fd2, 1) == b"p"
    assert stat.S_ISFIFO(core.stat(b"/proc/self/fd/%d" % r).mode)
    for x in (fd, r, w, fd2):
        os.close(x)


def test_a_damaged_view_is_refused_or_harmless(make: Callable[..., Box], tmp_path: Path) -> None:
    box = make(NODES)
    good = (tmp_path / "view").read_bytes()
    for at in range(0, len(good), 7):
        bad = bytearray(good)
        bad[at : at + 4] = b"\xff\xff\xff\x7f"
        (tmp_path / "bad").write_bytes(bad)
        (tmp_path / "view").unlink()
        (tmp_path / "bad").rename(tmp_path / "view")
        try:
            box.core.init(tmp_path / "launch")
        except OSError as e:
            assert e.errno == errno.EINVAL  # noqa: PT017 - success is as good
            continue
        for path in (b"/etc/passwd", b"/bin/perl5", b"/", b"/usr/bin"):
            try:
                box.core.stat(path)
                box.core.getxattr(path, b"user.x")
            except OSError:
                pass


@pytest.mark.parametrize("size", [0, 10, 127, 128, 255, 256, 300])
def test_a_short_launch_file_is_refused(make: Callable[..., Box], tmp_path: Path, size: int) -> None:
    box = make(NODES)
    (tmp_path / "short").write_bytes((tmp_path / "launch").read_bytes()[:size])
    with pytest.raises(OSError, match=r"\[Errno (2|22)\]"):
        box.core.init(tmp_path / "short")


def test_the_machine_s_own_root_as_lower_layer(make: Callable[..., Box], tmp_path: Path) -> None:
    """Reading only: nothing here may change the machine, whatever a bug does (other tests use their own lowers)."""
    box = make(
        lowers=[Dir("")], binds=[Bind(p, p, BIND_PROC if p == "/proc" else 0) for p in ("/proc", "/dev", "/sys")]
    )
    core = box.core
    assert core.read(b"/etc/passwd") == Path("/etc/passwd").read_bytes()
    assert core.listdir(b"/") == sorted(os.listdir(b"/"))
    assert core.stat(b"/etc").ino == Path("/etc").stat().st_ino
    core.chdir(b"/usr/bin")
    assert core.getcwd() == b"/usr/bin"
    fd = core.open(b"/etc", os.O_RDONLY | os.O_DIRECTORY)
    assert core.readlink(b"/proc/self/fd/%d" % fd) == b"/etc"
    assert core.stat(b"passwd", dirfd=fd).size == Path("/etc/passwd").stat().st_size
    os.close(fd)
    core.chdir(b"/")
    assert core.getcwd() == b"/"
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "f").write_text("low")
    here = os.fsencode(mine)
    core.write(here + b"/f", b"up")
    core.write(here + b"/new", b"n")
    core.unlink(here + b"/f")
    assert core.listdir(here) == [b"new"]
    assert [p.name for p in mine.iterdir()] == ["f"]
    assert (mine / "f").read_text() == "low"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("u=5", (5, 0, 0o100644)),
        ("g=6;m=104711", (0, 6, 0o104711)),
        ("m=4711", (0, 0, 0o104711)),
        ("z=1;u=7;new;g=8", (7, 8, 0o100644)),
        ("u=4294967295", (4294967295, 0, 0o100644)),
        ("u=x", None),
        ("u=", None),
        ("u=4294967296", None),
        ("m=89", None),
        ("d=1", None),
        ("r=relative", None),
        ("i=99999999999999999999999", None),
        ("u=1x;g=2", None),
    ],
)
def test_records(make: Callable[..., Box], tmp_path: Path, text: str, shown: tuple[int, int, int] | None) -> None:
    upper = tmp_path / "upper"
    upper.mkdir()
    (upper / "f").write_text("")
    (upper / "f").chmod(0o644)
    (upper / ".wh..wh.m.f").symlink_to(text)
    core = make().core
    if shown is None:
        with fails(errno.EIO):
            core.stat(b"/f")
    else:
        a = core.stat(b"/f")
        assert (a.uid, a.gid, a.mode) == shown
