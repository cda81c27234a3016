"""Names: whiteouts, redirects, hard links, long names, and several processes at once."""

from __future__ import annotations

import errno
import multiprocessing
import os
import stat
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from tests.support.boxes.box import Box, d, f, fails
from tests.support.boxes.corelib import FOLLOW, Core
from tests.support.boxes.image import NODES


@pytest.fixture
def box(make: Callable[..., Box]) -> Box:
    return make(NODES)


@pytest.mark.parametrize("length", [244, 245, 251, 252, 255])
def test_long_names_have_short_marks(make: Callable[..., Box], length: int) -> None:
    name = b"/" + b"n" * length
    box = make({name: f(b"long"), b"/" + b"k" * length: d(), b"/" + b"k" * length + b"/x": f(b"x")})
    core = box.core
    core.chmod(name, 0o4755)
    assert stat.S_IMODE(core.stat(name).mode) == 0o4755
    assert {e.name: e.ino for e in core.entries(b"/")}[name[1:]] == core.stat(name).ino
    core.rename(name, b"/short")
    assert stat.S_IMODE(core.stat(b"/short").mode) == 0o4755
    core.rename(b"/short", b"/" + b"m" * length)
    core.rename(b"/" + b"k" * length, b"/" + b"j" * length)
    assert core.listdir(b"/") == [b"j" * length, b"m" * length]
    assert core.read(b"/" + b"j" * length + b"/x") == b"x"
    core.unlink(b"/" + b"m" * length)
    core.write(name, b"new")
    assert core.stat(name).mode == stat.S_IFREG | 0o644


@pytest.mark.parametrize("links", [1, 5, 40, 41])
def test_only_each_link_has_a_longest_text(box: Box, tmp_path: Path, links: int) -> None:
    """What is left to walk may be longer than a path: here 2,000 bytes more with each link."""
    core, plain = box.core, os.fsencode(tmp_path) + b"/plain"
    os.makedirs(plain + b"/l0")
    core.mkdir(b"/l0")
    Path(os.fsdecode(plain), "l0", "file").write_bytes(b"text")
    core.write(b"/l0/file", b"text")
    for i in range(1, links + 1):
        text = b"l%d" % (i - 1) + b"/." * 1000
        os.symlink(text, plain + b"/l%d" % i)
        core.symlink(text, b"/l%d" % i)
    name = b"/l%d/file" % links
    if links <= 40:
        assert os.stat(plain + name).st_size == core.stat(name).size == 4
        return
    for look in (partial(os.stat, plain + name), partial(core.stat, name)):
        with fails(errno.ELOOP):
            look()


def test_a_link_that_leads_to_itself_is_a_loop_however_long_its_text_is(box: Box) -> None:
    box.core.symlink(b"loop/" + b"n" * 1000, b"/loop")
    with fails(errno.ELOOP):
        box.core.stat(b"/loop")


def test_a_directory_below_a_redirect_has_a_working_descriptor(box: Box) -> None:
    core = box.core
    core.rename(b"/lib", b"/lib64")
    core.chdir(b"/lib64/sub/deep")
    assert core.getcwd() == b"/lib64/sub/deep"
    assert core.read(b"x") == b"x"
    fd = core.open(b"/lib64/sub", os.O_RDONLY | os.O_DIRECTORY)
    assert sorted(e.name for e in core.getdents(fd)) == [b".", b"..", b"deep", b"y"]
    assert core.stat(b"../sub/y", dirfd=fd).size == 1
    os.close(fd)


def test_moving_over_a_hidden_directory_does_not_merge_with_it(box: Box) -> None:
    core = box.core
    core.mkdir(b"/fresh")
    core.write(b"/fresh/a", b"a")
    core.unlink(b"/lib/sub/deep/x")
    core.rename(b"/fresh", b"/lib/sub/deep")
    assert core.listdir(b"/lib/sub/deep") == [b"a"]
    core.rename(b"/etc", b"/other")
    core.mkdir(b"/etc")
    assert core.listdir(b"/etc") == []
    core.rename(b"/lib/sub", b"/etc", 2)
    assert core.listdir(b"/etc") == [b"deep", b"y"]
    assert core.listdir(b"/lib/sub") == []


