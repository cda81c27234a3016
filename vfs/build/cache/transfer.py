"""Steps of the build cache in other places: directories and registries, for machines with an empty cache.

A cache is stored like an image: a manifest, the layers, and instead of an image's config a list of steps
(docs/format.md §12). A directory is an OCI image layout.

Rules:
1. Only the list is read at first, when the first step is not in the store; a layer is fetched when its step needs it.
2. A fetched layer is verified like a pulled one. A cache that is unreadable or damaged causes a note and a miss: the
   step is run again.
3. The list appears after the layers: a concurrent reader gets the old one, or a complete new one.
"""

from __future__ import annotations

import contextlib
import errno
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from rootlay.store.disk.durable import make_directories, replace_file, replacing
from rootlay.store.layout.layout import LAYOUT_VERSION
from rootlay.store.model.digest import Digest
from rootlay.store.model.errors import BadManifest, RootlayError
from rootlay.store.model.jsonfield import dump, objects, parse_object
from rootlay.store.model.manifest import OCI_MANIFEST, Descriptor, Index, Manifest
from rootlay.store.model.reference import Reference
from rootlay.store.registry.settings import Settings
from rootlay.store.tar.archive import DirectoryFiles, blob_chunks, blob_name, read_document
from rootlay.vfs.build.cache.cache import CachedLayer
from rootlay.vfs.build.options.cacheplaces import CachePlace

if TYPE_CHECKING:
    from rootlay.store.registry.repository import Repository
    from rootlay.store.store import ImageStore

CACHE_CONFIG = "application/vnd.rootlay.build-cache.v1+json"
Steps = Mapping[str, CachedLayer]


class Source(Protocol):
    """A place that a cache is read from."""

    def read(self) -> Steps:
        """Return the list of steps. Raises RootlayError, OSError."""

    def chunks(self, blob: Descriptor) -> Iterable[bytes]:
        """Yield the bytes of a layer, not verified."""


class DirectorySource:
    """A cache in an OCI layout."""

    def __init__(self, path: Path) -> None:
        self._files = DirectoryFiles(path)

    def read(self) -> Steps:
        what = self._files.what
        index = Index.parse(read_document(self._files, "index.json"), f"{what}: index.json")
        if not index.manifests:
            raise BadManifest(what, "it has no build cache")
        manifest = Manifest.parse(read_document(self._files, blob_name(index.manifests[0].digest)), what)
        return parse_steps(manifest, read_document(self._files, blob_name(manifest.config.digest)), what)

    def chunks(self, blob: Descriptor) -> Iterable[bytes]:
        return blob_chunks(self._files, blob)


class RegistrySource:
    """A cache in a registry. Every call has its own session, because there is much time between them."""

    def __init__(self, reference: str, settings: Settings) -> None:
        self._name = Reference.parse(reference).with_default_tag()
        self._settings = settings

    def read(self) -> Steps:
        what = self._name.familiar
        with open_repository(self._name, self._settings) as repository:
            document = repository.get_manifest(str(self._name.digest or self._name.tag), what)
            manifest = Manifest.parse(document.data, what)
            return parse_steps(manifest, repository.read_blob(manifest.config, what), what)

    def chunks(self, blob: Descriptor) -> Iterable[bytes]:
        with open_repository(self._name, self._settings) as repository:
            yield from repository.iter_blob(blob, f"{self._name.familiar}: {blob.digest.short}")


@contextlib.contextmanager
def open_repository(name: Reference, settings: Settings, *, push: bool = False) -> Iterator[Repository]:
    """Open a repository and its session."""
    from rootlay.store.registry.repository import Repository
    from rootlay.store.registry.session import Session

    with Session(settings, name.domain) as session:
        yield Repository(session, name, push=push)


def parse_steps(manifest: Manifest, data: bytes, what: str) -> Steps:
    """Parse the steps of a list whose layers the manifest has. Raises BadManifest."""
    if manifest.config.media_type != CACHE_CONFIG or not manifest.config.digest.fits(data):
        raise BadManifest(what, "not a build cache")
    layers = {layer.digest for layer in manifest.layers}
    found = {}
    for step in objects(parse_object(data, what), "steps", what):
        try:
            record = CachedLayer.from_json(step)
            key = str(step["key"])
        except (KeyError, TypeError, ValueError):
            raise BadManifest(what, "not a list of steps") from None
        if record.layer.descriptor.digest in layers:
            found[key] = record
    return found


