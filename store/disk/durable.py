"""Durable, atomic writing, and its staging directories below `tmp/`.

Rules:
1. Nothing is written where readers look: it is made under another name and renamed. A reader sees the old state or the
   new one. All such writes use `publish`: for files written piecemeal, or through `write_file` (bytes, and a staging
   directory), `replace_file` (bytes, no staging directory) and `replacing` (links, sparse files). Durable means: sync
   the file, rename it into place, sync the directory. Files that can be made again need not be durable.
2. A writer owns a staging directory `tmp/NAME` while it holds the flock of `tmp/NAME.lock`. The kernel drops the lock
   when the writer dies, by any signal; `sweep` removes directories that have no living owner. Files named `partial-…`
   stay: the next pull continues them.
3. Directories are 0700 and files 0600, whatever the umask is.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from rootlay.store.disk.lock import FileLock, try_lock
from rootlay.store.disk.smallfile import write_all
from rootlay.store.model.errors import StoreNotWritable, from_os_error

# Files below `tmp/` that outlive their writer: see `partialblob`.
KEPT_PREFIX = "partial-"
DIRECTORY_MODE = 0o700
FILE_MODE = 0o600
_SYNCS_AT_A_TIME = 8


def make_directory(path: Path) -> None:
    """Make `path` (its parent must exist) with mode 0700, if it is missing. Idempotent."""
    try:
        os.mkdir(path, DIRECTORY_MODE)
    except FileExistsError:
        return
    os.chmod(path, DIRECTORY_MODE)


def make_directories(path: Path) -> None:
    """Make `path` and its missing parents, each with mode 0700. Idempotent."""
    missing = []
    while not path.is_dir():
        missing.append(path)
        path = path.parent
    for directory in reversed(missing):
        make_directory(directory)


def create_file(path: Path) -> int:
    """Create `path`, which must not exist, for reading and writing; the caller closes the returned descriptor."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, FILE_MODE)
    os.fchmod(fd, FILE_MODE)
    return fd


def sync_path(path: Path) -> None:
    """Sync a file's or a directory's content to the disk."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def sync_tree(top: Path) -> None:
    """Sync a tree to the disk: each file and directory below `top`, and itself. For trees that replace older ones."""
    for directory, _, files in os.walk(top, topdown=False):
        for name in files:
            path = Path(directory, name)
            if stat.S_ISREG(path.lstat().st_mode):
                sync_path(path)
        sync_path(Path(directory))


def publish(staged: Path, final: Path, *, durable: bool = True) -> None:
    """Move the finished file `staged` to `final`. Atomic: replaces an existing file.

    Args:
        durable: whether the old content or the new survives a power failure.
    """
    if durable:
        sync_path(staged)
    os.rename(staged, final)
    if durable:
        sync_path(final.parent)


def publish_all(files: Iterable[tuple[Path, Path]]) -> None:
    """Move many finished files as `publish`, each durable under its name when this returns.

    They are synced by several threads: the disk then takes its cache to the medium for many at a time (1,000 files of
    400 bytes: 0.05 s instead of 0.65 s), and each directory is synced once.
    """
    pairs = list(files)
    if len(pairs) > 1:
        from concurrent.futures import ThreadPoolExecutor

        with ThreadPoolExecutor(_SYNCS_AT_A_TIME) as pool:
            list(pool.map(sync_path, (staged for staged, _ in pairs)))
    else:
        for staged, _ in pairs:
            sync_path(staged)
    for staged, final in pairs:
        os.rename(staged, final)
    for directory in {final.parent for _, final in pairs}:
        sync_path(directory)


def write_file(staging: Path, final: Path, data: bytes | Iterable[bytes], *, durable: bool = True) -> None:
    """Write `data`, or all of its pieces, to `final` as `publish` does, through the directory `staging`."""
    staged = staging / f"{final.name}.new"
    fd = create_file(staged)
    with open(fd, "wb") as stream:
        stream.writelines((data,) if isinstance(data, bytes) else data)
    publish(staged, final, durable=durable)


@contextmanager
def replacing(final: Path, *, durable: bool = False) -> Iterator[Path]:
    """Yield a free name next to `final`. Publish the file that the block makes there if it succeeds, else remove it."""
    staged = final.with_name(f".{final.name}.{os.getpid()}.{os.urandom(3).hex()}")
    try:
        yield staged
        publish(staged, final, durable=durable)
    except BaseException:
        staged.unlink(missing_ok=True)
        raise


def replace_file(path: Path, data: bytes, mode: int = FILE_MODE, *, durable: bool = False) -> None:
    """Replace a file's content and permission bits as `publish` does."""
    with replacing(path, durable=durable) as staged:
        write_private(staged, data)
        if mode != FILE_MODE:
            staged.chmod(mode)


