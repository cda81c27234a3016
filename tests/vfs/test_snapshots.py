"""Snapshots, rollbacks and forks: what they keep, who sees them, what they refuse."""

from __future__ import annotations

import contextlib
import io
import os
from pathlib import Path
from typing import Any

import pytest

from rootlay.store.containers.containers import Containers
from rootlay.store.containers.removal import sweep_containers, trash_container
from rootlay.store.disk.durable import sweep
from rootlay.store.disk.removetree import remove_tree
from rootlay.store.layer.writer import LayerWriter
from rootlay.store.model.containererrors import (
    BadContainerName,
    SnapshotExists,
    TooManyLayers,
    UnknownSnapshot,
    UpperKeptElsewhere,
)
from rootlay.store.model.errors import ContainerRunning, NameInUse, UnknownContainer
from rootlay.vfs import Container, Image, Store
from rootlay.vfs.containers import snapshots
from rootlay.vfs.containers.snapshots import FROZEN_MAX
from rootlay.vfs.containers.states import State, diff_states
from tests.support.oracles.oracle import attributes_of, shape_of_overlay


def lines(changes: object) -> list[str]:
    return [str(change) for change in changes]  # type: ignore[attr-defined]


def uppers(store: Store) -> list[str]:
    return sorted(str(path.relative_to(store.root)) for path in store.root.glob("containers/*/upper*"))


def test_rollback_restores_what_the_snapshot_had(image: Image) -> None:
    with image.container() as c:
        c.fs.writetext("/etc/motd", "one")
        c.fs.writetext("/kept", "x")
        c.fs.removetree("/usr/share/doc/one")
        before = c.snapshot("before")
        shape, attributes = shape_of_overlay(c.overlay), attributes_of(c.overlay)
        c.fs.writetext("/etc/motd", "two")
        c.fs.remove("/kept")
        c.fs.makedirs("/usr/share/doc/one/again")
        c.overlay.rename("/usr/share/doc/two", "/moved")
        c.overlay.chmod("/", 0o700)
        assert c.fs.readtext("/etc/motd") == "two"
        c.rollback(before)
        assert shape_of_overlay(c.overlay) == shape
        assert attributes_of(c.overlay) == attributes
        c.fs.appendtext("/etc/motd", "+")
        assert c.fs.readtext("/etc/motd") == "one+"
        c.rollback("before")
        assert c.fs.readtext("/etc/motd") == "one"


def test_a_change_of_the_root_directory_alone_is_in_a_snapshot(image: Image) -> None:
    with image.container() as c:
        c.overlay.chmod("/", 0o711)
        before = c.snapshot("before")
        attributes = attributes_of(c.overlay)
        c.overlay.chmod("/", 0o700)
        c.rollback(before)
        assert attributes_of(c.overlay) == attributes
        assert c.overlay.lstat("/").mode & 0o7777 == 0o711


