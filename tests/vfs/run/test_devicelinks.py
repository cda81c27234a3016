"""The links in /dev that every container has, also where the machine lacks them."""

from __future__ import annotations

import os

import pytest

from rootlay.vfs import Image
from rootlay.vfs.run import containerlaunch
from rootlay.vfs.run.launch import BIND_LINK, DEVICE_LINKS


def linked(image: Image) -> dict[str, str]:
    """The links that a new container gets."""
    with image.container() as c:
        binds = containerlaunch.container_binds(c.record, c.record.path, c.record.real_upper)
        return {os.fsdecode(bind.vpath): os.fsdecode(bind.host) for bind in binds if bind.flags == BIND_LINK}


def test_a_container_gets_the_links_that_the_machine_lacks(image: Image, monkeypatch: pytest.MonkeyPatch) -> None:
    lexists = os.path.lexists
    assert linked(image) == {path: target for path, target in DEVICE_LINKS.items() if not lexists(path)}
    monkeypatch.setattr(os.path, "lexists", lambda path: path not in DEVICE_LINKS and lexists(path))
    assert linked(image) == DEVICE_LINKS


def test_programs_see_links(image: Image, monkeypatch: pytest.MonkeyPatch) -> None:
    """Under names that no machine has: they are listed, too, and lead to the program's own descriptors."""
    links = {"/dev/rl-fd": "/proc/self/fd", "/dev/rl-out": "/proc/self/fd/1"}
    monkeypatch.setattr(containerlaunch, "DEVICE_LINKS", links)
    script = """
        echo /dev/rl-*
        readlink /dev/rl-fd
        cd /dev; readlink rl-out; cd /
        test -L /dev/rl-out && test -d /dev/rl-fd/ && echo links
        stat -c %F,%s /dev/rl-out
        echo written > /dev/rl-out
        cat /dev/rl-fd/0
        rm /dev/rl-out 2> /dev/null || echo kept
    """
    with image.container() as c:
        done = c.run(["sh", "-c", script], input="read\n", capture_output=True, text=True, check=True)
        assert done.stdout.splitlines() == [
            *("/dev/rl-fd /dev/rl-out", "/proc/self/fd", "/proc/self/fd/1", "links"),
            *("symbolic link,15", "written", "read", "kept"),
        ]
        assert not os.path.lexists("/dev/rl-fd")
