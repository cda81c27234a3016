"""Random operations with snapshots, rollbacks and forks between them, against copies of a plain directory.

ROOTLAY_TEST_EXAMPLES and ROOTLAY_TEST_STEPS as in test_stateful.py.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from rootlay.store.containers.upperstack import Snapshot
from rootlay.vfs import Container, Store
from tests.support.oracles.oracle import check_changes, outcome, shape_of_directory, shape_of_overlay

pytestmark = [pytest.mark.slow, pytest.mark.once]

EXAMPLES = int(os.environ.get("ROOTLAY_TEST_EXAMPLES", "25"))
STEPS = int(os.environ.get("ROOTLAY_TEST_STEPS", "40"))
CONTAINERS_MAX = 3

numbers = st.integers(0, 10**6)
names = st.sampled_from([b"a", b"b", b"c", b"n" * 253])


class SnapshotMachine(RuleBasedStateMachine):
    """Each container has a plain directory that goes through the same; each snapshot a copy of it."""

    def __init__(self) -> None:
        super().__init__()
        self.umask = os.umask(0o022)
        self.base = Path(tempfile.mkdtemp(prefix="rootlay-test-"))
        self.count = 0
        tree = self.base / "tree"
        (tree / "a" / "b" / "c").mkdir(parents=True)
        (tree / "b").mkdir()
        for path in ("a/a", "a/b/a", "a/b/c/a", "b/a", "c"):
            (tree / path).write_text(path)
        store = Store.open(self.base / "store")
        plain = self.new_directory()
        shutil.copytree(tree, plain, symlinks=True, dirs_exist_ok=True)
        self.live: list[tuple[Container, Path]] = [(store.import_rootfs(tree, "base").container(), plain)]
        self.kept: list[tuple[Container, Snapshot, Path]] = []

    def new_directory(self) -> Path:
        self.count += 1
        path = self.base / f"plain{self.count}"
        path.mkdir()
        return path

    def copy(self, source: Path) -> Path:
        target = self.new_directory()
        shutil.copytree(source, target, symlinks=True, dirs_exist_ok=True)
        return target

    def pick(self, which: int) -> tuple[Container, Path]:
        return self.live[which % len(self.live)]

    def path(self, plain: Path, choice: int, name: bytes) -> bytes:
        """An existing path or, as often, a new name in an existing directory; at most four names deep."""
        shapes = shape_of_directory(plain)
        there = sorted(path for path in shapes if path)
        if choice % 2 and there:
            return there[choice // 2 % len(there)]
        parents = sorted(path for path in shapes if shapes[path].mode & 0o170000 == 0o040000 and path.count(b"/") < 4)
        return parents[choice // 2 % len(parents)] + b"/" + name

    def same(self, ours: object, theirs: object) -> None:
        assert outcome(ours) == outcome(theirs)  # type: ignore[arg-type]

    # ---- operations

    @rule(which=numbers, choice=numbers, name=names, content=st.sampled_from([b"", b"x", b"y" * 5000]))
    def write(self, which: int, choice: int, name: bytes, content: bytes) -> None:
        container, plain = self.pick(which)
        path = self.path(plain, choice, name)

        def use(descriptor: int) -> None:
            os.write(descriptor, content)
            os.close(descriptor)

        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        real = os.fsencode(plain) + path
        self.same(lambda: use(container.overlay.open(path, flags)), lambda: use(os.open(real, flags, 0o666)))

    @rule(which=numbers, choice=numbers, name=names)
    def mkdir(self, which: int, choice: int, name: bytes) -> None:
        container, plain = self.pick(which)
        path = self.path(plain, choice, name)
        self.same(lambda: container.overlay.mkdir(path), lambda: os.mkdir(os.fsencode(plain) + path))

    @rule(which=numbers, choice=numbers, name=names)
    def remove(self, which: int, choice: int, name: bytes) -> None:
        container, plain = self.pick(which)
        path = self.path(plain, choice, name)
        real = os.fsencode(plain) + path
        if os.path.isdir(real) and not os.path.islink(real):
            shutil.rmtree(real)
            container.fs.removetree(os.fsdecode(path))
        else:
            self.same(lambda: container.overlay.unlink(path), lambda: os.unlink(real))

    @rule(which=numbers, old=numbers, new=numbers, name=names)
    def rename(self, which: int, old: int, new: int, name: bytes) -> None:
        container, plain = self.pick(which)
        source, target = self.path(plain, old, name), self.path(plain, new, name)
        base = os.fsencode(plain)
        self.same(lambda: container.overlay.rename(source, target), lambda: os.rename(base + source, base + target))

    @rule(which=numbers, choice=numbers, name=names, mode=st.sampled_from([0o700, 0o755, 0o711]))
    def chmod(self, which: int, choice: int, name: bytes, mode: int) -> None:
        container, plain = self.pick(which)
        path = self.path(plain, choice, name)
        self.same(lambda: container.overlay.chmod(path, mode), lambda: os.chmod(os.fsencode(plain) + path, mode))

    @rule(which=numbers, choice=numbers, name=names, text=names)
    def symlink(self, which: int, choice: int, name: bytes, text: bytes) -> None:
        container, plain = self.pick(which)
        path = self.path(plain, choice, name)
        self.same(lambda: container.overlay.symlink(text, path), lambda: os.symlink(text, os.fsencode(plain) + path))

    # ---- states

    @rule(which=numbers)
    def snapshot(self, which: int) -> None:
        container, plain = self.pick(which)
        self.kept.append((container, container.snapshot(), self.copy(plain)))

    @precondition(lambda self: self.kept)
    @rule(which=numbers)
    def rollback(self, which: int) -> None:
        container, snapshot, state = self.kept[which % len(self.kept)]
        container.rollback(snapshot)
        index = next(i for i, (live, _) in enumerate(self.live) if live is container)
        shutil.rmtree(self.live[index][1])
        self.live[index] = (container, self.copy(state))

    @rule(which=numbers)
    def fork(self, which: int) -> None:
        if len(self.live) < CONTAINERS_MAX:
            container, plain = self.pick(which)
            self.live.append((container.fork(), self.copy(plain)))

    @precondition(lambda self: self.kept)
    @rule(which=numbers)
    def fork_snapshot(self, which: int) -> None:
        if len(self.live) < CONTAINERS_MAX:
            container, snapshot, state = self.kept[which % len(self.kept)]
            self.live.append((container.fork(snapshot=snapshot), self.copy(state)))

    @rule(which=numbers)
    def drop(self, which: int) -> None:
        """A container goes, with its snapshots; those that stand on the same uppers must not notice."""
        if len(self.live) > 1:
            container, plain = self.live.pop(which % len(self.live))
            container.close()
            shutil.rmtree(plain)
            self.kept = [entry for entry in self.kept if entry[0] is not container]

    @precondition(lambda self: self.kept)
    @rule(which=numbers)
    def forget(self, which: int) -> None:
        container, snapshot, _ = self.kept.pop(which % len(self.kept))
        container.remove_snapshot(snapshot)

    @precondition(lambda self: self.kept)
    @rule(which=numbers)
    def diff(self, which: int) -> None:
        container, snapshot, state = self.kept[which % len(self.kept)]
        changes = container.diff(since=snapshot)
        with container.fork(snapshot=snapshot) as before:
            found = {change.path.raw: change.kind for change in changes}
            check_changes(found, shape_of_overlay(before.overlay), shape_of_overlay(container.overlay))
        # Made in a copy of the old state, the changes give the new one.
        target = self.copy(state)
        assert changes.apply(target) == []
        target.chmod(container.overlay.stat("/").permissions)
        assert shape_of_directory(target) == shape_of_overlay(container.overlay)
        shutil.rmtree(target)

    @rule(which=numbers)
    def commit(self, which: int) -> None:
        container, _ = self.pick(which)
        container.commit("committed")
        with Store.open(self.base / "store").image("committed").container() as made:
            assert shape_of_overlay(made.overlay) == shape_of_overlay(container.overlay)

    @invariant()
    def trees_agree(self) -> None:
        for container, plain in self.live:
            assert shape_of_overlay(container.overlay) == shape_of_directory(plain)

    def teardown(self) -> None:
        os.umask(self.umask)
        for container, _ in self.live:
            container.close()
        assert list((self.base / "store" / "containers").glob("*/upper*")) == []
        shutil.rmtree(self.base)


SnapshotMachine.TestCase.settings = settings(
    max_examples=EXAMPLES,
    stateful_step_count=STEPS,
    deadline=None,
    phases=[Phase.generate, Phase.shrink],
    database=None,  # the source tree may be read-only
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
TestSnapshotsAgainstCopies = SnapshotMachine.TestCase
