"""`save`: images of the store to a docker-archive, an OCI archive or an OCI layout directory. Deterministic."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from rootlay.store.disk.durable import create_file
from rootlay.store.disk.outfile import output_directory, output_file
from rootlay.store.disk.regularfile import iter_regular
from rootlay.store.images.recompress import Blobs, recompress
from rootlay.store.layout.blobcheck import check_present
from rootlay.store.layout.identity import check_whole
from rootlay.store.layout.indexdocuments import whole_index
from rootlay.store.layout.layout import LAYOUT_VERSION, Layout
from rootlay.store.model.digest import Digest
from rootlay.store.model.entry import Entry, EntryType
from rootlay.store.model.errors import BadReference, UnsupportedMedia
from rootlay.store.model.image import Image
from rootlay.store.model.jsonfield import dump
from rootlay.store.model.manifest import CONTAINERD_NAME, REF_NAME, Descriptor, Index, Platform
from rootlay.store.model.mediasupport import is_foreign
from rootlay.store.model.progress import Meter, Progress, silent
from rootlay.store.model.reference import Reference
from rootlay.store.model.value import replace
from rootlay.store.tar.archive import blob_name
from rootlay.store.tar.writer import END_OF_ARCHIVE, encode_entry, padding

if TYPE_CHECKING:
    from rootlay.store.images.images import Images

FORMATS = ("docker-archive", "oci-archive", "oci-dir")

_File = tuple[str, int, Iterable[bytes]]  # path, size, content
_Named = tuple[Image, tuple[Reference, ...]]


def save(
    store: Images,
    references: Collection[str],
    out: BinaryIO | Path,
    archive_format: str,
    *,
    compression: str | None = None,
    platform: Platform | None = None,
    progress: Progress = silent,
) -> None:
    """Write the images `references` (names or IDs) to `out`: a stream, a file, or for `oci-dir` a new directory.

    A file appears when it is complete. A name is saved as it was given; an image given by ID has no name in the
    archive.

    Args:
        compression: of the layers, for the OCI formats (see `recompress`); None: the blobs unchanged.
        platform: the image to take of a multi-platform one. None: the whole image in the OCI formats without
            `compression`; this machine's in docker-archives and with `compression`.

    Raises UnknownImage, AmbiguousImage, CorruptStore, UnsupportedMedia (the format), WrongPlatform, FileExistsError,
    OSError.
    """
    if archive_format not in FORMATS:
        raise UnsupportedMedia(archive_format, f"unknown format: use {', '.join(FORMATS)}")
    if compression not in (None, "none") and archive_format == "docker-archive":
        raise UnsupportedMedia(archive_format, "its layers are not compressed: use oci-archive or oci-dir")
    with store.layout.holding(), ExitStack() as stack:
        images = _gather(store, references, platform)
        for image, _ in images:
            check_whole(store.layout, image)
            check_present(store.layout, image.manifest)
        if archive_format == "docker-archive":
            for image, _ in images:
                store.prepare(image, progress)
            files, total = _docker_files(store, images), partial(_docker_bytes, store, images)
        else:
            blobs = Blobs(store.layout, {})
            if compression is not None:
                directory = stack.enter_context(store.staging())
                images, blobs = _recompressed(store, images, compression, directory, progress)
            extents = [_extent(store.layout, image) for image, _ in images]
            files, total = _oci_files(blobs, extents, images), partial(_oci_bytes, extents)
        _write(out, archive_format, _metered(files, Meter(progress, "saving", total)))


def _metered(files: Iterable[_File], meter: Meter) -> Iterator[_File]:
    for path, size, chunks in files:
        yield path, size, meter.iter_chunks(chunks)


def _docker_bytes(store: Images, images: list[_Named]) -> int:
    """Return the size of all layers as plain tars."""
    total = 0
    for diff_id in {diff_id for image, _ in images for diff_id in image.diff_ids}:
        with closing(store.layer(diff_id)) as layer:
            total += layer.meta.tar_bytes
    return total


def _oci_bytes(extents: list[tuple[Descriptor, ...]]) -> int:
    """Return the size of all blobs."""
    return sum({blob.digest: blob.size for extent in extents for blob in extent}.values())


def _recompressed(
    store: Images, images: list[_Named], compression: str, directory: Path, progress: Progress
) -> tuple[list[_Named], Blobs]:
    found: list[_Named] = []
    made: dict[Digest, Path] = {}
    for number, (image, names) in enumerate(images):
        own = directory / str(number)
        own.mkdir()
        other, blobs = recompress(store, image, compression, own, progress)
        found.append((other, names))
        made.update(blobs.made)
    return found, Blobs(store.layout, made)


def _write(out: BinaryIO | Path, archive_format: str, files: Iterator[_File]) -> None:
    if archive_format == "oci-dir":
        if not isinstance(out, Path):
            raise UnsupportedMedia(archive_format, "a directory cannot be written to standard output: give a path")
        _write_directory(out, files)
    elif isinstance(out, Path):
        with output_file(out) as stream:
            _write_archive(stream, files)
    else:
        _write_archive(out, files)


def _gather(store: Images, references: Collection[str], platform: Platform | None) -> list[_Named]:
    """Return each image once, with the names in the request."""
    found: dict[Digest, _Named] = {}
    for text in references:
        image = store.image(text, platform)
        name = next((Reference.parse(n) for n in image.references if _means(text, n)), None)
        _, names = found.get(image.entry.digest, (image, ()))
        found[image.entry.digest] = (image, names if name is None or name in names else (*names, name))
    return list(found.values())


def _extent(layout: Layout, image: Image) -> tuple[Descriptor, ...]:
    """Return all blobs of an image, the target of `index.json` last. Raises CorruptStore, NotFetched."""
    if image.index is None:
        return (*image.manifest.layers, image.manifest.config, image.descriptor)
    found: list[Descriptor] = []
    for member in whole_index(layout, image.index):
        found += [blob for blob in member.blobs if layout.has_blob(blob.digest) or not is_foreign(blob)]
        found.append(member.descriptor)
    return tuple(found)


def _means(text: str, name: str) -> bool:
    """Return whether `text`, which found an image, is its name `name` and not its ID."""
    try:
        return str(Reference.parse(text).with_default_tag()) == str(Reference.parse(name))
    except BadReference:
        return False


def _docker_files(store: Images, images: list[_Named]) -> Iterator[_File]:
    """Yield layers as plain tars named for their diff IDs, configs, and `manifest.json`."""
    items = []
    seen: set[Digest] = set()
    for image, names in images:
        layers = []
        for diff_id in image.diff_ids:
            path = f"{diff_id.hex}.tar"
            layers.append(path)
            if diff_id not in seen:
                seen.add(diff_id)
                layer = store.layer(diff_id)
                try:
                    yield path, layer.meta.tar_bytes, layer.iter_tar()
                finally:
                    layer.close()
        config = f"{image.id.hex}.json"
        if image.id not in seen:
            seen.add(image.id)
            data = store.layout.read_blob(image.id)
            yield config, len(data), (data,)
        items.append({"Config": config, "RepoTags": [name.familiar for name in names], "Layers": layers})
    manifest = dump_list(items)
    yield "manifest.json", len(manifest), (manifest,)


def dump_list(items: Sequence[Mapping[str, object]]) -> bytes:
    """Return a JSON list of objects."""
    return b"[" + b",".join(dump(item) for item in items) + b"]"


def _oci_files(blobs: Blobs, extents: list[tuple[Descriptor, ...]], images: list[_Named]) -> Iterator[_File]:
    """Yield the blobs unchanged, `oci-layout`, and an `index.json` for these images only."""
    seen: set[Digest] = set()
    manifests: list[Descriptor] = []
    for (image, names), extent in zip(images, extents, strict=True):
        for descriptor in extent:
            if descriptor.digest not in seen:
                seen.add(descriptor.digest)
                path = blobs.path(descriptor.digest)
                yield blob_name(descriptor.digest), path.stat().st_size, iter_regular(path, follow=True)
        plain = {k: v for k, v in image.entry.annotations.items() if k not in (REF_NAME, CONTAINERD_NAME)}
        for name in names:
            annotations = {**plain, CONTAINERD_NAME: str(name), REF_NAME: name.familiar}
            manifests.append(replace(image.entry, annotations=annotations))
        if not names:
            manifests.append(replace(image.entry, annotations=plain))
    for path_name, data in (
        ("oci-layout", dump({"imageLayoutVersion": LAYOUT_VERSION})),
        ("index.json", Index(tuple(manifests)).to_bytes()),
    ):
        yield path_name, len(data), (data,)


def _write_archive(out: BinaryIO, files: Iterator[_File]) -> None:
    """Write the archive. Directories have their own entries: skopeo gives implicit ones to root, which fails for every
    other user."""
    directories = {""}
    for path, size, chunks in files:
        parts = path.split("/")
        for directory in ("/".join(parts[:i]) for i in range(1, len(parts))):
            if directory not in directories:
                directories.add(directory)
                out.write(encode_entry(directory.encode(), Entry(EntryType.DIRECTORY, mode=0o755))[0])
        header, _ = encode_entry(path.encode(), Entry(EntryType.FILE, mode=0o644, size=size))
        out.write(header)
        for chunk in chunks:
            out.write(chunk)
        out.write(padding(size))
    out.write(END_OF_ARCHIVE)


def _write_directory(out: Path, files: Iterator[_File]) -> None:
    with output_directory(out) as directory:
        for path, _, chunks in files:
            target = directory / path
            target.parent.mkdir(parents=True, exist_ok=True)
            with open(create_file(target), "wb") as stream:
                for chunk in chunks:
                    stream.write(chunk)
                stream.flush()
                os.fsync(stream.fileno())
