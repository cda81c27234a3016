"""The C core with numbered points (engine.c), working on one image, in child processes that die or stop at a point."""

from __future__ import annotations

import contextlib
import os
import stat
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from rootlay.store.containers.upperstack import UpperForm
from rootlay.store.disk.removetree import remove_tree
from rootlay.store.hydrate.hydrator import Hydrator
from rootlay.store.layer.writer import LayerWriter
from rootlay.store.model.digest import Digest
from rootlay.store.store import ImageStore
from rootlay.store.view.build import build_view, view_path
from rootlay.store.view.delta import DeltaHeader, read_header
from rootlay.store.view.view import View
from rootlay.vfs.merge.bloom import Bloom
from rootlay.vfs.merge.identity import Identity
from rootlay.vfs.merge.stack import DirLayer, Ownership, Stack
from rootlay.vfs.overlay.overlay import Overlay
from tests.faults.builds import build_core
from tests.faults.control import Control
from tests.support.boxes import corelib, launchfile
from tests.support.boxes.smalldeltas import small_deltas, write_removal_map
from tests.support.oracles.memory_view import LayerEntry, directory, file, whiteout
from tests.vfs.test_core_agrees import HydratorServer, Native
from tests.vfs.test_crash import LAYER, State, prepare, state, without_times
from tests.vfs.test_real_store import with_streams

Tree = dict[bytes, tuple[object, ...]]
OLDER: list[LayerEntry] = [
    directory(b""),
    directory(b"d"),
    file(b"d/f", b"older"),
    directory(b"d/gone"),
    file(b"d/gone/x", b"gone"),
    directory(b"old"),
    *(file(b"old/%d" % number, b"old") for number in range(12)),
]
"""The layer below LAYER if the view is a delta: LAYER changes, hides and adds names."""
SINCE_NS = 1_100_000_000 * 10**9  # older times are those of the image


class Core(Native):
    """The core, with the other functions that the operations call."""

    def __init__(self, core: Any) -> None:
        super().__init__(core)
        self.rename = core.rename
        self.core = lambda: core

    def open(self, path: str | bytes, flags: int, mode: int = 0o666) -> int:
        return super().open(os.fsencode(path), flags, mode)

    def sync(self) -> None:
        self._core.call("rl_removals_sync")

    def settle(self) -> None:
        """Do what the engine does when its process ends."""
        self._core.call("rl_removals_settle")


class AsBytes:
    """Turns the operations' paths into bytes."""

    def __init__(self, native: Core) -> None:
        self._native = native

    def __getattr__(self, name: str) -> Callable[..., object]:
        def call(*words: object, **named: object) -> object:
            return getattr(self._native, name)(*(os.fsencode(w) if isinstance(w, str) else w for w in words), **named)

        return call


