"""Open databases in a forked child."""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable
from pathlib import Path

import pytest

from rootlay.store.check.subprocesscheck import examine_in_subprocess
from rootlay.store.disk.lmdbfile import LmdbFile, write_sorted

KEY = b"key"


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str, bytes], Path]:
    def write(name: str, value: bytes) -> Path:
        path = tmp_path / name
        write_sorted(path, [(KEY, value)], 8, 1)
        return path

    return write


def in_child(ask: Callable[[], bytes | None]) -> object:
    """Return what `ask` returns in a forked child, or its exception."""
    read_end, write_end = os.pipe()
    pid = os.fork()
    if not pid:
        try:
            try:
                said: object = ask()
            except Exception as error:
                said = error
            os.write(write_end, pickle.dumps(said))
        finally:
            os._exit(0)
    os.close(write_end)
    with open(read_end, "rb") as pipe:
        said = pickle.load(pipe)
    os.waitpid(pid, 0)
    return said


def test_a_removed_file_leaves_the_others_to_a_child(write: Callable[[str, bytes], Path]) -> None:
    removed, kept = LmdbFile(write("removed", b"1")), LmdbFile(write("kept", b"2"))
    try:
        removed._shared.path.unlink()  # type: ignore[union-attr]
        assert in_child(lambda: kept.get(KEY)) == b"2"
        assert isinstance(in_child(lambda: removed.get(KEY)), FileNotFoundError)
        assert (removed.get(KEY), kept.get(KEY)) == (b"1", b"2")
    finally:
        removed.close()
        kept.close()


def test_a_name_that_became_another_file_is_not_taken_for_it(write: Callable[[str, bytes], Path]) -> None:
    first = LmdbFile(write("name", b"1"))
    try:
        os.replace(write("new", b"2"), first._shared.path)  # type: ignore[union-attr]

        def open_again() -> bytes | None:
            return LmdbFile(first._shared.path).get(KEY)  # type: ignore[union-attr]

        assert in_child(open_again) == b"2"
        assert isinstance(in_child(lambda: first.get(KEY)), FileNotFoundError)
    finally:
        first.close()


def test_a_check_in_a_child_says_what_it_failed_with() -> None:
    def fails() -> list[str]:
        raise KeyError("lost")

    [text] = examine_in_subprocess(fails)
    assert text.startswith("reading it fails: KeyError: 'lost' (test_lmdb_fork.py:")
