"""kill -9 at any moment, and several importers at once: all or nothing, leftovers swept."""

from __future__ import annotations

import gzip
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from rootlay.store.disk.durable import staging_directory, sweep
from rootlay.store.model.errors import UnknownImage
from rootlay.store.store import ImageStore
from tests.support.archives.make import child_environment, docker_archive, make_tar, snapshot

TAR = make_tar([(f"d/{i}", "f", random.Random(i).randbytes(40_000)) for i in range(60)])
TOP = make_tar([("d/.wh.1", "f", ""), ("new", "f", "x" * 100_000)])

# Dies by SIGKILL at the n-th call of one of the functions that make something durable or visible.
_CHILD = """if 1:
    import os, signal, sys
    from pathlib import Path
    root, source, kind, count = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], int(sys.argv[4])
    calls = 0
    def deadly(function):
        def call(*arguments, **keywords):
            global calls
            calls += 1
            if calls == count:
                os.kill(os.getpid(), signal.SIGKILL)
            return function(*arguments, **keywords)
        return call
    from rootlay.store.store import ImageStore
    store = ImageStore.open(root)
    if count:
        for name in ("fsync", "rename", "unlink", "mkdir", "fchmod"):
            setattr(os, name, deadly(getattr(os, name)))
    print("ready", flush=True)
    store.load(source) if kind == "load" else store.import_rootfs(source, "app")
    print(calls, flush=True)
"""


def run_child(root: Path, source: Path, kind: str, count: int) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-c", _CHILD, str(root), str(source), kind, str(count)]
    return subprocess.run(command, capture_output=True, env=child_environment())


def assert_all_or_nothing(root: Path, layers: list[bytes]) -> bool:
    """The image `app` is complete, or `images` has no trace of it; the next open sweeps. Whether it is there."""
    store = ImageStore.open(root)
    assert not list((root / "tmp").iterdir())
    try:
        image = store.image("app")
    except UnknownImage:
        assert [record.reference for record in store.images()] == ["base:latest"]
        return False
    for diff_id, tar in zip(image.diff_ids, layers, strict=True):
        layer = store.layer(diff_id)
        assert b"".join(layer.iter_tar()) == tar
        layer.close()
    return True


@pytest.fixture
def prepared(tmp_path: Path) -> Path:
    """A store root with one image."""
    store = ImageStore.open(tmp_path / "store")
    (tmp_path / "base.tar").write_bytes(make_tar([("base", "f", "base")]))
    store.import_rootfs(tmp_path / "base.tar", "base")
    return store.root


@pytest.mark.parametrize("kind", ["import", "load"])
def test_killed_at_every_step(prepared: Path, tmp_path: Path, kind: str) -> None:
    layers = [TAR] if kind == "import" else [TAR, TOP]
    source = tmp_path / "source"
    source.write_bytes(gzip.compress(TAR, 1) if kind == "import" else docker_archive([(layers, ["app"])]))
    seen = set()
    count = 1
    while True:
        done = run_child(prepared, source, kind, count)
        if done.returncode == 0:
            break
        assert done.returncode == -signal.SIGKILL, done.stderr.decode()
        there = assert_all_or_nothing(prepared, layers)
        seen.add(there)
        if there:
            ImageStore.open(prepared).remove("app")
        count += 3
        assert count < 300
    assert assert_all_or_nothing(prepared, layers)
    assert False in seen
    assert count > 10


def test_killed_at_random_moments(prepared: Path, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(gzip.compress(TAR, 1))
    rng = random.Random(5)
    for _ in range(20):
        command = [sys.executable, "-c", _CHILD, str(prepared), str(source), "import", "0"]
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=child_environment()
        ) as child:
            assert child.stdout is not None
            child.stdout.readline()
            time.sleep(rng.random() * 0.06)
            child.kill()
            child.wait()
        if assert_all_or_nothing(prepared, [TAR]):
            ImageStore.open(prepared).remove("app")
    assert run_child(prepared, source, "import", 0).returncode == 0
    assert assert_all_or_nothing(prepared, [TAR])


