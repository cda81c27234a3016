"""Immutable single-file LMDB databases: written once in key order, then only read (docs/format.md §1, §4).

Rules:
1. A file is written under a name without readers, and renamed into place: readers never see a change, so no reader
   table, lock file or map growth exists.
2. py-lmdb refuses to open one environment twice in a process, even in a forked child. So one registry per process
   shares open files, and a forked child reopens each at its first use: one that was removed meanwhile must not keep
   the child from the others.
3. Readers may be used from several threads: each thread has its own read transaction.
"""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path
from struct import Struct
from typing import Any, NoReturn

import lmdb

from rootlay.store.disk.durable import create_file
from rootlay.store.disk.filesystem import is_shared
from rootlay.store.model.errors import CorruptStore

_PAGE_BYTES, _PAGE_BYTES_MAX = 4096, 32768  # those of the machine that made the file, in LMDB at most the second
_BATCH_BYTES = 2 << 20
_FORGET_BYTES = 8 << 20
_FORGET_GETS = 4096  # each reads a page at least; those of one directory are next to each other
_ITEM_BYTES = 32  # of a page, in addition to key and value
_COPY_BYTES = 1 << 20
# Page header; magic, version, address, map size; page size and the rest of the first of two databases; the second;
# last page, transaction.
_META = Struct("<16xI4x8x8xI44x48xQQ")
_META_MAGIC = 0xBEEFC0DE
_KERNELS = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOMEM)
_OPEN: dict[tuple[int, int], _Shared] = {}
_OPEN_LOCK = threading.Lock()


class _Shared:
    """One environment, shared by all readers of its file in this process."""

    __slots__ = ("env", "gets", "key", "local", "path", "users")

    def __init__(self, path: Path, key: tuple[int, int]) -> None:
        self.path = path
        self.key = key
        self.users = 0
        self.gets = 0  # since the pages have left memory
        self.local = threading.local()
        self.env: Any = None
        self.open()

    def open(self) -> None:
        """Open the environment. Raises CorruptStore, FileNotFoundError (also if the name is another file's now)."""
        if _key_of(self.path) != self.key:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(self.path))
        _check_length(self.path)
        try:
            self.env = lmdb.open(
                os.fsencode(self.path), subdir=False, readonly=True, lock=False, readahead=False, max_spare_txns=4
            )
        except lmdb.Error as error:
            raise CorruptStore(str(self.path), str(error)) from error

    def transaction(self) -> Any:
        """Return this thread's read transaction."""
        found = getattr(self.local, "txn", None)
        if found is None:
            if self.env is None:
                with _OPEN_LOCK:
                    if self.env is None:
                        self.open()
            found = self.local.txn = self.env.begin(buffers=False)
        return found

    def close(self) -> None:
        """Close the environment; the next transaction opens it again."""
        self.local = threading.local()
        if self.env is not None:
            self.env.close()
            self.env = None


def _key_of(path: Path) -> tuple[int, int]:
    status = os.stat(path)
    return status.st_dev, status.st_ino


def _check_length(path: Path) -> None:
    """Raise CorruptStore for a file that is shorter than its header states: reading a missing page would cause SIGBUS.

    The two meta pages of LMDB 0.9 (lmdb.h, `MDB_meta`); the one of the younger transaction counts.
    """
    with open(path, "rb", buffering=0) as stream:
        head = stream.read(2 * _PAGE_BYTES)
        second = _META.unpack_from(head)[1] if len(head) >= _META.size else 0
        if _PAGE_BYTES < second <= _PAGE_BYTES_MAX:
            head += stream.read(2 * second - len(head))
        size = os.fstat(stream.fileno()).st_size
    last = 0
    youngest = -1
    for at in (0, max(second, _PAGE_BYTES)):
        if len(head) < at + _META.size or _META.unpack_from(head, at)[0] != _META_MAGIC:
            raise CorruptStore(str(path), "not an LMDB file, or truncated")
        _, page_bytes, last_page, transaction = _META.unpack_from(head, at)
        if transaction > youngest:
            youngest, last = transaction, (last_page + 1) * page_bytes
    if size < last:
        raise CorruptStore(str(path), f"truncated: {size} bytes instead of {last}")


def _close_after_fork() -> None:
    """Close the environments in the child: the parent's must not be used after a fork."""
    global _OPEN_LOCK
    _OPEN_LOCK = threading.Lock()
    for shared in _OPEN.values():
        shared.close()


os.register_at_fork(after_in_child=_close_after_fork)


def drop_readers() -> None:
    """Close all open files; their readers cannot be used any more. For a process that is about to close descriptors
    that it did not open: else a fork would later close others' descriptors, which have got the numbers since."""
    for shared in _OPEN.values():
        shared.close()
    _OPEN.clear()


