"""What `fsck` leaves alone, and what its repairs leave."""

from __future__ import annotations

import contextlib
import os

from rootlay.store.bundle.attach import link_path
from rootlay.store.check.finding import quarantined
from rootlay.store.containers.containers import Containers
from rootlay.store.layer.layer import Layer
from rootlay.store.model.digest import Digest
from rootlay.store.store import ImageStore
from rootlay.vfs.api.store import Store
from rootlay.vfs.containers.create import ContainerOptions, create_container
from tests.vfs.check_cases import CASES
from tests.vfs.damaged_store import Damaged, cut, flip


def test_nothing_is_found_in_a_healthy_store(damaged: Damaged) -> None:
    assert damaged.check() == []
    assert damaged.check(deep=True) == []
    assert damaged.check(deep=True, repair=True) == []
    assert not (damaged.root / "quarantine").exists()


def test_a_check_changes_nothing(damaged: Damaged) -> None:
    for case in ("layer index cut", "view cut", "record cut", "hydrated file cut", "filter cut", "manifest changed"):
        with contextlib.suppress(OSError):
            CASES[case].damage(damaged)
    before = {path: path.lstat().st_mtime_ns for path in damaged.root.rglob("*") if path.parent.name != "locks"}
    damaged.check(deep=True)
    after = {path: path.lstat().st_mtime_ns for path in damaged.root.rglob("*") if path.parent.name != "locks"}
    before.pop(damaged.root / "tmp"), after.pop(damaged.root / "tmp")
    before.pop(damaged.root / "locks"), after.pop(damaged.root / "locks")
    assert after == before


def test_a_lost_index_gets_its_names_back_from_containers(damaged: Damaged) -> None:
    create_container(damaged.root, ContainerOptions(image="app", name="named", need_command=False), {})
    (damaged.root / "index.json").unlink()
    damaged.check(repair=True)
    assert [record.reference for record in ImageStore.open(damaged.root).images()] == ["app:latest"]


def test_what_is_put_aside_can_be_put_back(damaged: Damaged) -> None:
    path = damaged.container() / "config.json"
    good = path.read_bytes()
    path.write_bytes(b"{")
    damaged.check(repair=True)
    rows = quarantined(damaged.root)
    assert [row["place"] for row in rows] == [f"containers/{path.parent.name}"]
    assert not path.exists()
    os.rename(rows[0]["kept"], damaged.root / rows[0]["place"])
    path.write_bytes(good)
    assert not any(outcome.is_open for outcome in damaged.check(deep=True, repair=True))
    assert damaged.content() == "changed" + "new" + "x" * 5000


def test_a_damaged_container_leaves_the_upper_that_another_stands_on(damaged: Damaged) -> None:
    with contextlib.closing(Store.open(damaged.root).container("c")) as c, contextlib.closing(c.fork("twin")):
        pass
    (damaged.container() / "config.json").write_bytes(b"{")
    damaged.check(repair=True)
    assert damaged.check(deep=True) == []
    with contextlib.closing(Store.open(damaged.root).container("twin")) as twin:
        assert twin.fs.readtext("/etc/motd") == "changed"


def test_a_damaged_layer_that_only_a_container_needs_is_rebuilt(damaged: Damaged) -> None:
    store = ImageStore.open(damaged.root)
    layer = damaged.layer()
    store.remove("app", force=True, in_use=Containers(damaged.root).needed)
    cut(layer / "index.lmdb")
    assert [(o.finding.code, o.status) for o in damaged.check(repair=True)] == [("layer-damaged", "rebuilt")]
    assert damaged.content() == "changed" + "new" + "x" * 5000


def test_an_optimized_layer_is_compared_with_its_blob(damaged: Damaged) -> None:
    from rootlay.store.layer.optimize import optimize_image

    store = ImageStore.open(damaged.root)
    optimize_image(store.layout, store.image("app"))
    assert damaged.check(deep=True) == []
    pack = damaged.layer() / "pack.tar.zst"
    flip(pack, pack.stat().st_size // 2)
    assert [(o.finding.code, o.status) for o in damaged.check(deep=True, repair=True)] == [("layer-damaged", "rebuilt")]
    assert damaged.check(deep=True) == []


def test_a_layer_directory_opens_after_its_index_was_rebuilt(damaged: Damaged) -> None:
    directory = damaged.layer()
    before = dict(Layer(directory, damaged.root / "blobs").iter_raw())
    cut(directory / "index.lmdb")
    damaged.check(repair=True)
    assert dict(Layer(directory, damaged.root / "blobs").iter_raw()) == before
    assert link_path(damaged.root, Digest("sha256", "0" * 64)).name.startswith("0")
