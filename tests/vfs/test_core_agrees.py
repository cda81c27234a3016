"""The C core and the Python rules at work on one container, by turns, must not be told apart.

Each random operation is done by one of the two; after it both must show the plain directory's tree, and the same
attributes to the last field. The image is a real one: store, view in both forms, hydrator.
"""

from __future__ import annotations

import os
import random
import socket
import stat
import struct
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, rule, run_state_machine_as_test

from rootlay.store.containers.bloom import removed_beside
from rootlay.vfs.merge.identity import Identity
from rootlay.vfs.merge.stack import LowerHydrator, LowerView, Stack
from rootlay.vfs.overlay.overlay import Overlay
from rootlay.vfs.run.clients import CONTENT_MAGIC, pack_reply
from tests.native.conftest import core_library
from tests.support.boxes import corelib, launchfile
from tests.support.boxes.smalldeltas import small_deltas, write_removal_map
from tests.support.oracles.memory_view import LayerEntry
from tests.support.oracles.oracle import Shape
from tests.support.oracles.overlay_machine import OverlayMachine
from tests.vfs.test_stateful import EXAMPLES, STEPS

pytest.importorskip("rootlay.store.view.merge", reason="the C extension rootlay.store.view.merge is not built")

from rootlay.store.hydrate.contents import Contents
from rootlay.store.hydrate.hydrator import Hydrator
from rootlay.store.layer.writer import LayerWriter
from rootlay.store.store import ImageStore
from rootlay.store.view.build import build_view, view_path
from rootlay.store.view.view import View
from tests.vfs.test_real_store import with_streams

__all__ = ["core_library"]

COMPARED = ("dev", "ino", "mode", "nlink", "uid", "gid", "size", "blocks", "rdev_major", "rdev_minor")
EVERYBODY_MAY = Identity(umask=0)


class HydratorServer:
    """The socket of docs/format.md §8 in front of a hydrator."""

    def __init__(self, path: Path, hydrator: LowerHydrator) -> None:
        self.path, self._hydrator = path, hydrator
        self._contents: Contents | None = None
        self._turn = threading.Lock()
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.bind(str(path))
        self._socket.listen()
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                client, _ = self._socket.accept()
            except OSError:
                return
            threading.Thread(target=self._serve_one, args=(client,), daemon=True).start()

    def _serve_one(self, client: socket.socket) -> None:
        with client, suppress(ConnectionError):  # a client may be killed
            while request := client.recv(8):
                magic, entry = struct.unpack("<II", request)
                try:
                    with self._turn:
                        answer = self._answer(magic, entry)
                    client.sendall(pack_reply(answer))
                except ConnectionError:
                    raise
                except OSError as error:
                    client.sendall(pack_reply(error=error.errno or 5))

    def _answer(self, magic: int, entry: int) -> bytes:
        content = b""
        if magic == CONTENT_MAGIC and isinstance(self._hydrator, Hydrator):
            self._contents = self._contents or self._hydrator.contents()
            content = self._contents.answer(entry)
        if not content:
            self._hydrator.hydrate(entry)
        return content

    def close(self) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()


class Native:
    """The core with the names and arguments of `Overlay`."""

    def __init__(self, core: Any) -> None:
        self._core = core
        names = "mkdir unlink rmdir rename link symlink chmod truncate setxattr removexattr"
        for name in names.split():
            setattr(self, name, getattr(core, name))

    def open(self, path: bytes, flags: int, mode: int) -> int:
        return cast(int, self._core.open(path, flags | os.O_CLOEXEC, mode))

    def chown(self, path: bytes, uid: int, gid: int, *, follow: bool = True) -> None:
        self._core.chown(path, uid, gid, flags=0 if follow else corelib.NOFOLLOW)

    def utimens(self, path: bytes, times: tuple[int, int]) -> None:
        self._core.utimens(path, *times)


class ByTurns:
    """An overlay whose changes are made by one of the two implementations, as a random number says."""

    def __init__(self, overlay: Overlay, native: Native, choose: random.Random) -> None:
        self._overlay, self._native, self._choose = overlay, native, choose

    def __getattr__(self, name: str) -> Any:
        if not hasattr(self._native, name):
            return getattr(self._overlay, name)

        def call(*args: Any, **kwargs: Any) -> Any:
            # The core takes a change of the root's record for a change of its mtime.
            root = name in ("chmod", "chown", "setxattr", "removexattr") and not args[0].strip(b"./")
            one = self._overlay if root or self._choose.random() < 0.5 else self._native
            return getattr(one, name)(*args, **kwargs)

        return call


