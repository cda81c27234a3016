"""The heir of a monitor: a process that holds its descriptors and takes its place when it dies, and the native monitor
that a Python one becomes when nothing needs Python any more (`vfs/csrc/monitor/monitor.h` has the rules).

The numbers of the descriptors are those of that file.
"""

from __future__ import annotations

import array
import contextlib
import os
import socket
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

from rootlay.vfs.run.descriptors import close_others, open_null

OUT, ERR, HYDRATE, LOG, INDEX, LIFELINE, CHANNEL, SINK, ATTACH = range(10, 19)
_HEIR_CHANNEL = 3
_ABOVE = 32
_LAST = b"\0"


def monitor_path() -> Path:
    """Return the native monitor's executable."""
    return Path(__file__).parent.parent / "monitor"


def python_words(root: Path, identity: str, launch: Path, pid: int) -> list[str]:
    """Return the command line of rootlay.vfs.lifecycle.monitor for a container's program, without what it is to do."""
    module = "rootlay.vfs.lifecycle.monitor"
    return [sys.executable, "-P", "-m", module, str(root), identity, str(launch), "--pid", str(pid)]


def become_heir(channel: socket.socket) -> None:
    """Replace this process by an heir with its end of a channel. Returns only if that is impossible."""
    null = open_null()
    for fd in (0, 1, 2):
        os.dup2(null, fd)
    os.dup2(channel.fileno(), _HEIR_CHANNEL)
    close_others({_HEIR_CHANNEL})
    with contextlib.suppress(OSError):
        os.execv(monitor_path(), [str(monitor_path()), "heir"])


def new_channel() -> tuple[socket.socket, socket.socket]:
    """Return the ends of a channel: the monitor's and the heir's."""
    return socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)


class Heir:
    """The monitor's side of the channel."""

    def __init__(self, channel: socket.socket) -> None:
        self._channel = channel
        self._state: tuple[list[str], dict[int, int]] = ([], {})

    @property
    def channel(self) -> int:
        """The descriptor that is readable when the heir has died."""
        return self._channel.fileno()

    def tell(self, words: list[str], descriptors: Mapping[int, int]) -> None:
        """Tell the heir what to execute when this process dies, and with which descriptors, by their fixed numbers."""
        self._state = (words, dict(descriptors))
        try:
            self._send()
        except OSError:
            self.renew()

    def holds(self, number: int) -> bool:
        """Return whether the heir has the descriptor of this fixed number."""
        return number in self._state[1]

    def drop(self, number: int) -> None:
        """Let the heir close a descriptor."""
        words, descriptors = self._state
        self.tell(words, {each: fd for each, fd in descriptors.items() if each != number})

    def renew(self) -> None:
        """Make a new heir in the place of a dead one: a child, which cannot learn the exit code by waiting."""
        self._channel.close()
        self._channel, other = new_channel()
        if os.fork() == 0:
            try:
                become_heir(other)
            finally:
                os._exit(125)
        other.close()
        with contextlib.suppress(OSError):
            self._send()

    def release(self) -> None:
        """Tell the heir that there is nothing to inherit."""
        with contextlib.suppress(OSError):
            self._channel.send(_LAST)
        self._channel.close()

    def _send(self) -> None:
        words, descriptors = self._state
        numbers = sorted(descriptors)
        text = bytes((len(numbers), *numbers)) + b"".join(os.fsencode(word) + b"\0" for word in (*words, "resume"))
        passed = array.array("i", (descriptors[number] for number in numbers))
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, passed)] if numbers else []
        self._channel.sendmsg([text], rights, socket.MSG_NOSIGNAL)


def become_native(words: Iterable[str], descriptors: Mapping[int, int]) -> None:
    """Replace this process by the native monitor. Returns only if that is impossible."""
    import fcntl

    moved = {number: fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, _ABOVE) for number, fd in descriptors.items()}
    for number, fd in moved.items():
        os.dup2(fd, number)
    close_others(moved.keys())
    os.execv(monitor_path(), [str(monitor_path()), "watch", *words])
