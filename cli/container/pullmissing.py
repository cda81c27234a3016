"""The pull of an image that `run` or `create` needs: `--pull missing|always|never`, as Docker's."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rootlay.cli.progress import print_notes, show_progress
from rootlay.cli.registryoptions import default_settings
from rootlay.cli.spec import Context, UsageError
from rootlay.store.containers.record import HOST_IMAGE

if TYPE_CHECKING:
    from rootlay.store.model.manifest import Platform

POLICIES = ("missing", "always", "never")


def pull_policy(text: str | None) -> str:
    """Return the policy of --pull. Raises UsageError."""
    if text and text not in POLICIES:
        raise UsageError(f"--pull={text[:40]}: expected missing, always or never")
    return text or "missing"


def can_pull(image: str) -> bool:
    """Return whether a reference may be that of a registry: not the host's root, a path, or an ID."""
    return image not in ("", HOST_IMAGE) and not image.startswith((".", "/", "~", "sha256:"))


def pull_once(context: Context, image: str, platform: Platform | None, *, quiet: bool) -> None:
    """Pull a missing image, unless another process does: then wait for that. Progress and errors as `pull_image`."""
    from rootlay.store.registry.once import pull_missing
    from rootlay.store.store import ImageStore

    store, settings, notes = ImageStore.open(context.root), default_settings(context), list[str]()
    with show_progress(context, "pulling", hidden=quiet) as progress:
        found, pulled = pull_missing(store, image, settings, platform=platform, progress=progress, note=notes.append)
    if pulled and not quiet:
        print_notes(context, notes)
        context.err.line(f"Pulled image: {', '.join(found.references) or found.id}")


def pull_image(context: Context, image: str, platform: Platform | None, *, quiet: bool, lazy: bool = False) -> None:
    """Pull an image, with progress on standard error unless `quiet`. Raises as rootlay.store.registry.pull."""
    from rootlay.store.registry.pull import pull
    from rootlay.store.store import ImageStore

    store = ImageStore.open(context.root)
    settings = default_settings(context)
    if quiet:
        pull(store, image, settings, platform=platform, lazy=lazy)
        return
    notes: list[str] = []
    with show_progress(context, "pulling") as progress:
        found = pull(store, image, settings, platform=platform, progress=progress, note=notes.append, lazy=lazy)
    print_notes(context, notes)
    context.err.line(f"Pulled image: {', '.join(found.image.references) or found.image.id}")
