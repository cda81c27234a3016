"""The process at the other end of a UNIX socket.

Landlock does not keep a program from connecting to a socket by name. So a socket that controls containers asks
for the mark of its peer (rootlay.vfs.run.processes, rule 1), which every program of a container has, wherever it went.
"""

from __future__ import annotations

import errno
import os
import select
import socket
import struct

from rootlay.vfs.run.processes import mark_of

_PEERCRED = struct.Struct("3i")
_SO_PEERPIDFD = 77  # Linux 6.5; no name in `socket`
_NO_LIMIT = -1
ENDED = 0
"""No container has this mark: the process has ended, and cannot be asked."""


def mark_of_peer(connection: socket.socket) -> int | None:
    """Return the mark of the container whose program has connected; None if the process is not of another container.

    A process of the caller's own container (rootlay inside a container) has the caller's mark. A process of another PID
    namespace cannot be asked: None.
    """
    pid, _, _ = _PEERCRED.unpack(connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEERCRED.size))
    if not pid:
        return None
    try:
        held = _hold(connection)
    except OSError:  # it has ended (before Linux 6.16), or there is no descriptor left: it is not asked by its number
        return ENDED
    try:
        mark = mark_of(pid)
        if held is not None and select.select([held], [], [], 0)[0]:  # ended: the number may be another process's
            return ENDED
    except ProcessLookupError:
        return ENDED
    finally:
        if held is not None:
            os.close(held)
    return None if mark in (_NO_LIMIT, mark_of(os.getpid())) else mark


def _hold(connection: socket.socket) -> int | None:
    """Return a descriptor of the process; None before Linux 6.5. Raises OSError: it cannot be had."""
    try:
        return struct.unpack("i", connection.getsockopt(socket.SOL_SOCKET, _SO_PEERPIDFD, 4))[0]  # type: ignore[no-any-return]
    except OSError as error:
        if error.errno != errno.ENOPROTOOPT:
            raise
        return None
