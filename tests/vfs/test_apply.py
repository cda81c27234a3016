"""A diff is made in a real directory file by file: each is the old one or the new one, at every moment."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from rootlay.vfs import Container, Image, Store

OLD, NEW = b"old" * 100_000, b"NEW!" * 100_000
STEPS = ("rename", "utime", "chmod", "mkdir", "open")


def changed(container: Container) -> None:
    container.fs.writebytes("/etc/motd", NEW)
    container.fs.writebytes("/etc/large", NEW)
    container.fs.remove("/etc/link")
    container.fs.makedirs("/srv/deep/er")
    container.fs.writebytes("/srv/deep/er/file", NEW)


@pytest.fixture
def target(tmp_path: Path) -> Path:
    (tmp_path / "target/etc").mkdir(parents=True)
    for name in ("motd", "large", "other"):
        (tmp_path / "target/etc" / name).write_bytes(OLD)
    (tmp_path / "target/etc/link").symlink_to("motd")
    return tmp_path / "target"


def test_whoever_reads_meanwhile_sees_the_old_file_or_the_new_one(image: Image, target: Path) -> None:
    seen: set[bytes] = set()
    stop = threading.Event()

    def look() -> None:
        while not stop.is_set():
            seen.update((target / "etc" / name).read_bytes() for name in ("motd", "large"))

    with image.container() as container:
        changed(container)
        reader = threading.Thread(target=look)
        reader.start()
        try:
            for _ in range(20):
                assert container.diff().apply(target) == []
        finally:
            stop.set()
            reader.join()
    assert NEW in seen
    assert seen <= {OLD, NEW}
    assert sorted(os.listdir(target / "etc")) == ["large", "motd", "other"]


@pytest.mark.parametrize("step", STEPS)
def test_a_kill_at_any_step_leaves_whole_files_and_the_next_time_completes_it(
    image: Image, target: Path, step: str
) -> None:
    with image.container() as container:
        changed(container)
        changes = container.diff()
        ended = 9
        number = 0
        while ended == 9:
            number += 1
            child = os.fork()
            if not child:
                _die_at(step, number)
                try:
                    changes.apply(target)
                    os._exit(0)
                finally:
                    os._exit(1)
            ended = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
            for name in ("motd", "large"):
                assert (target / "etc" / name).read_bytes() in (OLD, NEW)
            assert (target / "etc/other").read_bytes() == OLD
        assert ended == 0
        assert number > 1
    assert (target / "etc/large").read_bytes() == (target / "srv/deep/er/file").read_bytes() == NEW
    assert not (target / "etc/link").is_symlink()


def _die_at(step: str, number: int) -> None:
    """The process ends before the so-manieth call."""
    real = getattr(os, step)
    calls = iter(range(1, number))

    def call(*arguments: object, **named: object) -> object:
        if next(calls, None) is None:
            os._exit(9)
        return real(*arguments, **named)

    setattr(os, step, call)


def test_no_link_in_the_target_is_followed(image: Image, target: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    (target / "etc").rename(elsewhere)
    (target / "etc").symlink_to(elsewhere)
    with image.container() as container:
        changed(container)
        assert container.diff().apply(target) == []
    assert sorted(os.listdir(elsewhere)) == ["large", "link", "motd", "other"]
    assert (elsewhere / "motd").read_bytes() == (elsewhere / "large").read_bytes() == OLD
    assert not (target / "etc").is_symlink()
    assert (target / "etc/motd").read_bytes() == NEW


def test_changes_of_directories_of_the_host_are_kept_after_a_look_at_them(store: Store, target: Path) -> None:
    with store.overlay(target) as container:
        container.fs.appendbytes("/etc/other", b" and more")
        container.fs.remove("/etc/motd")
        assert (target / "etc/motd").exists()
        changes = container.diff()
        assert [str(change) for change in changes] == ["C /etc", "D /etc/motd", "C /etc/other"]
        assert changes.apply(target) == []
    assert sorted(os.listdir(target / "etc")) == ["large", "link", "other"]
    assert (target / "etc/other").read_bytes() == OLD + b" and more"
