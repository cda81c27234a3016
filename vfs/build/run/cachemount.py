"""Directories of `RUN --mount=type=cache`: kept from build to build, in no layer.

    <root>/build/mounts/<SHA-256 of the id, 16 digits>/<number>/     and beside each its lock file <number>.lock

Rules:
1. `shared`: everybody gets number 0. `locked`: number 0, one after the other. `private`: the first that is free.
2. Whoever uses a directory holds its lock, shared or alone, so that `prune` leaves it alone.
3. Owners cannot be kept on real files: everything in a cache belongs to the user who runs in it, and so does the
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
from rootlay.store.disk.trash import empty_trash
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
        """The directory for an id, as long as the block runs.

        Args:
            mode: permission bits of a new one; the caller can always use it.
            wait: called again and again while another build has it `locked`; may raise to give up.
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
        """The directories, and when each was last used (seconds since the epoch)."""
        for directory in sorted(self.path.glob("*/*[0-9]")):
            with contextlib.suppress(FileNotFoundError):
                yield directory, directory.lstat().st_mtime

    def remove(self, directory: Path) -> bool:
        """Remove one, unless it is in use; whether it is gone."""
        lock = os.open(directory.with_suffix(".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            empty_trash(directory)
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
