"""Paths of more than 12,000 bytes, reached by chdir and descriptors, inside an activation: as in a plain directory."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from rootlay.vfs import Container

NAME = "n" * 200
LEVELS = 63


@contextlib.contextmanager
def working_directory(path: str) -> Iterator[None]:
    before = os.open(".", os.O_RDONLY | os.O_DIRECTORY)
    os.chdir(path)
    try:
        yield
    finally:
        os.fchdir(before)
        os.close(before)


def work() -> list[object]:
    """Make, change, read and remove a deep tree in the working directory; return what the calls say."""
    os.mkdir("top")
    with working_directory("top"):
        for _ in range(LEVELS):
            os.mkdir(NAME)
            os.chdir(NAME)
        Path("f").write_text("deep")
        os.mkdir("sub")
        said: list[object] = [Path("f").read_text(), os.stat("f").st_size, os.stat("sub").st_mode]
        said += [sorted(os.listdir()), os.path.exists(f"../{NAME}/f")]
        os.rename("f", "g")
        os.symlink("g", "l")
        said += [os.readlink("l"), Path("l").read_text(), sorted(os.listdir())]
        with os.scandir() as entries:
            said.append(sorted((entry.name, entry.is_dir(), entry.is_symlink()) for entry in entries))
        here = os.open(".", os.O_RDONLY | os.O_DIRECTORY)
        os.chmod("g", 0o600, dir_fd=here)
        said.append(os.stat("g", dir_fd=here).st_mode)
        os.close(here)
        os.unlink("l")
        os.chdir("..")
        said.append(os.listdir())
    shutil.rmtree("top")
    return [*said, os.path.exists("top")]


@pytest.mark.parametrize("user", ["0", "user"])
def test_deep_paths_are_as_in_a_plain_directory(container: Container, tmp_path: Path, user: str) -> None:
    with working_directory(str(tmp_path)):
        expected = work()
    with container.activate(cwd="/tmp", user=user):
        assert work() == expected


def test_the_name_of_a_deep_working_directory_is_too_long(container: Container) -> None:
    """ADR 26: libc outside finds it by `..`."""
    with container.activate(cwd="/tmp"):
        for _ in range(LEVELS):
            os.mkdir(NAME)
            os.chdir(NAME)
        with pytest.raises(OSError, match=os.strerror(errno.ENAMETOOLONG)):
            os.getcwd()
