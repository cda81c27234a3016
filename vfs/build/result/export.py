"""Output of a build's result to the destination of `--output`.

Rules:
1. A file appears when it is complete. A directory of `type=local` keeps its other files; files of the same names are
   replaced.
2. In a directory the caller owns everything; set-id bits and devices, which have another meaning there, are left out,
   devices with a note.
3. Names in an image cannot lead out of the directory.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from rootlay.store.disk.outfile import output_file
from rootlay.store.model.image import Image
from rootlay.store.model.progress import Note
from rootlay.store.registry.settings import Settings
from rootlay.store.store import ImageStore
from rootlay.vfs.build.context.interruptible import run_interruptibly
from rootlay.vfs.build.context.trees import Trees
from rootlay.vfs.build.options.output import STDOUT, Output
from rootlay.vfs.changes.export import export_tree
from rootlay.vfs.changes.transfer import copy_all_out

if TYPE_CHECKING:
    from rootlay.vfs.overlay.overlay import Overlay


def write_output(
    store: ImageStore,
    image: Image,
    names: Sequence[str],
    output: Output,
    stdout: BinaryIO,
    settings: Settings,
    note: Note,
    manifest_format: str = "oci",
) -> None:
    """Write an image of the store to its destination.

    Args:
        names: its names there, if the output has none.
        manifest_format: of a pushed image: oci or docker.

    Raises:
        OSError: the destination cannot be written.
        BadReference, AccessDenied, RegistryRefused, …: the image cannot be pushed.
    """
    if output.kind == "image":
        for name in (output.names or names) if output.push else ():
            _push(store, image, name, output, settings, manifest_format)
    elif output.kind == "local":
        with _tree(store, image) as tree:
            copy_all_out(tree, os.fsencode(output.dest), lambda path: note(f"{path}: a device or socket: left out"))
    elif output.kind == "tar":
        with _tree(store, image) as tree, _open(output.dest, stdout) as out:
            export_tree(tree, out)
    else:
        _save(store, image, names, output, stdout)


def _push(store: ImageStore, image: Image, name: str, output: Output, settings: Settings, manifest_format: str) -> None:
    from rootlay.store.registry.push import push

    reference, compression = str(image.entry.digest), output.compression
    form = None if manifest_format == "oci" else manifest_format

    def send() -> None:
        push(store, reference, settings, target=name, compression=compression, manifest_format=form)

    run_interruptibly(send, lambda: None)


def _save(store: ImageStore, image: Image, names: Sequence[str], output: Output, stdout: BinaryIO) -> None:
    kind = "docker-archive" if output.kind == "docker" else "oci-dir" if output.unpacked else "oci-archive"
    target = stdout if output.dest == STDOUT else Path(output.dest)
    store.save(names or [str(image.entry.digest)], target, kind, compression=output.compression)


@contextlib.contextmanager
def _tree(store: ImageStore, image: Image) -> Iterator[Overlay]:
    store.prepare(image)
    with contextlib.closing(Trees(store)) as trees:
        yield trees.open(image.diff_ids)


@contextlib.contextmanager
def _open(dest: str, stdout: BinaryIO) -> Iterator[BinaryIO]:
    """Open a stream to a file that appears at the end, or to standard output."""
    if dest == STDOUT:
        yield stdout
        return
    with output_file(Path(dest)) as stream:
        yield stream