class Bench:
    """One image, and a new upper for each fault.

    Args:
        removals: the uppers have a removal map.
        delta: the view is a delta. It shows the same tree.
    """

    def __init__(self, base: Path, *, removals: bool = False, delta: bool = False) -> None:
        base.mkdir(exist_ok=True)
        self.base = base
        self.removals = removals
        self.control = Control(base / "control")
        self.library = build_core(base / "core.so", base / "control", base / "log")
        store = ImageStore.open(base / "store")
        self.view, diff_ids = make_view(store, delta)
        self.trees = [store.root / "layers" / diff_id.hex / "tree" for diff_id in diff_ids]
        self.hydrator = Hydrator(store, self.view)
        self.server = HydratorServer(base / "socket", self.hydrator)

    def close(self) -> None:
        self.server.close()
        self.view.close()

    def stack(self, place: Path) -> Stack:
        upper = DirLayer.at(place / "upper", writable=True, bloom=place / "bloom")
        return Stack((upper,), self.view, self.hydrator, Ownership(os.geteuid(), os.getegid()), place / "lock")

    def overlay(self, place: Path) -> Overlay:
        return Overlay(self.stack(place), Identity(umask=0))

    def _form(self, place: Path) -> int:
        return launchfile.ATTRIBUTES if UpperForm.of(place / "upper").in_files else 0

    def make(self, place: Path) -> None:
        """Make an upper with some files in it. No file of the image is hydrated."""
        for tree in self.trees:
            remove_tree(tree)
            tree.mkdir(mode=0o700)
        (place / "upper").mkdir(parents=True)
        Bloom.create(place / "bloom").close()
        if self.removals:
            write_removal_map(place / "removed", self.view)
        with self.overlay(place) as overlay:
            overlay.adopt_root()
            prepare(overlay)
        launch = launchfile.Launch(
            dirs=[launchfile.Dir(str(place / "upper"), 3 | self._form(place), str(place / "bloom"))],
            view=str(self.view.native_path),
            trees=[str(tree) for tree in self.trees],
            hydrator=str(self.server.path),
            lock=str(place / "lock"),
            host=(os.geteuid(), os.getegid()),
            st_dev=(place / "upper").stat().st_dev,
        )
        (place / "launch").write_bytes(launch.pack())

    def core(self, place: Path) -> corelib.Core:
        """Open the core in this process; it can be called many times."""
        core = corelib.Core(self.library)
        core.init(place / "launch")
        core.identity(0, 0, umask=0o022)
        return core

    def fork(self, place: Path, operation: Callable[[Any], object]) -> int:
        """Let the core run an operation in a child, whose exit code is the errno."""
        pid = os.fork()
        if pid == 0:
            code = 255
            with contextlib.suppress(BaseException):
                native = AsBytes(Core(self.core(place)))
                try:
                    operation(native)
                    code = 0
                except OSError as error:
                    code = error.errno or 254
            os._exit(code)
        return pid

    def run(self, place: Path, operation: Callable[[Any], object], at: int, action: str) -> tuple[int, int]:
        """Do the same in a child, with `action` at point `at` (0: no fault). Return the wait status and the points."""

        def armed(native: Any) -> None:
            self.control.arm(at, action)
            operation(native)

        status = os.waitpid(self.fork(place, armed), 0)[1]
        return status, self.control.disarm()

    def shown(self, place: Path, since_ns: int = SINCE_NS) -> State:
        """Return the tree as Python shows it, without the times that this run has set."""
        with self.overlay(place) as overlay:
            return {path: without_times(shape, since_ns) for path, shape in state(overlay).items()}

    def seen(self, place: Path) -> Tree:
        """Return the tree as the core shows it."""
        return dict(walk(self.core(place)))


def make_view(store: ImageStore, delta: bool) -> tuple[View, list[Digest]]:
    """Return the view of LAYER, and its layers."""
    gone = [whiteout(b"d/gone"), whiteout(b"old")]
    diff_ids = []
    with small_deltas():
        for layer in (OLDER, sorted([*LAYER, *gone], key=lambda entry: entry[0])) if delta else (LAYER,):
            with LayerWriter(store.layout) as writer:
                for path, entry, content in with_streams(layer):
                    writer.add(path, entry, content)
                diff_ids.append(writer.finish().diff_id)
            chain = build_view(store, diff_ids)
    place = view_path(store.root, chain)
    assert isinstance(read_header(place.with_suffix(".view")), DeltaHeader) == delta
    return View.open(place), diff_ids


def walk(core: corelib.Core, path: bytes = b"", *, reads: bool = True) -> Iterator[tuple[bytes, tuple[object, ...]]]:
    """Return names, types and owners; with `reads` also the content of files, which hydrates them."""
    found = core.lstat(path or b"/")
    content: object = b""
    if stat.S_ISDIR(found.mode):
        content = tuple(core.listdir(path or b"/"))
        for name in core.listdir(path or b"/"):
            yield from walk(core, path + b"/" + name, reads=reads)
    elif stat.S_ISREG(found.mode) and reads:
        content = core.read(path)
    elif stat.S_ISLNK(found.mode):
        content = core.readlink(path)
    yield path, (found.mode, found.uid, found.gid, content)


def wait(pid: int, seconds: float) -> int | None:
    """Return the wait status of a child that ends or stops; None if it does neither within the time limit."""
    deadline = time.monotonic() + seconds
    while True:
        done, status = os.waitpid(pid, os.WNOHANG | os.WUNTRACED)
        if done:
            return status
        if time.monotonic() > deadline:
            return None
        time.sleep(0.0005)
