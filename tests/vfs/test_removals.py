"""Removals that programs have noted in the removal map (docs/format.md §7a): who sees them, and when they become
whiteouts."""

from __future__ import annotations

import contextlib
import os
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from rootlay.store.containers.bloom import REMOVALS_OFFSET, REMOVED_HEADER_BYTES, RemovedHeader, has_removals
from rootlay.store.disk import bootid
from rootlay.store.view.delta import DeltaHeader, read_header
from rootlay.store.view.view import View
from rootlay.vfs import Container, Image, Store
from tests.support.boxes.smalldeltas import commit_delta

NOTED = ("/etc/motd", "/usr/share/doc/one/readme", "/usr/share/doc/one", "/usr/share/doc/two", "/usr/share/doc")


@pytest.fixture(params=["whole", "delta"])
def image(request: pytest.FixtureRequest, image: Image, monkeypatch: pytest.MonkeyPatch) -> Image:
    """The small image; or one with the same names, and more, whose view is a delta on that of the small image."""
    if request.param == "whole":
        return image
    made = commit_delta(image, monkeypatch)
    with made.container() as c:
        view = c.overlay.stack.view
        assert isinstance(view, View)
        assert isinstance(read_header(view.native_path), DeltaHeader)
    return made


def map_of(container: Container) -> Path:
    return container.record.path / "removed"