def test_a_commit_of_two_uppers_is_whole_whoever_opens_the_store_meanwhile(
    store: Store, image: Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    from rootlay.vfs.changes import flatten

    def flatten_and_sweep(*arguments: object) -> None:
        merge(*arguments)  # type: ignore[arg-type]
        sweep(store.root / "tmp")  # as each opening of the store does

    merge = flatten.flatten
    monkeypatch.setattr(flatten, "flatten", flatten_and_sweep)
    with image.container() as c:
        c.fs.makedirs("/new/deep")
        c.fs.writetext("/new/deep/file", "one")
        c.snapshot("s")
        c.fs.writetext("/new/deep/other", "two")
        committed = c.commit("two")
    with committed.open_fs() as fs:
        assert fs.readtext("/new/deep/file") + fs.readtext("/new/deep/other") == "onetwo"


def test_removal_goes_on_whoever_sweeps_meanwhile(store: Store, image: Image, monkeypatch: pytest.MonkeyPatch) -> None:
    with image.container("origin") as c:
        c.snapshot("s")
        fork = c.fork("twin", snapshot="s")
        assert fork.record.root == c.record.root == store.root
        fork.close()
        c.remove()
    rename = Path.rename
    swept: list[Path] = []

    def sweep_and_rename(source: Path, target: Path) -> Path:
        if len(swept) < 2 and "removed-" in str(target):
            swept.append(source)
            sweep(store.root / "tmp")
        return rename(source, target)

    monkeypatch.setattr(Path, "rename", sweep_and_rename)
    remove_tree(trash_container(Containers(store.root).find("twin")))
    assert swept
    assert not uppers(store)


def test_a_file_system_object_taken_before_goes_along(image: Image) -> None:
    with image.container() as c:
        fs = c.fs
        fs.writetext("/a", "1")
        c.snapshot()
        fs.writetext("/a", "2")
        c.rollback()
        assert fs.readtext("/a") == "1"


def test_programs_see_snapshots_rollbacks_and_forks(image: Image) -> None:
    with image.container() as c:
        c.run(["sh", "-c", "echo one > /etc/motd; mv /usr/share/doc/one /d; mkdir /new; rm /etc/link"], check=True)
        c.snapshot("first")
        script = "echo two > /etc/motd; echo x > /d/more; mv /d /new/d; mv /usr/share/doc/two /two"
        c.run(["sh", "-c", script], check=True)
        c.snapshot("second")
        c.run(["sh", "-c", "rm /etc/motd /new/d/readme; mv /new /newer; rmdir /tmp"], check=True)
        listing = ["sh", "-c", "cat /etc/motd; cat /new/d/readme /new/d/more /two/readme; ls /etc; ls -a /new"]
        with c.fork(snapshot="second") as fork:
            seen = fork.run(listing, capture_output=True, check=True, text=True).stdout
            assert seen.split()[:4] == ["two", "one", "x", "two"]
            assert "link" not in seen.split()
            fork.run(["sh", "-c", "echo fork > /etc/motd; rm -r /new /two"], check=True)
            assert fork.fs.readtext("/etc/motd") == "fork\n"
        assert c.run(["cat", "/etc/motd"], capture_output=True).returncode != 0
        c.rollback("second")
        assert c.run(listing, capture_output=True, check=True, text=True).stdout == seen
        c.rollback("first")
        assert c.run(["cat", "/etc/motd", "/d/readme"], capture_output=True, check=True).stdout == b"one\none\n"
        assert c.run(["cat", "/d/more"], capture_output=True).returncode != 0


def test_forks_share_nothing_that_changes(store: Store, image: Image) -> None:
    with image.container() as c:
        c.fs.writetext("/a", "base")
        with c.fork() as one, c.fork() as other:
            one.fs.writetext("/a", "one")
            other.fs.remove("/a")
            c.fs.appendtext("/a", "+")
            assert (one.fs.readtext("/a"), c.fs.readtext("/a")) == ("one", "base+")
            assert not other.fs.exists("/a")
            assert one.record.config.layers == c.record.config.layers
            assert one.commit("forked").references == ("forked:latest",)
        with store.image("forked").container() as committed:
            assert committed.fs.readtext("/a") == "one"


def test_a_fork_outlives_its_origin_and_nothing_outlives_both(store: Store, image: Image) -> None:
    c = image.container("origin")
    c.fs.writetext("/a", "base")
    c.fs.makedirs("/d/e")
    fork = c.fork("forked")
    again = fork.fork("again")
    identity = c.id
    c.remove()
    with pytest.raises(UnknownContainer):
        store.container("origin")
    with pytest.raises(UnknownContainer):
        store.container(identity[:12])
    assert [made.name for made in map(store.container, ("forked", "again"))] == ["forked", "again"]
    assert fork.fs.readtext("/a") == "base"
    assert fork.run(["cat", "/a"], capture_output=True, check=True).stdout == b"base"
    assert sweep_containers(store.root / "containers", 0) == 0
    fork.remove()
    assert again.fs.readtext("/a") == "base"
    image.container("origin").remove()  # its name is free again
    again.remove()
    assert uppers(store) == []
    assert [path.name for path in (store.root / "containers").iterdir() if len(path.name) == 64] == []


def test_removing_a_snapshot_frees_what_only_it_needs(store: Store, image: Image) -> None:
    with image.container() as c:
        c.fs.writetext("/a", "1")
        first = c.snapshot()
        c.fs.writetext("/a", "2")
        second = c.snapshot()
        assert [snapshot.name for snapshot in c.snapshots()] == ["s1", "s2"]
        c.rollback(first)
        assert len(uppers(store)) == 3
        c.remove_snapshot(second)
        assert len(uppers(store)) == 2
        c.remove_snapshot(first)  # the container itself stands on it
        assert len(uppers(store)) == 2
        assert c.fs.readtext("/a") == "1"
        with pytest.raises(UnknownSnapshot):
            c.rollback(first)
        with pytest.raises(UnknownSnapshot):
            c.remove_snapshot(first)
        with pytest.raises(UnknownSnapshot):
            c.rollback()


def test_an_unchanged_container_is_not_frozen_again(store: Store, image: Image) -> None:
    with image.container() as c:
        c.snapshot()
        assert len(uppers(store)) == 1
        c.fs.writetext("/a", "1")
        for _ in range(3):
            c.snapshot()
        assert len(uppers(store)) == 2
        c.overlay.chmod("/", 0o711)
        c.snapshot()
        assert len(uppers(store)) == 3
        assert c.overlay.stat("/").permissions == 0o711


def test_nesting_has_no_limit(image: Image) -> None:
    with image.container() as c:
        states = []
        for number in range(3 * FROZEN_MAX):
            c.fs.writetext(f"/n{number}", str(number))
            c.fs.writetext("/etc/motd", str(number))
            here, there = ("/doc", "/usr/share/doc") if number % 2 else ("/usr/share/doc", "/doc")
            c.overlay.rename(here, there)
            states.append((c.snapshot(), attributes_of(c.overlay)))
            assert len(c.record.stack().frozen) <= FROZEN_MAX
        names = c.run(["sh", "-c", "cat /n*; cat /usr/share/doc/one/readme"], capture_output=True, check=True).stdout
        assert names == "".join(sorted(map(str, range(3 * FROZEN_MAX)))).encode() + b"one\n"
        for snapshot, attributes in (states[-1], states[0], states[17], states[5]):
            c.rollback(snapshot)
            assert attributes_of(c.overlay) == attributes
            directory = "/doc" if snapshot in [known for known, _ in states[::2]] else "/usr/share/doc"
            assert c.run(["cat", f"{directory}/one/readme"], capture_output=True, check=True).stdout == b"one\n"


def test_running_programs_are_refused(store: Store, image: Image) -> None:
    with image.container("busy") as c:
        before = c.snapshot()
        with c.popen(["sleep", "60"]) as sleeper:
            try:
                for attempt in (c.snapshot, c.rollback, c.fork, store.container("busy").snapshot):
                    with pytest.raises(ContainerRunning):
                        attempt()
                with c.fork(snapshot=before) as fork:  # that does not concern who runs
                    assert fork.fs.exists("/etc/motd")
            finally:
                sleeper.kill()
        c.rollback()
        with pytest.raises(ContainerRunning):  # the other handle still has its session and may start programs
            store.container("busy").snapshot()
    store.container("busy").snapshot()


def test_bad_use_is_a_typed_error(store: Store, image: Image, tmp_path: Path) -> None:
    c = image.container("c")
    c.snapshot("one")
    with pytest.raises(SnapshotExists):
        c.snapshot("one")
    with pytest.raises(BadContainerName):
        c.snapshot("../x")
    with pytest.raises(UnknownSnapshot):
        c.rollback("other")
    with pytest.raises(NameInUse):
        c.fork("c")
    c.remove()
    for attempt in (c.snapshot, c.fork):
        with pytest.raises(UnknownContainer):
            attempt()
    (tmp_path / "lower").mkdir()
    with store.overlay(tmp_path / "lower", upper=str(tmp_path / "upper")) as c, pytest.raises(UpperKeptElsewhere):
        c.snapshot()
    lowers = [tmp_path / f"lower{number}" for number in range(31)]
    for lower in lowers:
        lower.mkdir()
    with store.overlay(*lowers) as c:
        c.fs.writetext("/a", "x")
        with pytest.raises(TooManyLayers):
            c.snapshot()
        assert c.fs.readtext("/a") == "x"


def test_diff_between_any_two_states(image: Image) -> None:
    with image.container() as c:
        c.fs.writetext("/etc/motd", "1")
        c.fs.writetext("/one", "1")
        first = c.snapshot("first")
        c.fs.writetext("/etc/motd", "2")
        c.fs.remove("/one")
        c.fs.removetree("/usr/share/doc/two")
        c.overlay.rename("/usr/share/doc/one", "/renamed")
        c.snapshot("second")
        c.fs.writetext("/renamed/new", "3")
        assert lines(c.diff(until=first)) == ["C /etc", "C /etc/motd", "A /one"]
        step = ["C /etc", "C /etc/motd", "D /one", "A /renamed", "C /usr", "C /usr/share", "C /usr/share/doc"]
        doc = ["D /usr/share/doc/one", "D /usr/share/doc/two"]
        assert lines(c.diff("first", "second")) == [*step, *doc]
        assert lines(c.diff("second")) == ["C /renamed", "A /renamed/new"]
        everything = ["C /etc", "C /etc/motd", "A /renamed", "A /renamed/new", *step[4:], *doc]
        assert lines(c.diff()) == everything
        back = ["C /etc", "C /etc/motd", "A /one", "D /renamed", *step[4:], "A /usr/share/doc/one"]
        assert lines(c.diff("second", "first")) == [*back, "A /usr/share/doc/two"]
        assert lines(c.diff("second", "second")) == []
        c.commit("all")
        c.rollback("first")
        assert lines(c.diff("first")) == []


def test_diff_of_images(store: Store, image: Image) -> None:
    with image.container() as c:
        c.fs.writetext("/etc/motd", "1")
        c.snapshot()
        c.fs.makedirs("/a/b")
        c.fs.remove("/etc/link")
        c.commit("all")
        stored = store.image("all").stored
        assert stored is not None
        assert image.stored is not None
        expected = ["A /a", "A /a/b", "C /etc", "D /etc/link", "C /etc/motd"]
        assert lines(diff_states(store.root, image.stored, stored)) == expected
        assert lines(diff_states(store.root, stored, State(c.record))) == []
        assert lines(diff_states(store.root, image.stored, State(c.record))) == expected


def test_an_unchanged_copy_is_no_change(image: Image) -> None:
    with image.container() as c:
        before = c.snapshot()
        c.overlay.copy_up("/etc/motd")
        assert lines(c.diff()) == lines(c.diff(before)) == []


def test_diff_does_not_list_lower_directories(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lower = tmp_path / "lower"
    (lower / "d").mkdir(parents=True)
    (lower / "d" / "f").write_text("x")
    with store.overlay(lower) as c:
        c.fs.writetext("/d/f", "y")
        c.snapshot()
        c.fs.writetext("/d/g", "y")
        seen = []
        real_scandir = os.scandir
        with monkeypatch.context() as patch:
            patch.setattr(os, "scandir", lambda path: seen.append(os.fsdecode(path)) or real_scandir(path))
            assert lines(c.diff()) == ["C /d", "C /d/f", "A /d/g"]
        assert seen
        assert not [path for path in seen if path.startswith(str(lower))]


def test_a_stop_between_two_steps_leaves_old_or_new(
    store: Store, image: Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    c = image.container("c")
    c.fs.writetext("/a", "1")
    for name in ("write_stack", "create_bloom", "_begin", "write_snapshot"):
        with monkeypatch.context() as patch:
            patch.setattr(snapshots, name, lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
            for attempt in (c.snapshot, c.fork):
                with contextlib.suppress(KeyboardInterrupt):
                    made = attempt()
                    if isinstance(made, Container):
                        made.close()
        found = store.container("c")
        assert found.fs.readtext("/a") == "1"
    c.snapshot("good")
    c.fs.writetext("/a", "2")
    c.rollback("good")
    assert c.fs.readtext("/a") == "1"
    for record in list(Containers(store.root).iter_all()):
        Container(record).remove()
    assert uppers(store) == []


def test_what_is_removed_meanwhile_is_no_half_layer_or_archive(
    store: Store, image: Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    def add_and_remove(writer: LayerWriter, *entry: Any) -> None:
        add(writer, *entry)
        for record in Containers(store.root).iter_all():
            remove_tree(trash_container(record))

    add = LayerWriter.add
    c = image.container("short-lived")
    for number in range(20):
        c.fs.writetext(f"/etc/{number}", "x")
    with monkeypatch.context() as patched:
        patched.setattr(LayerWriter, "add", add_and_remove)
        with pytest.raises(UnknownContainer, match="short-lived"):
            c.commit("half")
    assert [str(name) for each in store.images() for name in each.references] == ["small:latest"]
    c = image.container("short-lived")
    c.fs.writebytes("/many", os.urandom(1 << 20))

    class Out(io.BytesIO):
        def write(self, data: Any) -> int:
            for record in Containers(store.root).iter_all():
                remove_tree(trash_container(record))
            return super().write(data)

    with pytest.raises(UnknownContainer, match="short-lived"):
        c.export(Out())
