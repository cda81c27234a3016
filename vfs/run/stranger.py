"""A program that is not a child of this process: the monitor that started it, and its heir, were killed."""

from __future__ import annotations

import fcntl
import os
import select
import struct
import time

KILLED = 9
"""The wait status of a program whose exit code no process can learn: that of SIGKILL."""
_GET_INFO = 0xC040FF0B  # PIDFD_GET_INFO, since Linux 6.13, of the exit code since 6.15
_INFO = struct.Struct("<QQ11Ii")
_INFO_EXIT = 1 << 3
_COLLECTED_S = 1.0


class Stranger:
    """The program. `fd`: readable when it has ended; -1 if it had ended before."""

    def __init__(self, pid: int) -> None:
        try:
            self.fd = os.pidfd_open(pid)
        except OSError:
            self.fd = -1

    def status(self) -> int | None:
        """Return the wait status; None while it runs."""
        if self.fd < 0:
            return KILLED
        poll = select.poll()
        poll.register(self.fd, select.POLLIN)
        if not poll.poll(0):
            return None
        status = self._collected()
        os.close(self.fd)
        self.fd = -1
        return status

    def _collected(self) -> int:
        """Return the wait status, which the kernel tells after the program's new parent has collected it."""
        deadline = time.monotonic() + _COLLECTED_S
        while time.monotonic() < deadline:
            try:
                info = fcntl.ioctl(self.fd, _GET_INFO, _INFO.pack(_INFO_EXIT, *(0,) * 12))
            except OSError:
                break
            mask, *_, status = _INFO.unpack(info)
            if mask & _INFO_EXIT:
                return int(status)
            time.sleep(0.002)
        return KILLED


def is_child(pid: int) -> bool:
    """Return whether a process is a child of this one, ended or not."""
    try:
        return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None or True
    except ChildProcessError:
        return False
