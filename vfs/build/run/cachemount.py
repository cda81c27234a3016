"""Directories of `RUN --mount=type=cache`: kept from build to build, in no layer.

    <root>/build/mounts/<SHA-256 of the id, 16 digits>/<number>/     and next to each its lock file <number>.lock

Rules:
1. `shared`: every build gets number 0. `locked`: number 0, one after the other. `private`: the first that is free.
2. The user of a directory holds its lock, shared or exclusive, so that `prune` keeps it.
3. Owners cannot be kept on real files: everything in a cache belongs to the user of the command, and so does the
   directory, unless the mount gives it an owner (`rootlay.vfs.build.run.mounts`).
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from rootlay.store.disk.durable import make_directories
from rootlay.store.disk.removetree import remove_tree
from rootlay.vfs.build.language.mount import Sharing


def _pause() -> None:
    time.sleep(0.05)


class CacheMounts:
    """The cache directories of one store. Safe between processes and threads."""

    def __init__(self, root: Path) -> None:
        self.path = root / "build" / "mounts"

    def _home(self, identity: str) -> Path:
        return self.path / hashlib.sha256(identity.encode("utf-8", "surrogateescape")).hexdigest()[:16]

    @contextlib.contextmanager
    def use(
        self, identity: str, sharing: Sharing, wait: Callable[[], None] = _pause, mode: int = 0o755
    ) -> Iterator[Path]:
        """Return the directory for an id, as long as the block runs.

        Args:
            mode: permission bits of a new one; the caller can always use it.
            wait: called repeatedly while another build has it `locked`; may raise to cancel.
        """
        home = self._home(identity)
        make_directories(home)
        number = -1
        while True:
            number = number + 1 if sharing == "private" else 0
            lock = os.open(home / f"{number}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                try:
                    fcntl.flock(lock, _OPERATIONS[sharing] | fcntl.LOCK_NB)
                except BlockingIOError:
                    if sharing != "private":
                        wait()
                    continue
                directory = home / str(number)
                with contextlib.suppress(FileExistsError):
                    directory.mkdir()
                    directory.chmod(mode | 0o700)
                os.utime(directory)
                yield directory
                return
            finally:
                os.close(lock)

    def iter_all(self) -> Iterator[tuple[Path, float]]:
        """Yield the directories, and the last use of each (seconds since the epoch)."""
        for directory in sorted(self.path.glob("*/*[0-9]")):
            with contextlib.suppress(FileNotFoundError):
                yield directory, directory.lstat().st_mtime

    def remove(self, directory: Path) -> bool:
        """Remove a directory, unless it is in use. Return whether it was removed."""
        lock = os.open(directory.with_suffix(".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            remove_tree(directory)
        except BlockingIOError:
            return False
        except FileNotFoundError:
            pass
        finally:
            os.close(lock)
        return True


_OPERATIONS: dict[Sharing, int] = {
    "shared": fcntl.LOCK_SH,
    "locked": fcntl.LOCK_EX,
    "private": fcntl.LOCK_EX,
}
