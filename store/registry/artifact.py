"""Files in a registry that are not layers of an image, as ORAS and Apptainer push them.

OCI image specification, "Guidelines for Artifact Usage": a manifest whose config is not that of an image; its layers
are files, whose names are in the annotation `org.opencontainers.image.title`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

from rootlay.store.model.errors import DigestMismatch, UnsupportedMedia
from rootlay.store.model.manifest import CONFIGS, Descriptor, Manifest, Platform
from rootlay.store.model.progress import Meter, Progress, silent
from rootlay.store.model.reference import Reference
from rootlay.store.registry.pull import resolve
from rootlay.store.registry.repository import Repository

TITLE = "org.opencontainers.image.title"
HEAD_BYTES = 4096


def find_file(
    repository: Repository, name: Reference, wanted: Platform, media_type: str, suffix: str
) -> Descriptor | None:
    """Return the file of an artifact; None if the name is that of an image.

    Args:
        media_type: of the file, if the artifact has several.
        suffix: or the end of its title.

    Raises UnsupportedMedia: not exactly one file fits; and as `Repository.get_manifest`.
    """
    _, document = resolve(repository, name, wanted)
    manifest = Manifest.parse(document.data, name.familiar)
    if manifest.config.media_type in CONFIGS:
        return None
    fitting = [
        layer
        for layer in manifest.layers
        if layer.media_type == media_type or layer.annotations.get(TITLE, "").endswith(suffix)
    ]
    files = fitting or list(manifest.layers)
    if len(files) != 1:
        raise UnsupportedMedia(name.familiar, f"an artifact with {len(files)} files: expected one {suffix} file")
    return files[0]


def fetch_file(
    repository: Repository,
    file: Descriptor,
    target: Path,
    what: str,
    check: Callable[[bytes], object],
    progress: Progress = silent,
) -> None:
    """Write a file of an artifact to a new path, verified. After an error the caller removes what is there.

    Args:
        check: gets the beginning, up to HEAD_BYTES, before the rest is fetched; an exception of it ends the transfer.

    Raises DigestMismatch, OSError, what `check` raises, and as `Repository.iter_blob`.
    """
    digest = hashlib.new(file.digest.algorithm)
    meter = Meter(progress, what, lambda: file.size)
    head: bytes | None = b""
    with target.open("xb") as out:
        for chunk in meter.iter_chunks(repository.iter_blob(file, what)):
            out.write(chunk)
            digest.update(chunk)
            if head is not None:
                head += chunk[:HEAD_BYTES]
                if len(head) >= min(HEAD_BYTES, file.size):
                    check(head[:HEAD_BYTES])
                    head = None
    if digest.hexdigest() != file.digest.hex:
        raise DigestMismatch(what, file.digest, f"{file.digest.algorithm}:{digest.hexdigest()}")
