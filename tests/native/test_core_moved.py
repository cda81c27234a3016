"""Open directories, working directories and files of the layers below whose directory, or one above it, is renamed:
the kernel goes on telling their old path."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from tests.support.boxes.box import Box, d, f, fails, forked, ln
from tests.support.boxes.corelib import Core
from tests.support.boxes.launchfile import ATTRIBUTES, MARKS, Bind, Dir

LONG = b"n" * 250  # its record has a name of another kind
NODES = {
    b"/a": d(),
    b"/a/b": d(),
    b"/a/b/c": d(),
    b"/a/b/c/f": f(b"lower\n"),
    b"/a/b/c/l": ln(b"d/x"),
    b"/a/b/g": f(b"g"),
    b"/a/b/c/d": d(),
    b"/a/b/c/d/x": f(b"xx"),
    b"/o": d(),
    b"/o/b": d(),
    b"/o/b/c": d(),
    b"/o/b/c/f": f(b"another"),
    b"/" + LONG: d(),
    b"/" + LONG + b"/f": f(b"lower\n"),
}


@pytest.fixture(params=[True, False], ids=["filter", "no filter"])
def box(request: pytest.FixtureRequest, make: Callable[..., Box]) -> Box:
    return make(NODES, bloom=request.param)


def opened(box: Box, path: bytes) -> int:
    return box.core.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)


@pytest.fixture
def low(box: Box) -> Iterator[int]:
    """A directory that only the view has."""
    fd = opened(box, b"/a/b/c")
    yield fd
    os.close(fd)


def elsewhere(action: Callable[[], object]) -> None:
    assert os.waitstatus_to_exitcode(os.waitpid(forked(action), 0)[1]) == 0


def here(action: Callable[[], object]) -> None:
    action()


def name_of(core: Core, fd: int) -> bytes:
    return core.virtual(os.fsencode(os.readlink(f"/proc/self/fd/{fd}")))


def names(box: Box, fd: int) -> list[bytes]:
    os.lseek(fd, 0, os.SEEK_SET)
    return sorted(e.name for e in box.core.getdents(fd) if e.name not in (b".", b".."))


def check(box: Box, fd: int, path: bytes) -> None:
    """All that can be asked by the descriptor of /a/b/c, which is called `path` now."""
    core = box.core
    for _ in range(2):
        assert name_of(core, fd) == path
        assert core.stat(b"f", dirfd=fd).size == 6
        assert core.stat(b"d/x", dirfd=fd).size == 2
        assert core.readlink(b"l", dirfd=fd) == b"d/x"
        assert core.stat(b"l", dirfd=fd).size == 2
        assert core.stat(b"../" + os.path.basename(path) + b"/f", dirfd=fd).size == 6
        assert core.fstat(fd).ino == core.stat(path).ino
        assert names(box, fd) == [b"d", b"f", b"l"]
        with fails(errno.ENOENT):
            core.stat(b"nothing", dirfd=fd)
    with os.fdopen(core.open(b"f", os.O_RDONLY, dirfd=fd), "rb") as file:
        assert file.read() == b"lower\n"


@pytest.mark.parametrize("who", [here, elsewhere])
@pytest.mark.parametrize(
    ("moves", "path"),
    [
        ([(b"/a/b/c", b"/c")], b"/c"),
        ([(b"/a/b", b"/z")], b"/z/c"),
        ([(b"/a", b"/z")], b"/z/b/c"),
        ([(b"/a", b"/z"), (b"/z", b"/y")], b"/y/b/c"),
        ([(b"/a/b", b"/z"), (b"/o", b"/a/b")], b"/z/c"),
        ([(b"/a/b/c", b"/a/e"), (b"/a", b"/z")], b"/z/e"),
        ([(b"/a", b"/z"), (b"/z/b", b"/y"), (b"/y/c", b"/z/c")], b"/z/c"),
        ([(b"/a", b"/z"), (b"/z", b"/a")], b"/a/b/c"),
        ([(b"/a", b"/o/a"), (b"/o", b"/" + LONG + b"/o")], b"/" + LONG + b"/o/a/b/c"),
        ([(b"/" + LONG, b"/m"), (b"/a", b"/" + LONG)], b"/" + LONG + b"/b/c"),
    ],
)
def test_a_directory_is_found_under_its_new_name(
    box: Box,
    low: int,
    who: Callable[[Callable[[], object]], None],
    moves: Sequence[tuple[bytes, bytes]],
    path: bytes,
) -> None:
    assert name_of(box.core, low) == b"/a/b/c"
    for old, new in moves:
        who(lambda old=old, new=new: box.core.rename(old, new))  # type: ignore[misc]
    check(box, low, path)
    box.core.chmod(b"/a/b" if path == b"/a/b/c" else os.path.dirname(path), 0o711)  # something changes
    check(box, low, path)


def test_two_directories_that_change_places(box: Box, low: int) -> None:
    box.core.rename(b"/a/b", b"/o/b", 2)
    check(box, low, b"/o/b/c")
    assert box.core.stat(b"/a/b/c/f").size == 7


def test_what_is_changed_by_descriptor(box: Box, low: int) -> None:
    core = box.core
    core.rename(b"/a/b", b"/z")
    core.chmod(None, 0o750, dirfd=low)
    core.chown(None, 5, 6, dirfd=low)
    core.utimens(None, 10**18, 10**18, dirfd=low)
    core.setxattr(None, b"user.k", b"v", fd=low)
    for _ in range(2):
        for a in (core.stat(b"/z/c"), core.fstat(low)):
            assert (stat.S_IMODE(a.mode), a.uid, a.gid, a.mtime) == (0o750, 5, 6, 10**18)
        assert core.getxattr(b"/z/c", b"user.k") == core.getxattr(None, b"user.k", fd=low) == b"v"
    fd = core.open(b"new", os.O_WRONLY | os.O_CREAT, dirfd=low)
    os.write(fd, b"new")
    os.close(fd)
    core.call("rl_unlink", low, b"f", 0)
    core.call("rl_mkdir", low, b"m", 0o755)
    core.call("rl_rename", low, b"d", low, b"e", 0)
    assert names(box, low) == core.listdir(b"/z/c") == [b"e", b"l", b"m", b"new"]
    with fails(errno.ENOENT):
        core.stat(b"/a/b")


def test_the_working_directory(box: Box) -> None:
    core = box.core
    core.chdir(b"/a/b/c")
    assert core.getcwd() == b"/a/b/c"
    core.rename(b"/a", b"/z")
    assert core.getcwd() == b"/z/b/c"
    assert core.stat(b"f").size == 6
    assert core.access(b"f", os.R_OK) is None
    core.chdir(b"..")
    assert core.getcwd() == b"/z/b"
    core.chdir(b"c")
    assert core.getcwd() == b"/z/b/c"
    elsewhere(lambda: (core.rename(b"/z/b", b"/y"), core.mkdir(b"/z/b"), core.mkdir(b"/z/b/c")))
    assert core.getcwd() == b"/y/c"
    elsewhere(lambda: core.stat(b"f"))  # a child stands where its parent does
    fd = opened(box, b"/y/c/d")
    core.call("rl_fchdir", fd)
    os.close(fd)
    core.rename(b"/y/c/d", b"/d")
    assert core.getcwd() == b"/d"
    core.unlink(b"/d/x")
    core.rmdir(b"/d")
    with fails(errno.ENOENT):
        core.getcwd()
    with fails(errno.ENOENT):
        core.stat(b"x")


@pytest.mark.parametrize("again", [False, True], ids=["gone", "another has its name"])
@pytest.mark.parametrize("moved", [False, True], ids=["in its place", "moved"])
def test_a_directory_that_is_removed(box: Box, again: bool, moved: bool) -> None:
    core = box.core
    fd = opened(box, b"/a/b/c/d")
    top = b"/a/b/c"
    if moved:
        core.rename(b"/a/b", b"/z")
        top = b"/z/c"
    core.unlink(top + b"/d/x")
    core.rmdir(top + b"/d")
    if again:
        core.mkdir(top + b"/d")
        core.write(top + b"/d/x", b"1")
    for _ in range(2):
        with fails(errno.ENOENT):
            core.stat(b"x", dirfd=fd)
        with fails(errno.ENOENT):
            core.open(b"y", os.O_WRONLY | os.O_CREAT, dirfd=fd)
        with fails(errno.ENOENT):
            core.call("rl_mkdir", fd, b"y", 0o755)
        with fails(errno.ENOENT):
            names(box, fd)
        assert (core.stat(b".", dirfd=fd).mode, core.fstat(fd).mode) == (stat.S_IFDIR | 0o755,) * 2
        assert core.fstat(fd).nlink == 0
        same = core.open(b".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dirfd=fd)
        with fails(errno.ENOENT):
            names(box, same)
        os.close(same)
        with fails(errno.EISDIR):
            core.open(b".", os.O_WRONLY | os.O_CREAT, dirfd=fd)
    assert core.listdir(top) == ([b"d", b"f", b"l"] if again else [b"f", b"l"])
    os.close(fd)


def test_a_directory_from_elsewhere_is_not_opened(box: Box, tmp_path: Path) -> None:
    fd = os.open(tmp_path, os.O_RDONLY)
    with fails(errno.ENOENT):
        box.core.open(b".", os.O_RDONLY, dirfd=fd)
    os.close(fd)


def test_files_below_a_renamed_directory(box: Box) -> None:
    core = box.core
    fd = core.open(b"/a/b/c/f", os.O_RDONLY)
    ino = core.fstat(fd).ino
    core.rename(b"/a/b", b"/z")
    assert name_of(core, fd) == b"/z/c/f"
    assert (core.fstat(fd).ino, core.stat(b"/z/c/f").ino) == (ino, ino)
    core.chmod(None, 0o640, dirfd=fd)
    core.chown(None, 7, 8, dirfd=fd)
    core.utimens(None, 10**18, 10**18, dirfd=fd)
    core.setxattr(None, b"user.k", b"v", fd=fd)
    for a in (core.stat(b"/z/c/f"), core.fstat(fd)):
        assert (stat.S_IMODE(a.mode), a.uid, a.gid, a.mtime, a.ino) == (0o640, 7, 8, 10**18, ino)
    assert core.getxattr(b"/z/c/f", b"user.k") == b"v"
    os.close(fd)


def test_what_proc_tells(make: Callable[..., Box]) -> None:
    box = make(NODES, binds=[Bind("/proc", "/proc", 2)])
    core = box.core
    fd = opened(box, b"/a/b/c")
    file = core.open(b"/a/b/c/f", os.O_RDONLY)
    core.chdir(b"/a/b")
    core.rename(b"/a", b"/z")
    assert core.readlink(b"/proc/self/fd/%d" % fd) == b"/z/b/c"
    assert core.readlink(b"/proc/self/fd/%d" % file) == b"/z/b/c/f"
    assert core.readlink(b"/proc/self/cwd") == b"/z/b"
    assert core.stat(b"/proc/self/fd/%d/f" % fd).size == 6
    assert core.stat(b"/proc/self/cwd/c/f").size == 6
    assert core.stat(b"/proc/self/fd/%d" % file).ino == core.stat(b"/z/b/c/f").ino


def frozen(make: Callable[..., Box], box: Box, lowers: Sequence[Dir] = ()) -> Box:
    """A container whose upper is empty, above one that is what another's was."""
    upper = box.upper.rename(box.root / f"frozen{len(lowers)}")
    box.bloom.path.rename(box.root / f"bloom{len(lowers)}")
    (box.root / "hydrator").unlink()
    top = Dir(str(upper), MARKS | ATTRIBUTES, str(box.root / f"bloom{len(lowers)}"))
    return make(NODES, lowers=[top, *lowers])


