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
