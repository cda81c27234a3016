"""`optimize`: packs for layers whose files are read one by one repeatedly (docs/format.md §2).

A gzip blob is read in place from checkpoints about a MiB apart: on average half of that is inflated for one small file.
A pack has frames of 128 KiB, and zstd is five times as fast. It takes about as much disk as the blob, which stays: the
blob is the truth, and the source for `push` and `save`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path

from rootlay.store.codec.segment import CheckpointTable
from rootlay.store.codec.zstdframes import FrameWriter
from rootlay.store.disk.durable import create_file
from rootlay.store.disk.lmdbfile import write_sorted
from rootlay.store.layer.layer import Layer
from rootlay.store.layout.layerfiles import INDEX_NAME, PACK_NAME
from rootlay.store.layout.layout import Layout
from rootlay.store.model.access import Access
from rootlay.store.model.digest import Digest
from rootlay.store.model.entry import META_KEY
from rootlay.store.model.image import Image
from rootlay.store.model.progress import Meter, Progress, silent
from rootlay.store.model.value import replace, value

PACK_FRAME_BYTES = 128 << 10
_PACK_LEVEL = 3


@value
class Optimized:
    """The result for a layer: bytes of the new pack, 0 if access was fast already."""

    diff_id: Digest
    pack_bytes: int


def optimize_image(layout: Layout, image: Image, progress: Progress = silent) -> list[Optimized]:
    """Give each layer of `image` that is read from a gzip blob or a plain tar a pack. Durable; idempotent.

    Readers of the layer continue undisturbed. Raises CorruptStore, DiskFull, StoreNotWritable; finished layers stay.

    Preconditions: the layers are indexed (`Store.prepare`).
    """
    done = []
    meter = Meter(progress, "packing", partial(_tar_bytes, layout, image))
    for diff_id in image.diff_ids:
        with layout.holding(), layout.lock(str(diff_id)):
            layout.claim("layer", (diff_id,))
            layer = Layer(layout.layer_directory(diff_id), layout.blobs)
            try:
                quick = layer.meta.access in (Access.ZSTD, Access.PACK)
                done.append(Optimized(diff_id, 0 if quick else _pack(layout, layer, meter)))
                if quick:
                    meter.add(layer.meta.tar_bytes)
            finally:
                layer.close()
    return done


def _tar_bytes(layout: Layout, image: Image) -> int:
    """Return the size of all layers as plain tars."""
    total = 0
    for diff_id in image.diff_ids:
        with closing(Layer(layout.layer_directory(diff_id), layout.blobs)) as layer:
            total += layer.meta.tar_bytes
    return total


def _pack(layout: Layout, layer: Layer, meter: Meter) -> int:
    with layout.staging() as staging:
        frames = FrameWriter(_PACK_LEVEL, frame_bytes=PACK_FRAME_BYTES)
        size = 0
        with open(create_file(staging / PACK_NAME), "wb") as stream:
            for piece in _frame(frames, meter.iter_chunks(layer.iter_tar())):
                size += stream.write(piece)
        _write_index(staging / INDEX_NAME, layer, frames.log.finish())
        # The pack first: so no index that says `pack` is ever without one.
        layout.publish_layer(staging, layer.diff_id, (PACK_NAME, INDEX_NAME))
    return size


def _frame(frames: FrameWriter, chunks: Iterable[bytes]) -> Iterator[bytes]:
    for chunk in chunks:
        yield from frames.write(bytes(chunk))
    yield from frames.finish()


def _write_index(path: Path, layer: Layer, checkpoints: CheckpointTable) -> None:
    """Write the same entries, with the pack's checkpoints."""
    meta = replace(layer.meta, access=Access.PACK)
    payload = sum(len(key) + len(value) for key, value in layer.iter_raw())
    meta_json = meta.to_json()

    def items() -> Iterator[tuple[bytes, bytes]]:
        yield from layer.iter_raw()
        for checkpoint in checkpoints:
            yield checkpoint.key(), checkpoint.value()
        yield META_KEY, meta_json

    payload += len(META_KEY) + len(meta_json) + 40 * len(checkpoints)
    write_sorted(path, items(), payload, meta.entries + len(checkpoints) + 1)
