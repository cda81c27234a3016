"""What a first run asked for is made ahead on the next one, before its programs ask (docs/format.md §3)."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.cli.conftest import Rootlay

PATIENCE_S = 120
COUNT = 600
#: Far from the programs and from each other, so that neither is made because a neighbour was asked for.
READ, UNREAD = "many/200", "many/400"


def content(number: int) -> bytes:
    return b"%d\n" % number * 1000


@pytest.fixture
def tree(small_tree: Path, tmp_path: Path) -> Path:
    """The root file system of the image `many`."""
    target = tmp_path / "tree"
    shutil.copytree(small_tree, target, symlinks=True)
    (target / "many").mkdir()
    for number in range(COUNT):
        (target / f"many/{number:03}").write_bytes(content(number))
    return target


@pytest.fixture
def many(rootlay: Rootlay, tree: Path) -> Rootlay:
    rootlay("import", str(tree), "many")
    return rootlay


def until(condition: Callable[[], bool]) -> None:
    """The hydrator works on its own: wait for what it is to do."""
    end = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.01)


@contextmanager
def waiting_program(many: Rootlay, image: str) -> Iterator[None]:
    """A container whose only program waits: it asks for no file but its own and its libraries."""
    command = [sys.executable, "-m", "rootlay.cli.main", "run", "-i", "--rm", image, "cat"]
    environ = {**os.environ, "ROOTLAY_ROOT": str(many.root)}
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environ) as process:
        assert process.stdin
        assert process.stdout
        process.stdin.write(b"inside\n")
        process.stdin.flush()
        assert process.stdout.readline() == b"inside\n"
        yield
        process.stdin.close()
    assert process.returncode == 0


def layers(many: Rootlay) -> set[Path]:
    return {path.parent / "tree" for path in (many.root / "layers").glob("*/index.lmdb")}


def records(many: Rootlay) -> list[Path]:
    return list((many.root / "views").glob("*.asked"))


def first_run(many: Rootlay) -> Path:
    """Read a file of the image. The hydrated tree of its layer."""
    assert many("run", "--rm", "many", "cat", f"/{READ}").stdout == content(200)
    until(lambda: bool(records(many)))
    (hydrated,) = layers(many)
    assert (hydrated / READ).exists()
    return hydrated


def test_what_was_read_is_made_again_before_it_is_asked_for(many: Rootlay) -> None:
    hydrated = first_run(many)
    shutil.rmtree(hydrated)
    with waiting_program(many, "many"):
        until(lambda: (hydrated / READ).exists())
    assert (hydrated / READ).read_bytes() == content(200)
    assert not (hydrated / UNREAD).exists(), "what nobody has read is not made"


def test_without_a_record_it_is_not(many: Rootlay) -> None:
    """The other tests prove nothing if it would be made all the same."""
    hydrated = first_run(many)
    shutil.rmtree(hydrated)
    (record,) = records(many)
    record.unlink()
    with waiting_program(many, "many"):
        pass
    until(lambda: bool(records(many)))  # its hydrator has done
    assert (hydrated / "bin/cat").exists()
    assert not (hydrated / READ).exists()


def test_a_later_image_of_the_name_finds_it_made(many: Rootlay, tree: Path) -> None:
    before = first_run(many)
    (tree / READ).write_text("new\n")
    many("import", str(tree), "many:2")
    (hydrated,) = layers(many) - {before}
    with waiting_program(many, "many:2"):
        until(lambda: (hydrated / READ).exists())
    assert (hydrated / READ).read_text() == "new\n"
    assert not (hydrated / UNREAD).exists()
    assert (before / READ).read_bytes() == content(200)


def test_a_program_is_served_while_files_are_made_ahead(many: Rootlay) -> None:
    """It asks in the opposite order, and for what was not asked for before."""
    many("run", "--rm", "many", "cat", *(f"/many/{number:03}" for number in range(0, COUNT, 2)))
    until(lambda: bool(records(many)))
    (hydrated,) = layers(many)
    shutil.rmtree(hydrated)
    got = many("run", "--rm", "many", "cat", *(f"/many/{number:03}" for number in reversed(range(COUNT)))).stdout
    assert got == b"".join(content(number) for number in reversed(range(COUNT)))