class LmdbFile:
    """A reader. Close it; the last reader of a file closes the file."""

    __slots__ = ("_shared",)

    def __init__(self, path: Path) -> None:
        """Open `path`. Raises FileNotFoundError, CorruptStore."""
        key = _key_of(path)
        with _OPEN_LOCK:
            shared = _OPEN.get(key)
            if shared is not None and shared.env is None:  # of the parent, before a fork
                try:
                    shared.open()
                except FileNotFoundError:
                    shared = None
            if shared is None:
                shared = _OPEN[key] = _Shared(path, key)
            shared.users += 1
        self._shared: _Shared | None = shared

    def _transaction(self) -> Any:
        if self._shared is None:
            raise ValueError("the file is closed")
        return self._shared.transaction()

    def get(self, key: bytes) -> bytes | None:
        """Return the value of `key`, or None. What was read leaves the memory of the process from time to time."""
        try:
            value: bytes | None = self._transaction().get(key)
        except lmdb.Error as error:
            raise CorruptStore(self._name(), str(error)) from error
        shared = self._shared
        if shared is not None:
            shared.gets += 1 if value is None else 1 + len(value) // _PAGE_BYTES
            if shared.gets >= _FORGET_GETS:
                shared.gets = 0
                self._forget()
        return value

    def iter_from(self, start: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Yield all (key, value) from `start` on, in key order. Finish or drop the iterator before closing the file.

        What was read leaves the memory of the process from time to time: a long iteration reads the whole file.
        """
        try:
            cursor = self._transaction().cursor()
            if cursor.set_range(start):
                left = _FORGET_BYTES
                for item in cursor.iternext(keys=True, values=True):
                    yield item
                    left -= len(item[0]) + len(item[1]) + _ITEM_BYTES
                    if left < 0:
                        self._forget()
                        left = _FORGET_BYTES
        except lmdb.Error as error:
            raise CorruptStore(self._name(), str(error)) from error

    def _forget(self) -> None:
        from rootlay.store.disk.mappedpages import forget_pages

        if self._shared is not None:
            forget_pages(self._shared.key[1])

    def _name(self) -> str:
        return "database" if self._shared is None else str(self._shared.path)

    def close(self) -> None:
        """Close the reader. Idempotent."""
        shared, self._shared = self._shared, None
        if shared is None:
            return
        with _OPEN_LOCK:
            shared.users -= 1
            if shared.users or _OPEN.get(shared.key) is not shared:
                return
            del _OPEN[shared.key]
            shared.close()


def write_sorted(path: Path, items: Iterable[tuple[bytes, bytes]], payload_bytes: int, count: int) -> None:
    """Write `items`, which are in strictly ascending key order, to the new file `path`.

    Args:
        path: does not exist; not synced (the caller publishes it).
        items: keys up to 511 bytes.
        payload_bytes: an upper bound of the sum of all keys and values.
        count: an upper bound of the number of items.

    Raises OSError (ENOSPC); the file is unusable then.
    """
    if is_shared(path.parent):
        # LMDB maps a file that it changes, which requires a local disk; a finished one is only read. The disk at hand
        # may be small, so it is a file of its own, removed before the next one is made.
        import shutil
        import tempfile

        with tempfile.TemporaryDirectory(prefix="rootlay-") as local:
            _write(Path(local) / path.name, items, payload_bytes, count)
            with open(create_file(path), "wb") as target, open(Path(local) / path.name, "rb") as source:
                shutil.copyfileobj(source, target, _COPY_BYTES)
        return
    _write(path, items, payload_bytes, count)


def _write(path: Path, items: Iterable[tuple[bytes, bytes]], payload_bytes: int, count: int) -> None:
    # A value that does not fit half a page takes whole pages; pages of small ones are filled by appending.
    # The worst case is a record just too long for half a page, with a long key: 2.2 times its size.
    map_size = 3 * payload_bytes + 64 * count + 256 * _PAGE_BYTES
    map_size += -map_size % _PAGE_BYTES
    # LMDB opens its file twice; with a umask of 0777 it could not open a file that it made itself.
    os.close(create_file(path))
    try:
        env = lmdb.open(
            os.fsencode(path), map_size=map_size, subdir=False, lock=False, sync=False, metasync=False, max_dbs=0
        )
        try:
            _put_all(env, path, items)
        finally:
            env.close()
    except lmdb.Error as error:
        _raise_disk_error(path, map_size, error)


def _put_all(env: Any, path: Path, items: Iterable[tuple[bytes, bytes]]) -> None:
    """Write one transaction for each batch: a transaction holds its pages in memory, and the file has no reader yet."""
    from rootlay.store.disk.mappedpages import forget_pages

    rest = iter(items)
    left, more = _FORGET_BYTES, True
    while more:
        more = False
        in_batch = _BATCH_BYTES
        with env.begin(write=True) as txn:
            for key, value in rest:
                if not txn.put(key, value, append=True):
                    raise CorruptStore(str(path), "keys are not in order")
                in_batch -= len(key) + len(value) + _ITEM_BYTES
                if in_batch < 0:
                    more = True
                    break
        left -= _BATCH_BYTES
        if left < 0:  # LMDB reads each page once more when it appends the next
            forget_pages(os.stat(path).st_ino)
            left = _FORGET_BYTES


def _raise_disk_error(path: Path, count: int, error: Exception) -> NoReturn:
    """Raise the disk's own error. LMDB's errors carry the kernel's only as text, and it often reports a full disk as
    "Input/output error": so test whether the disk accepts `count` bytes."""
    number = next((one for one in _KERNELS if str(error).endswith(os.strerror(one))), errno.EIO)
    if number == errno.EIO:
        fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        try:
            os.posix_fallocate(fd, 0, count)
        finally:
            os.close(fd)
    raise OSError(number, os.strerror(number), str(path)) from error