def rewrite_file(path: Path, data: bytes, mode: int = FILE_MODE) -> None:
    """Write `data` to a file that keeps its inode, by one write and a truncation. Make a missing file.

    Not atomic: a reader may see the end of the old content after the new one for a moment, and after a kill.
    """
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, mode)
    try:
        os.pwrite(fd, data, 0)
        os.ftruncate(fd, len(data))
    finally:
        os.close(fd)


def write_private(path: Path | str, data: bytes) -> None:
    """Make a new file that only its owner can read, whatever the umask is: environments hold passwords."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, FILE_MODE)
    try:
        write_all(descriptor, data)
    finally:
        os.close(descriptor)


@contextmanager
def translated(root: Path) -> Iterator[None]:
    """Turn "disk full" and "not allowed" from below `root` into the store's errors; other errors pass."""
    try:
        yield
    except OSError as error:
        typed = from_os_error(error, root)
        inside = error.filename is None or str(error.filename).startswith(str(root))
        if typed is None or not inside:
            raise
        raise typed from error


@contextmanager
def staging_directory(tmp: Path) -> Iterator[Path]:
    """Make a new directory below `tmp`. It is removed with its content at the end, or by `sweep` after a kill."""
    from rootlay.store.disk.removetree import remove_tree  # here and below: most starts remove nothing

    lock, directory = _claim(tmp)
    owner = os.getpid()
    try:
        yield directory
    finally:
        if os.getpid() == owner:  # a forked child that drops this generator leaves the directory to its parent
            remove_tree(directory, ignore_errors=True)
            lock.release()


def _claim(tmp: Path) -> tuple[FileLock, Path]:
    """Return a new staging directory and the lock that marks it as ours. The lock is made first (see `sweep`)."""
    for _ in range(100):
        directory = tmp / f"{os.getpid()}-{os.urandom(6).hex()}"
        lock = try_lock(directory.with_suffix(".lock"))
        if lock is not None:
            try:
                make_directory(directory)
            except BaseException:
                lock.release()
                raise
            return lock, directory
    raise StoreNotWritable(tmp, "cannot make a staging directory")


def sweep(tmp: Path) -> None:
    """Remove the staging directories below `tmp` whose owner is dead. Fast; safe at any time, in any process.
    Directories that cannot be removed (the store is only readable) stay."""
    try:
        names = os.listdir(tmp)
    except OSError:
        return
    if not names:
        return
    from rootlay.store.disk.removetree import remove_tree

    locks = {name for name in names if name.endswith(".lock")}
    for name in locks:
        with suppress(OSError):
            lock = try_lock(tmp / name)
            if lock is not None:
                remove_tree((tmp / name).with_suffix(""), ignore_errors=True)
                lock.release()
    for name in set(names) - locks:
        # A directory without its lock: its owner died between removing the two. The lock is always made first; a
        # directory that was claimed after our listing has a lock file now.
        if not name.startswith(KEPT_PREFIX) and f"{name}.lock" not in locks and not (tmp / f"{name}.lock").exists():
            remove_tree(tmp / name, ignore_errors=True)
