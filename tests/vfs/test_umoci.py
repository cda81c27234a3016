"""umoci unpacks a committed layer to the tree that the container showed."""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
import subprocess
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("rootlay.store.view.merge", reason="the C extension rootlay.store.view.merge is not built")

from rootlay.store.layer.writer import LayerWriter, WrittenLayer
from rootlay.store.store import ImageStore
from rootlay.vfs.changes.diff import iter_layer
from rootlay.vfs.overlay.overlay import Overlay
from tests.support.oracles.oracle import outcome, shape_of_directory, shape_of_overlay
from tests.support.oracles.overlay_machine import BASE, SECOND
from tests.vfs.test_real_store import RealImage, with_streams

pytestmark = pytest.mark.oracles

MISSING = [tool for tool in ("umoci", "zstd") if shutil.which(tool) is None]
OCI = "application/vnd.oci.image"


def write(store: ImageStore, layer: Any) -> WrittenLayer:
    with LayerWriter(store.layout) as writer:
        for path, entry, content in layer:
            writer.add(path, entry, content)
        return writer.finish()


def export(store: ImageStore, layers: list[WrittenLayer], out: Path) -> None:
    """An OCI layout with plain tar layers: not every umoci reads zstd."""
    blobs = out / "blobs" / "sha256"
    blobs.mkdir(parents=True)

    def put(data: bytes, kind: str) -> dict[str, Any]:
        digest = hashlib.sha256(data).hexdigest()
        (blobs / digest).write_bytes(data)
        return {"digest": f"sha256:{digest}", "size": len(data), "mediaType": f"{OCI}.{kind}"}

    tars = []
    for layer in layers:
        raw = (store.root / "blobs" / "sha256" / layer.descriptor.digest.hex).read_bytes()
        done = subprocess.run(["zstd", "-dcq"], input=raw, stdout=subprocess.PIPE, check=True)
        tars.append(put(done.stdout, "layer.v1.tar"))
    rootfs = {"type": "layers", "diff_ids": [str(layer.diff_id) for layer in layers]}
    document = {"os": "linux", "architecture": "amd64", "config": {}, "rootfs": rootfs}
    config = put(json.dumps(document).encode(), "config.v1+json")
    manifest = {"schemaVersion": 2, "mediaType": f"{OCI}.manifest.v1+json", "config": config, "layers": tars}
    entry = put(json.dumps(manifest).encode(), "manifest.v1+json")
    entry["annotations"] = {"org.opencontainers.image.ref.name": "t"}
    (out / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [entry]}))
    (out / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')


def make(overlay: Overlay, path: bytes) -> None:
    os.close(overlay.open(path, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o640))


def change_at_random(overlay: Overlay, choose: random.Random) -> None:
    for _ in range(25):
        paths = [path for path in shape_of_overlay(overlay) if path]
        old, place = choose.choice(paths), choose.choice(paths)
        new = choose.choice([place, place + b"/" + choose.choice([b"a", b"b", b"z"])])
        calls: list[Callable[[], object]] = [
            partial(overlay.rename, old, new),
            partial(overlay.rename, old, new),
            partial(overlay.unlink, old),
            partial(overlay.rmdir, old),
            partial(overlay.mkdir, new),
            partial(overlay.link, old, new),
            partial(make, overlay, new),
        ]
        outcome(choose.choice(calls))


@pytest.mark.skipif(bool(MISSING), reason=f"needs {' and '.join(MISSING)}")
@pytest.mark.parametrize("seed", range(6))
def test_umoci_unpacks_what_the_container_showed(seed: int, tmp_path: Path) -> None:
    image = RealImage(tmp_path)
    layers = [write(image.store, with_streams(layer)) for layer in (BASE, SECOND)]
    overlay = image.overlay(*(layer.diff_id for layer in layers))
    change_at_random(overlay, random.Random(seed))
    layers.append(write(image.store, iter_layer(overlay)))
    export(image.store, layers, tmp_path / "oci")
    unpack = ["umoci", "unpack", "--rootless", "--image", f"{tmp_path}/oci:t", f"{tmp_path}/bundle"]
    subprocess.run(unpack, check=True, capture_output=True)
    assert shape_of_directory(tmp_path / "bundle" / "rootfs") == shape_of_overlay(overlay)
    for opened in image.open:
        opened.close()
