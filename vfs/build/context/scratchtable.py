"""Tables of any size for one build: a few megabytes of them are in memory, the rest in a file.

They use SQLite, because it respects its memory limit; pages that LMDB maps count as our memory while they are read.

The file has no name and ends with its process: no transaction is ever finished, nothing is synced.
Thread safe.
"""

from __future__ import annotations

import errno
import os
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

CACHE_KIB = 4096
_ROWS = 100  # at a time
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
        directory: the directory of the file; None: everything stays in memory.
    """

    def __init__(self, schema: str, directory: Path | None = None) -> None:
        place = ":memory:" if directory is None else str(directory / f"tables-{os.urandom(4).hex()}")
        self._lock = threading.Lock()
        try:
            self._database = sqlite3.connect(place, isolation_level=None, check_same_thread=False)
            self._database.executescript(f"{_SETUP}{schema};BEGIN")
        except sqlite3.Error as error:
            raise _as_os_error(error) from error
        if directory is not None:
            os.unlink(place)

    def close(self) -> None:
        """Close the tables. Idempotent."""
        with self._lock:
            self._database.close()

    def run(self, statement: str, *values: Any) -> int:
        """Run a statement that changes something. Return the row number of an inserted row."""
        with self._lock:
            try:
                return self._database.execute(statement, values).lastrowid or 0
            except sqlite3.Error as error:
                raise _as_os_error(error) from error

    def run_many(self, statement: str, rows: Iterable[Sequence[Any]]) -> None:
        """Run a statement for each row."""
        with self._lock:
            try:
                self._database.executemany(statement, rows)
            except sqlite3.Error as error:
                raise _as_os_error(error) from error

    def one(self, query: str, *values: Any) -> Sequence[Any] | None:
        """Return the first row."""
        with self._lock:
            try:
                row: Sequence[Any] | None = self._database.execute(query, values).fetchone()
            except sqlite3.Error as error:
                raise _as_os_error(error) from error
            return row

    def rows(self, query: str, *values: Any) -> Iterator[Sequence[Any]]:
        """Yield all rows, one by one. The table must not change meanwhile."""
        with self._lock:
            try:
                found = self._database.execute(query, values)
            except sqlite3.Error as error:
                raise _as_os_error(error) from error
        while True:
            with self._lock:
                try:
                    some: list[Sequence[Any]] = found.fetchmany(_ROWS)
                except sqlite3.Error as error:
                    raise _as_os_error(error) from error
            if not some:
                return
            yield from some


def _as_os_error(error: sqlite3.Error) -> OSError:
    full = getattr(error, "sqlite_errorcode", 0) == sqlite3.SQLITE_FULL
    code = errno.ENOSPC if full else errno.EIO
    return OSError(code, f"{os.strerror(code)} ({error})")
