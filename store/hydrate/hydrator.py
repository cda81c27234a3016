"""Hydration: writing a lower file to its real path at its first use (docs/format.md §3, §8).

Rules:
1. Errors are OSError: the hydrator answers programs, which understand an errno. A damaged store is EIO.
2. Any number of hydrators, in any number of processes, may work on one store at once.
3. Content is verified while it is copied; a file that fails never appears in a tree.
"""

from __future__ import annotations

import errno
import io
import itertools
import os
import threading
import weakref
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Protocol, cast

from rootlay.store.codec.content import ContentReader, Extent
from rootlay.store.disk.durable import FILE_MODE, staging_directory
from rootlay.store.disk.smallfile import write_all
from rootlay.store.hydrate.tree import HydratedTree, Parts, is_complete, publish_file, publish_symlink, split_path
from rootlay.store.layer.pool import LayerPool
from rootlay.store.model.closing import Closing
from rootlay.store.model.digest import Digest
from rootlay.store.model.entry import Entry, EntryType
from rootlay.store.model.errors import RootlayError
from rootlay.store.model.progress import Meter, silent
from rootlay.store.view.view import Node, View

if TYPE_CHECKING:
    from rootlay.store.bundle.reader import BundleView
    from rootlay.store.hydrate.ahead import Ahead
    from rootlay.store.hydrate.contents import Contents
    from rootlay.store.model.progress import Progress

_COPY_BYTES = 1 << 20
_READY_BYTES = 1 << 16
_DEFAULT_DIRECTORY_MODE = 0o755


class ContentLayer(Protocol):
    """The needs of hydration from a layer."""

    def find_path(self, path: bytes, /) -> Entry | None:
        """Return what the layer says about `a/b`."""

    def open_content(self, entry: Extent, /) -> BinaryIO:
        """Open the content of a file."""

    def find_ready(self, entry: Extent, /) -> tuple[bytes, int] | None:
        """Return the bytes that hold a file's content and its start in them, if nothing has to be decompressed."""

    def close(self) -> None:
        """Close the layer."""


class ContentStore(Protocol):
    """The needs of hydration from a store."""

    @property
    def root(self) -> Path:
        """The store's directory."""

    def layer(self, diff_id: Digest, /) -> ContentLayer:
        """Open the layer of a diff ID."""


@contextmanager
def _as_os_error() -> Iterator[None]:
    """Turn the store's own errors into EIO."""
    try:
        yield
    except RootlayError as error:
        raise OSError(errno.EIO, str(error)) from error


