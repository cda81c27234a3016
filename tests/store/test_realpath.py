"""A real path that was found before counts only as long as it is right."""

from __future__ import annotations

import os
from pathlib import Path

from rootlay.store.disk.realpath import real_directory


def test_links_that_change_are_followed_anew(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    link = tmp_path / "link"
    for name in ("one", "two", "one"):
        link.unlink(missing_ok=True)
        link.symlink_to(name)
        for _ in range(2):
            assert real_directory(link) == os.path.realpath(link) == str(tmp_path / name)
    (tmp_path / "one").rename(tmp_path / "three")
    link.unlink()
    link.symlink_to("three")
    assert real_directory(link) == str(tmp_path / "three")
    (tmp_path / "three").rmdir()
    assert real_directory(link) == os.path.realpath(link)
