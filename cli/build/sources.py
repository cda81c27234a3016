"""The inputs of `build`: the main context, and those of --build-context."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from rootlay.cli.build.options import IMAGE_SCHEME, LAYOUT_SCHEME, named_contexts
from rootlay.cli.registryoptions import platform_of, settings_of
from rootlay.cli.spec import Context, Values

if TYPE_CHECKING:
    from rootlay.store.store import ImageStore
    from rootlay.vfs.build.context.buildcontext import Surroundings
    from rootlay.vfs.build.context.source import SourceTree


def surroundings(scratch: Path, values: Values, context: Context) -> Surroundings:
    """Return the values that opening a context may need."""
    from rootlay.vfs.build.context.buildcontext import Surroundings

    return Surroundings(scratch, sys.stdin.buffer, context.environ, settings_of(values, context))


def open_named(
    store: ImageStore, values: Values, context: Context, scratch: Path, stack: ExitStack
) -> tuple[Mapping[str, SourceTree], Mapping[str, str]]:
    """Return the trees, and the images, of --build-context, by name. Raises as `open_context` and `load_unnamed`."""
    from rootlay.vfs.build.context.buildcontext import STDIN, open_context

    trees: dict[str, SourceTree] = {}
    images: dict[str, str] = {}
    for number, (name, place) in enumerate(named_contexts(values).items()):
        if place.startswith(IMAGE_SCHEME):
            images[name] = place.removeprefix(IMAGE_SCHEME)
        elif place.startswith(LAYOUT_SCHEME):
            images[name] = _load(store, place.removeprefix(LAYOUT_SCHEME), values, context)
        else:
            own = scratch / f"context-{number}"
            own.mkdir()
            opened = stack.enter_context(open_context(place, surroundings(own, values, context)))
            trees[name] = opened.visible(STDIN)  # its own .dockerignore counts
    return trees, images


def _load(store: ImageStore, place: str, values: Values, context: Context) -> str:
    """Return the ID of the image that `DIR[:TAG][@DIGEST]` means."""
    from rootlay.cli.progress import show_progress
    from rootlay.store.exchange.ociload import load_unnamed
    from rootlay.store.model.platform import host_platform

    path, _, pick = place.partition("@")
    if not pick and not Path(path).is_dir():
        path, _, pick = path.rpartition(":")
    with show_progress(context, "loading") as progress:
        image = load_unnamed(store, Path(path or place), platform_of(values) or host_platform(), progress, pick)
    return str(image.manifest_digest)
