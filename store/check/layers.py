"""Checks of layer indexes and packs against their tars (docs/format.md §1, §2)."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from rootlay.store.check.finding import Finding, Quarantine, Status, words_of
from rootlay.store.check.numberset import NumberSet
from rootlay.store.check.scope import Scope
from rootlay.store.check.subprocesscheck import examine_in_subprocess
from rootlay.store.codec.bytestream import ByteStream
from rootlay.store.codec.codec import decompress
from rootlay.store.containers.record import ContainerRecord
from rootlay.store.disk.regularfile import iter_regular
from rootlay.store.layer.ingest import LayerSource, ingest_layer
from rootlay.store.layer.layer import Layer
from rootlay.store.layer.tree import LayerTree
from rootlay.store.layout.layerfiles import INDEX_NAME, PACK_NAME, layer_exists
from rootlay.store.model.access import Access
from rootlay.store.model.digest import Digest
from rootlay.store.model.entry import ROOT_ID, Entry, EntryType, split_key
from rootlay.store.model.errors import CorruptStore, RootlayError
from rootlay.store.model.manifest import Descriptor, Manifest
from rootlay.store.tar.reader import TarReader

MANIFEST_COPY = "manifest.json"


def check_layers(scope: Scope) -> Iterator[Finding]:
    """Check that each layer's index is well-formed and leads to its data; `deep`: and that it agrees with the tar."""
    sources = layer_sources(scope)
    for directory in scope.counted("layers", sorted(scope.layout.layers.iterdir())):
        if not (directory / INDEX_NAME).exists():
            continue  # not indexed yet, or of a bundle: only its hydrated files are here
        text = _examine(scope, directory)
        if text:
            scope.distrusted.add(directory.name)
            yield _damaged(scope, directory, text, sources.get(directory.name))
            if layer_exists(directory) and not _examine(scope, directory):
                scope.distrusted.discard(directory.name)
    yield from _check_containers_layers(scope, sources)


def _examine(scope: Scope, directory: Path) -> str:
    """Return what is wrong with a layer; empty: nothing."""
    [text] = examine_in_subprocess(lambda: [_what_is_wrong(scope, directory)])
    return text


def layer_sources(scope: Scope) -> dict[str, Descriptor]:
    """Return the blobs from which layers can be made, by the hex of their diff IDs, from images and containers."""
    found: dict[str, Descriptor] = {}
    for image in scope.images():
        _note(scope, found, image.diff_ids, image.manifest.layers)
    seen: set[tuple[str, tuple[str, ...]]] = set()
    for record in scope.containers():
        stands_on = (record.config.manifest, record.config.layers)
        if not record.config.layers or stands_on in seen:
            continue
        with suppress(OSError, RootlayError):
            manifest = Manifest.parse((record.path / MANIFEST_COPY).read_bytes(), record.name)
            seen.add(stands_on)
            diff_ids = [Digest.parse(text) for text in record.config.layers]
            if len(diff_ids) == len(manifest.layers):
                _note(scope, found, diff_ids, manifest.layers)
    return found


def _note(scope: Scope, found: dict[str, Descriptor], diff_ids: Iterable[Digest], layers: Iterable[Descriptor]) -> None:
    for diff_id, layer in zip(diff_ids, layers, strict=True):
        if scope.layout.has_blob(layer.digest):
            found.setdefault(diff_id.hex, layer)


def _what_is_wrong(scope: Scope, directory: Path) -> str:
    """Return what is wrong with a layer; empty: nothing."""
    try:
        layer = Layer(directory, scope.layout.blobs)
    except (RootlayError, OSError) as error:
        return _plain(error)
    try:
        _check_description(layer, directory.name)
        _check_entries(layer)
        if not has_data(layer):
            return ""  # the index is not damaged: the findings name the images and containers that need the blob
        _check_data(layer)
        if scope.deep and layer.meta.access is not Access.LAZY:  # its chunks are verified on every read
            _compare_with_tar(scope, layer)
            _compare_pack_with_blob(scope, layer)
    except (RootlayError, OSError) as error:
        return _plain(error)
    finally:
        layer.close()
    return ""


def has_data(layer: Layer) -> bool:
    """Return whether the blob from which a layer is read is here. A pack next to the index belongs to the index."""
    return layer.meta.access is Access.PACK or layer.data_path.exists()


def _plain(error: Exception) -> str:
    return words_of(error)


def _check_description(layer: Layer, name: str) -> None:
    if layer.diff_id.hex != name:
        raise CorruptStore("index", f"it belongs to layer {layer.diff_id}")


def _check_entries(layer: Layer) -> None:
    """Check that the index is a tree: one root, each parent a directory, each id once, and the right entry count."""
    directories, parents, ids = NumberSet(), NumberSet(), NumberSet()
    directories.add(0)
    for key, value in layer.iter_raw():
        parent, name = split_key(key)
        entry = Entry.unpack(value)
        if not ids.add(entry.id) or (parent == 0) != (entry.id == ROOT_ID) or (parent == 0) != (not name):
            raise CorruptStore("index", f"entry {entry.id} is in an impossible place")
        if b"/" in name or b"\0" in name or name in (b".", b".."):
            raise CorruptStore("index", f"entry {entry.id} has an impossible name")
        if entry.offset + entry.stored_bytes > layer.meta.tar_bytes:
            raise CorruptStore("index", f"entry {entry.id} has content outside the tar")
        parents.add(parent)
        if entry.type is EntryType.DIRECTORY:
            directories.add(entry.id)
    if not parents.issubset(directories) or ROOT_ID not in directories:
        raise CorruptStore("index", "an entry is in a missing directory")
    if len(ids) != layer.meta.entries:
        raise CorruptStore("index", f"{len(ids)} entries instead of {layer.meta.entries}")


