"""Objects in the form that fsspec shows: `info`, and listings.

1. Links: `info` follows them; in a listing a link to a file is a file, any other is neither file nor directory, so
   that a walk does not run in circles.
2. Objects in layers that do not change are cached (rootlay.vfs.merge.lookupcache) and looked up there first.
"""

from __future__ import annotations

import os
import stat
from typing import Any

from rootlay.vfs.merge.attributes import Attributes
from rootlay.vfs.merge.listing import iter_children
from rootlay.vfs.merge.lookup import Found
from rootlay.vfs.overlay.overlay import Overlay

_NS = 1_000_000_000


def info_of(overlay: Overlay, name: str) -> dict[str, Any]:
    """Return information about the object at an absolute path. Follows a link. Raises FileNotFoundError."""
    found = overlay.remembered.find(name) or overlay.look(name)
    return _info(overlay, name, found, follow_directories=True)


def list_names(overlay: Overlay, name: str) -> list[str]:
    """Return the paths in a directory, sorted by bytes; for any other object, its own path."""
    stem = name.rstrip("/") + "/"
    known = overlay.remembered.names(name)
    if known is not None:
        return [stem + child for child, _ in known.types]
    if not overlay.get(name).is_dir:
        return [name]
    return [stem + os.fsdecode(listed.name) for listed in overlay.scandir(name)]


def list_infos(overlay: Overlay, name: str) -> list[dict[str, Any]]:
    """Return information about the content of a directory, sorted by bytes; for any other object, about itself."""
    stem = name.rstrip("/") + "/"
    known = overlay.remembered.names(name)
    if known is not None:
        infos = (_known_info(overlay, stem + child, kind) for child, kind in known.types)
        return [info for info in infos if info is not None]
    found = overlay.look(name)
    found = overlay.get(name) if found.is_link else found
    if not found.is_dir:
        return [info_of(overlay, name)]
    children = iter_children(overlay.context.lookup, found)
    return [_info(overlay, stem + os.fsdecode(child.name), child) for child in children]


def _known_info(overlay: Overlay, name: str, kind: int) -> dict[str, Any] | None:
    """Return information about a name in a cached directory; None if it was removed meanwhile."""
    found = None if kind == stat.S_IFLNK else overlay.remembered.find(name)
    if found is None:
        found = overlay.find(name, follow=False)
    return None if found is None else _info(overlay, name, found)


def _info(overlay: Overlay, name: str, found: Found, *, follow_directories: bool = False) -> dict[str, Any]:
    shown, kind = found, _type_of(found)
    if found.is_link:
        try:
            target = overlay.get(name)
        except OSError:
            if follow_directories:
                raise
        else:
            if target.is_file or follow_directories:
                shown, kind = target, _type_of(target)
    fields = _fields(name, overlay.context.attributes(shown), kind)
    fields["islink"] = found.is_link
    if found.is_link:
        fields["destination"] = os.fsdecode(overlay.readlink(name))
    return fields


def _type_of(found: Found) -> str:
    return "directory" if found.is_dir else "file" if found.is_file else "other"


def _fields(name: str, attributes: Attributes, kind: str) -> dict[str, Any]:
    return {
        "name": name,
        "size": attributes.size,
        "type": kind,
        "created": attributes.ctime_ns / _NS,
        "mtime": attributes.mtime_ns / _NS,
        "mode": attributes.mode,
        "uid": attributes.uid,
        "gid": attributes.gid,
        "ino": attributes.ino,
        "nlink": attributes.nlink,
    }
