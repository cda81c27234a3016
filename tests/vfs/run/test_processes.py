"""Who belongs to a container: asked of the kernel at bad moments."""

from __future__ import annotations

import os

import pytest

from rootlay.vfs.api.container import Image
from rootlay.vfs.run import processes


def test_a_program_that_the_kernel_is_loading_is_seen(image: Image, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the midst of an exec, when whoever started it has been told that it succeeded, /proc shows neither arguments
    nor the launch file: once in sixty starts on a busy machine."""
    read = processes._read
    loading = {"cmdline": 3}

    def early(path: str) -> bytes:
        name = os.path.basename(path)
        if f"/{sleeper.pid}/" in path and name in ("cmdline", "maps") and loading["cmdline"]:
            loading["cmdline"] -= name == "cmdline"
            return b""
        return read(path)

    with image.container() as c, c.popen(["sleep", "60"]) as sleeper:
        try:
            monkeypatch.setattr(processes, "_read", early)
            monkeypatch.setattr(processes, "mark_of", lambda pid: -1)  # it has not marked itself yet
            assert processes.has_guests(os.path.realpath(c.record.path))
            assert loading["cmdline"] == 0
        finally:
            sleeper.kill()


@pytest.mark.parametrize("marked", [False, True])
def test_a_launch_file_in_the_arguments_counts_without_another_mark(
    image: Image, monkeypatch: pytest.MonkeyPatch, marked: bool
) -> None:
    """A program can execute the engine with the name of another container's launch file, but not without its mark."""
    with image.container() as c, image.container() as other, other.popen(["sleep", "60"]) as process:
        try:
            mark = processes.mark_for(c.record.id) if marked else -1
            monkeypatch.setattr(processes, "mark_of", lambda pid: mark)
            found = list(processes.iter_guests(os.path.realpath(other.record.path)))
            assert (process.pid in found) != marked
        finally:
            process.kill()
