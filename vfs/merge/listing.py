"""Merged directory listings.

Sorted by bytes, without duplicates, without marks: the same on every call while nothing changes.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator

from rootlay.store.model.entry import TYPE_BITS
from rootlay.store.model.value import value
from rootlay.vfs.merge import longpath
from rootlay.vfs.merge.filerecord import has_record
from rootlay.vfs.merge.lookup import Found, Lookup
from rootlay.vfs.merge.whiteout import RECORD_MAX_NAME, long_whiteout_target, parse_mark


@value
class Listed:
    """One name of a directory. `type` is the st_mode type, as d_type."""

    name: bytes
    type: int

    @property
    def is_dir(self) -> bool:
        return stat.S_ISDIR(self.type)


def list_directory(lookup: Lookup, directory: Found) -> list[Listed]:
    """Return all names of a directory. Precondition: it is a directory."""
    merged: dict[bytes, int] = {}
    hidden: set[bytes] = set()
    for part in directory.parts:
        layer = lookup.stack.dirs[part.layer]
        with longpath.lending():
            own = list_real(layer.pinned(part.path), layer.marks, in_files=layer.marks and layer.may_hold(stat.S_IFREG))
        for name, kind in own.types.items():
            if name not in hidden and name not in merged:
                recorded = name in own.recorded or (layer.marks and len(name) > RECORD_MAX_NAME)
                merged[name] = _recorded_type(lookup, directory, name, kind) if recorded else kind
        hidden |= own.whiteouts
    if directory.node is not None and lookup.stack.view is not None:
        for name, node in lookup.stack.view.iter_children(directory.node.id):
            if name not in hidden:
                merged.setdefault(name, TYPE_BITS[node.type])
    return [Listed(name, merged[name]) for name in sorted(merged)]


def iter_children(lookup: Lookup, directory: Found) -> Iterator[Found]:
    """Yield all objects of a directory, looked up, in the order of their names."""
    for listed in list_directory(lookup, directory):
        found = lookup.child(directory, listed.name)
        if found is not None:  # removed meanwhile
            yield found


@value
class RealListing:
    """One real directory of a layer: ordinary names with their types, names whited out, names with a record."""

    types: dict[bytes, int]
    whiteouts: set[bytes]
    recorded: set[bytes]
    opaque: bool


def list_real(real: bytes, marks: bool, *, in_files: bool = False) -> RealListing:
    """Return the content of one real directory, with its marks interpreted.

    Args:
        in_files: `recorded` includes regular files with a record in them.
    """
    types: dict[bytes, int] = {}
    whiteouts: set[bytes] = set()
    recorded: set[bytes] = set()
    opaque = False
    with os.scandir(real) as entries:
        for entry in entries:
            mark = parse_mark(entry.name)
            if mark is None:
                types[entry.name] = kind = _type_of(entry)
                if in_files and kind == stat.S_IFREG and has_record(entry.path):
                    recorded.add(entry.name)
            elif not marks:
                continue
            elif mark.kind == "whiteout":
                name = mark.name if mark.name is not None else _long_name(entry)
                if name is not None:
                    whiteouts.add(name)
            elif mark.kind == "record" and mark.name is not None:
                recorded.add(mark.name)
            elif mark.kind == "opaque":
                opaque = True
    return RealListing(types, whiteouts, recorded, opaque)


def list_upper(lookup: Lookup, path: bytes) -> RealListing:
    """Return the content of one directory in the writable layer alone."""
    return list_real(lookup.stack.upper.pinned(path), True)


def _long_name(entry: os.DirEntry[bytes]) -> bytes | None:
    return long_whiteout_target(entry.name, os.readlink(entry.path)) if entry.is_symlink() else None


def _type_of(entry: os.DirEntry[bytes]) -> int:
    if entry.is_symlink():
        return stat.S_IFLNK
    if entry.is_dir(follow_symlinks=False):
        return stat.S_IFDIR
    if entry.is_file(follow_symlinks=False):
        return stat.S_IFREG
    return stat.S_IFMT(entry.stat(follow_symlinks=False).st_mode)


def _recorded_type(lookup: Lookup, directory: Found, name: bytes, real_type: int) -> int:
    found = lookup.child(directory, name)
    return real_type if found is None else stat.S_IFMT(found.mode)
