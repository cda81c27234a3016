"""Files that are asked for by name: whole, or not there, whoever dies."""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import stat
from pathlib import Path

import pytest

from rootlay.store.disk.outfile import output_directory, output_file


@pytest.fixture(params=["nameless", "beside"])
def kind(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """`beside`: a file system without O_TMPFILE."""
    if request.param == "beside":
        real = os.open

        def refuse(path: object, flags: int, mode: int = 0o777) -> int:
            if flags & os.O_TMPFILE == os.O_TMPFILE:
                raise OSError(errno.EOPNOTSUPP, "no such thing", str(path))
            return real(path, flags, mode)  # type: ignore[arg-type]

        monkeypatch.setattr(os, "open", refuse)
    return str(request.param)


@pytest.mark.parametrize("before", [None, b"old"])
def test_the_file_is_whole_at_the_end_and_not_before(tmp_path: Path, kind: str, before: bytes | None) -> None:
    path = tmp_path / "out"
    if before is not None:
        path.write_bytes(before)
    with output_file(path) as stream:
        stream.write(b"new")
        stream.flush()
        assert (path.read_bytes() if path.exists() else None) == before
    assert path.read_bytes() == b"new"
    assert os.listdir(tmp_path) == ["out"]


@pytest.mark.parametrize("before", [None, b"old"])
def test_an_exception_changes_nothing(tmp_path: Path, kind: str, before: bytes | None) -> None:
    path = tmp_path / "out"
    if before is not None:
        path.write_bytes(before)
    with contextlib.suppress(ZeroDivisionError), output_file(path) as stream:
        stream.write(b"new")
        raise ZeroDivisionError
    assert {name: (tmp_path / name).read_bytes() for name in os.listdir(tmp_path)} == (
        {} if before is None else {"out": before}
    )


def test_a_killed_writer_leaves_nothing_where_files_need_no_name(tmp_path: Path) -> None:
    if not has_nameless_files(tmp_path):
        pytest.skip("needs a file system with O_TMPFILE")
    pid = os.fork()
    if pid == 0:
        with output_file(tmp_path / "out") as stream:
            stream.write(b"new" * 100_000)
            os.kill(os.getpid(), signal.SIGKILL)
    assert os.WTERMSIG(os.waitpid(pid, 0)[1]) == signal.SIGKILL
    assert os.listdir(tmp_path) == []


def has_nameless_files(place: Path) -> bool:
    try:
        os.close(os.open(place, os.O_TMPFILE | os.O_RDWR))
    except OSError:
        return False
    return True


def test_modes_are_the_umasks(tmp_path: Path, kind: str) -> None:
    before = os.umask(0o027)
    try:
        with output_file(tmp_path / "out"), output_file(tmp_path / "program", 0o777):
            pass
    finally:
        os.umask(before)
    modes = [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("out", "program")]
    assert modes == [0o640, 0o750]


def test_a_device_is_written_to(tmp_path: Path) -> None:
    with output_file(Path("/dev/null")) as stream:
        stream.write(b"x")
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)


def test_the_error_names_what_the_caller_named(tmp_path: Path, kind: str) -> None:
    with pytest.raises(FileNotFoundError) as caught, output_file(tmp_path / "no" / "out"):
        pass
    assert caught.value.filename == str(tmp_path / "no" / "out")


def test_a_directory_is_whole_or_absent(tmp_path: Path) -> None:
    with contextlib.suppress(ZeroDivisionError), output_directory(tmp_path / "out") as place:
        (place / "file").write_bytes(b"x")
        assert not (tmp_path / "out").exists()
        raise ZeroDivisionError
    assert os.listdir(tmp_path) == []
    with output_directory(tmp_path / "out") as place:
        (place / "file").write_bytes(b"x")
    assert (tmp_path / "out" / "file").read_bytes() == b"x"
    with pytest.raises(FileExistsError), output_directory(tmp_path / "out"):
        pass
