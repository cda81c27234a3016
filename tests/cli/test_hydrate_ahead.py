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

from tests.cli.conftest import Rootlay

PATIENCE_S = 120
READ = "usr/share/doc/one/readme"
UNREAD = "usr/share/doc/two/readme"


def until(condition: Callable[[], bool]) -> None:
    """The hydrator works on its own: wait for what it is to do."""
    end = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.01)


@contextmanager
def waiting_program(small: Rootlay, image: str) -> Iterator[None]:
    """A container whose only program waits: it asks for no file but its own and its libraries."""
    command = [sys.executable, "-m", "rootlay.cli.main", "run", "-i", "--rm", image, "cat"]
    environ = {**os.environ, "ROOTLAY_ROOT": str(small.root)}
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environ) as process:
        assert process.stdin
        assert process.stdout
        process.stdin.write(b"inside\n")
        process.stdin.flush()
        assert process.stdout.readline() == b"inside\n"
        yield
        process.stdin.close()
    assert process.returncode == 0


def trees(small: Rootlay) -> set[Path]:
    return set((small.root / "layers").glob("*/tree"))


def records(small: Rootlay) -> set[Path]:
    return set((small.root / "views").glob("*.asked"))


def first_run(small: Rootlay) -> Path:
    """Read a file of the image; the tree of its layer."""
    assert small.out("run", "--rm", "small", "cat", f"/{READ}") == "one\n"
    until(lambda: bool(records(small)))
    (tree,) = trees(small)
    return tree


def test_what_was_read_is_made_again_before_it_is_asked_for(small: Rootlay) -> None:
    tree = first_run(small)
    assert (tree / READ).exists()
    shutil.rmtree(tree)
    with waiting_program(small, "small"):
        until(lambda: (tree / READ).exists())
    assert (tree / READ).read_text() == "one\n"
    assert not (tree / UNREAD).exists(), "what nobody has read is not made"


def test_a_later_image_of_the_name_finds_it_made(small: Rootlay, small_tree: Path, tmp_path: Path) -> None:
    before = first_run(small)
    later = tmp_path / "later"
    shutil.copytree(small_tree, later, symlinks=True)
    (later / READ).write_text("new\n")
    small("import", str(later), "small:2")
    with waiting_program(small, "small:2"):
        until(lambda: any((tree / READ).exists() for tree in trees(small) - {before}))
    (tree,) = trees(small) - {before}
    assert (tree / READ).read_text() == "new\n"
    assert not (tree / UNREAD).exists()
    assert (before / READ).read_text() == "one\n"


def test_a_program_is_served_while_files_are_made_ahead(small: Rootlay, tmp_path: Path) -> None:
    """It asks in the opposite order, and for what was not asked for before."""
    image = tmp_path / "many"
    small("export", "-o", str(tmp_path / "small.tar"), _container(small))
    image.mkdir()
    subprocess.run(["tar", "-xf", str(tmp_path / "small.tar"), "-C", str(image)], check=True)
    (image / "many").mkdir()
    for number in range(300):
        (image / "many" / f"{number:03}").write_bytes(b"%d\n" % number * 1000)
    small("import", str(image), "many")
    names = [f"/many/{number:03}" for number in range(0, 300, 2)]
    small("run", "--rm", "many", "cat", *names)
    until(lambda: bool(records(small)))
    for tree in trees(small):
        shutil.rmtree(tree)
    everything = [f"/many/{number:03}" for number in reversed(range(300))]
    expected = b"".join(b"%d\n" % number * 1000 for number in reversed(range(300)))
    assert small("run", "--rm", "many", "cat", *everything).stdout == expected


def _container(small: Rootlay) -> str:
    small("create", "--name", "whole", "small")
    return "whole"
