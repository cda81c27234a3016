"""`commit`: a container's changes as one more layer of its image. Takes time proportional to the changes.

Rules:
1. The new layer is made of the upper alone (`vfs.changes.diff.iter_layer`), written once: blob, digest and index in one
   pass (`rootlay.store.layer.writer`).
2. All or nothing: after a kill at any moment, the store either has the new image or has no trace of it.
3. History and config are those that Docker writes: what the container was created with (command, variables, user,
   working directory, labels, ports, anonymous volumes, health check, stop signal) replaces what its image gives; then
   come the changes. A container of `host` gives none of it: its variables are the caller's.
"""

from __future__ import annotations

import contextlib
import os
import shlex
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from rootlay.store.bundle.attach import link_path
from rootlay.store.containers.bloom import create_bloom
from rootlay.store.containers.command import split_command
from rootlay.store.containers.health import health_json
from rootlay.store.containers.record import CONFIG_COPY, MANIFEST_COPY, ContainerRecord
from rootlay.store.disk.walktree import tar_bytes_below
from rootlay.store.images.recording import add_image
from rootlay.store.layer.writer import LayerWriter, WrittenLayer
from rootlay.store.layout.importing import importing
from rootlay.store.model.digest import Digest
from rootlay.store.model.image import Image
from rootlay.store.model.imageconfig import History, ImageConfig, RunConfig
from rootlay.store.model.manifest import Descriptor, Manifest
from rootlay.store.model.platform import host_platform
from rootlay.store.model.progress import Meter, Progress, silent
from rootlay.store.model.reference import Reference
from rootlay.store.model.rfc3339 import rfc3339
from rootlay.store.model.value import replace
from rootlay.store.store import ImageStore
from rootlay.vfs.changes.diff import iter_layer
from rootlay.vfs.overlay.containerstack import not_removed

if TYPE_CHECKING:
    from rootlay.vfs.overlay.overlay import Overlay

# Labels that rootlay gives to say who uses a container (`rootlay.wrapped`, `rootlay.pytest.pid`). A container of the
# committed image is another one.
_OF_ONE_CONTAINER = "rootlay."


def commit_container(
    record: ContainerRecord,
    overlay: Overlay,
    reference: str = "",
    *,
    message: str = "",
    author: str = "",
    change: Callable[[RunConfig], RunConfig] = lambda config: config,
    created: datetime | None = None,
    progress: Progress = silent,
) -> Image:
    """Make an image of a container's image and its changes.

    A container of `host` or of plain directories gives an image of one layer with only the changes.

    Args:
        reference: the new image's name; empty for none.
        change: changes the config of the image, see rootlay.vfs.build.result.changes.
        created: time for config and history; now if None.
        progress: receives the bytes of the new layer's tar.

    Returns:
        The image, as it is in the store.

    Raises:
        BadReference, BadManifest: the name or a change is not well-formed; nothing was written.
        UnknownContainer: it was removed meanwhile.
        StoreNotWritable, DiskFull.
    """
    if reference:
        Reference.parse(reference)
    store = ImageStore.open(record.root)
    with importing(store.layout):
        if record.config.chain and link_path(record.root, Digest.parse(record.config.chain)).is_symlink():
            from rootlay.store.exchange.load import load_attached  # with the readers of all archives

            load_attached(store, Digest.parse(record.config.chain))  # the new image needs its layers
        config, layers = _base(record)
        run = change(_run_config(config.config, record))
        with not_removed(record):
            layer = _write_layer(store, record, overlay, progress)
        moment = rfc3339(created or datetime.now(UTC))
        history = History(created=moment, created_by=shlex.join(record.config.argv), author=author, comment=message)
        result = replace(config.with_layer(layer.diff_id, history), author=author or config.author, config=run)
        image = add_image(store, result, (*layers, layer.descriptor), reference or None)
    record.note("commit", comment=message, imageID=str(image.id), imageRef=reference)
    return image


def _run_config(image: RunConfig, record: ContainerRecord) -> RunConfig:
    """Return the config of a container of an image, as Docker's commit stores it."""
    own = record.config
    if not own.manifest:
        return image
    entrypoint, command = split_command(record, image.entrypoint or ())
    settings = own.settings
    anonymous = (bind.target for bind in own.binds if bind.kind == "volume" and bind.anonymous)
    health = {} if settings.health is None else {"Healthcheck": health_json(settings.health)}
    return replace(
        image,
        user=own.user,
        env=own.env,
        entrypoint=entrypoint or None,
        cmd=command or (None if image.cmd is None else ()),
        working_dir=image.working_dir if own.working_dir == "/" else own.working_dir,
        labels={
            **image.labels,
            **{name: text for name, text in own.labels.items() if not name.startswith(_OF_ONE_CONTAINER)},
        },
        exposed_ports=tuple(dict.fromkeys((*image.exposed_ports, *settings.exposed))),
        volumes=tuple(dict.fromkeys((*image.volumes, *anonymous))),
        stop_signal=settings.stop_signal or image.stop_signal,
        extra={**image.extra, **health},
    )


def _write_layer(store: ImageStore, record: ContainerRecord, overlay: Overlay, progress: Progress) -> WrittenLayer:
    """Write the changes of a container as a layer."""
    uppers = overlay.stack.dirs[: 1 + len(record.stack().frozen)]
    meter = Meter(progress, "committing", lambda: sum(tar_bytes_below(layer.real(b"")) for layer in uppers))
    with LayerWriter(store.layout, lambda: meter.add(writer.tar_bytes - meter.done)) as writer:
        with one_upper(record, overlay, progress) as changed:
            for path, entry, content in iter_layer(changed):
                writer.add(path, entry, content)
        return writer.finish()


@contextlib.contextmanager
def one_upper(record: ContainerRecord, overlay: Overlay, progress: Progress = silent) -> Iterator[Overlay]:
    """Open the same tree with one upper. The uppers of a container with snapshots are merged in a scratch directory."""
    count = 1 + len(record.stack().frozen)
    if count == 1:
        yield overlay
        return
    from rootlay.store.disk.durable import staging_directory
    from rootlay.vfs.changes.flatten import flatten
    from rootlay.vfs.merge.stack import DirLayer
    from rootlay.vfs.overlay.overlay import Overlay

    with staging_directory(record.path.parent.parent / "tmp") as scratch:  # that no sweep removes
        (scratch / "upper").mkdir()
        create_bloom(scratch / "bloom", None)
        with overlay.context.upper.locked():
            flatten(overlay.stack.dirs[:count], scratch / "upper", scratch / "bloom", progress)
        merged = DirLayer.at(os.path.realpath(scratch / "upper"), writable=True, bloom=scratch / "bloom")
        stack = replace(overlay.stack, dirs=(merged, *overlay.stack.dirs[count:]), lock=scratch / "lock")
        with Overlay(stack) as one:
            yield one


def _base(record: ContainerRecord) -> tuple[ImageConfig, tuple[Descriptor, ...]]:
    """Return config and layers of the container's image, from its own copies: the image may have been removed."""
    if not record.config.manifest:
        here = host_platform()
        return ImageConfig(here.os, here.architecture, here.variant, config=RunConfig()), ()
    manifest = Manifest.parse((record.path / MANIFEST_COPY).read_bytes(), "container's manifest")
    return ImageConfig.parse((record.path / CONFIG_COPY).read_bytes(), "container's image config"), manifest.layers
