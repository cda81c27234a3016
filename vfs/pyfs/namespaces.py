"""PyFilesystem2's resource information, made from the data of the overlay.

1. `basic`, `details`, `access`, `stat` and `xattr` describe the target of a link; `lstat`, `link` and `rootlay` (the
   origin of the object: rootlay.vfs.overlay.origin) describe the link itself.
2. User and group names are those of the image's own files.
"""

from __future__ import annotations

import io
import os
import stat
from collections.abc import Collection

from rootlay.vfs.merge import xattr
from rootlay.vfs.merge.attributes import Attributes, view_size
from rootlay.vfs.merge.lookup import Found
from rootlay.vfs.overlay.origin import origin_fields
from rootlay.vfs.overlay.overlay import Overlay
from rootlay.vfs.pyfs.accounts import Accounts
from rootlay.vfs.pyfs.importfs import import_pyfs

import_pyfs()

from fs.enums import ResourceType  # noqa: E402
from fs.permissions import Permissions  # noqa: E402

Raw = dict[str, dict[str, object]]

NS = 1_000_000_000
TYPES = {
    stat.S_IFDIR: ResourceType.directory,
    stat.S_IFCHR: ResourceType.character,
    stat.S_IFBLK: ResourceType.block_special_file,
    stat.S_IFREG: ResourceType.file,
    stat.S_IFIFO: ResourceType.fifo,
    stat.S_IFLNK: ResourceType.symlink,
    stat.S_IFSOCK: ResourceType.socket,
}

_NUMBERS = {bits: int(kind) for bits, kind in TYPES.items()}
_UNKNOWN = int(ResourceType.unknown)
_DETAILS = frozenset(("basic", "details"))


class Namespaces:
    """The raw information of objects of one merged tree."""

    def __init__(self, overlay: Overlay) -> None:
        self._overlay = overlay
        self._accounts = Accounts(overlay)

    def raw(self, name: str, itself: Found, target: Found, namespaces: Collection[str]) -> Raw:
        """Return information about an object.

        Args:
            name: the name to show; empty for the root.
            itself: the object of that name.
            target: for a link, the object that it leads to; else the same.
        """
        raw: Raw = {"basic": {"name": name, "is_dir": target.is_dir}}
        if not namespaces:
            return raw
        if target.real is None and target.node is not None and _DETAILS.issuperset(namespaces):
            if "details" in namespaces:
                raw["details"] = _view_details(target)
            return raw
        shown = self._overlay.context.attributes(target)
        if "details" in namespaces:
            raw["details"] = detail_fields(shown)
        if "stat" in namespaces:
            raw["stat"] = stat_fields(shown)
        if "lstat" in namespaces:
            raw["lstat"] = stat_fields(shown if itself is target else self._overlay.context.attributes(itself))
        if "access" in namespaces:
            raw["access"] = self._access_fields(shown)
        if "link" in namespaces:
            text = self._overlay.context.resolver.target(itself) if itself.is_link else None
            raw["link"] = {"target": None if text is None else os.fsdecode(text)}
        if "xattr" in namespaces:
            found = xattr.all_xattrs(self._overlay.stack, target)
            raw["xattr"] = {os.fsdecode(key): value for key, value in found.items()}
        if "rootlay" in namespaces:
            raw["rootlay"] = origin_fields(self._overlay, itself)
        return raw

    def _access_fields(self, shown: Attributes) -> dict[str, object]:
        return {
            "_write": ["permissions", "uid", "gid"],
            "permissions": Permissions(mode=shown.mode).dump(),
            "uid": shown.uid,
            "gid": shown.gid,
            "user": self._accounts.user(shown.uid),
            "group": self._accounts.group(shown.gid),
        }


def _view_details(found: Found) -> dict[str, object]:
    """Return the same as `detail_fields`, for an object that only the view has."""
    node = found.node
    assert node is not None  # the caller has tested that
    seconds = node.mtime_ns / NS
    kind = stat.S_IFMT(found.mode)
    return {
        "_write": ["accessed", "modified"],
        "accessed": seconds,
        "modified": seconds,
        "metadata_changed": seconds,
        "created": None,
        "size": view_size(found),
        "type": _NUMBERS.get(kind, _UNKNOWN),
    }


def detail_fields(shown: Attributes) -> dict[str, object]:
    """Return the namespace `details`. Times in s."""
    return {
        "_write": ["accessed", "modified"],
        "accessed": shown.atime_ns / NS,
        "modified": shown.mtime_ns / NS,
        "metadata_changed": shown.ctime_ns / NS,
        "created": None,
        "size": shown.size,
        "type": _NUMBERS.get(stat.S_IFMT(shown.mode), _UNKNOWN),
    }


def stat_fields(shown: Attributes) -> dict[str, object]:
    """Return the fields of an `os.stat_result`."""
    same = ("dev", "ino", "mode", "nlink", "uid", "gid", "size", "blocks")
    fields: dict[str, object] = {f"st_{name}": getattr(shown, name) for name in same}
    fields["st_rdev"] = os.makedev(shown.rdev_major, shown.rdev_minor)
    fields["st_blksize"] = io.DEFAULT_BUFFER_SIZE
    for name in ("atime", "mtime", "ctime"):
        nanoseconds = getattr(shown, f"{name}_ns")
        fields[f"st_{name}"], fields[f"st_{name}_ns"] = nanoseconds / NS, nanoseconds
    return fields
