"""Findings of a check, and their repairs.

Rules:
1. A finding names a place in the store, and says in one line what docs/format.md promises and what it found instead.
2. A repair rebuilds what can be rebuilt from the truth (§ "truth" of docs/format.md); other unexpected objects are
   moved to `quarantine/`, never deleted. Only half-made objects of a dead process, and objects that were rebuilt, are
   removed.
3. `leftover` findings are not damage: every crash may leave them.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from rootlay.store.disk.durable import make_directories, make_directory, sync_path, write_file
from rootlay.store.model.errors import CorruptStore
from rootlay.store.model.value import value

if TYPE_CHECKING:
    from rootlay.store.layout.layout import Layout

QUARANTINE = "quarantine"
_LIST = "list.json"
_TARGET_BYTES_MAX = 3800

CODES: dict[str, str] = {
    "layout-file": "`oci-layout` is missing or of another version",
    "index-damaged": "`index.json` is missing or unreadable",
    "store-open": "the store or one of its directories can be written by others",
    "unknown-file": "a file that docs/format.md does not define",
    "leftover": "left by a process that died",
    "blob-damaged": "a blob's content or size does not match its name or descriptor",
    "blob-link": "a linked blob's store is missing",
    "image-broken": "an image whose manifest or config is missing or damaged",
    "image-incomplete": "an image with a missing layer",
    "layer-damaged": "a layer's index or pack is damaged, or does not agree with its tar",
    "layer-lost": "a layer that a container needs is missing",
    "lazy-damaged": "a file next to the index of a lazily pulled layer is damaged",
    "view-damaged": "a view is damaged, or does not agree with its layers",
    "view-lost": "a view that a container needs is missing",
    "bundle-gone": "the bundle from which a container was made is missing, damaged or replaced",
    "tree-damaged": "a hydrated file differs from its layer",
    "tree-unknown": "a file in a hydrated tree is not in its layer",
    "container-damaged": "a container's record or stack cannot be read",
    "name-broken": "a container's name does not lead to it",
    "state-damaged": "a container's state cannot be read",
    "snapshot-damaged": "a snapshot cannot be read, or its uppers are missing",
    "upper-lost": "an upper of a container is missing",
    "bloom-damaged": "an upper's filter is missing or damaged, or lacks a name that exists",
    "mark-damaged": "an upper has a reserved name without a meaning",
    "upper-mode": "the owner cannot read a file of an upper, or enter a directory",
    "cache-damaged": "a record of the build cache cannot be read",
}
"""All codes, with their meanings (docs/robustness.md lists them; a test compares)."""

Status = Literal["found", "rebuilt", "quarantined", "removed", "left"]
Fix = Callable[["Quarantine"], Status]


@value
class Finding:
    """One problem. `place` is relative to the store's root, or names an image. `fix` repairs it and returns the result;
    None: it cannot be repaired."""

    code: str
    place: str
    text: str
    fix: Fix | None = None
    leftover: bool = False

    def __post_init__(self) -> None:
        """Raise KeyError unless the code is listed."""
        CODES[self.code]


@value
class Outcome:
    """A finding, and its result: `found` if no repair was requested, `left` if the repair failed (`reason`)."""

    finding: Finding
    status: Status
    reason: str = ""

    @property
    def is_open(self) -> bool:
        """Whether the damage is still there."""
        return not self.finding.leftover and self.status in ("found", "left")


class Quarantine:
    """The directory to which repairs move unexplained objects: `quarantine/<time>-<pid>/<its place in the store>`, and
    a list."""

    __slots__ = ("layout", "path", "rows")

    def __init__(self, layout: Layout) -> None:
        """Make nothing before the first move."""
        stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        self.layout = layout
        self.path = layout.root / QUARANTINE / f"{stamp}-{os.getpid()}"
        self.rows: list[dict[str, str]] = []

    def take(self, finding_code: str, path: Path, why: str, by: bytes | None = None) -> Status:
        """Move `path`, which is below the store's root, to the quarantine. Durable; a missing path is not an error.

        Args:
            by: another path of the same object, if the names on the way to it are not to be trusted.
        """
        relative = path.relative_to(self.layout.root)
        target = self.path / relative
        if len(os.fsencode(target)) > _TARGET_BYTES_MAX:  # the list holds the place
            target = self.path / f"long-{len(self.rows)}" / path.name
        make_directory(self.path.parent)
        make_directories(target.parent)
        while os.path.lexists(target):
            target = target.with_name(target.name + "~")
        self.rows.append({"place": str(relative), "kept": str(target), "code": finding_code, "text": why})
        with self.layout.staging() as staging:
            write_file(staging, self.path / _LIST, json.dumps(self.rows, indent=2).encode("utf-8", "backslashreplace"))
        with suppress(FileNotFoundError):
            os.rename(by or path, target)
            sync_path(target.parent)
            if by is None:
                sync_path(path.parent)
        return "quarantined"

    def copy(self, finding_code: str, path: Path, why: str) -> None:
        """Keep a copy of a file before it is rewritten."""
        data = path.read_bytes() if path.exists() else b""
        make_directories(self.path)
        target = self.path / path.name
        while target.exists():
            target = target.with_name(target.name + "~")
        self.rows.append(
            {"place": str(path.relative_to(self.layout.root)), "kept": str(target), "code": finding_code, "text": why}
        )
        with self.layout.staging() as staging:
            write_file(staging, target, data)
            write_file(staging, self.path / _LIST, json.dumps(self.rows, indent=2).encode())


def quarantined(root: Path) -> list[dict[str, str]]:
    """Return the content of a store's quarantine: the rows of all its lists, oldest first."""
    found: list[dict[str, str]] = []
    for path in sorted((root / QUARANTINE).glob(f"*/{_LIST}")):
        with suppress(OSError, ValueError):
            found += json.loads(path.read_bytes())
    return [row for row in found if os.path.lexists(row["kept"])]


def remove_file(path: Path) -> Fix:
    """Return the repair that removes a file of known origin."""

    def fix(quarantine: Quarantine) -> Status:
        path.unlink(missing_ok=True)
        return "removed"

    return fix


def words_of(error: Exception) -> str:
    """Return the message of an error for a finding: without the advice to run `fsck`."""
    return f"{error.what}: {error.reason}" if isinstance(error, CorruptStore) else str(error)
