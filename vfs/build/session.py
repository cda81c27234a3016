"""The state that all stages of one build share: store, cache, trees, options, the report, and the step numbers."""

from __future__ import annotations

import contextlib
import itertools
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from rootlay.store.containers.record import HOST_IMAGE
from rootlay.store.layer.writer import LayerWriter, WrittenLayer
from rootlay.store.model.digest import Digest
from rootlay.store.model.errors import RootlayError, UnknownImage
from rootlay.store.model.image import Image
from rootlay.store.model.manifest import Platform
from rootlay.store.model.platform import fits, parse_platform
from rootlay.store.model.progress import Progress
from rootlay.store.model.rfc3339 import rfc3339
from rootlay.store.store import ImageStore
from rootlay.vfs.build.cache.cache import CachedLayer, StepCache
from rootlay.vfs.build.cache.transfer import TransferredSteps, sources_of
from rootlay.vfs.build.context.interruptible import run_interruptibly
from rootlay.vfs.build.context.source import SourceTree
from rootlay.vfs.build.context.trees import Trees
from rootlay.vfs.build.copy.contentdigest import FILE, ContentDigests
from rootlay.vfs.build.language.syntax import Source
from rootlay.vfs.build.options.options import BuildOptions, Fetch
from rootlay.vfs.build.result.failure import BuildCancelled, BuildFailed, shorten
from rootlay.vfs.build.result.report import Report, Step
from rootlay.vfs.build.run.cachemount import CacheMounts
from rootlay.vfs.containers.ensureview import ensure_view

if TYPE_CHECKING:
    from rootlay.vfs.build.run.container import RunContainer

LOCK_POLL_S = 0.05
FETCH_LINE_S = 1.0
Make = Callable[[], WrittenLayer]


