"""The files in the directory of a layer, and the metadata of its index (docs/format.md §1)."""

from __future__ import annotations

import json
import os
from contextlib import closing
from pathlib import Path
from typing import Any

from rootlay.store.disk.lmdbfile import LmdbFile
from rootlay.store.model.access import Access
from rootlay.store.model.digest import Digest
from rootlay.store.model.entry import META_KEY
from rootlay.store.model.errors import BadManifest, CorruptStore
from rootlay.store.model.value import value

INDEX_VERSION = 1
INDEX_NAME = "index.lmdb"
PACK_NAME = "pack.tar.zst"
LAZY_NAME = "lazy.blob"
TREE_NAME = "tree"


@value
class LayerMeta:
    """The metadata in a layer index. Sizes in bytes."""

    diff_id: Digest
    blob: Digest
    media_type: str
    entries: int
    tar_bytes: int
    content_bytes: int
    access: Access
    lower_links: int | None = None  # hard links to names of lower layers; None: an older index, without that number

    def to_json(self) -> bytes:
        """Return the stored form."""
        fields: dict[str, Any] = {
            "version": INDEX_VERSION,
            "diff_id": str(self.diff_id),
            "blob": str(self.blob),
            "media_type": self.media_type,
            "entries": self.entries,
            "tar_bytes": self.tar_bytes,
            "content_bytes": self.content_bytes,
            "access": self.access.value,
        }
        if self.lower_links is not None:
            fields["lower_links"] = self.lower_links
        return json.dumps(fields, sort_keys=True).encode()

    @classmethod
    def parse(cls, data: bytes | None, what: str) -> LayerMeta:
        """Parse the stored form. Raises CorruptStore."""
        try:
            fields = json.loads(data or b"")
            if fields["version"] != INDEX_VERSION:
                raise CorruptStore(what, f"index version {fields['version']} is not {INDEX_VERSION}")
            return cls(
                Digest.parse(fields["diff_id"]),
                Digest.parse(fields["blob"]),
                fields["media_type"],
                fields["entries"],
                fields["tar_bytes"],
                fields["content_bytes"],
                Access(fields["access"]),
                fields.get("lower_links"),
            )
        except (ValueError, KeyError, TypeError, BadManifest) as error:
            raise CorruptStore(what, "malformed layer index") from error


def layer_exists(directory: Path) -> bool:
    """Return whether `layers/<hex>` holds a finished index."""
    return os.path.exists(directory / INDEX_NAME)


def read_layer_meta(directory: Path) -> LayerMeta:
    """Return the metadata in the index of `layers/<hex>`. Raises FileNotFoundError, CorruptStore."""
    with closing(LmdbFile(directory / INDEX_NAME)) as index:
        return LayerMeta.parse(index.get(META_KEY), str(directory / INDEX_NAME))