def _check_data(layer: Layer) -> None:
    """Check that the data file exists, covers all checkpoints, and that these follow each other without gaps."""
    try:
        size = os.stat(layer.data_path).st_size
    except OSError as error:
        raise CorruptStore(layer.data_path.name, (error.strerror or str(error)).lower()) from error
    at = 0
    for checkpoint in layer.iter_checkpoints():
        if checkpoint.tar_offset != at:
            raise CorruptStore("index", f"a gap before the checkpoint at {checkpoint.tar_offset}")
        if checkpoint.blob_offset >= size:
            raise CorruptStore("index", f"a checkpoint at {checkpoint.blob_offset} of {size} bytes")
        # A segment's length is stored modulo 2^32; a longer one has no successor that could be checked.
        at += checkpoint.length
    if at != layer.meta.tar_bytes & 0xFFFFFFFF and at != layer.meta.tar_bytes:
        raise CorruptStore("index", f"its checkpoints end at {at} of {layer.meta.tar_bytes} bytes")


def _compare_with_tar(scope: Scope, layer: Layer) -> None:
    """Read the whole tar: its digest must be the diff ID, and a new index of it must equal this one."""
    digest = hashlib.sha256()
    content = 0

    def hashed() -> Iterator[bytes]:
        for piece in layer.iter_tar():
            digest.update(piece)
            yield piece

    stream = ByteStream(hashed())
    tree = LayerTree(scratch=scope.layout.tmp)
    for name, entry in TarReader(stream, "layer"):
        tree.add(name, entry)
        content += entry.stored_bytes
    tree.finish()
    stream.drain()
    if digest.hexdigest() != layer.diff_id.hex:
        raise CorruptStore("tar", f"its digest is sha256:{digest.hexdigest()}")
    here = layer.iter_raw()
    for expected in tree.iter_sorted():
        if next(here, None) != expected:
            raise CorruptStore("index", f"it differs from the tar at entry {Entry.unpack(expected[1]).id}")
    if next(here, None) is not None or content != layer.meta.content_bytes:
        raise CorruptStore("index", "it has entries that are not in the tar")


def _compare_pack_with_blob(scope: Scope, layer: Layer) -> None:
    """Compare the blob next to a pack with the layer: the comparison of the pack does not cover it."""
    path = scope.layout.blob_path(layer.meta.blob)
    if layer.meta.access is not Access.PACK or not path.exists():
        return
    digest = hashlib.sha256()
    for piece in decompress(iter_regular(path, follow=True), str(layer.meta.blob)):
        digest.update(piece)
    if digest.hexdigest() != layer.diff_id.hex:
        raise CorruptStore("blob", f"its tar has the digest sha256:{digest.hexdigest()}")


def _damaged(scope: Scope, directory: Path, text: str, source: Descriptor | None) -> Finding:
    def fix(quarantine: Quarantine) -> Status:
        if source is not None and rebuild_layer(scope, directory, source):
            return "rebuilt"
        for name in (INDEX_NAME, PACK_NAME):
            if (directory / name).exists():
                quarantine.take("layer-damaged", directory / name, text)
        return "quarantined"

    return Finding("layer-damaged", scope.place(directory), text, fix)


def rebuild_layer(scope: Scope, directory: Path, source: Descriptor) -> bool:
    """Rebuild a layer's index from its blob and replace the old one. Returns whether that succeeded."""
    layout = scope.layout
    diff_id = Digest("sha256", directory.name)
    with layout.staging() as aside:
        here = [name for name in (INDEX_NAME, PACK_NAME) if (directory / name).exists()]
        for name in here:
            os.rename(directory / name, aside / name)
        try:
            path = layout.blob_path(source.digest)
            chunks = iter_regular(path, follow=True)
            ingest_layer(layout, LayerSource(str(source.digest), chunks, source, diff_id, link=path))
        except (RootlayError, OSError):
            for name in here:
                os.rename(aside / name, directory / name)
            return False
    return True


def _check_containers_layers(scope: Scope, sources: dict[str, Descriptor]) -> Iterator[Finding]:
    """Report layers that containers use and that are not indexed."""
    seen: set[str] = set()
    for record in scope.containers():
        new = [text for text in record.config.layers if text not in seen]
        if not new or _is_bundle(scope, record):
            continue
        seen.update(new)
        for diff_id in map(Digest.parse, new):
            if not _is_usable(scope, diff_id):
                yield _lost(scope, record, diff_id, sources.get(diff_id.hex))


def _is_usable(scope: Scope, diff_id: Digest) -> bool:
    """Return whether a layer is indexed and has its data. A damaged index has already been reported."""
    directory = scope.layout.layer_directory(diff_id)
    if not layer_exists(directory):
        return False
    try:
        layer = Layer(directory, scope.layout.blobs)
    except (RootlayError, OSError):
        return True
    try:
        return has_data(layer)
    finally:
        layer.close()


def _lost(scope: Scope, record: ContainerRecord, diff_id: Digest, source: Descriptor | None) -> Finding:
    place = scope.place(scope.layout.layer_directory(diff_id))
    if source is None:
        text = f"container {record.name} needs it, and its blob is gone: pull or load image {record.config.image} again"
        return Finding("layer-lost", place, text)

    def fix(quarantine: Quarantine) -> Status:
        return "rebuilt" if rebuild_layer(scope, scope.layout.layer_directory(diff_id), source) else "left"

    return Finding("layer-lost", place, f"container {record.name} needs it", fix)


def _is_bundle(scope: Scope, record: ContainerRecord) -> bool:
    """Return whether a container was made from a bundle, whose layers have no indexes here."""
    chain = record.config.chain.partition(":")[2]
    return (scope.layout.views / f"{chain}.bundle").is_symlink()