class BuildSession:
    """The state of one build, shared by its threads. Close it.

    Args:
        context: the main build context.

    Attributes:
        steps: the layers that this build has made or found, by key.
    """

    def __init__(self, store: ImageStore, context: SourceTree, options: BuildOptions, report: Report) -> None:
        self.store = store
        self.context = context
        self.options = options
        self.report = report
        self.cache = StepCache(store)
        self.steps: dict[str, CachedLayer] = {}
        self._elsewhere = TransferredSteps(
            store, sources_of(options.cache_from, options.settings), report.note, self.check
        )
        self.trees = Trees(store)
        self.caches = CacheMounts(store.root)
        self.digests = ContentDigests(store.root / "build" / FILE, self.check)
        self.cancelled = threading.Event()
        self.cached_steps = 0
        self.made_steps = 0
        self._numbers = itertools.count(1)
        self._images: dict[tuple[str, str], Image] = {}
        self._running: set[RunContainer] = set()
        self._lock = threading.Lock()
        self._fetching: dict[tuple[str, str], threading.Lock] = {}
        self._showing = threading.local()

    @property
    def epoch_ns(self) -> int | None:
        return None if self.options.epoch_s is None else self.options.epoch_s * 1_000_000_000

    def now_ns(self) -> int:
        """Return the time for new files."""
        return time.time_ns() if self.epoch_ns is None else self.epoch_ns

    def now(self) -> str:
        """Return the same for a history, in RFC 3339."""
        return rfc3339(datetime.fromtimestamp(self.now_ns() // 1_000_000_000, UTC))

    def number(self) -> int:
        """Return the number of the next step."""
        return next(self._numbers)

    # ---- images

    def image(self, reference: str, platform_text: str | None, source: Source) -> Image:
        """Return an image of the store, fetched if missing, with a view. The result is the same for the whole build.

        Raises UnknownImage, BuildFailed, and the errors of a fetch.
        """
        if reference == HOST_IMAGE:
            raise BuildFailed(source, "the image `host` has no layers, so it cannot be a base")
        platform = self.options.platform if platform_text is None else parse_platform(platform_text)
        key = (reference, str(platform))
        with self._lock:
            alone = self._fetching.setdefault(key, threading.Lock())
        with alone:
            if key not in self._images:
                try:
                    self._images[key] = self._find(reference, key, source)
                except BuildFailed:
                    raise  # it names the instruction
                except RootlayError as error:
                    error.add_note(f"{source}: {shorten(source.text)}")
                    raise
            return self._images[key]

    def bases(self) -> tuple[tuple[str, str, Digest], ...]:
        """Return reference, platform and digest of the images that this build has used so far."""
        with self._lock:
            return tuple((name, platform, image.entry.digest) for (name, platform), image in self._images.items())

    def _find(self, reference: str, key: tuple[str, str], source: Source) -> Image:
        platform = parse_platform(key[1])
        fetch = self.options.fetch
        try:
            if self.options.pull and fetch is not None:
                image = self._fetch(fetch, reference, platform)
            else:
                image = self.store.image(reference)
        except UnknownImage:
            if fetch is None:
                raise
            image = self._fetch(fetch, reference, platform)
        if image.config.architecture and not fits(platform, image.config.platform):
            raise BuildFailed(source, f"image {reference} is for {image.config.platform}, not for {platform}")
        self.store.layout.claim("layer", image.diff_ids)
        ensure_view(self.store, image)
        return image

    def _fetch(self, fetch: Fetch, reference: str, platform: Platform) -> Image:
        progress = self._progress()
        return run_interruptibly(lambda: fetch(reference, platform, progress), self.check, self.store.layout)

    def _progress(self) -> Progress:
        """Return a progress that reports a fetch as output of this thread's step. Other threads may call it."""
        step: Step | None = getattr(self._showing, "step", None)
        told = time.monotonic()

        def progress(done_bytes: int, total_bytes: int | None, label: str) -> None:
            nonlocal told
            if self.cancelled.is_set():
                raise KeyboardInterrupt  # fetched data stays for the next time
            if step is not None and time.monotonic() - told >= FETCH_LINE_S:
                told = time.monotonic()
                share = f" of {total_bytes / 1e6:.1f}" if total_bytes else ""
                self.report.output(step, f"{label}: {done_bytes / 1e6:.1f}{share} MB\n".encode())

        return progress

    def show(self, step: Step | None) -> None:
        """Set the step that this thread works for."""
        self._showing.step = step

    def check(self) -> None:
        """Raise BuildCancelled if the build was stopped. Call it from time to time in long work."""
        if self.cancelled.is_set():
            raise BuildCancelled

    # ---- layers

    def layer(self, key: str, make: Make, text: str = "", *, fresh: bool = False) -> tuple[CachedLayer, bool]:
        """Return the layer of a step: from the cache, or made now. The second value is whether it was cached.

        Args:
            text: the step's text, for listings of the cache.
            fresh: make it again although it is in the cache (--no-cache-filter).
        """
        self.check()
        fresh = fresh or self.options.no_cache
        found = None if fresh else self.cache.find(key)
        cached = found is not None
        if found is None:
            with self._alone(key):
                found = None if fresh else self._find_again(key)
                cached = found is not None
                if found is None:
                    found = CachedLayer(make(), self.now(), text)
                    self.cache.add(key, found)
        with self._lock:
            self.steps[key] = found
        return found, cached

    def _find_again(self, key: str) -> CachedLayer | None:
        """Return a layer that another build has made meanwhile, or that another cache has."""
        found = self.cache.find(key)
        if found is None and (found := self._find_elsewhere(key)) is not None:
            self.cache.add(key, found)
        return found

    def _find_elsewhere(self, key: str) -> CachedLayer | None:
        if not self.options.cache_from:
            return None
        return run_interruptibly(lambda: self._elsewhere.find(key), self.check, self.store.layout)

    @contextlib.contextmanager
    def _alone(self, key: str) -> Iterator[None]:
        """Hold the lock of a step. The wait for another build can be cancelled."""
        while (lock := self.cache.try_lock(key)) is None:
            self.pause()
        with lock:
            yield

    def pause(self) -> None:
        """Wait a moment for another build. Raises BuildCancelled."""
        if self.cancelled.wait(LOCK_POLL_S):
            raise BuildCancelled

    @property
    def made_views(self) -> set[Digest]:
        """The views of intermediate stacks that only this build has needed."""
        return {chain for container in self._running for chain in container.made_views}

    def writer(self) -> LayerWriter:
        """Return a writer of a new layer in the store."""
        return LayerWriter(self.store.layout, self.check)

    def count(self, *, cached: bool) -> None:
        """Count a step for the summary."""
        with self._lock:
            self.cached_steps += cached
            self.made_steps += not cached

    # ---- cancelling

    def run_container(self) -> RunContainer:
        """Return a container for the RUNs of one stage, which `cancel` reaches."""
        from rootlay.vfs.build.run.container import RunContainer  # not of a build in which nothing has changed

        container = RunContainer(self.store, self.epoch_ns, self.options.hosts)
        with self._lock:
            self._running.add(container)
        if self.cancelled.is_set():
            container.cancel()
        return container

    def cancel(self) -> None:
        """Stop all stages. Idempotent."""
        self.cancelled.set()
        with self._lock:
            running = list(self._running)
        for container in running:
            container.cancel()

    def close(self) -> None:
        """Save new digests and close everything. Idempotent."""
        self.digests.save()
        self.trees.close()


class Shown:
    """A step in the report. Use it as a context manager around the work."""

    def __init__(self, session: BuildSession, step: Step) -> None:
        self._session = session
        self.step = step
        self._begin = time.monotonic()
        self._size_bytes = 0
        self._cached = False

    def done(self, size_bytes: int, *, cached: bool) -> None:
        """Record the result of the step."""
        self._size_bytes, self._cached = size_bytes, cached

    def __enter__(self) -> Shown:
        self._session.show(self.step)
        self._session.report.start(self.step)
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._session.show(None)
        seconds = time.monotonic() - self._begin
        if kind is not None:
            self._session.report.fail(self.step, seconds)
        else:
            self._session.report.finish(self.step, seconds, self._size_bytes, cached=self._cached)
