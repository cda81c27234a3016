"""Tables of any size for the time of a build: a few megabytes of them are in memory, the rest in a file.

SQLite, because it keeps to the memory that it is given; what LMDB maps counts as ours while it is read.

The file has no name and goes with its process: no transaction is ever finished, nothing is synced.
Thread safe.
"""

from __future__ import annotations

import contextlib
import errno
import os
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

CACHE_KIB = 4096
_SETUP = f"""
PRAGMA journal_mode = OFF;
PRAGMA synchronous = OFF;
PRAGMA locking_mode = EXCLUSIVE;
PRAGMA temp_store = MEMORY;
PRAGMA cache_size = -{CACHE_KIB};
"""


class ScratchTables:
    """Tables of one `schema`. Close it. Errors are OSErrors: ENOSPC, or EIO.

    Args:
        directory: where the file may be made; None: everything stays in memory.
    """

    def __init__(self, schema: str, directory: Path | None = None) -> None:
        place = ":memory:" if directory is None else str(directory / f"tables-{os.urandom(4).hex()}")
        self._lock = threading.Lock()
        with self._alone():
            self._database = sqlite3.connect(place, isolation_level=None, check_same_thread=False)
            self._database.executescript(f"{_SETUP}{schema};BEGIN")
        if directory is not None:
            os.unlink(place)

    def close(self) -> None:
        """Idempotent."""
        with self._alone():
            self._database.close()

    def run(self, statement: str, *values: Any) -> int:
        """Change something; the row number of what was put in."""
        with self._alone():
            return self._database.execute(statement, values).lastrowid or 0

    def one(self, query: str, *values: Any) -> Sequence[Any] | None:
        """The first row."""
        with self._alone():
            row: Sequence[Any] | None = self._database.execute(query, values).fetchone()
            return row

    def rows(self, query: str, *values: Any) -> Iterator[Sequence[Any]]:
        """All rows, one by one. Nothing may change what is looked at meanwhile."""
        with self._alone():
            found = self._database.execute(query, values)
        while True:
            with self._alone():
                row: Sequence[Any] | None = found.fetchone()
            if row is None:
                return
            yield row

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        with self._lock:
            try:
                yield
            except sqlite3.Error as error:
                full = getattr(error, "sqlite_errorcode", 0) == sqlite3.SQLITE_FULL
                code = errno.ENOSPC if full else errno.EIO
                raise OSError(code, f"{os.strerror(code)} ({error})") from error
