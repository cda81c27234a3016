"""Path resolution beyond the table of calls (tests/vfs/test_calls.py): its limits, and the names in errors."""

from __future__ import annotations

import os

import pytest

from rootlay.vfs.merge.path import ImagePath
from tests.support.oracles.memory_view import directory, symlink
from tests.vfs.conftest import StackBuilder


def test_deepest_path_works_below_a_long_real_path(build: StackBuilder) -> None:
    """4095 bytes of virtual path and the upper's own path do not fit together into PATH_MAX."""
    overlay = build.overlay()
    before = len(os.listdir("/proc/self/fd"))
    path = b""
    while len(path) + 256 <= 4090:
        path += b"/" + b"d" * 255
        overlay.mkdir(path)
    path += b"/" + b"f" * (4095 - len(path) - 1)
    os.close(overlay.open(path, os.O_CREAT | os.O_WRONLY, 0o640))
    overlay.chown(path, 5, 6)
    assert len(path) == 4095
    assert overlay.stat(path).mode == 0o100640
    assert (overlay.stat(path).uid, overlay.stat(path).gid) == (5, 6)
    overlay.rename(path, path[:-1] + b"g")
    overlay.link(path[:-1] + b"g", path)
    assert overlay.listdir(os.path.dirname(path)) == sorted(
        [os.path.basename(path), os.path.basename(path)[:-1] + b"g"]
    )
    overlay.unlink(path)
    assert len(os.listdir("/proc/self/fd")) <= before + 1  # the upper itself, kept open


def test_paths_begin_at_the_root_and_errors_name_them_as_given(build: StackBuilder) -> None:
    overlay = build.overlay(layers=([directory(b""), directory(b"a"), symlink(b"link", b"/a")],))
    assert overlay.resolve("link/.") == ImagePath(b"/a")
    with pytest.raises(FileNotFoundError) as caught:
        overlay.rename("/none", "other")
    assert (caught.value.filename, caught.value.filename2) == ("/none", "other")
    with pytest.raises(FileNotFoundError) as caught:
        overlay.stat(b"link/none")
    assert caught.value.filename == "link/none"
