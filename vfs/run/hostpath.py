"""The real path of a bind's source, or of another host path that a container gets.

A program that can write to a bind can place a symbolic link there. If the source of another bind is below it, a later
session (`exec`, `start`) must not follow that link: it would allow the program what the link leads to. So the links of
the user are followed, and those in directories that programs can write to are refused. The engine then opens the result
without following any link (confine.c), so that a link that is placed after this check is not followed either.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable, Sequence

from rootlay.store.model.errors import RootlayError

LINKS_MAX = 40


class UnsafeSource(RootlayError):
    """The source of a bind leads through a symbolic link that a program may have made."""

    def __init__(self, source: str, link: str) -> None:
        super().__init__(
            f"{source}: {link} is a symbolic link in a directory that programs can write to, and is not followed; "
            "remove it, or bind its target"
        )
        self.source = source
        self.link = link


def writable_hosts(sources: Iterable[str]) -> tuple[list[str], list[str]]:
    """Return the real paths of writable sources, and those of them whose own paths have no links."""
    found = [(source, os.path.realpath(source)) for source in sources]
    return [real for _, real in found], [real for source, real in found if real == os.path.normpath(source)]


def real_host(path: str, writable: Sequence[str] | None, plain: Sequence[str] = ()) -> str:
    """Return the real path of an absolute host path; missing components stay unchanged.

    Args:
        writable: real paths of directories that programs of the container can write to; a link there is refused. None:
            every link is refused.
        plain: those that no link leads to. A link that stays in one of them gives programs nothing new: it is followed.

    Raises UnsafeSource, OSError (ELOOP).
    """
    link = ""
    pending = [part for part in path.split("/") if part][::-1]
    done = "/"
    links = 0
    while pending:
        name = pending.pop()
        if name == ".":
            continue
        if name == "..":
            done = os.path.dirname(done)
            continue
        place = f"{done.rstrip('/')}/{name}"
        try:
            target = os.readlink(place)
        except OSError:
            done = place
            continue
        if writable is None:
            raise UnsafeSource(path, place)
        if _is_below(done, writable):
            link = place
        links += 1
        if links > LINKS_MAX:
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)
        if target.startswith("/"):
            done = "/"
        pending += [part for part in target.split("/") if part][::-1]
    if link and not _is_below(done, plain):
        raise UnsafeSource(path, link)
    return done


def _is_below(path: str, directories: Sequence[str]) -> bool:
    return any(os.path.commonpath((path, directory)) == directory for directory in directories)