def test_a_killed_import_changes_nothing_that_was_there(prepared: Path, tmp_path: Path) -> None:
    before = snapshot(prepared)
    (tmp_path / "source").write_bytes(gzip.compress(TAR, 1))
    assert run_child(prepared, tmp_path / "source", "import", 4).returncode == -signal.SIGKILL
    ImageStore.open(prepared)
    assert snapshot(prepared) == before


@pytest.mark.parametrize("kind", ["import", "load"])
def test_importers_at_once_all_succeed(prepared: Path, tmp_path: Path, kind: str) -> None:
    source = tmp_path / "source"
    source.write_bytes(gzip.compress(TAR, 1) if kind == "import" else docker_archive([([TAR, TOP], ["app"])]))
    command = [sys.executable, "-c", _CHILD, str(prepared), str(source), kind, "0"]
    children = [subprocess.Popen(command, stdout=subprocess.DEVNULL, env=child_environment()) for _ in range(4)]
    assert [child.wait() for child in children] == [0, 0, 0, 0]
    assert assert_all_or_nothing(prepared, [TAR] if kind == "import" else [TAR, TOP])
    assert len(list((prepared / "layers").iterdir())) == (2 if kind == "import" else 3)
    assert [p.name for p in (prepared / "locks").iterdir()] == ["use"]


def test_names_given_at_once_are_all_kept(prepared: Path) -> None:
    code = """if 1:
        import sys
        from pathlib import Path
        from rootlay.store.store import ImageStore
        for i in range(10):
            ImageStore.open(Path(sys.argv[1])).tag("base", f"n{sys.argv[2]}:{i}")
    """
    command = [sys.executable, "-c", code, str(prepared)]
    children = [subprocess.Popen([*command, str(i)], env=child_environment()) for i in range(3)]
    assert [child.wait() for child in children] == [0, 0, 0]
    assert len(ImageStore.open(prepared).images()) == 31


def test_sweep_leaves_the_living_alone(tmp_path: Path) -> None:
    with staging_directory(tmp_path) as living:
        (living / "file").write_bytes(b"")
        (tmp_path / "999-dead").mkdir()
        (tmp_path / "999-dead.lock").write_bytes(b"")
        (tmp_path / "998-no-lock").mkdir()
        sweep(tmp_path)
        assert sorted(p.name for p in tmp_path.iterdir()) == sorted([living.name, living.name + ".lock"])
        assert (living / "file").exists()
    assert not list(tmp_path.iterdir())


def test_a_forked_child_leaves_the_directory_to_its_parent(tmp_path: Path) -> None:
    with staging_directory(tmp_path) as living:
        kept = [staging_directory(tmp_path)]
        other = kept[0].__enter__()
        if (pid := os.fork()) == 0:
            kept.clear()  # its generator ends
            os._exit(0)
        os.waitpid(pid, 0)
        assert set(tmp_path.iterdir()) == {path.with_suffix(end) for path in (living, other) for end in ("", ".lock")}
        kept.pop().__exit__(None, None, None)
    assert not list(tmp_path.iterdir())


def test_a_removal_waits_for_importers(prepared: Path) -> None:
    code = """if 1:
        import sys
        from pathlib import Path
        from rootlay.store.store import ImageStore
        store = ImageStore.open(Path(sys.argv[1]))
        print("ready", flush=True)
        store.remove("base")
        print("removed", flush=True)
    """
    store = ImageStore.open(prepared)
    command = [sys.executable, "-c", code, str(prepared)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=child_environment()) as child:
        assert child.stdout is not None
        with store.layout.use():
            assert child.stdout.readline() == b"ready\n"
            time.sleep(0.3)
            assert store.images()
        assert child.stdout.readline() == b"removed\n"
    assert store.images() == []
