"""Layers made from Python: files and directories on top of an image, without a container or a Dockerfile."""

from __future__ import annotations

import io
import os
import stat
import time
from collections.abc import Iterable, Mapping
from contextlib import ExitStack, closing
from datetime import UTC, datetime
from pathlib import Path

from rootlay.store.images.recording import add_image
from rootlay.store.layer.writer import LayerWriter
from rootlay.store.layout.importing import importing
from rootlay.store.model.entry import Entry, EntryType
from rootlay.store.model.image import Image
from rootlay.store.model.imageconfig import History
from rootlay.store.model.rfc3339 import rfc3339
from rootlay.store.model.value import replace
from rootlay.store.store import ImageStore
from rootlay.vfs.build.context.source import HostTree, clean, resolve
from rootlay.vfs.build.context.trees import Trees
from rootlay.vfs.build.copy.chmodspec import ModeChange
from rootlay.vfs.build.copy.copy import Copier
from rootlay.vfs.build.copy.layerplan import LayerPlan
from rootlay.vfs.build.copy.options import CopyOptions
from rootlay.vfs.build.copy.owner import Owner, find_owner
from rootlay.vfs.build.copy.planentry import FileContent, Planned
from rootlay.vfs.build.result.changes import apply_changes

FILE_MODE = 0o644
Content = str | bytes | os.PathLike[str]
"""Content of a file: text (UTF-8) or bytes; or a path: that file or directory of the host, with its modes and times."""


def add_layer(
    store: ImageStore,
    image: Image,
    files: Mapping[str, Content],
    *,
    remove: Iterable[str] = (),
    reference: str | None = None,
    owner: str = "0:0",
    mode: str | None = None,
    changes: Iterable[str] = (),
    message: str = "",
    epoch_s: int | None = None,
) -> Image:
    """Make a new image: `image` with one more layer. Takes time proportional to the files. All or nothing.

    Args:
        files: content by path inside. Links on the way are followed inside the image; missing directories are made.
            The content of a host directory is copied to the path, over existing files.
        remove: paths to remove; missing ones are ignored.
        reference: the new image's name.
        owner: of all added files: `user:group`, names of the image or numbers.
        mode: of all files, octal or symbolic (`755`, `u+x`); None: 644 for content; files of the host keep theirs.
        changes: Dockerfile instructions for the config (`CMD ["app"]`).
        message: comment for the history.
        epoch_s: SOURCE_DATE_EPOCH, seconds: the image's time, and the latest time of its files.

    Raises:
        ValueError: a file and a directory at one path; something is both added and removed; a bad mode.
        UnknownUser, BadReference, BadManifest (a change), FileNotFoundError, StoreNotWritable, DiskFull.
    """
    now_ns = time.time_ns() if epoch_s is None else epoch_s * 1_000_000_000
    with ExitStack() as stack:
        stack.enter_context(importing(store.layout))
        staging = stack.enter_context(store.staging())
        trees = stack.enter_context(closing(Trees(store)))
        store.prepare(image)
        below = trees.open(image.diff_ids)
        change = None if mode is None else ModeChange.parse(mode)
        options = CopyOptions(owner=find_owner(owner, below), mode=change, made_ns=now_ns)
        plan = stack.enter_context(LayerPlan(below, now_ns, staging))
        for path, content in sorted(files.items()):
            if isinstance(content, os.PathLike):
                _copy(plan, path, Path(content), options, staging)
            else:
                _put(plan, path, content.encode() if isinstance(content, str) else content, options)
        for path in remove:
            plan.remove(resolve(plan, _parent(path)) if path.strip("/") else b"/", os.fsencode(path))
        run = apply_changes(image.config.config, changes)
        with LayerWriter(store.layout) as writer:
            plan.write(writer, None if epoch_s is None else now_ns)
            layer = writer.finish()
        history = History(rfc3339(datetime.fromtimestamp(now_ns // 10**9, UTC)), message or "add_layer")
        config = replace(image.config.with_layer(layer.diff_id, history), config=run)
        return add_image(store, config, (*image.manifest.layers, layer.descriptor), reference)


def _parent(path: str) -> bytes:
    return clean(os.fsencode(path)).rpartition(b"/")[0] or b"/"


def _copy(plan: LayerPlan, path: str, source: Path, options: CopyOptions, staging: Path) -> None:
    """Copy a file or directory of the host."""
    found = os.stat(source)
    tree = HostTree(source if stat.S_ISDIR(found.st_mode) else source.absolute().parent)
    name = b"/" if stat.S_ISDIR(found.st_mode) else b"/" + os.fsencode(source.name)
    Copier(plan, path, options, staging).bring(tree, name)


def _put(plan: LayerPlan, path: str, content: bytes, options: CopyOptions) -> None:
    """Write a file with the given content."""
    target = resolve(plan, clean(os.fsencode(path)))
    owner = options.owner or Owner()
    plan.make_directories(target.rpartition(b"/")[0] or b"/", owner.uid, owner.gid)
    mode = FILE_MODE if options.mode is None else stat.S_IMODE(options.mode.apply(stat.S_IFREG | FILE_MODE))
    entry = Entry(EntryType.FILE, mode=mode, uid=owner.uid, gid=owner.gid, size=len(content), mtime_ns=options.made_ns)
    plan.add(target, Planned(entry, FileContent(lambda _: io.BytesIO(content))))