def note(container: Container, *paths: str, copied_up: bool = True) -> None:
    """Do what a program does that removes these paths and is killed: the bits, and the count."""
    numbers = []
    for path in paths:
        found = container.overlay.find(path)
        assert found is not None, path
        assert found.node is not None, path
        assert found.parent is not None, path
        numbers.append(found.node.id)
        if copied_up and path not in NOTED[1:4]:
            container.overlay.context.copy_up.ensure(found.parent)
    content = bytearray(map_of(container).read_bytes())
    for number in numbers:
        content[REMOVED_HEADER_BYTES + number // 8] |= 1 << number % 8
    map_of(container).write_bytes(content)
    bloom = container.record.path / "bloom"
    with bloom.open("r+b") as file:
        file.seek(REMOVALS_OFFSET)
        count = int.from_bytes(file.read(4), "little") + len(numbers)
        file.seek(REMOVALS_OFFSET)
        file.write(count.to_bytes(4, "little"))


def marks(container: Container) -> list[str]:
    upper = container.record.upper
    return sorted(str(path.relative_to(upper)) for path in upper.rglob(".wh.*"))


def changes(container: Container) -> list[str]:
    return [str(change) for change in container.diff() if str(change).startswith("D")]


def test_of_a_removed_tree_one_whiteout_is_left_when_its_program_has_ended(image: Image) -> None:
    with image.container() as c:
        c.run(["sh", "-c", "rm -rf /usr/share/doc && rm /etc/motd && test ! -e /etc/motd"], check=True)
        assert marks(c) == ["etc/.wh.motd", "usr/share/.wh.doc"]
        assert changes(c) == ["D /etc/motd", "D /usr/share/doc"]
        assert not c.fs.exists("/usr/share/doc/one")


def test_a_removal_changes_the_time_of_its_directory(image: Image) -> None:
    with image.container() as c:
        c.run(["touch", "-d", "@1000", "/etc"], check=True)
        c.run(["rm", "/etc/motd"], check=True)
        changed = c.overlay.stat("/etc").mtime_ns
        assert changed > 10**18
        c.run(["touch", "-d", "@1000", "/usr/share"], check=True)
        c.run(["rm", "-r", "/usr/share/doc"], check=True)
        assert c.overlay.stat("/usr/share").mtime_ns > 10**18


def test_what_is_removed_and_made_again_has_nothing_of_what_it_was(image: Image) -> None:
    with image.container() as c:
        again = "rm -r /usr/share/doc && mkdir -p /usr/share/doc/one && rm /etc/motd && echo new > /etc/motd && ls -R"
        done = c.run(
            ["sh", "-c", f"{again} /usr/share/doc && cat /etc/motd"], check=True, capture_output=True, text=True
        )
        assert done.stdout == "/usr/share/doc:\none\n\n/usr/share/doc/one:\nnew\n"
        assert c.fs.listdir("/usr/share/doc/one") == []
        assert c.fs.readtext("/etc/motd") == "new\n"


def test_a_directory_moves_with_its_removals(image: Image) -> None:
    with image.container() as c:
        c.run(["sh", "-c", "rm /usr/share/doc/one/* && mv /usr/share/doc /moved && ls -A /moved/one"], check=True)
        assert c.fs.listdir("/moved/one") == []
        assert c.run(["ls", "-A", "/moved/one"], check=True, capture_output=True, text=True).stdout == ""


def _python(c: Container) -> None:
    assert not c.fs.exists("/etc/motd")
    assert "doc" not in c.fs.listdir("/usr/share")


def _program(c: Container) -> None:
    c.run(["sh", "-c", "test ! -e /etc/motd && test ! -e /usr/share/doc/one && ! ls /usr/share | grep doc"], check=True)
    assert marks(c) == []  # nobody else reads the upper, and no process that ended has noted anything
    _python(c)


def _diff(c: Container) -> None:
    assert changes(c) == ["D /etc/motd", "D /usr/share/doc"]


def _commit(c: Container) -> None:
    with c.commit("committed").container() as made:
        assert not made.fs.exists("/etc/motd")
        assert made.fs.exists("/usr/share")
        assert not made.fs.exists("/usr/share/doc")


def _snapshot(c: Container) -> None:
    kept = c.snapshot("one")
    c.fs.writetext("/etc/motd", "again")
    c.rollback(kept)
    assert not c.fs.exists("/etc/motd")
    with c.fork() as made:
        assert not made.fs.exists("/usr/share/doc")


@contextlib.contextmanager
def synced(monkeypatch: pytest.MonkeyPatch) -> Iterator[set[str]]:
    """The directories that are synced in the block."""
    found: set[str] = set()
    fsync = os.fsync

    def record(fd: int) -> None:
        found.add(os.readlink(f"/proc/self/fd/{fd}"))
        fsync(fd)

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", record)
        yield found


def test_a_snapshot_syncs_the_whiteouts_that_it_makes(image: Image, monkeypatch: pytest.MonkeyPatch) -> None:
    """The map may have been on the disk for long, and nobody reads that of a frozen upper."""
    with image.container() as c:
        note(c, *NOTED)
        upper = str(c.record.upper)
        with synced(monkeypatch) as found:
            c.snapshot("one")
        assert {upper, f"{upper}/etc", f"{upper}/usr", f"{upper}/usr/share"} <= found


@pytest.mark.parametrize("moved", [False, True])
def test_a_snapshot_syncs_the_whiteouts_that_were_made_before(
    image: Image, monkeypatch: pytest.MonkeyPatch, moved: bool
) -> None:
    """By a program that has ended, and in a directory that has moved since."""
    with image.container() as c:
        remove = "rm -r /usr/share/doc/one/readme /usr/share/doc/two; rm /etc/motd"
        c.run(["sh", "-c", remove + "; mv /usr/share/doc /docs" * moved], check=True)
        upper = str(c.record.upper)
        assert marks(c)
        hiding = {str(Path(upper, mark).parent) for mark in marks(c)}
        assert (f"{upper}/docs" in hiding) == moved
        with synced(monkeypatch) as found:
            c.snapshot("one")
        assert {upper, f"{upper}/etc", *hiding} <= found
        with synced(monkeypatch) as found:  # the next upper has no removals
            c.fs.writetext("/new", "new")
            c.snapshot("two")
        assert not any(path.startswith(upper + "/") for path in found)


def _rename(c: Container) -> None:
    c.overlay.rename("/etc", "/moved")
    assert "motd" not in c.fs.listdir("/moved")


def _made_again(c: Container) -> None:
    c.fs.makedir("/usr/share/doc")
    assert c.run(["ls", "-A", "/usr/share/doc"], check=True, capture_output=True, text=True).stdout == ""


@pytest.mark.parametrize("use", [_python, _program, _diff, _commit, _snapshot, _rename, _made_again])
def test_removals_of_a_killed_program_hold_for(image: Image, use: Callable[[Container], None]) -> None:
    with image.container() as c:
        note(c, *NOTED)
        use(c)
        note_more = c.fs.exists("/etc/motd")
        assert not note_more
        assert not [path for path in marks(c) if path.startswith("usr/share/doc/one")]


def test_a_handle_that_is_open_sees_later_removals(image: Image) -> None:
    with image.container() as c:
        assert c.fs.readtext("/etc/motd")
        assert c.overlay.look("/etc/motd").is_file
        note(c, "/etc/motd")
        assert c.overlay.remembered.find("/etc/motd") is None
        assert c.overlay.find("/etc/motd") is None
        assert marks(c) == ["etc/.wh.motd"]


def test_bits_without_their_directory_hold_after_a_power_failure(
    image: Image, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The upper has lost the directory and the whiteout, the map still says that it was written through."""
    with image.container() as c:
        note(c, "/etc/motd", copied_up=False)
        content = bytearray(map_of(c).read_bytes())
        half = (len(content) - REMOVED_HEADER_BYTES) // 2
        content[REMOVED_HEADER_BYTES + half :] = content[REMOVED_HEADER_BYTES : REMOVED_HEADER_BYTES + half]
        map_of(c).write_bytes(content)
        monkeypatch.setattr(bootid, "_known", os.urandom(bootid.ID_BYTES))
        assert c.run(["sh", "-c", "test ! -e /etc/motd"], check=False).returncode == 0
        assert not c.fs.exists("/etc/motd")


@pytest.mark.parametrize("damage", ["cut", "magic", "chain", "beyond", "gone"])
def test_a_damaged_map_is_not_used(image: Image, damage: str) -> None:
    with image.container() as c:
        path = map_of(c)
        header = RemovedHeader.parse(path.read_bytes())
        assert header is not None
        note(c, "/etc/motd")
        content = bytearray(path.read_bytes())
        if damage == "cut":
            del content[-8:]
        elif damage in ("magic", "chain"):
            content[0 if damage == "magic" else 20] ^= 1
        elif damage == "beyond":  # numbers that no entry has, and the root
            content[REMOVED_HEADER_BYTES + header.map_bytes - 1] |= 0x80
            content[REMOVED_HEADER_BYTES] |= 0x03
        path.unlink()
        if damage != "gone":
            path.write_bytes(content)
        assert c.fs.exists("/etc/motd") == (damage != "beyond")
        c.run(["rm", "-rf", "/usr/share/doc"], check=True)
        assert not c.fs.exists("/usr/share/doc")
        assert c.fs.exists("/etc")


def test_an_upper_kept_elsewhere_has_no_map(image: Image, tmp_path: Path) -> None:
    """Another container may use it, too."""
    with image.container(upper=str(tmp_path / "upper")) as c:
        assert not map_of(c).exists()
        c.run(["rm", "/etc/motd"], check=True)
        assert (tmp_path / "upper/etc/.wh.motd").exists()


@pytest.mark.parametrize(("noted", "entries"), [(True, 1 << 30), (False, 1 << 30), (False, 1000)])
def test_a_map_that_a_program_has_enlarged_is_not_read_whole(tmp_path: Path, noted: bool, entries: int) -> None:
    """It takes no room on the disk, but its size is 4 TB."""
    path = tmp_path / "removed"
    header = RemovedHeader(entries, bytes(32))
    path.write_bytes(header.pack())
    os.truncate(path, 4 << 40)
    if noted:
        with path.open("r+b") as file:
            file.seek(header.file_bytes - 1)
            file.write(b"\1")
    tracemalloc.start()
    try:
        assert has_removals(path) == noted
        assert tracemalloc.get_traced_memory()[1] < 8 << 20
    finally:
        tracemalloc.stop()
