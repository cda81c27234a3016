"""`/containers/{id}/archive`: files of a container as a tar."""

from __future__ import annotations

import base64
import io
import json
import os
import stat
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from rootlay.cli.api.call import Call, Reply
from rootlay.cli.api.errors import ApiError, bad_parameter
from rootlay.store.model.errors import NotAnArchive
from rootlay.vfs.changes.copyerrors import CopyRefused
from rootlay.vfs.changes.mountedtree import MountedTree
from rootlay.vfs.changes.tartransfer import copy_in_tar, copy_out_tar
from rootlay.vfs.containers.mounted import open_mounted, require_writable
from rootlay.vfs.docker.times import rfc3339_nano

if TYPE_CHECKING:
    from rootlay.cli.api.exchange import Exchange

_TYPES = {stat.S_IFDIR: 31, stat.S_IFLNK: 27, stat.S_IFBLK: 26, stat.S_IFIFO: 25, stat.S_IFSOCK: 24}
"""The bits of Go's os.FileMode."""
_CHARACTER_DEVICE = 1 << 26 | 1 << 21
_FLAGS = ((stat.S_ISUID, 23), (stat.S_ISGID, 22), (stat.S_ISVTX, 20))


def _path(call: Call) -> bytes:
    text = call.text("path")
    if not text:
        raise bad_parameter("bad parameter: path cannot be empty")
    return os.fsencode(text if text.startswith("/") else f"/{text}")


def _stat_header(call: Call, tree: MountedTree, path: bytes) -> dict[str, str]:
    """Return the header with the stat of a path; a link itself unless the path ends in a slash. Raises ApiError."""
    clean = path.rstrip(b"/") or b"/"
    try:
        follow = path.endswith((b"/", b"/."))
        node = tree.get(path if follow else clean, follow=follow)
        found = tree.attributes(node)
        target = tree.target(node) if node.is_link else b""
    except OSError:
        name = os.fsdecode(path)
        raise ApiError(404, f"Could not find the file {name} in container {call.names['id']}") from None
    shown: dict[str, Any] = {
        "name": os.fsdecode(os.path.basename(clean.removesuffix(b"/."))) or "/",
        "size": found.size,
        "mode": _go_mode(found.mode),
        "mtime": rfc3339_nano(found.mtime_ns),
        "linkTarget": os.fsdecode(target),
    }
    return {"X-Docker-Container-Path-Stat": base64.b64encode(json.dumps(shown).encode()).decode("ascii")}


def _go_mode(mode: int) -> int:
    kind = stat.S_IFMT(mode)
    found = stat.S_IMODE(mode) & 0o777
    found |= _CHARACTER_DEVICE if kind == stat.S_IFCHR else 1 << _TYPES[kind] if kind in _TYPES else 0
    for flag, bit in _FLAGS:
        found |= 1 << bit if mode & flag else 0
    return found


def head(call: Call) -> Reply:
    """HEAD /containers/{id}/archive"""
    with open_mounted(call.container()) as tree:
        return Reply(200, None, _stat_header(call, tree, _path(call)))


def get(call: Call) -> None:
    """GET /containers/{id}/archive"""
    path = _path(call)
    with open_mounted(call.container()) as tree:
        headers = _stat_header(call, tree, path)
        call.container().note("archive-path")
        with call.exchange.stream("application/x-tar", headers=headers) as body:
            copy_out_tar(tree, path, body)  # type: ignore[arg-type]  # it only writes


def put(call: Call) -> Reply:
    """PUT /containers/{id}/archive"""
    path = _path(call)
    with open_mounted(call.container()) as tree:
        try:
            found = tree.get(path)
        except OSError:
            raise ApiError(
                404, f"Could not find the file {os.fsdecode(path)} in container {call.names['id']}"
            ) from None
        if not found.is_dir:
            raise bad_parameter("extraction point is not a directory")
        try:
            require_writable(call.container(), tree, path)
            copy_in_tar(tree, body_file(call.exchange), path, archive=True)
        except NotAnArchive as error:
            if error.reason != "empty":
                raise
        except CopyRefused as error:
            raise bad_parameter(error.reason if error.reason.endswith("read-only") else str(error)) from None
    call.container().note("extract-to-dir")
    return Reply(200)


def body_file(exchange: Exchange) -> BinaryIO:
    """Return the body of a request, as a binary file to read from."""
    return cast(BinaryIO, BodyFile(exchange))


class BodyFile(io.RawIOBase):
    """The body of a request, as a binary file to read from."""

    def __init__(self, exchange: Exchange) -> None:
        super().__init__()
        self._pieces = exchange.body()
        self._rest = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._rest:
            piece = next(self._pieces, None)
            if piece is None:
                return 0
            self._rest = piece
        count = min(len(buffer), len(self._rest))
        buffer[:count] = self._rest[:count]
        self._rest = self._rest[count:]
        return count
