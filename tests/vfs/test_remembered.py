"""What a file system object remembers is never told when it is not so any more, whoever changed it."""

from __future__ import annotations

import os
import stat
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import invariant

from rootlay.vfs import Image, Store
from rootlay.vfs.overlay.overlay import Overlay
from rootlay.vfs.pyfs.layerfs import LayerFS
from tests.support.oracles.memory_view import directory, file, symlink
from tests.support.oracles.oracle import shape_of_directory
from tests.support.oracles.overlay_machine import OverlayMachine
from tests.support.rootfs import build_rootfs
from tests.vfs.conftest import StackBuilder

# isort: split
from fs import errors

pytestmark = pytest.mark.once

EXAMPLES = int(os.environ.get("ROOTLAY_TEST_EXAMPLES", "10"))


class WatchedMachine(OverlayMachine):
    """Random changes of an upper; a second handle on it, which looks at everything after each of them."""

    def __init__(self) -> None:
        super().__init__()
        self.watcher: LayerFS | None = None

    @invariant()
    def the_other_handle_sees_what_is_there(self) -> None:
        if not self.count:
            return
        if self.watcher is None or self.watcher.overlay.stack != self.overlay.stack:
            self.close_watcher()
            self.watcher = LayerFS(Overlay(self.overlay.stack))
        shapes = shape_of_directory(self.plain)
        expected = {os.fsdecode(path) for path, shape in shapes.items() if path and not stat.S_ISLNK(shape.mode)}
        seen = set()
        pending = ["/"]
        while pending:
            here = pending.pop()
            for name in self.watcher.listdir(here):
                path = f"{here.rstrip('/')}/{name}"
                if self.watcher.islink(path):
                    continue
                info = self.watcher.getinfo(path, ["details"])
                shape = shapes[os.fsencode(path)]
                assert info.is_dir == stat.S_ISDIR(shape.mode)
                if info.is_dir:
                    pending.append(path)
                elif stat.S_ISREG(shape.mode):
                    assert self.watcher.readbytes(path) == (self.plain / path[1:]).read_bytes()
                    assert info.size == len(self.watcher.readbytes(path))
                seen.add(path)
        assert seen == expected

    def close_watcher(self) -> None:
        if self.watcher is not None:
            self.watcher.overlay.close()

    def teardown(self) -> None:
        self.close_watcher()
        super().teardown()


WatchedMachine.TestCase.settings = settings(
    max_examples=EXAMPLES,
    stateful_step_count=30,
    deadline=None,
    phases=[Phase.generate, Phase.shrink],
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
TestASecondHandle = WatchedMachine.TestCase


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Image:
    base = tmp_path_factory.mktemp("remembered")
    (base / "tree").mkdir()
    build_rootfs(base / "tree")
    for number in range(30):
        (base / "tree" / "many" / f"d{number % 5}").mkdir(parents=True, exist_ok=True)
        (base / "tree" / "many" / f"d{number % 5}" / f"f{number}").write_text(str(number))
    return Store.open(base / "store").import_rootfs(base / "tree", "small")


def contents(fs: Any) -> dict[str, object]:
    """Everything below /many, the quick way and by way of each name."""
    names = dict.fromkeys(fs.walk.dirs("/many")) | {path: fs.readtext(path) for path in fs.walk.files("/many")}
    assert {path: info.is_dir for path, info in fs.walk.info("/many")} == {path: fs.isdir(path) for path in names}
    return names


CHANGES = (
    "rm /many/d0/f0; echo new > /many/d0/new",
    "mv /many/d1 /many/moved",
    "mkdir /many/d1; echo again > /many/d1/f1",
    "rm -r /many/d2; echo file > /many/d2",
    "echo more >> /many/d3/f3; chmod 700 /many/d3",
    "mv /many/d4/f4 /many/d3/f8",
    "rm /many/d3/f13 && mkdir /many/d3/f13 && echo x > /many/d3/f13/y",
    "mv /many/moved/f6 /many/d4 && rmdir /many/d1 2>/dev/null; ln -s d3 /many/link",
    "rm -r /many",
)


def test_programs_inside_change_what_was_remembered(image: Image) -> None:
    with image.container("busy") as c:
        fs, spec = c.fs, c.fsspec
        assert len(contents(fs)) == 35
        assert len(spec.find("/many", withdirs=True)) == 36
        for change in CHANGES:
            c.run(["sh", "-c", change], check=True)
            with Store.open(image.root).container("busy") as other:
                fresh = other.fs.exists("/many") and contents(other.fs)
                fresh_spec = other.fsspec.find("/many", withdirs=True, detail=True)
            assert (fs.exists("/many") and contents(fs)) == fresh, change
            assert spec.find("/many", withdirs=True, detail=True) == fresh_spec
            assert spec.glob("/many/*") == ([] if not fresh else [f"/many/{name}" for name in fs.listdir("/many")])
        c.snapshot()
        assert not fs.exists("/many")
        c.rollback()
    c.remove()


def test_a_snapshot_and_its_rollback_are_seen(image: Image) -> None:
    with image.container() as c:
        fs = c.fs
        before = contents(fs)
        c.snapshot("clean")
        assert contents(fs) == before
        fs.movedir("/many/d0", "/many/new", create=True)
        fs.writetext("/many/d1/f1", "changed")
        after = contents(fs)
        assert after != before
        c.snapshot("changed")
        assert contents(fs) == after
        c.rollback("clean")
        assert contents(fs) == before


def test_the_long_way_is_gone_once(image: Image, monkeypatch: pytest.MonkeyPatch) -> None:
    with image.container(hostname="box") as c:
        fs = c.fs
        expected = contents(fs)
        calls = []
        for name in ("get", "look"):
            original = getattr(Overlay, name)
            monkeypatch.setattr(Overlay, name, lambda *a, call=original, **k: calls.append(a) or call(*a, **k))
        assert contents(fs) == expected
        assert calls == []
        fs.touch("/many/d0/new")
        calls.clear()
        contents(fs)
        assert calls


def test_paths_are_taken_as_they_are_written(build: StackBuilder) -> None:
    layer = [directory(b""), directory(b"d"), file(b"d/f", b"x"), symlink(b"l", b"d"), file(b"d/caf\xe9", b"")]
    fs = LayerFS(build.overlay(layers=(layer,)))
    for _ in range(2):
        for path in ("/d/f", "d/f", "/d//f", "/d/./f", "/d/../d/f", "/l/f", "l/../d/f"):
            assert fs.getinfo(path).name == "f"
            assert fs.readtext(path) == "x"
        for path in ("/d", "/d/", "d/", "/l", "/l/"):
            assert fs.listdir(path) == ["caf\udce9", "f"]
            assert fs.getinfo(path).is_dir
        for path in ("/d/f/", "/d/f/.", "/d/.wh.f", "/d/.wh..wh..opq", "/d/none", "/d/f/x"):
            assert fs.exists(path) == (path.rstrip("/.") == "/d/f")
        assert fs.getinfo("/d/caf\udce9", ["details"]).size == 0
        with pytest.raises(errors.InvalidCharsInPath):
            fs.exists("/d/\ud800")


def test_layers_that_others_may_change_are_not_remembered(build: StackBuilder) -> None:
    lower = build.lower("lower", lambda path: (path / "d").mkdir())
    fs = LayerFS(build.overlay(lower))
    assert fs.listdir("/d") == []
    (build.base / "lower" / "d" / "new").write_text("x")
    assert fs.listdir("/d") == ["new"]
    assert fs.getinfo("/d/new", ["details"]).size == 1
    (build.base / "lower" / "d" / "new").unlink()
    assert not fs.exists("/d/new")