class TransferredSteps:
    """The steps in other places. Thread safe."""

    def __init__(
        self,
        store: ImageStore,
        sources: Iterable[tuple[str, Source]],
        note: Callable[[str], None],
        check: Callable[[], None] = lambda: None,
    ) -> None:
        """Set the places. `check` is called from time to time during a transfer, and may raise to cancel it."""
        self._store = store
        self._sources = tuple(sources)
        self._note = note
        self._check = check
        self._lists: list[tuple[str, Source, Steps]] | None = None
        self._lock = threading.Lock()

    def find(self, key: str) -> CachedLayer | None:
        """Fetch the layer of a step into the store. Return None if no place has it (rule 2)."""
        for name, source, steps in self._read():
            record = steps.get(key)
            if record is None:
                continue
            try:
                self._bring(name, source, record)
            except (RootlayError, OSError) as error:
                self._check()
                if (error.errno == errno.ENOSPC) if isinstance(error, OSError) else error.fault == "disk":
                    raise
                self._note(f"--cache-from {name}: {error}")
                continue
            return record
        return None

    def _read(self) -> list[tuple[str, Source, Steps]]:
        with self._lock:
            if self._lists is None:
                self._lists = []
                for name, source in self._sources:
                    try:
                        self._lists.append((name, source, source.read()))
                    except (RootlayError, OSError) as error:
                        self._note(f"--cache-from {name}: {error}")
            return self._lists

    def _bring(self, name: str, source: Source, record: CachedLayer) -> None:
        blob, diff_id = record.layer.descriptor, record.layer.diff_id
        what = f"{name}: {blob.digest.short}"
        from rootlay.store.layer.ingest import LayerSource
        from rootlay.store.layer.load import LayerLoader

        loader = LayerLoader(self._store.layout, lambda done, total, label: self._check(), what, blob.size)
        loader.load(LayerSource(what, source.chunks(blob), blob, diff_id), blob.size)


def sources_of(places: Iterable[CachePlace], settings: Settings) -> list[tuple[str, Source]]:
    """Return the places that `--cache-from` names. Raises BadReference."""
    return [
        (
            place.where,
            DirectorySource(Path(place.where)) if place.kind == "local" else RegistrySource(place.where, settings),
        )
        for place in places
    ]


def write_cache(store: ImageStore, place: CachePlace, steps: Steps, settings: Settings) -> None:
    """Store steps in another place, and replace its content. Raises OSError, BadReference, registry errors."""
    document = dump({"version": 1, "steps": [{"key": key, **steps[key].to_json()} for key in sorted(steps)]})
    config = Descriptor(CACHE_CONFIG, Digest.of(document), len(document))
    layers = {step.layer.descriptor.digest: step.layer.descriptor for _, step in sorted(steps.items())}
    manifest = Manifest(OCI_MANIFEST, config, tuple(layers.values()))
    if place.kind == "local":
        _write_directory(store, Path(place.where), manifest, document)
    else:
        _push(store, Reference.parse(place.where).with_default_tag(), manifest, document, settings)


def _write_directory(store: ImageStore, directory: Path, manifest: Manifest, document: bytes) -> None:
    make_directories(directory / "blobs" / "sha256")
    for layer in manifest.layers:
        target = directory / blob_name(layer.digest)
        if not target.exists():
            import shutil

            with replacing(target) as staged:
                shutil.copyfile(store.layout.blob_path(layer.digest), staged)
    top = manifest.to_bytes()
    for data in (document, top):
        replace_file(directory / blob_name(Digest.of(data)), data)
    replace_file(directory / "oci-layout", dump({"imageLayoutVersion": LAYOUT_VERSION}))
    replace_file(directory / "index.json", Index((Descriptor(OCI_MANIFEST, Digest.of(top), len(top)),)).to_bytes())


def _push(store: ImageStore, name: Reference, manifest: Manifest, document: bytes, settings: Settings) -> None:
    from rootlay.store.registry.repository import Document
    from rootlay.store.registry.upload import Upload

    top = manifest.to_bytes()
    with store.staging() as staging, open_repository(name, settings, push=True) as repository:
        (staging / "config").write_bytes(document)
        for layer in manifest.layers:
            Upload(repository, layer, store.layout.blob_path(layer.digest), _unheard).run(())
        Upload(repository, manifest.config, staging / "config", _unheard).run(())
        descriptor = Descriptor(OCI_MANIFEST, Digest.of(top), len(top))
        repository.put_manifest(str(name.tag), Document(descriptor, top), name.familiar)


def _unheard(done_bytes: Any) -> None:
    """Ignore the progress: uploads of a cache show none."""
