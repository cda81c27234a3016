"""A pull that ended early, in whatever way, goes on in another process; bytes are counted on the wire."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from rootlay.store.registry.errors import RegistryUnreachable
from rootlay.store.registry.pull import Pulled, pull
from rootlay.store.registry.push import push
from rootlay.store.registry.retry import RetryRules
from rootlay.store.registry.settings import Settings
from rootlay.store.store import ImageStore
from tests.support.archives.make import docker_archive, make_tar
from tests.support.registry.real import RealRegistry, running
from tests.support.registry.wire import Wire

SIZE = 12_000_000
# Headers of a handful of answers, manifest and config.
OVERHEAD_BYTES = 8_000
FAST = RetryRules(3, 0.02, 0.05)


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[RealRegistry]:
    with running(tmp_path / "registry") as found:
        yield found


@pytest.fixture
def source(store: ImageStore, registry: RealRegistry, tmp_path: Path) -> ImageStore:
    """A store whose `base:1` (one big layer) and `child:1` (one more) are in the registry."""
    base = make_tar([("big", "f", os.urandom(SIZE))])
    child = make_tar([("small", "f", os.urandom(50_000))])
    archive = tmp_path / "a.tar"
    archive.write_bytes(docker_archive([([base], ["base:1"]), ([base, child], ["child:1"])]))
    store.load(archive)
    for name in ("base:1", "child:1"):
        push(store, name, Settings(), target=f"{registry.host}/{name}")
    return store


def partials(store: ImageStore) -> list[Path]:
    return list((store.root / "tmp").glob("partial-*"))


def start_pull(store: ImageStore, name: str) -> subprocess.Popen[bytes]:
    words = [sys.executable, "-m", "rootlay.cli.main", "--root", str(store.root), "pull", name]
    environment = {k: v for k, v in os.environ.items() if not k.lower().endswith("_proxy")}
    return subprocess.Popen(words, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def wait_for(store: ImageStore, size: int, child: subprocess.Popen[bytes]) -> int:
    """Until so much of a blob is on the disk; how much it is."""
    for _ in range(3000):
        for path in partials(store):
            if (found := path.stat().st_size) >= size:
                return found
        assert child.poll() is None, child.communicate()
        time.sleep(0.01)
    raise AssertionError("nothing arrives")


def at(wire: Wire, pulled: Pulled, name: str) -> bool:
    return pulled.image.references == (f"{wire.host}/{name}",)


def test_a_killed_pull_goes_on_where_it_was(source: ImageStore, other: ImageStore, registry: RealRegistry) -> None:
    with Wire(("127.0.0.1", registry.port), bytes_per_s=6e6) as slow:
        child = start_pull(other, f"{slow.host}/base:1")
        arrived = wait_for(other, SIZE // 3, child)
        child.send_signal(signal.SIGKILL)
        child.communicate()
    ImageStore.open(other.root)  # sweeps
    assert other.images() == []
    with Wire(("127.0.0.1", registry.port)) as wire:
        pulled = pull(other, f"{wire.host}/base:1", Settings())
        assert at(wire, pulled, "base:1")
        assert wire.received < SIZE - arrived + OVERHEAD_BYTES
    assert pulled.fetched_bytes <= pulled.image.manifest.layers[0].size - arrived
    assert pulled.image.manifest_digest == source.image("base:1").manifest_digest
    assert partials(other) == []


def test_the_server_dies_for_good_and_another_pull_goes_on(
    source: ImageStore, other: ImageStore, registry: RealRegistry
) -> None:
    with Wire(("127.0.0.1", registry.port), bytes_per_s=1e7) as wire:
        name = f"{wire.host}/base:1"
        killed: list[int] = []

        def progress(done_bytes: int, total_bytes: int | None, label: str) -> None:
            if done_bytes > SIZE // 6 and not killed:
                killed.append(done_bytes)
                registry.kill()

        with pytest.raises(RegistryUnreachable):
            pull(other, name, Settings(retry=FAST), progress=progress)
        [partial] = partials(other)
        arrived = partial.stat().st_size
        assert arrived >= killed[0]
        registry.start()
        before = wire.received
        pulled = pull(other, name, Settings())
        assert at(wire, pulled, "base:1")
        assert wire.received - before < SIZE - arrived + OVERHEAD_BYTES
    assert pulled.image.manifest_digest == source.image("base:1").manifest_digest


@pytest.mark.parametrize("damage", ["flipped", "longer", "other"])
def test_what_was_left_and_is_damaged_is_fetched_whole(
    source: ImageStore, other: ImageStore, registry: RealRegistry, damage: str
) -> None:
    image = source.image("base:1")
    layer = image.manifest.layers[0]
    whole = source.layout.blob_path(layer.digest).read_bytes()
    left = {
        "flipped": whole[:100_000] + bytes([whole[100_000] ^ 1]) + whole[100_001:5_000_000],
        "longer": whole + b"x",
        "other": os.urandom(1_000_000),
    }[damage]
    path = other.root / "tmp" / f"partial-{image.diff_ids[0].hex}-{layer.digest.hex}"
    path.write_bytes(left)
    pulled = pull(other, f"{registry.host}/base:1", Settings())
    assert pulled.image.manifest_digest == image.manifest_digest
    assert other.layout.blob_path(layer.digest).read_bytes() == whole
    assert partials(other) == []


def test_a_whole_blob_that_was_left_needs_no_byte(
    source: ImageStore, other: ImageStore, registry: RealRegistry
) -> None:
    """Killed between the last byte and the layer's publication."""
    image = source.image("base:1")
    layer = image.manifest.layers[0]
    path = other.root / "tmp" / f"partial-{image.diff_ids[0].hex}-{layer.digest.hex}"
    path.write_bytes(source.layout.blob_path(layer.digest).read_bytes())
    mark = registry.seen
    pulled = pull(other, f"{registry.host}/base:1", Settings())
    assert pulled.image.manifest_digest == image.manifest_digest
    assert [e.bytes for e in registry.blobs_fetched(mark)] == [image.manifest.config.size]


def test_prune_removes_what_was_left_and_sweep_does_not(store: ImageStore) -> None:
    path = store.root / "tmp" / "partial-0-1"
    path.write_bytes(b"xyz")
    store.sweep()
    assert path.exists()
    assert store.prune().freed_bytes == 3
    assert not path.exists()


def test_counted_at_the_socket(source: ImageStore, other: ImageStore, registry: RealRegistry) -> None:
    """A child image costs its top layer, a second pull no blob."""
    with Wire(("127.0.0.1", registry.port)) as wire:
        pull(other, f"{wire.host}/base:1", Settings())
        before = wire.received
        pulled = pull(other, f"{wire.host}/child:1", Settings())
        top = pulled.image.manifest.layers[-1].size
        assert top < wire.received - before < top + OVERHEAD_BYTES
        before = wire.received
        again = pull(other, f"{wire.host}/child:1", Settings())
        assert (again.fetched_layers, again.fetched_bytes) == (0, 0)
        assert wire.received - before < OVERHEAD_BYTES