def test_hard_links(box: Box) -> None:
    core = box.core
    core.link(b"/etc/conf", b"/tmp/conf2")
    a, b = core.stat(b"/etc/conf"), core.stat(b"/tmp/conf2")
    assert (a.ino, a.nlink, a.uid) == (b.ino, 2, 3)
    core.write(b"/tmp/conf2", b"both", os.O_WRONLY | os.O_TRUNC)
    assert core.read(b"/etc/conf") == b"both"
    core.link(b"/etc/link", b"/tmp/l")
    assert core.readlink(b"/tmp/l") == b"conf"
    core.link(b"/etc/link", b"/tmp/followed", FOLLOW)
    assert core.stat(b"/tmp/followed").nlink == 3
    with fails(errno.EPERM):
        core.link(b"/etc", b"/tmp/e")
    core.rename(b"/tmp/conf2", b"/etc/conf")
    assert core.stat(b"/tmp/conf2").nlink == 3


def test_a_nameless_file_gets_a_name(box: Box) -> None:
    core = box.core
    try:
        fd = core.open(b"/tmp", os.O_TMPFILE | os.O_RDWR, 0o600)
    except OSError as e:
        if e.errno == errno.EOPNOTSUPP:
            pytest.skip("the file system of the temporary directory has no O_TMPFILE")
        raise
    os.write(fd, b"tmp")
    assert core.fstat(fd).uid == 0
    core.chmod(None, 0o640, dirfd=fd)
    core.call("rl_link", fd, b"", -100, b"/tmp/named", 0x1000)
    assert core.read(b"/tmp/named") == b"tmp"
    os.close(fd)


def _worker(library: Path, launch: Path, number: int) -> None:
    core = Core(library)
    core.init(launch)
    core.identity(0, 0)
    for i in range(60):
        core.write(b"/log", b"%d %d\n" % (number, i), os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        name = b"/dir/f%d" % (i % 7)
        actions: tuple[Callable[[], object], ...] = (
            partial(core.unlink, name),
            partial(core.write, name, b"x", os.O_WRONLY | os.O_CREAT | os.O_EXCL),
            partial(core.chmod, name, 0o4755),
            partial(core.rename, name, b"/dir/g%d" % (number % 3)),
        )
        for action in actions:
            try:
                action()
            except OSError as e:
                assert e.errno in (errno.ENOENT, errno.EEXIST), e  # noqa: PT017 - success is as good


def test_processes_at_once_lose_nothing(make: Callable[..., Box], core_library: Path, tmp_path: Path) -> None:
    nodes = {b"/log": f(b"start\n"), b"/dir": d(), **{b"/dir/f%d" % i: f(b"low") for i in range(7)}}
    box = make(nodes)
    context = multiprocessing.get_context("fork")
    workers = [context.Process(target=_worker, args=(core_library, tmp_path / "launch", n)) for n in range(6)]
    for w in workers:
        w.start()
    for w in workers:
        w.join(60)
        assert w.exitcode == 0
    lines = box.core.read(b"/log").split(b"\n")
    assert lines[0] == b"start"
    assert sorted(lines[1:-1]) == sorted(b"%d %d" % (n, i) for n in range(6) for i in range(60))
    for name in box.core.listdir(b"/dir"):
        box.core.unlink(b"/dir/" + name)
    box.core.rmdir(b"/dir")
    assert [p.name for p in box.upper.rglob(".wh..wh.t.*")] == []


def test_the_bloom_filter_covers_what_moves(box: Box) -> None:
    core = box.core
    core.mkdir(b"/new")
    for path in (b"/new/a", b"/new/a/b", b"/new/a/b/c"):
        core.mkdir(path)
    core.write(b"/new/a/b/c/file", b"1", mode=0o4444)
    core.write(b"/new/a/" + b"n" * 255, b"2", mode=0o4444)
    core.rename(b"/lib", b"/new/a/lib")
    core.rename(b"/new", b"/newer")
    assert core.read(b"/newer/a/b/c/file") == b"1"
    assert stat.S_IMODE(core.stat(b"/newer/a/b/c/file").mode) == 0o4444
    assert stat.S_IMODE(core.stat(b"/newer/a/" + b"n" * 255).mode) == 0o4444
    assert core.read(b"/newer/a/lib/sub/deep/x") == b"x"
