"""Loading a whole multi-platform image from an OCI layout: the index, every image that it lists, and the rest.

Rules:
1. All or nothing: before the first byte is stored, every document and blob is known to be there.
2. Images for Linux are loaded like any other, verified down to the diff IDs and indexed. Attestations, and images for
   other systems, are blobs with the digests and sizes that their manifests state.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from rootlay.store.images.recording import add_index
from rootlay.store.layer.load import store_blob
from rootlay.store.layout.indexdocuments import IndexDocument, iter_index_documents
from rootlay.store.model.errors import BadManifest, UnsupportedMedia, WrongPlatform
from rootlay.store.model.image import Image
from rootlay.store.model.manifest import INDEXES, Descriptor, Platform
from rootlay.store.model.platform import fits
from rootlay.store.model.reference import Reference
from rootlay.store.tar.archive import ImageFiles, LinkedFiles, blob_chunks, blob_name

if TYPE_CHECKING:
    from rootlay.store.images.images import Images

LoadMember = Callable[[IndexDocument], None]


def gather(files: ImageFiles, read: Callable[[Descriptor], bytes], top: Descriptor) -> list[IndexDocument]:
    """Return the documents of a multi-platform image that is completely in `files`.

    Args:
        read: the verified bytes of a document.

    Raises BadManifest, UnsupportedMedia, DigestMismatch: it is not one, or something is missing or damaged.
    """
    if top.media_type not in INDEXES:
        raise UnsupportedMedia(f"{files.what}: {top.digest.short}", "not a multi-platform image")
    members = list(iter_index_documents(read, top, files.what))
    if not any(member.is_image for member in members):
        raise UnsupportedMedia(files.what, f"there is no image in the index {top.digest.short}")
    for blob in (blob for member in members for blob in member.blobs):
        if not files.has(blob_name(blob.digest)):
            raise BadManifest(files.what, f"{blob_name(blob.digest)} is missing")
    return members


def has_platform(members: Iterable[IndexDocument], wanted: Platform) -> bool:
    """Return whether one of the images is for `wanted`, or names no platform."""
    platforms = [member.descriptor.platform for member in members if member.is_image]
    return any(platform is None or fits(wanted, platform) for platform in platforms)


def require_platform(members: Iterable[IndexDocument], wanted: Platform) -> None:
    """Raise WrongPlatform unless `has_platform`."""
    found = list(members)
    if not has_platform(found, wanted):
        raise WrongPlatform(str(wanted), [str(m.descriptor.platform) for m in found if m.is_image])


def load_index(
    store: Images, files: ImageFiles, members: list[IndexDocument], name: Reference | None, load_image: LoadMember
) -> Image:
    """Load the documents of `gather`, and give the image its name.

    Args:
        load_image: loads the config and layers of one image.

    Preconditions: the caller is inside `importing(layout)`. Raises as `rootlay.store.exchange.load`.
    """
    for member in members:
        if member.is_image:
            load_image(member)
        else:
            for blob in member.blobs:
                path = blob_name(blob.digest)
                link = files.real_path(path) if isinstance(files, LinkedFiles) else None
                store_blob(store.layout, blob_chunks(files, blob), blob, f"{files.what}: {path}", link)
    return add_index(store, members, name)
