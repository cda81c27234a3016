"""`load`: all images of an archive into the store. This module detects the kind of archive.

A tar that is compressed as a whole, or read from a stream, is spooled to the store's `tmp/` first: the list of layers
may be behind them. The spool consists of zstd frames with random access: it takes a third of the size of plain layers,
and no more than compressed ones.
"""

from __future__ import annotations

import io
import os
from collections.abc import Collection, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from rootlay.store.bundle.attach import open_attached
from rootlay.store.bundle.format import Bundle, is_bundle
from rootlay.store.codec.bytestream import iter_file
from rootlay.store.codec.codec import Compression, decompress, peek, sniff
from rootlay.store.codec.content import ContentReader, SegmentReader
from rootlay.store.codec.zstdframes import FrameWriter
from rootlay.store.disk.durable import create_file
from rootlay.store.exchange.dockerload import load_docker
from rootlay.store.exchange.ociload import Platforms, load_oci
from rootlay.store.layout.importing import importing
from rootlay.store.model.access import Access
from rootlay.store.model.digest import Digest
from rootlay.store.model.entry import Entry, EntryType
from rootlay.store.model.errors import NotAnArchive, UnsupportedMedia
from rootlay.store.model.image import Image
from rootlay.store.model.limits import Budget
from rootlay.store.model.manifest import Index, Platform
from rootlay.store.model.platform import host_platform
from rootlay.store.model.progress import Note, Progress, unheard
from rootlay.store.model.reference import Reference
from rootlay.store.tar.archive import DirectoryFiles, ImageFiles, LinkedFiles, TarFiles, blob_name, read_document

if TYPE_CHECKING:
    from rootlay.store.images.images import Images

# The zstd level: as fast as most disks.
SPOOL_LEVEL = 1


def load(
    store: Images,
    source: Path | BinaryIO,
    *,
    reference: str | None,
    platform: Platform | None,
    progress: Progress,
    link: bool = False,
    only: Collection[str] = (),
    note: Note = unheard,
    all_platforms: bool = False,
) -> list[Image]:
    """Load a docker-archive, an OCI layout as a tar (maybe compressed), a directory or a stream, or a bundle.

    Each image is durable and all-or-nothing; images that were loaded before a failed one stay.

    Args:
        reference: the name to give; only if the archive has one image. None: the names in the archive.
        link: leave the layers' blobs in their directory (an OCI layout, such as another store), and link to them. Only
            their indexes are made here, after one verifying pass over each.
        only: names of the images to load; all if empty. For OCI layouts.
        platform: the image of a multi-platform image to load. None: the whole image, if it includes one for this
            machine and nothing is missing; else (and with `link`) only the one for this machine.
        all_platforms: load the whole image, and fail if something is missing.
        note: receives what was left out.

    Raises:
        NotAnArchive, TruncatedArchive, BadManifest, DigestMismatch, UnsupportedMedia, UnsafePath, TooLarge,
            WrongPlatform: the archive is bad, or not for us.
        BadReference, FileNotFoundError, StoreNotWritable, DiskFull.
    """
    name = None if reference is None else Reference.parse(reference)
    wanted = platform or host_platform()
    platforms: Platforms = "all" if all_platforms else "one" if platform is not None or link else "whole"
    with importing(store.layout), store.layout.collecting(), ExitStack() as stack:
        if link:
            if isinstance(source, Path):
                source.stat()  # a missing name is reported as missing
            if not isinstance(source, Path) or not source.is_dir():
                raise UnsupportedMedia(str(source), "only an OCI layout directory can be linked: leave out --link")
            if source.resolve() == store.root.resolve():
                raise UnsupportedMedia(str(source), "this is the store itself: choose another source")
            files: ImageFiles = LinkedFiles(source)
        else:
            files = _open(store, source, stack, progress)
        if files.has("index.json") and files.has("oci-layout") and not _is_for_docker(files):
            loaded = load_oci(store, files, name, wanted, progress, only, note, platforms)
        elif link or only:
            raise UnsupportedMedia(files.what, "not an OCI layout: --image and --link need one")
        elif files.has("manifest.json"):
            loaded = load_docker(store, files, name, wanted, progress)
        else:
            raise NotAnArchive(
                files.what,
                "there is no image in it (no index.json, no manifest.json): a root file system is loaded "
                "with `rootlay import`",
            )
    return loaded


def _is_for_docker(files: ImageFiles) -> bool:
    """Return whether only `manifest.json` names the images: the index that docker does not read is empty, or lists
    manifests that are not there."""
    if not files.has("manifest.json"):
        return False
    index = Index.parse(read_document(files, "index.json"), f"{files.what}: index.json")
    return not all(files.has(blob_name(found.digest)) for found in index.manifests) or not index.manifests


def _open(store: Images, source: Path | BinaryIO, stack: ExitStack, progress: Progress) -> ImageFiles:
    """Return the files of `source`; `stack` closes them, and removes the spooled file."""
    if isinstance(source, Path) and source.is_dir():
        return DirectoryFiles(source)
    if isinstance(source, Path) and is_bundle(str(source)):
        bundle = Bundle(source)
        stack.callback(bundle.close)
        return bundle
    what = str(source) if isinstance(source, Path) else "standard input"
    stream = _enter(stack, source) if isinstance(source, Path) else source
    head, chunks = peek(iter_file(stream))
    plain = sniff(head, what) is Compression.NONE
    if plain and isinstance(source, Path) and source.is_file():
        stream.seek(0)
        files = TarFiles(stream, what)
    else:
        staging = stack.enter_context(store.layout.staging())
        stream = _spool(staging / "archive", chunks, what, store.layout.budget, progress, stack)
        files = TarFiles(stream, what)
    return files


def _enter(stack: ExitStack, path: Path) -> BinaryIO:
    stream = open(path, "rb")  # noqa: SIM115 -- closed by the stack
    stack.push(stream)
    return stream


def _spool(
    path: Path, chunks: Iterator[bytes], what: str, budget: Budget, progress: Progress, stack: ExitStack
) -> BinaryIO:
    """Write the archive to `path`; return a seekable stream of the uncompressed one, which `stack` closes. Its layers
    count again when they are unpacked: at most twice the size, since the first unpacking adds nothing to compressed
    layers.

    Raises TooLarge."""
    label = os.path.basename(what)
    read = done = 0

    def counted() -> Iterator[bytes]:
        nonlocal read
        for chunk in chunks:
            read += len(chunk)
            yield chunk

    frames = FrameWriter(SPOOL_LEVEL)
    with open(create_file(path), "wb") as spool:
        for chunk in decompress(counted(), what):
            budget.take_bytes(len(chunk), what)
            budget.check_ratio(read, done + len(chunk), what)
            for piece in frames.write(chunk):
                spool.write(piece)
            done += len(chunk)
            progress(done, None, f"{label}: unpacking")
        for piece in frames.finish():
            spool.write(piece)
    segments = SegmentReader(path, Access.ZSTD, frames.log.finish())
    stack.callback(segments.close)
    return io.BufferedReader(ContentReader(segments, Entry(EntryType.FILE, size=done)))


def load_attached(store: Images, bundle_id: Digest) -> None:
    """Load the layers of an attached bundle that are not in the store. Raises as `Images.load`.

    Preconditions: the caller is inside `importing(layout)`.
    """
    from rootlay.store.exchange.ociload import load_layers, read_image
    from rootlay.store.model.progress import silent

    bundle = open_attached(store.root, bundle_id)
    try:
        load_layers(store, bundle, read_image(bundle), bundle_id.short, silent)
    finally:
        bundle.close()
