"""The content of one layer, gathered from its tar entries in order (OCI image specification, layer.md).

Rules:
1. A layer is read in isolation, as in overlay drivers: a later entry replaces an earlier one of its name;
   directory over directory keeps the children; whiteouts affect only lower layers, wherever they are.
2. Parents without an entry are made as implicit directories. A parent of another type (a file, a symbolic link) becomes
   a directory: links are never followed, so nothing escapes through one.
3. Leading slashes and `.` components are dropped, as in Docker. A `..` component, an empty name or a name that no file
   system holds is refused, and so is the target of a symbolic link that no file system holds.
4. `.wh.NAME` is a whiteout, `.wh..wh..opq` marks an opaque directory, everything else below `.wh..wh.` is metadata of
   AUFS: ignored, but hard links to files in it work.
5. Ids are given in the order of the first mention of the names; an entry of a new kind under an old name gets a new id.
   So the id of a directory is larger than that of its parent.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from rootlay.store.layer.entrytable import EntryTable
from rootlay.store.model.entry import (
    ROOT_ID,
    TARGET_BYTES_MAX,
    Entry,
    EntryType,
    entry_key,
    packed_directory,
)
from rootlay.store.model.errors import UnsafePath, UnsupportedMedia
from rootlay.store.model.value import replace
from rootlay.store.tar.names import normalise

WHITEOUT_PREFIX = b".wh."
RESERVED_PREFIX = b".wh..wh."
OPAQUE_NAME = b".wh..wh..opq"

# Bytes of keys and values of a layer: enough for more than five million ordinary entries.
PAYLOAD_BYTES_MAX = 512 << 20

_IMPLICIT_MODE = 0o755
# Paths of directories whose ids are remembered; others are found through the table. Enough for some twenty thousand.
_REMEMBERED_BYTES = 4 << 20
_REMEMBERED_ITEM_BYTES = 160  # of one, in addition to its path
_ASIDE_FACTOR = 8  # of a file set aside, which is in memory, to one in the table
_LEVELS_UP = 16  # directories above a path that are looked for in memory: then the way from the root is shorter
_PARENT_BYTES = len(entry_key(0, b""))
_HARDLINK_CODE = EntryType.HARDLINK.value[0]


def _check_target(path: bytes, target: bytes) -> None:
    """Raise UnsafePath unless symlink(2) would take `target`."""
    if not target:
        raise UnsafePath(path, "a symbolic link without a target")
    if b"\0" in target:
        raise UnsafePath(path, "NUL in the target of a symbolic link")
    if len(target) > TARGET_BYTES_MAX:
        raise UnsafePath(path, f"the target of a symbolic link is longer than {TARGET_BYTES_MAX} bytes")


class LayerTree:
    """The entries of one layer by (parent id, name)."""

    def __init__(self, payload_bytes_max: int = PAYLOAD_BYTES_MAX, scratch: Path | None = None) -> None:
        """An empty tree. `scratch`: a directory for what is not held in memory (see EntryTable)."""
        self._payload_bytes_left = payload_bytes_max
        root = Entry(EntryType.DIRECTORY, ROOT_ID, ROOT_ID, mode=_IMPLICIT_MODE, implicit=True)
        self._table = EntryTable(scratch=scratch)
        self._table[entry_key(0, b"")] = root.pack()
        self._forget()
        # Directories that were replaced, as the keys in them begin: all below them is dropped in one pass by `finish`.
        self._dead: set[bytes] = set()
        self._next_id = ROOT_ID + 1
        # Hard links: by the id that holds the content, all keys that have had it.
        self._linked: dict[int, list[bytes]] = {}
        # Files in AUFS's `.wh..wh.plnk`, by path: only visible through their hard links.
        self._aside: dict[bytes, Entry] = {}

    def __len__(self) -> int:
        """Return the number of entries after `finish`, the root and implicit directories included."""
        return len(self._table)

    def add(self, raw_name: bytes, entry: Entry) -> None:
        """Add the next entry of the archive. Raises UnsafePath."""
        path = normalise(raw_name)
        parent, _, name = path.rpartition(b"/")
        if not path:
            self._add_root(raw_name, entry)
        elif WHITEOUT_PREFIX in path and self._is_marked(path):
            self._add_marked(path, parent, name, entry)
        elif entry.type is EntryType.HARDLINK:
            self._add_link(path, parent, name, entry)
        else:
            if entry.type is EntryType.SYMLINK:
                _check_target(path, entry.link)
            self._put(path, self._ensure_directory(parent), name, entry)

    def _add_root(self, raw_name: bytes, entry: Entry) -> None:
        if entry.type is not EntryType.DIRECTORY:
            raise UnsafePath(raw_name, "an empty name")
        key = entry_key(0, b"")
        opaque = Entry.unpack(self._table[key]).opaque
        self._table[key] = replace(entry, id=ROOT_ID, ino=ROOT_ID, opaque=opaque).pack()

    @staticmethod
    def _is_marked(path: bytes) -> bool:
        return any(part.startswith(WHITEOUT_PREFIX) for part in path.split(b"/"))

    def _add_marked(self, path: bytes, parent: bytes, name: bytes, entry: Entry) -> None:
        """Add an entry with a component that starts with `.wh.`."""
        for part in path.split(b"/"):
            if part.startswith(RESERVED_PREFIX) and part != OPAQUE_NAME:
                if entry.type is EntryType.FILE:
                    self._aside[path] = aside = replace(entry, id=self._take_id())
                    self._count(_ASIDE_FACTOR * (_REMEMBERED_ITEM_BYTES + len(path) + len(aside.pack())))
                return
        if parent and self._is_marked(parent):
            raise UnsafePath(path, "a whiteout cannot have children")
        if name == OPAQUE_NAME:
            self._mark_opaque(parent)
            return
        hidden = name[len(WHITEOUT_PREFIX) :]
        if hidden in (b"", b".", b".."):
            raise UnsafePath(path, "a whiteout without a name")
        self._add_whiteout(parent, hidden, entry)

    def _mark_opaque(self, directory: bytes) -> None:
        self._ensure_directory(directory)
        above, _, name = directory.rpartition(b"/")
        key = entry_key(self._ensure_directory(above) if directory else 0, name)
        self._table[key] = replace(Entry.unpack(self._table[key]), opaque=True).pack()

    def _add_whiteout(self, parent: bytes, name: bytes, entry: Entry) -> None:
        key = entry_key(self._ensure_directory(parent), name)
        old = self._table.get(key)
        if old is None:
            id_ = self._take_id()
            packed = Entry(EntryType.WHITEOUT, id_, id_, mtime_ns=entry.mtime_ns).pack()
            self._count(len(key) + len(packed))
            self._table[key] = packed
        else:
            self._table[key] = self._replacing(Entry.unpack(old)).pack()

    @staticmethod
    def _replacing(entry: Entry) -> Entry:
        """Return `entry`, marked to hide the lower object of its name."""
        if entry.type is EntryType.WHITEOUT:
            return entry
        return replace(entry, replaces=True, opaque=entry.opaque or entry.type is EntryType.DIRECTORY)

    def _add_link(self, path: bytes, parent: bytes, name: bytes, entry: Entry) -> None:
        """Add a hard link: to the content of an earlier name, or (type `h`) to a name of a lower layer."""
        target_path = normalise(entry.link)
        if not target_path:
            raise UnsafePath(path, "a hard link to the root")
        target_key, target = self._find(target_path)
        if target_path == path:
            # `tar cf x a a` stores the second one as a link to itself.
            if target is None or target.type in (EntryType.WHITEOUT, EntryType.DIRECTORY):
                raise UnsafePath(path, "a hard link to itself")
            return
        if target is None or target.type is EntryType.WHITEOUT:
            if len(target_path) > TARGET_BYTES_MAX:
                raise UnsafePath(path, f"a hard link to a lower path that is longer than {TARGET_BYTES_MAX} bytes")
            self._put(path, self._ensure_directory(parent), name, replace(entry, link=target_path))
            return
        if target.type is EntryType.DIRECTORY:
            raise UnsafePath(path, "a hard link to a directory")
        if (path + b"/") == target_path[: len(path) + 1]:
            raise UnsafePath(path, "a hard link to a path below itself")
        ino = target.ino or target.id
        keys = self._linked.setdefault(ino, [target_key] if target_key else [])
        link = replace(target, ino=ino, replaces=False)
        keys.append(self._put(path, self._ensure_directory(parent), name, link))

    def _find(self, path: bytes) -> tuple[bytes, Entry | None]:
        """Return the key and entry of `path`; the key is empty for a file set aside."""
        parent, _, name = path.rpartition(b"/")
        parent_id = self._find_directory(parent)
        if parent_id is not None:
            key = entry_key(parent_id, name)
            packed = self._table.get(key)
            if packed is not None:
                return key, Entry.unpack(packed)
        return b"", self._aside.get(path)

    def _take_id(self) -> int:
        id_ = self._next_id
        self._next_id += 1
        return id_

    def _put(self, path: bytes, parent: int, name: bytes, entry: Entry) -> bytes:
        """Put `entry` (ino 0: its own) at `path`, over an existing one; return its key. A `path` is remembered."""
        key = entry_key(parent, name)
        packed = self._table.get(key)
        id_ = 0
        if packed is not None:
            old = Entry.unpack(packed)
            if old.type is EntryType.DIRECTORY and entry.type is EntryType.DIRECTORY:
                id_ = old.id
                entry = replace(entry, opaque=old.opaque)
            elif old.type is EntryType.DIRECTORY:
                self._drop_children(old.id)
            if old.replaces or old.type is EntryType.WHITEOUT:
                entry = self._replacing(entry)
        id_ = id_ or self._take_id()
        if path and entry.type is EntryType.DIRECTORY and self._directories.get(path) != id_:
            self._remember(path, id_)
        packed = replace(entry, id=id_, ino=entry.ino or id_).pack()
        self._count(len(key) + len(packed))
        self._table[key] = packed
        return key

    def _count(self, payload_bytes: int) -> None:
        self._payload_bytes_left -= payload_bytes
        if self._payload_bytes_left < 0:
            raise UnsupportedMedia("layer", "the metadata of its entries is more than 512 MiB")

    def _find_directory(self, path: bytes) -> int | None:
        """Return the id of the directory `path`, None if there is none."""
        found = self._directories.get(path)
        if found is not None:
            return found
        found, missing = self._nearest_directory(path)
        if missing:
            return None
        self._remember(path, found)
        return found

    def _ensure_directory(self, path: bytes) -> int:
        """Return the id of the directory `path`; make it implicit if it is missing or not a directory."""
        found = self._directories.get(path)
        if found is not None:
            return found
        found, missing = self._nearest_directory(path)
        implicit = Entry(EntryType.DIRECTORY, mode=_IMPLICIT_MODE, implicit=True)
        while missing:  # a path may have thousands of components: those in between are not remembered
            self._put(b"", found, missing.pop(), implicit)
            found = self._next_id - 1
        self._remember(path, found)
        return found

    def _nearest_directory(self, path: bytes) -> tuple[int, list[bytes]]:
        """Return the id of the last directory on the way to `path`, and the names that are missing, the last first."""
        above, names = path, list[bytes]()
        while (found := self._directories.get(above)) is None and len(names) < _LEVELS_UP:
            above, _, name = above.rpartition(b"/")
            names.append(name)
        if found is None:
            found, names = ROOT_ID, path.split(b"/")[::-1]
        while names:
            below = packed_directory(self._table.get(entry_key(found, names[-1])))
            if below is None:
                break
            found = below
            names.pop()
        return found, names

    def _remember(self, path: bytes, id_: int) -> None:
        self._remembered_left -= len(path) + _REMEMBERED_ITEM_BYTES
        if self._remembered_left < 0:
            self._forget()
        self._directories[path] = id_

    def _forget(self) -> None:
        """Forget the ids of all directories but the root."""
        self._directories = {b"": ROOT_ID}
        self._remembered_left = _REMEMBERED_BYTES

    def _drop_children(self, directory: int) -> None:
        """Drop all below the directory with this id, which has been replaced."""
        self._dead.add(entry_key(directory, b""))
        self._forget()

    def finish(self) -> None:
        """Complete the tree: no entry follows. Idempotent."""
        if self._dead:
            for key, packed in self._table.iter_sorted():  # a directory precedes what is in it (rule 5)
                directory = packed_directory(packed)
                if directory is not None and key[:_PARENT_BYTES] in self._dead:
                    self._dead.add(entry_key(directory, b""))
            self._table.drop(self._dead)
            self._dead.clear()
        self._settle_links()

    def iter_sorted(self) -> Iterator[tuple[bytes, bytes]]:
        """Yield all (key, packed entry) in key order, after `finish`."""
        yield from self._table.iter_sorted()

    @property
    def payload_bytes(self) -> int:
        """The sum of all keys and values in bytes."""
        return sum(len(key) + len(packed) for key, packed in self._table.iter_sorted())

    @property
    def lower_links(self) -> int:
        """How many hard links lead to names of lower layers."""
        return sum(packed[0] == _HARDLINK_CODE for _, packed in self._table.iter_sorted())

    def _settle_links(self) -> None:
        """Give each group of hard links its count, and the id of its first name that still exists."""
        for ino, keys in self._linked.items():
            names: dict[bytes, Entry] = {}
            for key in keys:
                packed = self._table.get(key)
                if packed is not None:
                    entry = Entry.unpack(packed)
                    if entry.ino == ino and entry.type is not EntryType.DIRECTORY:
                        names[key] = entry
            if names:
                first = min(entry.id for entry in names.values())
                for key, entry in names.items():
                    self._table[key] = replace(entry, ino=first, nlink=len(names)).pack()
        self._linked.clear()
