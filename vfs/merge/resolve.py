"""Resolution of paths to objects, as in path_resolution(7), confined to the merged tree.

1. Links never leave the root: an absolute target starts at the container's root, `..` of the root is the root.
2. `..` is physical: the parent of the directory that was reached, not of the text.
3. More than 40 links: ELOOP. A path of 4096 bytes or more (or of another limit), a name of more than 255: ENAMETOOLONG.
4. A relative path starts at the root.
"""

from __future__ import annotations

import errno
from typing import Literal

from rootlay.store.model.value import value
from rootlay.vfs.merge.attributes import attributes
from rootlay.vfs.merge.errors import os_error
from rootlay.vfs.merge.identity import EXECUTE, Identity
from rootlay.vfs.merge.lookup import Found, Lookup
from rootlay.vfs.merge.path import NAME_MAX_BYTES
from rootlay.vfs.merge.whiteout import is_reserved

MAX_LINKS = 40

Last = Literal["name", "root", "dot", "dotdot"]


@value
class Place:
    """The result of resolving a path.

    `directory` and `name` are the place of its last component (for `last` other than "name": the object itself and an
    empty name); `found` is the object there now; `slash`: the path requires a directory.
    """

    request: bytes
    directory: Found
    name: bytes
    found: Found | None
    last: Last
    slash: bool

    def existing(self) -> Found:
        """Return the object. Raises ENOENT, or ENOTDIR if the path ends with a slash and it is not a directory."""
        if self.found is None:
            raise os_error(errno.ENOENT, self.request)
        if self.slash and not self.found.is_dir:
            raise os_error(errno.ENOTDIR, self.request)
        return self.found


class Resolver:
    """The path resolution of one identity over one stack. Immutable; safe for threads.

    Args:
        longest: the longest path, in bytes.
    """

    def __init__(self, lookup: Lookup, identity: Identity, longest: int) -> None:
        self._longest = longest
        self._lookup = lookup
        self._identity = identity

    def place(self, request: bytes, *, follow: bool, slash_follows: bool = True) -> Place:
        """Walk a path up to its last component.

        Args:
            follow: follow a link that is the last component.
            slash_follows: follow it if a slash follows it (rename, rmdir and the makers of names do not).

        Raises:
            OSError: ENOENT, ENOTDIR, ELOOP, ENAMETOOLONG, EACCES.
        """
        if not request:
            raise os_error(errno.ENOENT, request)
        if len(request) > self._longest:
            raise os_error(errno.ENAMETOOLONG, request)
        root = here = self._lookup.root()
        todo = _components(request)
        slash = request.endswith(b"/")
        last: Last = "root"
        links = 0
        while todo:
            name = todo.pop()
            if name == b".":
                last = "dot"
                continue
            self._search(here, request)
            if name == b"..":
                here, last = here.parent or here, "dotdot"
                continue
            found = self._find(here, name, request)
            if found is not None and found.is_link and (todo or follow or (slash and slash_follows)):
                links += 1
                if links > MAX_LINKS:
                    raise os_error(errno.ELOOP, request)
                target = self._target(found, request)
                slash = slash or (not todo and target.endswith(b"/"))
                here, last = (root, "root") if target.startswith(b"/") else (here, last)
                todo.extend(_components(target))
                continue
            if not todo:
                return Place(request, here, name, found, "name", slash)
            if found is None:
                raise os_error(errno.ENOENT, request)
            if not found.is_dir:
                raise os_error(errno.ENOTDIR, request)
            here, last = found, "name"
        return Place(request, here, b"", here, last, slash)

    def target(self, found: Found) -> bytes:
        """Return the text of a symbolic link."""
        if found.node is not None:
            return found.node.link
        part = found.parts[0]
        return self._lookup.stack.dirs[part.layer].readlink(part.path)

    def _target(self, found: Found, request: bytes) -> bytes:
        target = self.target(found)
        if not target:
            raise os_error(errno.ENOENT, request)
        return target

    def _find(self, here: Found, name: bytes, request: bytes) -> Found | None:
        if len(name) > NAME_MAX_BYTES:
            raise os_error(errno.ENAMETOOLONG, request)
        return None if is_reserved(name) else self._lookup.child(here, name)

    def _search(self, here: Found, request: bytes) -> None:
        if not self._identity.is_root:
            self._identity.require(attributes(self._lookup.stack, 0, here), EXECUTE, request)


def _components(path: bytes) -> list[bytes]:
    """Return the components of a path, last first, without empty ones."""
    return [part for part in reversed(path.split(b"/")) if part]