class JointMachine(OverlayMachine):
    core: Any = None

    def __init__(self) -> None:
        super().__init__()
        os.umask(0)
        self.store = ImageStore.open(self.base / "store")
        self.choose = random.Random(0)
        self.hydrator: Hydrator | None = None
        self.server: HydratorServer | None = None
        self.images: list[HydratorServer | Hydrator | View] = []

    @initialize(with_view=st.booleans(), with_plain=st.booleans(), seed=st.integers(0, 1 << 32))
    def start(self, with_view: bool, with_plain: bool, seed: int) -> None:
        self.choose = random.Random(seed)
        self.open_lowers(with_view, with_plain)
        self.plain.mkdir()
        self.copy_merged(b"", self.plain)

    def make_view(self, *layers: list[LayerEntry]) -> LowerView:
        diff_ids = []
        for layer in layers:
            with LayerWriter(self.store.layout) as writer:
                for path, entry, content in with_streams(layer):
                    writer.add(path, entry, content)
                diff_ids.append(writer.finish().diff_id)
            if self.choose.random() < 0.5:
                with small_deltas():  # of this one, if the view of the layers before was made
                    build_view(self.store, diff_ids)
        view = View.open(view_path(self.store.root, build_view(self.store, diff_ids)))
        self.hydrator = Hydrator(self.store, view)
        self.server = HydratorServer(self.base / f"socket{len(self.images)}", self.hydrator)
        self.images += [self.server, self.hydrator, view]
        return view

    @rule()
    def commit(self) -> None:
        """As above; the core cannot go back to an earlier launch file, as the check with hard links does."""
        if not self.has_hard_links():
            super().commit()

    @rule(top=st.booleans())
    def merge_frozen(self, top: bool) -> None:
        """As above; the core learns of another stack only by another launch file."""
        before = self.overlay.stack
        super().merge_frozen(top)
        stack = self.overlay.stack
        if stack is not before:
            self.overlay.close()
            self.overlay = self.make_overlay(stack)

    def make_hydrator(self) -> LowerHydrator | None:
        return self.hydrator

    def make_overlay(self, stack: Stack) -> Overlay:
        held = [launchfile.ATTRIBUTES if layer.form.in_files else 0 for layer in stack.dirs]
        uppers = [launchfile.Dir(os.fsdecode(stack.upper.path), 3 | held[0], str(stack.upper.bloom))]
        lowers = [
            launchfile.Dir(os.fsdecode(layer.path), 2 | flag if layer.marks else 0)
            for layer, flag in zip(stack.dirs[1:], held[1:], strict=True)
        ]
        view = self.view if isinstance(self.view, View) else None
        assert stack.upper.bloom is not None
        removed = removed_beside(stack.upper.bloom)
        if view is not None and not os.listdir(stack.upper.path) and self.choose.random() < 0.7:
            write_removal_map(removed, view)
        layers = view.layers if view is not None else ()
        launch = launchfile.Launch(
            dirs=uppers + lowers,
            view="" if view is None else str(view.native_path),
            trees=[str(self.store.root / "layers" / diff_id.hex / "tree") for diff_id in layers],
            hydrator="" if self.server is None else str(self.server.path),
            lock=str(stack.lock),
            host=(os.geteuid(), os.getegid()),
            st_dev=os.stat(os.fsdecode(stack.upper.path)).st_dev,
        )
        path = self.base / f"launch{self.count}"
        path.write_bytes(launch.pack())
        self.core.init(path)
        self.core.identity(0, 0, umask=0)
        return cast(Overlay, ByTurns(Overlay(stack, EVERYBODY_MAY), Native(self.core), self.choose))

    @invariant()
    def trees_agree(self) -> None:
        super().trees_agree()
        if self.count:
            shapes = shape_of_core(self.core)
            assert shapes == self.shapes
            for path in shapes:
                self.attributes_agree(path or b"/")

    def attributes_agree(self, path: bytes) -> None:
        ours, theirs = self.overlay.lstat(path), self.core.lstat(path)
        for name in COMPARED:
            pair = getattr(ours, name), getattr(theirs, name)
            assert pair[0] == pair[1], (path, name, pair)
        assert ours.mtime_ns == theirs.mtime, path
        names = self.overlay.listxattr(path, follow=False)
        assert names == self.core.listxattr(path, flags=corelib.NOFOLLOW), path

    def teardown(self) -> None:
        self.overlay.close()
        for opened in self.images:
            opened.close()
        super().teardown()


def shape_of_core(core: Any) -> dict[bytes, Shape]:
    """Every path, as the core shows it."""
    shapes: dict[bytes, Shape] = {}
    groups: dict[int, bytes] = {}
    pending = [b""]
    while pending:
        path = pending.pop(0)
        found = core.lstat(path or b"/")
        is_dir = stat.S_ISDIR(found.mode)
        content = b""
        if stat.S_ISREG(found.mode):
            content = core.read(path)
        elif stat.S_ISLNK(found.mode):
            content = core.readlink(path)
        elif is_dir:
            pending.extend(path + b"/" + name for name in core.listdir(path or b"/"))
        group = path if is_dir else groups.setdefault(found.ino, path)
        shapes[path] = Shape(found.mode, 0 if is_dir else found.nlink, len(content), content, group)
    return shapes


@pytest.fixture(scope="module")
def core(core_library: Path) -> Any:
    """The C core as a shared library, built from its sources."""
    return corelib.Core(core_library)


def test_core_and_rules_agree(core: Any) -> None:
    JointMachine.core = core
    run_state_machine_as_test(
        JointMachine,
        settings=settings(
            max_examples=max(5, EXAMPLES // 2),
            stateful_step_count=STEPS,
            deadline=None,
            phases=[Phase.generate, Phase.shrink],
            database=None,
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
        ),
    )
