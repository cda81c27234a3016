"""Whether two faults left the same state: a digest of a lab, without the parts that differ between runs.

Each distinct state is checked only once: many faults leave the store unchanged.

1. The digest includes every path, type, mode, hard link, target of a symbolic link and all content, and the times that
   were not set in this run (those of hydrated files, which are from the image).
2. It does not include process numbers; times of this run; numbers of three and more digits in a container's own records
   (they are times and process numbers); inode numbers; the content of `tmp/`, which is not read after its writer has
   ended (docs/format.md), except partial blobs; `build/digests`, which has inode numbers.
3. Commands draw the same random numbers in each run (`make_steady`), so random names are included.
"""

from __future__ import annotations

import hashlib
import itertools
import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path

_PROCESS = re.compile(r"(?<![0-9a-z])(\d{2,8})(?=[-.][0-9a-f]+(\.lock)?$|-copy$)")
_TEMPORARY = re.compile(r"(?<=\.wh\.\.wh\.t\.).*|(?<=\.rootlay-)[0-9a-f]+")
_NUMBERS = re.compile(rb"\d{3,}")


class Sameness:
    """Digests of the tree at `top`; `since` is the start of this run in ns."""

    def __init__(self, top: Path, since_ns: int) -> None:
        self._top = top
        self._since_ns = since_ns

    def digest(self) -> str:
        """Return the digest of the current state."""
        whole = hashlib.sha256()
        for row in sorted(self._rows()):
            whole.update(repr(row).encode())
        return whole.hexdigest()

    def _rows(self) -> Iterator[tuple[str, ...]]:
        groups: dict[int, str] = {}
        for directory, names, files in os.walk(self._top):
            for name in sorted([*names, *files]):
                path = os.path.join(directory, name)
                status = os.lstat(path)
                shown = self._shown(path)
                yield (
                    shown,
                    f"{status.st_mode:o}",
                    groups.setdefault(status.st_ino, shown) if stat.S_ISREG(status.st_mode) else "",
                    str(status.st_mtime_ns) if status.st_mtime_ns < self._since_ns else "",
                    self._content(path, shown, status),
                )

    def _shown(self, path: str) -> str:
        parts = os.path.relpath(path, self._top).split("/")
        return "/".join(_TEMPORARY.sub("", _PROCESS.sub("N", part)) for part in parts)

    def _content(self, path: str, shown: str, status: os.stat_result) -> str:
        if stat.S_ISLNK(status.st_mode):
            return os.readlink(path)
        if not stat.S_ISREG(status.st_mode) or shown == "store/build/digests":
            return ""
        parts = shown.split("/")
        if parts[1:2] == ["tmp"] and not parts[2].startswith("partial-"):
            return ""
        with open(path, "rb") as stream:
            data = stream.read()
        if parts[1:2] == ["containers"] and not any(part.startswith("upper") for part in parts[3:4]):
            data = _NUMBERS.sub(b"N", data) if len(data) < 1 << 16 else data
        return hashlib.sha256(data).hexdigest()


def make_steady() -> None:
    """Let this process draw the same random numbers, and give images the same date, as every other steady process."""
    import datetime

    import rootlay.store.exchange.rootfs
    import rootlay.vfs.changes.commit

    numbers = itertools.count()

    def urandom(size: int) -> bytes:
        return hashlib.shake_128(b"%d" % next(numbers)).digest(size)

    class Datetime(datetime.datetime):
        @classmethod
        def now(cls, zone: datetime.tzinfo | None = None) -> Datetime:
            return cls(2026, 1, 1, tzinfo=zone)

    os.urandom = urandom
    rootlay.store.exchange.rootfs.datetime = Datetime  # type: ignore[attr-defined]
    rootlay.vfs.changes.commit.datetime = Datetime  # type: ignore[attr-defined]
    os.environ["SOURCE_DATE_EPOCH"] = "1700000000"
