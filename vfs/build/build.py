"""A complete build: the required stages, the image of the last one, its names.

    result = build(store, parse(text), HostTree("."), BuildOptions(tags=("app:1",)), Silent())

Rules:
1. The new image gets a name only after all of it is in the store: a build that fails, or is killed, leaves its
   completed steps in the cache, and no image.
2. The store's use lock is held throughout: the objects that the build needs are not removed meanwhile.
3. Ctrl-C, or a stage that fails, stops the others; their commands are killed, their containers removed.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import partial

from rootlay.store.images.recording import add_image
from rootlay.store.layout.removal import remove_views
from rootlay.store.model.digest import Digest
from rootlay.store.model.errors import RootlayError
from rootlay.store.model.image import Image
from rootlay.store.model.platform import host_platform
from rootlay.store.model.reference import Reference
from rootlay.store.model.rfc3339 import rfc3339
from rootlay.store.model.value import replace, value
from rootlay.store.store import ImageStore
from rootlay.vfs.build.cache.gcroots import needed
from rootlay.vfs.build.context.interruptible import run_interruptibly
from rootlay.vfs.build.context.source import SourceTree
from rootlay.vfs.build.graph import StageNode, find_target, plan_stages
from rootlay.vfs.build.language.dockerfile import Dockerfile
from rootlay.vfs.build.language.scope import GlobalScope
from rootlay.vfs.build.options.options import BuildOptions
from rootlay.vfs.build.result.report import Report, Silent
from rootlay.vfs.build.result.state import ImageState
from rootlay.vfs.build.run.request import remove_abandoned
from rootlay.vfs.build.schedule import Schedule
from rootlay.vfs.build.session import BuildSession
from rootlay.vfs.build.stagebuild import StageBuild


@value
class BuildResult:
    """The result of a build.

    Args:
        image: the image in the store.
        names: those that this build has given the image; it may have others.
        cached_steps, made_steps: how many steps had a layer in the cache, and how many were run.
        seconds: duration.
        inherited_layers: how many of the image's layers are from the base image.
        is_new: whether the store did not have the image before.
        bases: the images that it was built from: reference, platform, digest of the manifest or index.
        started, finished: RFC 3339.
    """

    image: Image
    names: tuple[str, ...]
    cached_steps: int
    made_steps: int
    seconds: float
    inherited_layers: int
    is_new: bool
    bases: tuple[tuple[str, str, Digest], ...] = ()
    started: str = ""
    finished: str = ""


def build(
    store: ImageStore,
    dockerfile: Dockerfile,
    context: SourceTree,
    options: BuildOptions | None = None,
    report: Report | None = None,
) -> BuildResult:
    """Build the target stage of a Dockerfile and record it as an image.

    Args:
        context: the main build context.

    Raises:
        BadDockerfile: an error that shows only when variables are known.
        BuildFailed, RunFailed: an instruction cannot be carried out.
        UnknownImage: a base image was not found.
        BadReference, StoreNotWritable, DiskFull, EngineMissing.
        OSError, and the errors of a push: a cache cannot be written; the image exists.
    """
    options = options or BuildOptions()
    tags = tuple(Reference.parse(tag).with_default_tag().familiar for tag in options.tags)
    begin, started = time.monotonic(), rfc3339(datetime.now(UTC))
    target = find_target(dockerfile, options.target)
    scope = GlobalScope.of(
        dockerfile, options.build_args, build=host_platform(), target=options.platform, target_stage=options.target
    )
    nodes = plan_stages(dockerfile, scope, target, {*options.contexts, *options.images})
    remove_abandoned(store.root)
    session = BuildSession(store, context, options, report or Silent())
    try:
        with store.layout.holding():
            state = _labelled(_stages(session, dockerfile, nodes, scope)[target.index], options)
            before = {found.digest for found in store.layout.read_index().manifests}
            bases = session.bases()
            first = tags[0] if tags else None
            image = add_image(store, state.finished(), state.layers, first, annotations=options.annotations)
            for tag in tags[1:]:
                image = store.tag(image, tag)
            _write_caches(session, image)
    finally:
        session.close()
        remove_views(store.layout, session.made_views, lambda: needed(store))
    return BuildResult(
        image,
        tags,
        session.cached_steps,
        session.made_steps,
        time.monotonic() - begin,
        _inherited(state),
        image.manifest_digest not in before,
        bases,
        started,
        rfc3339(datetime.now(UTC)),
    )


def _stages(
    session: BuildSession, dockerfile: Dockerfile, nodes: Sequence[StageNode], scope: GlobalScope
) -> dict[int, ImageState]:
    """Return all required stages, by index."""
    by_index = {node.index: node for node in nodes}
    layout = session.store.layout
    lease = layout.current

    def work(index: int, done: Mapping[int, ImageState]) -> ImageState:
        with layout.joining(lease):
            return StageBuild(session, dockerfile, by_index[index], scope, done).build()

    return Schedule({node.index: node.needs for node in nodes}, work, session.cancel).run()


def _write_caches(session: BuildSession, image: Image) -> None:
    """Write the caches of --cache-to."""
    if not session.options.cache_to:
        return
    from rootlay.vfs.build.cache.transfer import write_cache

    store = session.store
    own = {key: step for key, step in session.steps.items() if step.layer.diff_id in image.diff_ids}
    for place in session.options.cache_to:
        try:
            steps = session.steps if place.all_steps else own
            run_interruptibly(
                partial(write_cache, store, place, steps, session.options.settings),
                session.check,
                store.layout,
            )
        except (RootlayError, OSError) as error:
            if not place.may_fail:
                raise
            session.report.note(f"--cache-to {place.where}: {error}")


def _labelled(state: ImageState, options: BuildOptions) -> ImageState:
    """Add the labels of --label to the config, without a step in the history."""
    if not options.labels:
        return state
    config = replace(state.config, labels={**state.config.labels, **options.labels})
    return replace(state, image=replace(state.image, config=config))


def _inherited(state: ImageState) -> int:
    """Return how many layers the base image's steps have."""
    own = state.image.history[state.inherited :]
    return len(state.layers) - sum(not step.empty_layer for step in own)
