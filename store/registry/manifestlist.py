"""Manifest lists: an index of manifests that registries have, made here and sent to a registry.

Rules:
1. A list that is not sent yet is `manifests/<SHA-256 of its name>.json` (docs/format.md §16). It holds descriptors, and
   the place of each manifest: no content is stored here, and nothing is removed with it.
2. Manifests are sent unchanged. Their blobs are mounted from the source repository if that is in the same registry,
   else streamed from one registry to the other. The list is sent last.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path

from rootlay.store.disk.durable import make_directory, write_file
from rootlay.store.layout.layout import Layout
from rootlay.store.model.digest import Digest
from rootlay.store.model.errors import BadManifest, DigestMismatch, RootlayError
from rootlay.store.model.imageconfig import ImageConfig
from rootlay.store.model.jsonfield import as_object, dump, field, objects, parse_object
from rootlay.store.model.manifest import (
    CONFIGS,
    DOCKER_LIST,
    DOCKER_MANIFEST,
    INDEXES,
    OCI_INDEX,
    Descriptor,
    Index,
    Manifest,
)
from rootlay.store.model.reference import Reference
from rootlay.store.model.value import replace, value
from rootlay.store.registry.repository import Document, Repository
from rootlay.store.registry.session import Session
from rootlay.store.registry.settings import Settings
from rootlay.store.registry.upload import Upload

_DIRECTORY = "manifests"


class NoSuchList(RootlayError):
    """There is no manifest list of that name."""

    def __init__(self, name: str) -> None:
        super().__init__(f"{name}: no such manifest list: make it with `rootlay manifest create`")


@value
class ListEntry:
    """A manifest of a list: the reference it was found by, and its descriptor with the platform."""

    reference: str
    descriptor: Descriptor


@value
class ManifestList:
    """A list of manifests, in order."""

    name: Reference
    entries: tuple[ListEntry, ...] = ()

    def with_entries(self, added: Iterable[ListEntry]) -> ManifestList:
        """Return the list with more entries; those of the same digest are replaced."""
        found = {entry.descriptor.digest: entry for entry in (*self.entries, *added)}
        return replace(self, entries=tuple(found.values()))

    def find(self, reference: str) -> ListEntry:
        """Return the entry of a reference, or of a digest. Raises RootlayError."""
        wanted = Reference.parse(reference)
        for entry in self.entries:
            if wanted in (Reference.parse(entry.reference), replace(wanted, digest=entry.descriptor.digest)):
                return entry
        raise RootlayError(
            f"{reference}: not in the manifest list {self.name.familiar}; see `rootlay manifest inspect`"
        )

    def index(self) -> bytes:
        """Return the document: Docker's manifest list if all manifests are Docker's, else an OCI index."""
        docker = all(entry.descriptor.media_type == DOCKER_MANIFEST for entry in self.entries)
        manifests = tuple(entry.descriptor for entry in self.entries)
        return Index(manifests, {"mediaType": DOCKER_LIST if docker and manifests else OCI_INDEX}).to_bytes()


def _path(layout: Layout, name: Reference) -> Path:
    return layout.root / _DIRECTORY / f"{hashlib.sha256(str(name).encode()).hexdigest()}.json"


def find_list(layout: Layout, name: Reference) -> ManifestList | None:
    """Return the list of a name, if there is one. Raises BadManifest."""
    path = _path(layout, name)
    try:
        source = parse_object(path.read_bytes(), str(path))
    except FileNotFoundError:
        return None
    entries = [
        ListEntry(
            field(each, "reference", str, str(path)),
            Descriptor.parse(as_object(each.get("descriptor"), str(path)), str(path)),
        )
        for each in objects(source, "manifests", str(path))
    ]
    return ManifestList(name, tuple(entries))


def get_list(layout: Layout, name: Reference) -> ManifestList:
    """Return the list of a name. Raises NoSuchList, BadManifest."""
    found = find_list(layout, name)
    if found is None:
        raise NoSuchList(name.familiar)
    return found


def write_list(layout: Layout, found: ManifestList) -> None:
    """Store a list. Atomic, durable. Raises StoreNotWritable, DiskFull."""
    rows = [{"reference": each.reference, "descriptor": each.descriptor.to_json()} for each in found.entries]
    with layout.staging() as staging:
        make_directory(layout.root / _DIRECTORY)
        write_file(staging, _path(layout, found.name), dump({"version": 1, "name": str(found.name), "manifests": rows}))


def remove_list(layout: Layout, name: Reference) -> None:
    """Remove a list. Raises NoSuchList."""
    try:
        os.unlink(_path(layout, name))
    except FileNotFoundError:
        raise NoSuchList(name.familiar) from None


def resolve_entries(reference: str, settings: Settings) -> list[ListEntry]:
    """Return the manifest that a registry has under a name, with its platform; of an index all that it lists.

    Raises BadReference, NotInRegistry, BadManifest, and the other errors of `pull`.
    """
    name = Reference.parse(reference)
    with Session(settings, name.domain) as session:
        repository = Repository(session, name)
        document = repository.get_manifest(str(name.digest or name.tag), name.familiar)
        if document.descriptor.media_type in INDEXES:
            base = replace(name, tag=None)
            return [
                ListEntry(str(replace(base, digest=found.digest)), found)
                for found in Index.parse(document.data, name.familiar).manifests
            ]
        manifest = Manifest.parse(document.data, name.familiar)
        descriptor = document.descriptor
        if manifest.config.media_type in CONFIGS:
            data = repository.read_blob(manifest.config, f"{name.familiar}: config")
            descriptor = replace(descriptor, platform=ImageConfig.parse(data, name.familiar).platform)
        return [ListEntry(str(name), descriptor)]


def push_list(found: ManifestList, names: Sequence[Reference], staging: Path, settings: Settings) -> Digest:
    """Send a list, with all that it lists, to each of `names`. Idempotent; the list is sent last. Returns its digest.

    Raises as `push`, and BadManifest for an empty list.
    """
    if not found.entries:
        raise BadManifest(found.name.familiar, "the list is empty: add images with `rootlay manifest create --amend`")
    data = found.index()
    kind = str(parse_object(data, "list")["mediaType"])
    top = Document(Descriptor(kind, Digest.of(data), len(data)), data)
    for target in names:
        for entry in found.entries:
            _send(Reference.parse(entry.reference), entry.descriptor, target, staging, settings)
        with Session(settings, target.domain) as session:
            Repository(session, target, push=True).put_manifest(str(target.tag), top, target.familiar)
    return top.descriptor.digest


def _send(source: Reference, descriptor: Descriptor, target: Reference, staging: Path, settings: Settings) -> None:
    """Send a manifest, or an index with all that it lists, to the repository of `target`, unless it is from there."""
    if source.name == target.name:
        return
    paths = (source.path,) if source.domain == target.domain else ()
    with Session(settings, source.domain) as from_, Session(settings, target.domain) as to:
        old, new = Repository(from_, source), Repository(to, target, push=True, sources=paths)
        what = f"{source.familiar_name}@{descriptor.digest}"
        document = old.get_listed(descriptor)
        if document.is_index:
            for child in Index.parse(document.data, what).manifests:
                _send(replace(source, tag=None, digest=child.digest), child, target, staging, settings)
        else:
            manifest = Manifest.parse(document.data, what)
            for blob in {each.digest: each for each in (manifest.config, *manifest.layers)}.values():
                _send_blob(old, new, blob, paths, staging)
        new.put_manifest(str(descriptor.digest), document, what)


def _send_blob(old: Repository, new: Repository, blob: Descriptor, paths: tuple[str, ...], staging: Path) -> None:
    if new.has_blob(blob.digest) or any(new.mount(blob.digest, path) is None for path in paths):
        return
    place = staging / blob.digest.hex
    hashed = hashlib.new(blob.digest.algorithm)
    try:
        with open(place, "xb") as stream:
            for piece in old.iter_blob(blob, str(blob.digest)):
                hashed.update(piece)
                stream.write(piece)
        if hashed.hexdigest() != blob.digest.hex:
            raise DigestMismatch("blob", blob.digest, f"{blob.digest.algorithm}:{hashed.hexdigest()}")
        Upload(new, blob, place, lambda done: None).run(())
    finally:
        with suppress(FileNotFoundError):
            place.unlink()
