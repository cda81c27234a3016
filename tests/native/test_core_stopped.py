"""A process that is stopped between the walk of its paths and the upper's lock, while another changes those
directories: it does what it would have done a moment later (docs/format.md section 7)."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import signal
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest

from tests.support.boxes import box as box_module
from tests.support.boxes.box import Box, d, f, fails, forked
from tests.support.boxes.corelib import Core

PATIENCE_S = 20
COUNT = 100
EXCHANGE, NOREPLACE = 2, 1
NODES = {
    b"/d": d(),
    b"/d/x": d(),
    b"/d/x/f": f(b"lower"),
    b"/d/x/empty": d(),
    b"/e": d(),
    b"/e/y": d(),
}
IN_X = {b"f", b"empty"}


@pytest.fixture(params=[False, True], ids=["whiteouts", "map"])
def box(make: Callable[..., Box], monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Box:
    monkeypatch.setattr(box_module, "REMOVALS", request.param)
    return make(NODES)


def waits(pid: int) -> bool:
    """Does the process wait for a lock?"""
    lines = [line.split() for line in Path("/proc/locks").read_text().splitlines()]
    return any(line[1] == "->" and line[2] == "FLOCK" and line[5] == str(pid) for line in lines)


@contextlib.contextmanager
def meanwhile(box: Box, act: Callable[[], object], expected: int) -> Iterator[None]:
    """Stop a child that does `act` where it waits for the lock, for the time of the block; then it ends with
    `expected`, an errno or 0."""
    with (box.root / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        pid = os.fork()
        if pid == 0:
            code = 255
            try:
                act()
                code = 0
            except OSError as error:
                code = error.errno or 255
            finally:
                os._exit(code)
        until = time.monotonic() + PATIENCE_S
        while not waits(pid) and time.monotonic() < until:
            assert os.waitpid(pid, os.WNOHANG) == (0, 0), "it did not wait for the lock"
            time.sleep(0.001)
        os.kill(pid, signal.SIGSTOP)
        assert os.WIFSTOPPED(os.waitpid(pid, os.WUNTRACED)[1])
        fcntl.flock(lock, fcntl.LOCK_UN)  # the child has this descriptor, too
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    assert errno.errorcode.get(code, code) == errno.errorcode.get(expected, expected)


def names(core: Core, path: bytes) -> set[bytes]:
    return set(core.listdir(path)) - {b".", b".."}


ACTS: dict[str, Callable[[Core], object]] = {
    "rename": lambda core: core.rename(b"/d/x", b"/second"),
    "rename below": lambda core: core.rename(b"/d/x/empty", b"/second"),
    "rename to below": lambda core: core.rename(b"/e/y", b"/d/x/y"),
    "create": lambda core: core.write(b"/d/x/new", b"x", os.O_CREAT | os.O_WRONLY),
    "mkdir": lambda core: core.mkdir(b"/d/x/new"),
    "symlink": lambda core: core.symlink(b"to", b"/d/x/new"),
    "link": lambda core: core.link(b"/d/x/f", b"/d/x/new"),
    "append": lambda core: core.write(b"/d/x/f", b"x", os.O_WRONLY | os.O_APPEND),
    "chmod": lambda core: core.chmod(b"/d/x", 0o700),
    "chmod of a file": lambda core: core.chmod(b"/d/x/f", 0o600),
    "unlink": lambda core: core.unlink(b"/d/x/f"),
    "rmdir": lambda core: core.rmdir(b"/d/x/empty"),
}


@pytest.mark.parametrize("act", list(ACTS))
def test_a_renamed_directory_does_not_appear_again_at_its_old_path(box: Box, act: str) -> None:
    core = box.core
    with meanwhile(box, lambda: ACTS[act](core), errno.ENOENT):
        core.rename(b"/d/x", b"/first")
    assert names(core, b"/") == {b"d", b"e", b"first"}
    assert names(core, b"/d") == set()
    assert names(core, b"/first") == IN_X
    assert core.read(b"/first/f") == b"lower"


@pytest.mark.parametrize("act", list(ACTS))
def test_a_removed_directory_does_not_appear_again(box: Box, act: str) -> None:
    core = box.core
    with meanwhile(box, lambda: ACTS[act](core), errno.ENOENT):
        core.unlink(b"/d/x/f")
        core.rmdir(b"/d/x/empty")
        core.rmdir(b"/d/x")
    assert names(core, b"/") == {b"d", b"e"}
    assert names(core, b"/d") == set()


def test_a_name_is_looked_up_in_the_directory_that_has_the_path_now(box: Box) -> None:
    core = box.core
    with meanwhile(box, lambda: core.rename(b"/d/x", b"/second"), errno.ENOENT):
        core.rename(b"/d", b"/e", EXCHANGE)
    assert (names(core, b"/d"), names(core, b"/e/x")) == ({b"y"}, IN_X)


def test_a_target_that_exists_now_is_not_replaced(box: Box) -> None:
    core = box.core
    with meanwhile(box, lambda: core.rename(b"/e/y", b"/d/y", NOREPLACE), errno.EEXIST):
        core.rename(b"/d", b"/d2")
        core.mkdir(b"/d")
        core.mkdir(b"/d/y")
    assert (names(core, b"/d"), names(core, b"/e")) == ({b"y"}, {b"y"})


def test_a_directory_that_has_an_entry_now_is_not_removed(box: Box) -> None:
    core = box.core
    with meanwhile(box, lambda: core.rmdir(b"/d/x/empty"), errno.ENOTEMPTY):
        core.write(b"/d/x/empty/new", b"new", os.O_CREAT | os.O_WRONLY)
    assert core.read(b"/d/x/empty/new") == b"new"


def several(act: Callable[[bytes], object], each: Iterable[bytes], *expected: int) -> Callable[[], None]:
    def work() -> None:
        for n in each:
            try:
                act(n)
            except OSError as error:
                if error.errno not in expected:
                    raise

    return work


def ended(*children: Callable[[], None]) -> None:
    pids = [forked(work) for work in children]
    assert [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids] == [0] * len(pids)


def test_no_directory_has_two_places(make: Callable[..., Box]) -> None:
    """Two processes make files in directories that a third one renames."""
    numbers = [b"%d" % i for i in range(COUNT)]
    core = make({b"/d": d(), b"/e": d(), **{b"/d/" + n: d() for n in numbers}}).core
    make_file = several(
        lambda n: core.write(b"/d/" + n + b"/new", b"x", os.O_CREAT | os.O_WRONLY), numbers, errno.ENOENT, errno.EEXIST
    )
    ended(several(lambda n: core.rename(b"/d/" + n, b"/e/" + n), numbers), make_file, make_file)
    assert names(core, b"/d") == set()
    assert names(core, b"/e") == set(numbers)


@pytest.mark.parametrize("form", ["whiteouts", "map", "redirects"])
def test_a_directory_that_is_not_replaced_stays_as_it_was(
    make: Callable[..., Box], monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    """A process that had found the target makes a file in it while its whiteouts are removed."""
    monkeypatch.setattr(box_module, "REMOVALS", form == "map")
    rounds = [b"%d" % i for i in range(4)]
    nodes = {b"/a": d(), b"/b": d()}
    for n in rounds:
        nodes |= {b"/a/" + n: d(), b"/a/" + n + b"/mine": f(), b"/b/" + n: d()}
        nodes |= {b"/b/%s/%d" % (n, k): f() for k in range(5 * COUNT)}
    box = make(nodes)
    core = box.core
    for n in rounds:
        for k in range(5 * COUNT):
            core.unlink(b"/b/%s/%d" % (n, k))
        if form == "redirects":
            core.rename(b"/b/" + n, b"/c")
            core.rename(b"/c", b"/b/" + n)
    core.call("rl_removals_sync")
    for n in rounds:
        inside = os.open(box.upper / "b" / n.decode(), os.O_RDONLY | os.O_DIRECTORY)
        name = os.readlink(f"/proc/self/fd/{inside}")
        box.bloom.add(b"/b/" + n + b"/new")
        child = forked(several(lambda n: core.rename(b"/a/" + n, b"/b/" + n), [n], errno.ENOTEMPTY))
        while os.readlink(f"/proc/self/fd/{inside}") == name:
            pass
        with contextlib.suppress(FileNotFoundError):  # too late: it was removed
            os.close(os.open("new", os.O_CREAT | os.O_WRONLY, dir_fd=inside))
        os.close(inside)
        assert os.waitpid(child, 0)[1] == 0
        if n in names(core, b"/a"):
            assert (names(core, b"/a/" + n), names(core, b"/b/" + n)) == ({b"mine"}, {b"new"})
        else:
            assert names(core, b"/b/" + n) == {b"mine"}


def test_a_removal_that_was_not_finished_before_its_directory_moved_did_not_happen(
    make: Callable[..., Box], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its process was killed after it had set the bit: programs and Python see the file."""
    monkeypatch.setattr(box_module, "REMOVALS", True)
    box = make(NODES)
    core = box.core
    core.rename(b"/d/x", b"/moved")
    assert box.view
    number = {path: number for number, path in box.view.paths.items()}[b"/d/x/f"]
    with (box.root / "removed").open("r+b") as bits:
        bits.seek(64 + number // 8)
        before = bits.read(1)[0]
        bits.seek(64 + number // 8)
        bits.write(bytes([before | 1 << number % 8]))
    assert core.read(b"/moved/f") == b"lower"
    assert names(core, b"/moved") == IN_X
    core.write(b"/moved/f", b"+", os.O_WRONLY | os.O_APPEND)
    assert core.read(b"/moved/f") == b"lower+"
    core.unlink(b"/moved/f")
    with fails(errno.ENOENT):
        core.stat(b"/moved/f")
    assert names(core, b"/moved") == {b"empty"}
