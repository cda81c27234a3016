"""The store's directories, and the OCI image layout in them (OCI image specification, image-layout.md).

Rules:
1. A blob under its name is complete: it was verified, synced and renamed before anything refers to it.
2. `index.json` changes last, under its lock, as a whole.
3. A process that imports something, or reads it without a record of its own (an import, a push), holds a lease on it
   (`rootlay.store.disk.lease`); only `rootlay.store.layout.removal` removes, according to leases and records.
"""

from __future__ import annotations

import os
from _thread import _local  # the import of `threading` itself takes 0.4 ms
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from rootlay.store.disk.durable import (
    create_file,
    make_directories,
    make_directory,
    publish,
    publish_all,
    staging_directory,
    sync_path,
    translated,
    write_file,
)
from rootlay.store.disk.lease import Kind, Lease
from rootlay.store.disk.lock import FileLock, UseLock, acquire, try_lock
from rootlay.store.disk.smallfile import read_small
from rootlay.store.model.digest import Digest
from rootlay.store.model.errors import CaseInsensitive, CorruptStore, DigestMismatch, RootlayError, StoreNotWritable
from rootlay.store.model.imagenames import NameTable
from rootlay.store.model.jsonfield import dump, parse_object
from rootlay.store.model.limits import Budget, Limits
from rootlay.store.model.manifest import Index

LAYOUT_VERSION = "1.0.0"
_DOCUMENTS_MAX = 1000  # of a few KiB each, in memory
_DIRECTORIES = ("blobs", "blobs/sha256", "layers", "views", "containers", "tmp", "locks")


Change = Callable[[NameTable], object]
"""A change of `index.json`. It may run twice: on what this process sees, and on what the file has at the end."""


class Import:
    """An import: its budget, its needs from the store, and the objects that it has published so far.

    `changes`: those of `index.json` until the end of `Layout.collecting`; `names`: the names with these changes;
    `documents`: manifests and configs that are not written yet.
    """

    __slots__ = ("budget", "changes", "documents", "lease", "names", "published")

    def __init__(self, budget: Budget, lease: Lease) -> None:
        self.budget = budget
        self.lease = lease
        self.published: list[Path] = []
        self.changes: list[Change] | None = None
        self.names: NameTable | None = None
        self.documents: dict[Digest, bytes] = {}


