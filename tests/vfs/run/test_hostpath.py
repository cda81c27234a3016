"""Which links on the way to a bind's source are followed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from rootlay.vfs.run.hostpath import UnsafeSource, real_host, writable_hosts


@pytest.fixture
def place(tmp_path: Path) -> Path:
    for path in ("outside/sub", "project/sub", "project/deep/er", "home"):
        (tmp_path / path).mkdir(parents=True)
    for link, target in {
        "mine": "project",
        "project/in": "sub",
        "project/out": "../outside",
        "project/deep/out": str(tmp_path / "outside"),
        "home/up": "../project/deep/../out",
        "loop": "loop",
    }.items():
        (tmp_path / link).symlink_to(target)
    return Path(os.path.realpath(tmp_path))


@pytest.mark.parametrize(
    "path", ["mine", "mine/sub", "project/in", "mine/./in/../deep//er", "missing/x", "project/../mine"]
)
def test_links_of_the_user_are_followed_as_the_kernel_does(place: Path, path: str) -> None:
    """Those inside a writable bind, too, if they stay there: programs have that already."""
    assert real_host(f"{place}/{path}", *writable_hosts([f"{place}/project"])) == os.path.realpath(place / path)


@pytest.mark.parametrize("path", ["project/out", "project/out/sub", "mine/deep/out/sub", "home/up"])
def test_a_link_that_a_program_may_have_made_is_refused(place: Path, path: str) -> None:
    with pytest.raises(UnsafeSource):
        real_host(f"{place}/{path}", *writable_hosts([f"{place}/mine", f"{place}/project", f"{place}/{path}"]))
    assert real_host(f"{place}/{path}", [f"{place}/outside"]) == os.path.realpath(place / path)


def test_no_link_at_all(place: Path) -> None:
    assert real_host(f"{place}/project/sub", None) == f"{place}/project/sub"
    with pytest.raises(UnsafeSource):
        real_host(f"{place}/mine", None)


def test_a_cycle(place: Path) -> None:
    with pytest.raises(OSError, match="Too many levels"):
        real_host(f"{place}/loop", [])
