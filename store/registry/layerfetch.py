"""Fetching the layers of an image from a registry in parallel: each one whole, resumed or by its table of contents."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator
from contextlib import closing
from functools import partial
from pathlib import Path

from rootlay.store.chunks.origin import Origin
from rootlay.store.layer.ingest import LayerSource
from rootlay.store.layer.load import LayerLoader
from rootlay.store.layout.identity import find_lazy
from rootlay.store.layout.layout import Layout
from rootlay.store.layout.partialblob import iter_partial, partial_path, partial_size
from rootlay.store.lazy.fill import bring_all, keep_as_partial
from rootlay.store.model.digest import Digest
from rootlay.store.model.errors import CorruptStore, RootlayError
from rootlay.store.model.imageconfig import ImageConfig
from rootlay.store.model.manifest import Descriptor, Manifest
from rootlay.store.model.mediasupport import check_layers, is_foreign, missing_foreign
from rootlay.store.model.progress import Note, Progress
from rootlay.store.model.reference import Reference
from rootlay.store.registry.errors import NotInRegistry
from rootlay.store.registry.lazypull import NotLazy, pull_lazily
from rootlay.store.registry.repository import Repository
from rootlay.store.registry.work import SharedProgress, run_all


def worth_keeping(error: BaseException) -> bool:
    """Return whether complete layers stay after `error`."""
    return isinstance(error, KeyboardInterrupt) or (isinstance(error, RootlayError) and error.fault == "network")


class LayerFetcher:
    """A fetcher of layers into a store.

    Args:
        lazily: pull lazily, and note the layers that cannot be; None: pull whole.

    Attributes:
        layers, bytes: the fetched amounts.
    """

    def __init__(
        self, layout: Layout, repository: Repository, name: Reference, progress: Progress, lazily: Note | None
    ) -> None:
        self._layout = layout
        self._repository = repository
        self._name = name
        self._progress = progress
        self._lazily = lazily
        self._lock = threading.Lock()
        self.layers = 0
        self.bytes = 0

    def is_here(self, layer: Descriptor) -> bool:
        """Return whether a layer is here in the requested form."""
        if self._layout.has_blob(layer.digest):
            return True
        return self._lazily is not None and find_lazy(self._layout, layer) is not None

    def fetch(self, manifest: Manifest, config: ImageConfig) -> None:
        """Fetch all layers of an image in parallel. Raises as `rootlay.store.registry.pull.pull`."""
        what = self._name.familiar
        check_layers(manifest, config, what)
        pairs = dict(zip(config.diff_ids, manifest.layers, strict=True))
        shared = SharedProgress(self._progress, sum(layer.size for layer in pairs.values()), what)
        current = self._layout.current

        def job(number: int, diff_id: Digest, layer: Descriptor) -> None:
            with self._layout.joining(current):
                self._fetch_one(number, diff_id, layer, shared)

        jobs: list[Callable[[], None]] = [partial(job, number, *pair) for number, pair in enumerate(pairs.items())]
        session = self._repository.session
        try:
            run_all(jobs, session.settings.parallel, session.stop)
        except BaseException as error:
            if not worth_keeping(error):
                for diff_id, layer in pairs.items():
                    partial_path(self._layout.tmp, diff_id, layer.digest).unlink(missing_ok=True)
            raise

    def _fetch_one(self, number: int, diff_id: Digest, layer: Descriptor, shared: SharedProgress) -> None:
        """Fetch one layer. The fetched part of an earlier pull is tried once; if it is damaged, it is removed."""
        if self._fetch_lazily(diff_id, layer):
            shared.report(number, layer.size)
            return

        def report(done_bytes: int, total_bytes: int | None, label: str) -> None:
            shared.report(number, done_bytes)

        kept = partial_path(self._layout.tmp, diff_id, layer.digest)
        self._complete(diff_id, layer, lambda done: shared.report(number, done))
        while True:
            start = partial_size(kept, layer.size)
            try:
                self._fetch_once(diff_id, layer, kept, report)
                kept.unlink(missing_ok=True)  # if the layer arrived in another way
                return
            except NotInRegistry as error:
                if is_foreign(layer):
                    raise missing_foreign(layer, self._name.familiar) from error
                raise
            except BaseException as error:
                if not worth_keeping(error):
                    kept.unlink(missing_ok=True)
                if not start or not (isinstance(error, RootlayError) and error.fault == "image"):
                    raise

    def _fetch_lazily(self, diff_id: Digest, layer: Descriptor) -> bool:
        """Fetch the layer's table of contents, if that is requested and possible."""
        if self._lazily is None or self._layout.has_blob(layer.digest):
            return False
        what = f"{self._name.familiar}: layer {layer.digest.short}"
        try:
            fetched = pull_lazily(self._layout, self._repository, layer, diff_id, what)
        except NotLazy as error:
            self._lazily(f"{what} is fetched whole: {error}")
            return False
        with self._lock:
            self.layers += bool(fetched)
            self.bytes += fetched
        return True

    def _complete(self, diff_id: Digest, layer: Descriptor, report: Callable[[int], None]) -> None:
        """Fetch the missing part of a layer that is here lazily; the import then finds all of it."""
        own_id = None if self._layout.has_blob(layer.digest) else find_lazy(self._layout, layer)
        if own_id is None:
            return
        what = f"{self._name.familiar}: layer {layer.digest.short}"
        directory = self._layout.layer_directory(own_id)

        def fetch(start: int, end: int) -> bytes:
            with self._lock:
                self.bytes += end - start
            return self._repository.read_range(layer, start, end, what)

        try:
            origin = Origin.read(directory)
            bring_all(directory, fetch, report)
        except (FileNotFoundError, CorruptStore):
            return  # the fetched part cannot be determined: all of it is fetched
        keep_as_partial(self._layout, own_id, origin)

    def _fetch_once(self, diff_id: Digest, layer: Descriptor, kept: Path, report: Progress) -> None:
        what = f"{self._name.familiar}: layer {layer.digest.short}"

        def chunks() -> Generator[bytes, None, None]:
            start = partial_size(kept, layer.size)  # only now, because the layer's lock is held
            with self._lock:
                self.layers += 1
            yield from iter_partial(kept, start) if start else ()
            for chunk in self._repository.iter_blob(layer, what, start):
                with self._lock:
                    self.bytes += len(chunk)
                yield chunk

        with closing(chunks()) as stream:
            source = LayerSource(what, stream, layer, diff_id, partial=kept)
            LayerLoader(self._layout, report, what, layer.size).load(source, layer.size)