class Hydrator(Closing):
    """The hydrator of the files of one view. Thread safe. Close it, or use it as a context manager."""

    def __init__(self, store: ContentStore, view: View | BundleView) -> None:
        """Hydrate the files of `view`, which the caller closes. Raises FileNotFoundError, CorruptStore."""
        self._store = store
        self._view = view
        self._native = view.open_native()
        self._trees = tuple(store.root / "layers" / diff_id.hex / "tree" for diff_id in view.layers)
        self._layers = LayerPool(lambda number: store.layer(view.layers[number]))
        self._lock = threading.Lock()
        self._staging: tuple[AbstractContextManager[Path], Path] | None = None
        self._numbers = itertools.count()

    def real_path(self, entry_id: int) -> Path:
        """Return the path of an entry's real file, even a missing one. No I/O. Raises OSError: EINVAL (unknown id)."""
        with _as_os_error():
            node, path = self._entry(entry_id)
            return _join(self._tree_path(node), _place(node, path))

    def hydrate(self, entry_id: int) -> Path:
        """Make an entry's real file, directory or symbolic link, if it is missing, and return its path.

        Devices and FIFOs become empty regular files. Idempotent and atomic; a crash leaves only a file below `tmp/`,
        which `sweep` removes.

        Raises:
            OSError: EINVAL for an unknown id, EIO for a damaged store, ENOSPC and so on for the disk.
        """
        with _as_os_error():
            node, path = self._entry(entry_id)
            place = _place(node, path)
            self._make(node, place)
            return _join(self._tree_path(node), place)

    def file_path(self, entry_id: int) -> bytes | None:
        """Return the visible path of an entry that is a regular file, None for others. Raises OSError: EINVAL, EIO."""
        with _as_os_error():
            node, path = self._entry(entry_id)
            return path if node.type is EntryType.FILE else None

    def contents(self) -> Contents:
        """Return the maker of the answers for copy-ups; valid while the hydrator is open, in one thread."""
        from rootlay.store.hydrate.contents import Contents  # not for programs that only read

        return Contents(self._native, self._node, self._layers.use)

    def ahead(self) -> Ahead:
        """Return the maker of neighbours of requested files; valid while the hydrator is open, in one thread."""
        from rootlay.store.hydrate.ahead import Ahead  # with ctypes, which most hydrators do not need

        def mode_of(layer: int, place: Parts) -> int:
            with self._layers.use(layer) as opened:
                return self._directory_mode(opened, place)

        def find_ready(layer: int, entry: Entry) -> tuple[bytes, int] | None:
            with self._layers.use(layer) as opened:
                return opened.find_ready(entry)

        return Ahead(
            self._view,
            self._native,
            self._tree_path,
            mode_of,
            find_ready,
            self._staging_directory,
            lambda: next(self._numbers),
        )

    def hydrate_all(self, progress: Progress = silent) -> tuple[int, int]:
        """Hydrate everything, each layer in the order of its tar. Returns how many objects, and bytes of content.

        Args:
            progress: receives the bytes of content, after each object.
        """
        with _as_os_error():
            nodes, content_bytes = [], 0
            for _, _, node in self._view.iter_nodes():
                if node.id == node.ino:
                    nodes.append((node.layer, node.offset, node.id))
                    content_bytes += _content_bytes(node)
            meter = Meter(progress, "hydrating", lambda: content_bytes)
            for _, _, entry_id in sorted(nodes):
                node, path = self._entry(entry_id)
                self._make(node, _place(node, path))
                meter.add(_content_bytes(node))
            return len(nodes), content_bytes

    def open(self, node: Node) -> BinaryIO:
        """Open the content of a file, for reading: its real file if there is one, else the layer.

        Seekable; the caller closes it. Raises OSError: EISDIR, EINVAL for an entry without content, EIO.
        """
        if node.type is EntryType.DIRECTORY:
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        if node.type is not EntryType.FILE:
            raise OSError(errno.EINVAL, "the entry has no content")
        try:
            return self._open_ready(node) or self._open_hydrated(node) or self._open_in_layer(node)
        except RootlayError as error:
            raise OSError(errno.EIO, str(error)) from error

    def _open_ready(self, node: Node) -> BinaryIO | None:
        """Return a small file from a segment that is decompressed already: faster than its real file."""
        if node.size > _READY_BYTES or node.sparse is not None:
            return None
        layer = self._layers.peek(node.layer)
        ready = layer.find_ready(node) if layer is not None else None
        if ready is None:
            return None
        data, start = ready
        content = io.BytesIO(data[start : start + node.size])
        return cast(BinaryIO, io.BufferedReader(cast(io.RawIOBase, content), max(1, node.size)))

    def _open_hydrated(self, node: Node) -> BinaryIO | None:
        tree = self._tree_path(node)
        if not os.path.isdir(tree):
            return None
        with suppress(OSError):
            fd = HydratedTree(tree).open_file(split_path(node.source or self._native.path(node.id)))
            if os.fstat(fd).st_size == node.size:
                return os.fdopen(fd, "rb")
            os.close(fd)
        return None

    def _open_in_layer(self, node: Node) -> BinaryIO:
        # The layer must outlive its readers, and a caller may open the next one before it closes one.
        layer = self._layers.pin(node.layer)
        unpin = partial(self._layers.unpin, node.layer)
        try:
            content = layer.open_content(node)
        except BaseException:
            unpin()
            raise
        raw = getattr(content, "raw", None)
        if isinstance(raw, ContentReader):
            raw.when_closed(unpin)
        else:
            weakref.finalize(content, unpin).atexit = False
        return content

    def use_layer(self, number: int) -> AbstractContextManager[ContentLayer]:
        """Return a layer of the view by its number, open until the end of the block."""
        return self._layers.use(number)

    def _entry(self, entry_id: int) -> tuple[Node, bytes]:
        """Return an entry's node and visible path."""
        return self._node(entry_id), self._native.path(entry_id)

    def _node(self, entry_id: int) -> Node:
        try:
            parent, name = self._native.key(entry_id)
        except LookupError as error:
            raise OSError(errno.EINVAL, str(error)) from error
        node = self._view.find(parent, name)
        if node is None or node.id != entry_id:
            raise OSError(errno.EIO, f"the two forms of view {self._view.chain_id} differ at entry {entry_id}")
        return node

    def _tree_path(self, node: Node) -> Path:
        """Return the tree of the entry's layer. Raises FileNotFoundError for the root of the empty stack: no layer has
        it."""
        if node.layer >= len(self._trees):
            raise FileNotFoundError(errno.ENOENT, "no layer has this entry")
        return self._trees[node.layer]

    def _make(self, node: Node, place: Parts) -> None:
        """Make the object of `node` at `place`. The layer itself is opened only for missing objects."""
        tree = HydratedTree(self._tree_path(node))

        def mode_of(directory: Parts) -> int:
            with self._layers.use(node.layer) as layer:
                return self._directory_mode(layer, directory)

        if node.type is EntryType.DIRECTORY:
            os.close(tree.make_directory(place, mode_of))
            return
        directory = tree.make_directory(place[:-1], mode_of)
        try:
            if node.type is EntryType.SYMLINK:
                publish_symlink(node.link, directory, place[-1], node.mtime_ns)
            elif not is_complete(directory, place[-1], node.size if node.type is EntryType.FILE else 0):
                self._write(node, directory, place[-1])
        finally:
            os.close(directory)

    @staticmethod
    def _directory_mode(layer: ContentLayer, place: Parts) -> int:
        entry = layer.find_path(b"/".join(place))
        return _DEFAULT_DIRECTORY_MODE if entry is None else entry.mode

    def _write(self, node: Node, directory: int, name: bytes) -> None:
        """Write the file `name` in `directory`, through the staging directory."""
        staged = f"{self._staging_directory()}/{next(self._numbers)}"
        fd = os.open(staged, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, FILE_MODE)
        try:
            if node.type is EntryType.FILE and node.size:
                with self._layers.use(node.layer) as layer, layer.open_content(node.entry()) as content:
                    _copy(content, fd, node)
            if node.sparse is not None:
                os.fsync(fd)  # its size is there before its content (rootlay.store.hydrate.repair)
            publish_file(staged, fd, directory, name, node.mode, node.mtime_ns)
        except BaseException:
            with suppress(FileNotFoundError):
                os.unlink(staged)
            raise
        finally:
            os.close(fd)

    def _staging_directory(self) -> Path:
        """Return this hydrator's directory below `tmp/`, made for the first file."""
        with self._lock:
            if self._staging is None:
                context = staging_directory(self._store.root / "tmp")
                self._staging = context, context.__enter__()
            return self._staging[1]

    def close(self) -> None:
        """Close the native view, the layers and the staging directory. Readers must be closed. Idempotent."""
        self._native.close()
        self._layers.close()
        with self._lock:
            staging, self._staging = self._staging, None
        if staging is not None:
            staging[0].__exit__(None, None, None)


def _place(node: Node, path: bytes) -> Parts:
    """Return the components of an entry's path in the tree of its layer."""
    return split_path(node.source or path)


def _content_bytes(node: Node) -> int:
    return node.size if node.type is EntryType.FILE else 0


def _join(tree: Path, place: Parts) -> Path:
    return Path(os.fsdecode(b"/".join((os.fsencode(tree), *place))))


def _copy(content: BinaryIO, fd: int, node: Node) -> None:
    """Copy a file's data; the gaps in a sparse map become holes. Raises OSError (EIO) for short content."""
    if node.sparse is not None:
        os.ftruncate(fd, node.size)
    buffer = memoryview(bytearray(min(_COPY_BYTES, node.size)))
    for start, length in ((0, node.size),) if node.sparse is None else node.sparse:
        content.seek(start)
        os.lseek(fd, start, os.SEEK_SET)
        while length:
            count = content.readinto(buffer[: min(length, len(buffer))])  # type: ignore[attr-defined] # BufferedReader
            if not count:
                raise OSError(errno.EIO, "the layer's content ends early")
            write_all(fd, buffer[:count])
            length -= count