def test_redirects_of_several_uppers(make: Callable[..., Box]) -> None:
    box = make(NODES)
    box.core.rename(b"/a", b"/m")
    box = frozen(make, box)
    core = box.core
    core.rename(b"/m/b", b"/n")
    core.rename(b"/o", b"/p")
    box = frozen(make, box, box.launch.dirs[1:])
    fd, root = opened(box, b"/n/c"), opened(box, b"/n")
    check(box, fd, b"/n/c")
    core.rename(b"/n", b"/m/q")
    check(box, fd, b"/m/q/c")
    assert name_of(core, root) == b"/m/q"
    core.rename(b"/m", b"/y")
    check(box, fd, b"/y/q/c")
    core.rename(b"/p", b"/m")
    assert core.stat(b"c/f", dirfd=root).size == 6
    assert core.stat(b"../../m/b/c/f", dirfd=root).size == 7


def test_directories_of_a_frozen_upper(make: Callable[..., Box]) -> None:
    box = make(NODES)
    core = box.core
    core.mkdir(b"/a/own")
    core.mkdir(b"/a/own/sub")
    core.write(b"/a/own/sub/f", b"123")
    box = frozen(make, box)
    fd = opened(box, b"/a/own/sub")
    file = core.open(b"/a/own/sub/f", os.O_RDONLY)
    core.rename(b"/a", b"/z")
    core.mkdir(b"/a")
    for _ in range(2):
        assert name_of(core, fd) == b"/z/own/sub"
        assert name_of(core, file) == b"/z/own/sub/f"
        assert core.stat(b"f", dirfd=fd).size == 3
    core.chmod(None, 0o600, dirfd=file)
    assert stat.S_IMODE(core.stat(b"/z/own/sub/f").mode) == 0o600
    assert stat.S_IMODE(core.fstat(file).mode) == 0o600
