"""Find a file below a directory and follow links only inside it: one step at a time, by descriptors.

No name is looked up twice, so no process can place a link there between a check and its use.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from rootlay.store.model.errors import BadManifest, UnsafePath
from rootlay.store.model.value import value

_LINKS_MAX = 16
_DIRECTORY = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


@value
class Place:
    """The place of an existing or possible file: a name, not a link, in an open directory. `path`: from the root on."""

    directory: int
    name: bytes
    path: bytes


@contextmanager
def beneath(root: bytes, path: bytes, what: str) -> Iterator[Place]:
    """Return the place of `path` below the directory `root` (a real path). The last component may be missing.

    Raises UnsafePath if a link leads out, BadManifest for a cycle of links, FileNotFoundError, NotADirectoryError.
    """
    held = [os.open(root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)]
    names: list[bytes] = []
    left = _parts(path)
    links = 0
    try:
        while left:
            part = left.pop()
            if part == b"..":
                if not names:
                    raise UnsafePath(path, "a link leads out of the directory")
                os.close(held.pop())
                names.pop()
                continue
            target = _link(part, held[-1])
            if target is not None:
                links += 1
                if links > _LINKS_MAX:
                    raise BadManifest(f"{what}: {os.fsdecode(path)}", "too many symbolic links, or a loop of them")
                if target.startswith(b"/"):
                    target = _relative(target, root, path)
                    while len(held) > 1:
                        os.close(held.pop())
                    names.clear()
                left += _parts(target)
            elif left:
                held.append(os.open(part, _DIRECTORY, dir_fd=held[-1]))
                names.append(part)
            else:
                yield Place(held[-1], part, b"/".join((*names, part)))
                return
        yield Place(held[-1], b".", b"/".join(names) or b".")
    finally:
        for descriptor in held:
            os.close(descriptor)


def _parts(path: bytes) -> list[bytes]:
    """Return the components, the first one last."""
    return [part for part in reversed(path.split(b"/")) if part not in (b"", b".")]


def _link(name: bytes, directory: int) -> bytes | None:
    """Return the text of a link; None if it is not a link."""
    try:
        return os.readlink(name, dir_fd=directory)
    except OSError:
        return None


def _relative(target: bytes, root: bytes, path: bytes) -> bytes:
    if target != root and not target.startswith(root.rstrip(b"/") + b"/"):
        raise UnsafePath(path, "a link leads out of the directory")
    return target[len(root) :]
