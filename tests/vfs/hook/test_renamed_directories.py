"""Open directories of an image keep their names when they, or those above them, are renamed: in both engines what a
plain directory shows."""

from __future__ import annotations

import ast
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from rootlay.store.containers.record import Bind
from rootlay.vfs import Container, Store
from tests.support.rootfs import build_rootfs, copy_program
from tests.vfs.hook import renamed


def fill(root: Path) -> None:
    for name in ("a/b/c/d", "o/c"):
        (root / name).mkdir(parents=True)
    for name in ("a/b/c/f", "a/b/c/d/x", "a/b/g", "o/c/f"):
        (root / name).write_text(f"{name}\n")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    base = tmp_path_factory.mktemp("renamed")
    tree = base / "tree"
    tree.mkdir()
    build_rootfs(tree, ("sh", "pwd", "ls", "mv", "rm", "readlink"))
    copy_program(Path(sys.executable), tree, tree / "bin/unused")
    fill(tree / "w")
    store = Store.open(base / "store")
    store.import_rootfs(tree, "renamed")
    return store


@pytest.fixture
def container(store: Store) -> Iterator[Container]:
    with store.image("renamed").container(binds=[Bind(sys.base_prefix, sys.base_prefix, True)]) as made:
        yield made


@pytest.fixture
def expected(tmp_path: Path) -> list[object]:
    fill(tmp_path / "w")
    here = os.getcwd()
    try:
        return list(renamed.story(str(tmp_path / "w")))
    finally:
        os.chdir(here)


def test_in_a_program(container: Container, expected: list[object]) -> None:
    command = [os.path.realpath(sys.executable), "-I", "-c", Path(renamed.__file__).read_text(), "/w"]
    done = container.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert [(name, drop(found)) for name, found in ast.literal_eval(done.stdout)] == expected


def test_in_an_activation(container: Container, expected: list[object]) -> None:
    with container.activate():
        seen = renamed.story("/w")
    assert [(name, drop(found)) for name, found in seen] == expected


def drop(found: object) -> object:
    """The root of the plain tree is taken out of its paths, and so is that of this one."""
    return found.replace("/w/", "/") if isinstance(found, str) else found


def test_when_the_rules_of_python_rename_them(container: Container) -> None:
    with container.activate():
        os.chdir("/w/a/b/c")
        fd = os.open(".", renamed.DIRECTORY)
        assert os.listdir(fd)
    container.overlay.rename("/w/a", "/w/z")
    with container.activate():
        os.fchdir(fd)
        assert os.getcwd() == "/w/z/b/c"
        assert os.stat("f", dir_fd=fd).st_size == 8
    container.overlay.rename("/w/z/b", "/w/y")
    container.overlay.mkdir("/w/z/b")
    with container.activate():
        os.fchdir(fd)
        assert os.getcwd() == "/w/y/c"
        assert os.stat("../g", dir_fd=fd).st_size == 6
        os.close(fd)
