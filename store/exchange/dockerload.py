"""Loading images from a docker-archive, as `docker save` and `podman save` make it (moby, image/spec/v1.2.md).

The archive has no manifest of the kind that registries use, so one is made; the config, and so the image ID, is kept.
Layers in it are plain tars, whose digests are recorded only in the config's diff IDs: they are framed again (see
`ingest`).
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

from rootlay.store.exchange.ociload import check_single
from rootlay.store.images.recording import add_image
from rootlay.store.layer.ingest import LayerSource
from rootlay.store.layer.load import LayerLoader
from rootlay.store.model.digest import Digest
from rootlay.store.model.errors import BadManifest, DigestMismatch
from rootlay.store.model.image import Image
from rootlay.store.model.imageconfig import ImageConfig, check_platform
from rootlay.store.model.jsonfield import as_object, field, texts
from rootlay.store.model.manifest import Platform
from rootlay.store.model.progress import Progress
from rootlay.store.model.reference import Reference
from rootlay.store.model.value import value
from rootlay.store.tar.archive import ImageFiles, read_document

if TYPE_CHECKING:
    from rootlay.store.images.images import Images

_CONFIG_NAME = re.compile(r"(?:blobs/sha256/)?([0-9a-f]{64})(?:\.json)?\Z")


@value
class _Item:
    """One image of `manifest.json`."""

    config: str
    names: tuple[Reference, ...]
    layers: tuple[str, ...]


def load_docker(
    store: Images, files: ImageFiles, name: Reference | None, wanted: Platform, progress: Progress
) -> list[Image]:
    """Load all images that `manifest.json` names. Raises as `rootlay.store.exchange.load`."""
    items = _parse(read_document(files, "manifest.json"), f"{files.what}: manifest.json")
    check_single(name, len(items))
    return [_load_item(store, files, item, name, wanted, progress) for item in items]


def _parse(data: bytes, what: str) -> list[_Item]:
    try:
        source = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise BadManifest(what, "not JSON") from error
    if not isinstance(source, list) or not source:
        raise BadManifest(what, "not a JSON list of images")
    items = []
    for item in source:
        found = as_object(item, what)
        names = tuple(Reference.parse(text) for text in texts(found, "RepoTags", what) or ())
        items.append(_Item(field(found, "Config", str, what), names, texts(found, "Layers", what) or ()))
    return items


def _config(files: ImageFiles, item: _Item) -> tuple[bytes, ImageConfig]:
    """Return the image config, whose file is named for its digest."""
    what = f"{files.what}: {item.config}"
    data = read_document(files, item.config)
    named = _CONFIG_NAME.match(item.config)
    if named is not None and named[1] != Digest.of(data).hex:
        raise DigestMismatch(what, f"sha256:{named[1]}", Digest.of(data))
    config = ImageConfig.parse(data, what)
    if len(config.diff_ids) != len(item.layers):
        raise BadManifest(what, f"{len(item.layers)} layers, but {len(config.diff_ids)} diff IDs in the config")
    return data, config


def _load_item(
    store: Images, files: ImageFiles, item: _Item, name: Reference | None, wanted: Platform, progress: Progress
) -> Image:
    config_bytes, config = _config(files, item)
    check_platform(config, wanted)
    names = (name,) if name is not None else item.names
    sizes = [files.size(path) for path in item.layers]
    label = names[0].familiar if names else Digest.of(config_bytes).short
    loader = LayerLoader(store.layout, progress, label, sum(sizes))
    layers = []
    for path, size, diff_id in zip(item.layers, sizes, config.diff_ids, strict=True):
        source = LayerSource(f"{files.what}: {path}", files.iter_chunks(path), None, diff_id)
        layers.append(loader.load(source, size).descriptor)
    first = names[0].familiar if names else None
    image = add_image(store, config, layers, first, config_bytes=config_bytes)
    for further in names[1:]:
        image = store.tag(image, further.familiar)
    return image