class Layout:
    """Paths, blobs and `index.json` of one store."""

    def __init__(self, root: Path, limits: Limits | None = None) -> None:
        self.root = root
        self.limits = limits or Limits()
        self.blobs = root / "blobs"
        self.layers = root / "layers"
        self.views = root / "views"
        self.containers = root / "containers"
        self.tmp = root / "tmp"
        self.locks = root / "locks"
        self._index_json = root / "index.json"
        self._local = _local()

    def create(self) -> None:
        """Make the missing parts. Idempotent. Raises StoreNotWritable, DiskFull, CaseInsensitive."""
        if (self.root / "oci-layout").exists() and self.locks.exists():
            return
        try:
            with translated(self.root):
                self.make_directories()
                self._check_case()
                self._write_layout_files()
        except (FileExistsError, NotADirectoryError) as error:
            raise StoreNotWritable(self.root, "not a directory") from error
        except OSError as error:
            raise StoreNotWritable(self.root, (error.strerror or str(error)).lower()) from error

    def make_directories(self) -> None:
        """Make the directories that are missing. Idempotent."""
        make_directories(self.root)
        for name in _DIRECTORIES:
            make_directory(self.root / name)

    def _check_case(self) -> None:
        from rootlay.store.disk.filesystem import ignores_case  # only a new store is checked

        if ignores_case(self.root):
            for name in reversed(_DIRECTORIES):
                with suppress(OSError):
                    (self.root / name).rmdir()
            raise CaseInsensitive(self.root)

    def _write_layout_files(self) -> None:
        with self.staging() as staging, self.lock("index"):
            if not self._index_json.exists():
                write_file(staging, self._index_json, Index().to_bytes())
            write_file(staging, self.root / "oci-layout", dump({"imageLayoutVersion": LAYOUT_VERSION}))

    def check(self) -> None:
        """Raise RootlayError unless this is a store of a known version."""
        try:
            data = read_small(self.root / "oci-layout")
        except FileNotFoundError:
            raise RootlayError(f"there is no store at {self.root}: choose one with --root") from None
        except OSError as error:
            raise StoreNotWritable(self.root, (error.strerror or str(error)).lower()) from error
        version = parse_object(data, str(self.root / "oci-layout")).get("imageLayoutVersion")
        if version != LAYOUT_VERSION:
            raise CorruptStore(str(self.root / "oci-layout"), f"layout version {version} is not {LAYOUT_VERSION}")

    @contextmanager
    def staging(self) -> Iterator[Path]:
        """Make a private directory below `tmp/`, removed at the end. Turn disk and permission errors into typed
        ones."""
        with translated(self.root), staging_directory(self.tmp) as directory:
            yield directory

    def lock(self, name: str) -> FileLock:
        """Wait for the store's lock `name` (`index`, or a digest); the caller releases it."""
        with translated(self.root):
            return acquire(self.locks / f"{name.replace(':', '-')}.lock")

    def try_lock(self, name: str) -> FileLock | None:
        """Lock as `lock`, without waiting: return None while another process has it."""
        with translated(self.root):
            return try_lock(self.locks / f"{name.replace(':', '-')}.lock")

    def use(self) -> UseLock:
        """Block removers for a moment; return a context manager."""
        with translated(self.root):
            return UseLock(self.locks / "use", remover=False)

    @contextmanager
    def holding(self) -> Iterator[None]:
        """Hold a lease on tested objects (`has_blob`, `has_layer`, `claim`). Nothing is removed at an error.

        Costs nothing inside `importing`. A store that we may only read gives no leases: its owner does not know of us.
        """
        if self.current is not None:
            yield
            return
        with ExitStack() as stack:
            with suppress(StoreNotWritable):
                stack.enter_context(self.leasing())
            yield

    @contextmanager
    def leasing(self) -> Iterator[Import]:
        """Give this thread an import of its own, with a new lease, until the end. Raises StoreNotWritable."""
        with translated(self.root):
            current = Import(Budget(self.limits), Lease(self.locks))
        try:
            with self.joining(current):
                yield current
        finally:
            current.lease.release()

    def claim(self, kind: Kind, digests: Iterable[Digest]) -> None:
        """Add objects to this thread's lease, if it has one, before testing for them."""
        if self.current is not None:
            with translated(self.root):
                self.current.lease.add(kind, digests)

    @contextmanager
    def joining(self, current: Import | None) -> Iterator[None]:
        """Let this thread work for the import of another one, given by its `current`; None: for no import."""
        before, self._local.current = self.current, current
        try:
            yield
        finally:
            self._local.current = before

    @property
    def current(self) -> Import | None:
        """This thread's import; None outside of one."""
        found: Import | None = getattr(self._local, "current", None)
        return found

    @property
    def budget(self) -> Budget:
        """The remaining budget for the layers of this thread's import; outside of one, the limits for one layer."""
        return self.current.budget if self.current is not None else Budget(self.limits)

    def _note(self, path: Path) -> None:
        if self.current is not None:
            self.current.published.append(path)

    def remove_lock(self, *, wait: bool = True) -> UseLock:
        """Block new leases, other removers, and users of `use`; return a context manager. Without `wait`, raise
        BlockingIOError if that is not possible immediately."""
        with translated(self.root):
            return UseLock(self.locks / "use", remover=True, wait=wait)

    def layer_directory(self, diff_id: Digest) -> Path:
        """Return `layers/<hex>`."""
        return self.layers / diff_id.hex

    def has_layer(self, diff_id: Digest) -> bool:
        """Return whether the layer is indexed; it stays while the caller is in `importing` or `holding`."""
        self.claim("layer", (diff_id,))
        return os.path.exists(self.layer_directory(diff_id) / "index.lmdb")

    def blob_path(self, digest: Digest) -> Path:
        """Return the path of a blob, which may be missing."""
        return self.blobs / digest.algorithm / digest.hex

    def has_blob(self, digest: Digest) -> bool:
        """Return whether the blob is here; it stays while the caller is in `importing` or `holding`."""
        self.claim("blob", (digest,))
        return digest in self._pending or os.path.exists(self.blob_path(digest))

    @property
    def _pending(self) -> dict[Digest, bytes]:
        """Documents that this thread's import has not written yet; not to be changed."""
        return self.current.documents if self.current is not None else {}

    def read_blob(self, digest: Digest) -> bytes:
        """Return a small blob (manifest, config), verified. Raises CorruptStore, UnsupportedMedia."""
        if digest in self._pending:
            return self._pending[digest]
        try:
            data = read_small(self.blob_path(digest))
        except FileNotFoundError as error:
            raise CorruptStore(str(digest), "the blob is missing") from error
        if not digest.fits(data):
            raise CorruptStore(str(digest), "the blob is damaged")
        return data

    def publish_blob(self, staged: Path, digest: Digest) -> None:
        """Move a finished, verified file to its place among the blobs. Atomic, durable, idempotent."""
        final = self.blob_path(digest)
        make_directory(final.parent)
        if self.has_blob(digest):
            os.unlink(staged)
        else:
            self._note(final)
            publish(staged, final)

    def add_blob(self, data: bytes, expected: Digest | None = None) -> Digest:
        """Store a small blob; return its digest. Durable (inside `collecting`: at its end), idempotent.

        Raises DigestMismatch."""
        digest = Digest.of(data)
        if expected is not None:
            if not expected.fits(data):
                raise DigestMismatch("blob", expected, digest)
            digest = expected
        if self.has_blob(digest):
            return digest
        if self.current is not None and self.current.changes is not None:
            self.current.documents[digest] = data
            if len(self.current.documents) >= _DOCUMENTS_MAX:
                self._write_documents(self.current.documents)
        else:
            self._write_documents({digest: data})
        return digest

    def _write_documents(self, documents: dict[Digest, bytes]) -> None:
        """Write and forget documents."""
        files = []
        with self.staging() as staging:
            for digest, data in documents.items():
                final = self.blob_path(digest)
                make_directory(final.parent)
                files.append((staging / f"{final.name}.new", final))
                with open(create_file(files[-1][0]), "wb") as stream:
                    stream.write(data)
                self._note(final)
            publish_all(files)
        documents.clear()

    def publish_layer(self, staged: Path, diff_id: Digest, names: tuple[str, ...]) -> None:
        """Move the files `names` of a layer from `staged` to `layers/<hex>`, in this order: the index is last."""
        directory = self.layer_directory(diff_id)
        self.claim("layer", (diff_id,))
        self._note(directory)
        make_directory(directory)
        sync_path(self.layers)
        for name in names:
            publish(staged / name, directory / name)

    def read_index(self) -> Index:
        """Read `index.json`. Raises CorruptStore, BadManifest, StoreNotWritable."""
        try:
            return Index.parse(read_small(self._index_json), str(self._index_json))
        except FileNotFoundError as error:
            raise CorruptStore(str(self._index_json), "missing") from error
        except PermissionError as error:
            raise StoreNotWritable(self.root) from error

    def read_names(self) -> NameTable:
        """Return the names of `index.json`, with the changes that this thread's import has collected. A caller that
        imports nothing gets a table of its own. Raises as `read_index`."""
        current = self.current
        if current is None or current.names is None:
            return NameTable(self.read_index())
        return current.names

    def update_names(self, change: Change) -> None:
        """Change `index.json`. Atomic, durable, one caller at a time; inside `collecting` at its end."""
        current = self.current
        if current is None or current.changes is None:
            self._write_names((change,))
            return
        if current.names is None:
            current.names = NameTable(self.read_index())
        change(current.names)
        current.changes.append(change)

    @contextmanager
    def collecting(self) -> Iterator[None]:
        """Write documents, and then `index.json` once, at the end, for all images of this thread's import: also after
        an error, which leaves earlier images in place; a kill leaves none of them."""
        current = self.current
        if current is None or current.changes is not None:
            yield
            return
        current.changes = []
        try:
            yield
        finally:
            changes, current.changes, current.names = current.changes, None, None
            if current.documents:
                self._write_documents(current.documents)
            if changes:
                self._write_names(changes)

    def _write_names(self, changes: Sequence[Change]) -> None:
        with self.staging() as staging, self.lock("index"):
            old = self.read_index()
            names = NameTable(old)
            for change in changes:
                change(names)
            if names.index != old:
                write_file(staging, self._index_json, names.index.to_bytes())
