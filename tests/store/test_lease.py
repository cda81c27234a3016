"""Mark and sweep beside importers and readers: what a living process needs stays, what a dead one needed goes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from rootlay.store.disk.lease import Lease, read_leases
from rootlay.store.disk.lock import UseLock
from rootlay.store.layout.importing import importing
from rootlay.store.layout.removal import prune
from rootlay.store.model.digest import Digest
from rootlay.store.store import ImageStore
from tests.support.archives.make import LayoutBuilder, child_environment, make_tar, sha256

TAR = make_tar([("a", "f", "a" * 1000)])
ONE = Digest("sha256", "1" * 64)

_HOLDER = """if 1:
    import sys
    from pathlib import Path
    from rootlay.store.model.digest import Digest
    from rootlay.store.disk.lease import Lease
    lease = Lease(Path(sys.argv[1]))
    lease.add("blob", [Digest("sha256", "1" * 64)])
    print("held", flush=True)
    sys.stdin.read()
"""


def garbage(store: ImageStore) -> Path:
    """A blob that nobody names, long ago."""
    path = store.layout.blobs / "sha256" / ONE.hex
    path.write_bytes(b"")
    os.utime(path, (1, 1))
    return path


def test_what_a_living_process_needs_stays_until_it_dies(store: ImageStore) -> None:
    path = garbage(store)
    command = [sys.executable, "-c", _HOLDER, str(store.layout.locks)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=child_environment()) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        assert prune(store.layout, tuple).places == ()
        assert path.exists()
        holder.kill()
    assert prune(store.layout, tuple).places == (f"blobs/sha256/{ONE.hex}",)
    assert os.listdir(store.layout.locks) == ["use"]


def test_a_released_lease_is_gone(store: ImageStore) -> None:
    lease = Lease(store.layout.locks)
    lease.add("view", [ONE])
    assert read_leases(store.layout.locks)["view"] == {ONE}
    lease.release()
    lease.release()
    assert read_leases(store.layout.locks) == {"blob": set(), "layer": set(), "view": set()}
    assert not any(name.startswith("lease-") for name in os.listdir(store.layout.locks))


def test_adding_waits_for_a_remover_and_a_remover_for_nobody_else(store: ImageStore) -> None:
    lease = Lease(store.layout.locks)
    with store.layout.remove_lock(), pytest.raises(BlockingIOError):
        UseLock(store.layout.locks / "use", remover=False, wait=False)
    lease.add("layer", [ONE])
    with store.layout.remove_lock(wait=False):
        assert read_leases(store.layout.locks)["layer"] == {ONE}
    lease.release()


def test_a_layer_found_by_an_import_stays_when_its_last_image_goes_meanwhile(store: ImageStore, tmp_path: Path) -> None:
    layout = LayoutBuilder()
    layout.name(layout.manifest([TAR]), "app")
    store.load(layout.write(tmp_path / "layout"))
    diff_id = Digest.parse(sha256(TAR))
    with importing(store.layout):
        assert store.layout.has_layer(diff_id)
        removed = store.remove("app")
        assert store.layout.has_layer(diff_id)
        assert store.layout.has_blob(diff_id)  # plain tar: the blob is the layer's own
        assert f"layers/{diff_id.hex}" not in removed.places
    assert store.load(tmp_path / "layout")[0].diff_ids == (diff_id,)


def test_a_dry_run_tells_what_a_prune_then_does(store: ImageStore, tmp_path: Path) -> None:
    garbage(store)
    (tmp_path / "a.tar").write_bytes(TAR)
    store.import_rootfs(tmp_path / "a.tar", None)
    before = sorted(store.root.rglob("*"))
    said = store.prune(dry_run=True)
    assert sorted(store.root.rglob("*")) == before
    assert said.freed_bytes > 0
    assert said == store.prune()
    assert store.prune() == store.prune(dry_run=True)
    assert not list((store.layout.blobs / "sha256").iterdir())


def test_a_save_goes_on_while_its_image_is_removed(store: ImageStore, tmp_path: Path) -> None:
    layout = LayoutBuilder()
    layout.name(layout.manifest([TAR]), "app")
    store.load(layout.write(tmp_path / "layout"))
    with store.layout.holding():
        image = store.image("app")
        for blob in (image.manifest.config, *image.manifest.layers):
            assert store.layout.has_blob(blob.digest)
        store.remove("app")
        assert all(store.layout.has_blob(blob.digest) for blob in image.manifest.layers)
    store.prune()
    assert store.images() == []


def test_a_store_that_can_only_be_read_is_read_without_leases(store: ImageStore, tmp_path: Path) -> None:
    if not os.geteuid():
        pytest.skip("root may write everywhere")
    (tmp_path / "a.tar").write_bytes(TAR)
    store.import_rootfs(tmp_path / "a.tar", "app")
    store.layout.locks.chmod(0o500)
    try:
        store.save(["app"], tmp_path / "out.tar")
    finally:
        store.layout.locks.chmod(0o700)
    assert (tmp_path / "out.tar").stat().st_size > 1000


@pytest.mark.timeout(60)
def test_an_import_that_fails_beside_an_image_does_not_wait_for_itself(store: ImageStore, tmp_path: Path) -> None:
    (tmp_path / "base.tar").write_bytes(TAR)
    store.import_rootfs(tmp_path / "base.tar", "base")
    added: list[Digest] = []

    def fail() -> None:
        with importing(store.layout):
            added.append(store.layout.add_blob(b"new"))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert not store.layout.blob_path(added[0]).exists()
    assert store.image("base").references == ("base:latest",)
