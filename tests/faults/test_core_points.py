"""The C core dies, or the kernel refuses, at every call by which one of its operations changes something.

The operations and the states that are allowed are those of tests/vfs/test_crash.py, which does the same to the Python
rules. EDQUOT, EIO and EROFS are tried with ROOTLAY_TEST_LONG alone. The core is compiled with numbered points
(engine.c), and each break happens in a process of its own.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from rootlay.store.hydrate.hydrator import Hydrator
from rootlay.store.layer.writer import LayerWriter
from rootlay.store.store import ImageStore
from rootlay.store.view.build import build_view, view_path
from rootlay.store.view.view import View
from rootlay.vfs.merge.bloom import Bloom
from rootlay.vfs.merge.identity import Identity
from rootlay.vfs.merge.stack import DirLayer, Ownership, Stack
from rootlay.vfs.overlay.overlay import Overlay
from tests.faults.builds import build_core
from tests.faults.control import ACTIONS, Control
from tests.support.boxes import corelib, launchfile
from tests.vfs.test_core_agrees import HydratorServer, Native
from tests.vfs.test_crash import LAYER, OPERATIONS, State, check, prepare, state
from tests.vfs.test_real_store import with_streams

pytestmark = [pytest.mark.long_form, pytest.mark.once]

TRIED: Counter[str] = Counter()
# The core makes a copy only for a change, and no device nodes here: what Python's rules are asked for by name.
NATIVE = {name: operation for name, operation in OPERATIONS.items() if name not in ("copy up", "mknod")}


class Core(Native):
    """The core with what the operations call besides."""

    def __init__(self, core: Any) -> None:
        super().__init__(core)
        self.rename = core.rename

    def open(self, path: str | bytes, flags: int, mode: int = 0o666) -> int:
        return super().open(os.fsencode(path), flags, mode)


class AsBytes:
    """Turns the operations' paths into bytes."""

    def __init__(self, native: Core) -> None:
        self._native = native

    def __getattr__(self, name: str) -> Callable[..., object]:
        def call(*words: object, **named: object) -> object:
            return getattr(self._native, name)(*(os.fsencode(w) if isinstance(w, str) else w for w in words), **named)

        return call


class Bench:
    """One image; uppers that are made anew for each break."""

    def __init__(self, base: Path) -> None:
        self.base = base
        self.control = Control(base / "control")
        self.library = build_core(base / "core.so", base / "control", base / "log")
        store = ImageStore.open(base / "store")
        with LayerWriter(store.layout) as writer:
            for path, entry, content in with_streams(LAYER):
                writer.add(path, entry, content)
            diff_id = writer.finish().diff_id
        self.view = View.open(view_path(store.root, build_view(store, [diff_id])))
        self.tree = store.root / "layers" / diff_id.hex / "tree"
        self.hydrator = Hydrator(store, self.view)
        self.server = HydratorServer(base / "socket", self.hydrator)

    def stack(self, place: Path) -> Stack:
        upper = DirLayer.at(place / "upper", writable=True, bloom=place / "bloom")
        return Stack((upper,), self.view, self.hydrator, Ownership(os.geteuid(), os.getegid()), place / "lock")

    def overlay(self, place: Path) -> Overlay:
        return Overlay(self.stack(place), Identity(umask=0))

    def make(self, place: Path) -> None:
        """An upper with something in it."""
        (place / "upper").mkdir(parents=True)
        Bloom.create(place / "bloom").close()
        with self.overlay(place) as overlay:
            overlay.adopt_root()
            prepare(overlay)

    def run(self, place: Path, operation: Callable[[Any], object], at: int, action: str) -> tuple[int, int]:
        """Let the core do it in a child that meets `action` at point `at`. Wait status, points."""
        launch = launchfile.Launch(
            dirs=[launchfile.Dir(str(place / "upper"), 3, str(place / "bloom"))],
            view=str(self.view.native_path),
            trees=[str(self.tree)],
            hydrator=str(self.server.path),
            lock=str(place / "lock"),
            host=(os.geteuid(), os.getegid()),
            st_dev=(place / "upper").stat().st_dev,
        )
        (place / "launch").write_bytes(launch.pack())
        pid = os.fork()
        if pid == 0:
            code = 255
            with contextlib.suppress(BaseException):
                core = corelib.Core(self.library)
                core.init(place / "launch")
                core.identity(0, 0, umask=0o022)
                self.control.arm(at, action)
                try:
                    operation(AsBytes(Core(core)))
                    code = 0
                except OSError as error:
                    code = error.errno or 254
            os._exit(code)
        status = os.waitpid(pid, 0)[1]
        return status, self.control.disarm()


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    if not shutil.which("cc"):
        pytest.skip("needs a C compiler (cc)")
    made = Bench(tmp_path_factory.mktemp("points"))
    yield made
    made.server.close()
    made.view.close()
    print("\ncore:", ", ".join(f"{count} x {action}" for action, count in TRIED.items()))


@pytest.mark.parametrize("action", ACTIONS if os.environ.get("ROOTLAY_TEST_LONG") else ("kill", "ENOSPC"))
@pytest.mark.parametrize("name", NATIVE)
def test_core_leaves_the_old_state_or_the_new(name: str, action: str, bench: Bench, monkeypatch: Any) -> None:
    place = bench.base / "place"
    shutil.rmtree(place, ignore_errors=True)
    bench.make(place)
    before = shown(bench, place)
    status, points = bench.run(place, NATIVE[name], 0, action)
    assert status == 0, name
    after = shown(bench, place)
    monkeypatch.setattr("tests.vfs.test_crash.StackBuilder", lambda base: cast(Any, Rebuilt(bench, base)))
    assert points > 0
    for at in range(1, points + 1):
        shutil.rmtree(place)
        bench.make(place)
        status, reached = bench.run(place, NATIVE[name], at, action)
        TRIED[action] += reached >= at
        code = os.waitstatus_to_exitcode(status)
        assert code == -signal.SIGKILL if action == "kill" else code in (0, ACTIONS[action]), (at, code)
        what = check(name, place, before, after)
        assert code != 0 or what == "after", (at, what)
        if what in ("before", "mixed"):
            assert os.waitstatus_to_exitcode(bench.run(place, NATIVE[name], 0, action)[0]) == 0, at
            assert check(name, place, before, after) == "after", at


class Rebuilt:
    """Stands for the builder of stacks in `check`."""

    def __init__(self, bench: Bench, place: Path) -> None:
        self._bench, self._place = bench, place

    def overlay(self, **_: object) -> Overlay:
        return self._bench.overlay(self._place)


def shown(bench: Bench, place: Path) -> State:
    with bench.overlay(place) as overlay:
        return state(overlay)
