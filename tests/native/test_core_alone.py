"""Removing and copying up lower files without the upper's lock, beside those who hold it (docs/format.md section 7)."""

from __future__ import annotations

import contextlib
import errno
import os
import struct
from collections.abc import Callable

import pytest

from tests.support.boxes import box as box_module
from tests.support.boxes.box import Box, d, f, fails, forked

COUNT = 150
NODES = {b"/d": d(), **{b"/d/%d" % i: f(b"lower %d\n" % i) for i in range(COUNT)}}
TAKEN_AT = 24


@pytest.fixture
def box(make: Callable[..., Box]) -> Box:
    return make(NODES)


def taken(box: Box) -> tuple[int, int]:
    return struct.unpack_from("<II", box.bloom.path.read_bytes()[:64], TAKEN_AT)


def test_a_lower_file_is_removed_without_the_lock(box: Box) -> None:
    box.core.unlink(b"/d/0")
    before = taken(box)
    box.core.unlink(b"/d/1")
    assert taken(box) == before
    assert (box.upper / "d/.wh.1").exists()
    with fails(errno.ENOENT):
        box.core.stat(b"/d/1")
    with fails(errno.ENOENT):
        box.core.unlink(b"/d/1")


def test_a_lower_file_is_copied_up_without_the_lock(box: Box) -> None:
    box.core.write(b"/d/0", b"x", os.O_WRONLY | os.O_APPEND)
    before = taken(box)
    box.core.write(b"/d/1", b"x", os.O_WRONLY | os.O_APPEND)
    assert taken(box) == before
    assert box.core.read(b"/d/1") == b"lower 1\nx"


def test_a_copy_up_takes_the_lock_where_a_removal_has_begun(box: Box) -> None:
    """Of the bits that a removal sets first, one is enough."""
    box.core.write(b"/d/0", b"x", os.O_WRONLY | os.O_APPEND)
    before = taken(box)
    box.bloom.add(b"/d/1")
    box.core.write(b"/d/1", b"x", os.O_WRONLY | os.O_APPEND)
    assert taken(box) == (before[0] + 1, before[1] + 1)
    box.core.unlink(b"/d/1")
    with fails(errno.ENOENT):
        box.core.stat(b"/d/1")


def test_holders_of_the_lock_are_counted(box: Box) -> None:
    first = taken(box)[0]
    box.core.write(b"/d/new", b"x")
    box.core.chmod(b"/d/2", 0o600)
    assert taken(box)[0] > first
    assert taken(box)[0] == taken(box)[1]


def test_the_lock_is_taken_while_somebody_holds_it_or_died_with_it(box: Box) -> None:
    box.core.unlink(b"/d/0")
    begun, over = taken(box)
    with box.bloom.path.open("r+b") as file:
        file.seek(TAKEN_AT)
        file.write(struct.pack("<I", begun + 1))
    box.core.unlink(b"/d/1")
    assert taken(box) == (begun + 2, begun + 2) != (over, over)
    with fails(errno.ENOENT):
        box.core.stat(b"/d/1")


def tried(each: Callable[[int], object]) -> Callable[[], None]:
    """For all files, those that are there."""

    def work() -> None:
        for i in range(COUNT):
            try:
                each(i)
            except OSError as error:
                if error.errno != errno.ENOENT:
                    raise

    return work


def ways(box: Box) -> dict[str, Callable[[int], object]]:
    return {
        "chmod": lambda i: box.core.chmod(b"/d/%d" % i, 0o640),
        "append": lambda i: box.core.write(b"/d/%d" % i, b"x", os.O_WRONLY | os.O_APPEND),
    }


@pytest.mark.parametrize("way", ["chmod", "append"])
def test_what_is_removed_while_others_copy_it_up_is_gone(box: Box, way: str) -> None:
    """Whichever comes first: afterwards every file is gone, and each was removed exactly once."""
    core = box.core
    copy_up = tried(ways(box)[way])

    def remove(result: int) -> None:
        for i in range(COUNT):
            try:
                core.unlink(b"/d/%d" % i)
                os.write(result, b"%d " % i)
            except OSError as error:
                if error.errno != errno.ENOENT:
                    raise

    read, write = os.pipe()
    children = [forked(copy_up), forked(lambda: remove(write)), forked(lambda: remove(write)), forked(copy_up)]
    os.close(write)
    assert [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in children] == [0] * 4
    with os.fdopen(read, "rb") as file:
        removed = sorted(int(word) for word in file.read().split())
    assert removed == list(range(COUNT))
    assert not [name for name in os.listdir(box.upper / "d") if not name.startswith(".wh.")]
    for i in range(COUNT):
        with fails(errno.ENOENT):
            core.stat(b"/d/%d" % i)


@pytest.mark.parametrize("way", ["chmod", "append"])
def test_what_is_renamed_while_others_copy_it_up_has_one_name(box: Box, way: str) -> None:
    core = box.core
    copy_up = tried(ways(box)[way])
    move = tried(lambda i: core.rename(b"/d/%d" % i, b"/d/new-%d" % i))
    children = [forked(work) for work in (copy_up, move, move, copy_up)]
    assert [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in children] == [0] * 4
    for i in range(COUNT):
        assert core.read(b"/d/new-%d" % i).startswith(b"lower %d\n" % i)
        with fails(errno.ENOENT):
            core.stat(b"/d/%d" % i)


def test_a_directory_whose_files_are_gone_can_be_removed_and_made_again(box: Box) -> None:
    for i in range(COUNT):
        box.core.unlink(b"/d/%d" % i)
    box.core.rmdir(b"/d")
    with fails(errno.ENOENT):
        box.core.stat(b"/d")
    box.core.mkdir(b"/d", 0o755)
    with fails(errno.ENOENT):
        box.core.stat(b"/d/1")


@pytest.mark.parametrize("noted", [False, True])
def test_what_was_removed_from_a_directory_stays_removed_when_its_own_removal_fails(
    make: Callable[..., Box], monkeypatch: pytest.MonkeyPatch, noted: bool
) -> None:
    """Another process makes a file in it at that moment. `noted`: in a removal map."""
    monkeypatch.setattr(box_module, "REMOVALS", noted)
    names = [b"/d/%d" % i for i in range(COUNT)]
    files = {path + b"/%d" % i: f(b"lower") for path in names for i in range(8)}
    box = make({b"/d": d(), **dict.fromkeys(names, d()), **files})
    for path in files:
        box.core.unlink(path)

    def each(act: Callable[[bytes], object]) -> Callable[[], None]:
        def work() -> None:
            for path in names:
                with contextlib.suppress(FileNotFoundError, FileExistsError, NotADirectoryError):
                    try:
                        act(path)
                    except OSError as error:
                        if error.errno != errno.ENOTEMPTY:
                            raise

        return work

    make_file = each(lambda path: box.core.write(path + b"/new", b"x", os.O_CREAT | os.O_WRONLY))
    children = [forked(work) for work in (each(box.core.rmdir), make_file, make_file)]
    assert [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in children] == [0] * 3
    for path in names:
        with contextlib.suppress(FileNotFoundError):
            assert set(box.core.listdir(path)) <= {b"new"}, path
