"""`rootlay rename`, and what a killed one leaves."""

from __future__ import annotations

import os
from pathlib import Path

from tests.cli.conftest import Rootlay


def killed_rename(small: Rootlay, link: str) -> Path:
    """A container `one` with a second name, as a rename leaves it that is killed. The link."""
    small("create", "--name", "one", "small", "true")
    names = small.root / "containers" / "names"
    (names / link).symlink_to(os.readlink(names / "one"))
    return names / link


def test_a_killed_rename_can_be_finished(small: Rootlay) -> None:
    killed_rename(small, "two")  # names that are no beginning of an ID
    small("rename", "one", "two")
    assert "two" in small.out("ps", "-a")
    assert "no such container" in small.fails("rm", "one", code=14)
    small("rm", "two")


def test_a_name_that_a_killed_rename_left_is_free_after_a_while(small: Rootlay) -> None:
    link = killed_rename(small, "old")
    small.fails("create", "--name", "old", "small", "true", code=125)
    os.utime(link, ns=(0, 0), follow_symlinks=False)
    assert "leftover: containers/names/old" in small.out("fsck")
    small("create", "--name", "old", "small", "true")
    assert small.out("fsck", "--deep") == "nothing wrong was found\n"
    small("rm", "old", "one")


def test_repair_removes_such_a_name(small: Rootlay) -> None:
    link = killed_rename(small, "old")
    os.utime(link, ns=(0, 0), follow_symlinks=False)
    small("fsck", "--repair")
    assert not link.is_symlink()
    small("rm", "one")
