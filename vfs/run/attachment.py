"""A client at the main program of a container: its output as it is written, and its input.

Rules:
1. Output is read from the container's log, input goes to the attach socket of its monitor: any number of clients may be
   attached, and may leave at any time.
2. A client may attach before the program starts, and misses nothing then.
3. A client that types the detach keys leaves; the program continues.
"""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Callable

from rootlay.store.containers.record import ContainerRecord
from rootlay.vfs.run.containerlog import LogReader
from rootlay.vfs.run.status import end_of, is_running
from rootlay.vfs.run.watching import Watch

_READ_BYTES = 1 << 16
DETACH_KEYS = b"\x10\x11"
"""Ctrl-P Ctrl-Q."""


class BadKeys(ValueError):
    """Detach keys that are not a list of characters and `ctrl-` combinations."""


def parse_keys(text: str) -> bytes:
    """Return the bytes of detach keys, such as `ctrl-p,ctrl-q`. Raises BadKeys."""
    if not text:
        return DETACH_KEYS
    found = bytearray()
    for key in text.split(","):
        name = key.removeprefix("ctrl-")
        control = "@abcdefghijklmnopqrstuvwxyz[\\]^_".find(name) if len(name) == 1 else -1
        if key.startswith("ctrl-") and control >= 0:
            found.append(control)
        elif len(key) == 1 and key.isascii():
            found += key.encode()
        else:
            raise BadKeys(f"invalid detach keys: unknown character '{key}'")
    return bytes(found)


class KeysSeen:
    """The detach keys in an input that comes in pieces; empty: there are none."""

    def __init__(self, keys: bytes) -> None:
        self._keys = keys
        self._matched = 0

    def without(self, data: bytes) -> tuple[bytes, bool]:
        """Return a piece without detach keys, and whether they are complete."""
        if not self._keys:
            return data, False
        out = bytearray()
        for byte in data:
            if byte == self._keys[self._matched]:
                self._matched += 1
                if self._matched == len(self._keys):
                    return bytes(out), True
                continue
            out += self._keys[: self._matched]
            self._matched = 0
            if byte == self._keys[0]:
                self._matched = 1
            else:
                out.append(byte)
        return bytes(out), False


class Attachment:
    """One client.

    Args:
        emit: receives the output: stream and bytes. An OSError from it ends the attachment.
        client: the descriptor that input is read from; -1: no input.
        early: input that was read already.
        logs: begin with what was written so far.
        keys: detach keys; empty: none.
    """

    def __init__(
        self,
        record: ContainerRecord,
        emit: Callable[[int, bytes], None],
        *,
        client: int = -1,
        early: bytes = b"",
        logs: bool = False,
        keys: bytes = b"",
    ) -> None:
        self._record = record
        self._emit = emit
        self._client = client
        self._early = early
        self._keys = KeysSeen(keys)
        self._monitor: socket.socket | None = None
        self._reader = LogReader(record, at_end=not logs, make=True)
        state = record.state()
        self._before = 0 if is_running(record, state) else state.started_ns or -1

    def take_input(self, client: int, early: bytes = b"") -> None:
        """Read input from a descriptor, after what was read already."""
        self._client, self._early = client, early

    def run(self, *, follow: bool = True, hangup: int = -1) -> bool:
        """Relay until the program has ended or the client has detached.

        Args:
            follow: otherwise only what was written so far.
            hangup: the socket of a client, which may have closed its own direction.

        Returns:
            Whether the program has ended.
        """
        with Watch([self._record.path]) as watch:
            while True:
                removed = not (self._record.path / "config.json").exists()
                started = self._record.state().started_ns
                waits = self._before == (started or -1)
                ended = removed or (not waits and end_of(self._record, started) is not None)
                self._pass_output(whole=ended)
                if ended or not follow:
                    return ended
                self._connect()
                reads = self._client >= 0 and self._monitor is not None
                ready = watch.wait(1.0, [self._client] if reads else (), () if reads else (hangup,))
                if reads and self._client in ready and not self._pass_input():
                    return False
                if not reads and hangup in ready:
                    return False

    def close(self) -> None:
        """Release everything. The program continues."""
        self._reader.close()
        if self._monitor is not None:
            self._monitor.close()

    def _pass_output(self, *, whole: bool) -> None:
        for piece in self._reader.pieces(whole=whole):
            self._emit(piece.stream, piece.data)

    def _connect(self) -> None:
        if self._client < 0 or self._monitor is not None:
            return
        connection = socket.socket(socket.AF_UNIX)
        try:
            directory = os.open(self._record.path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError:
            connection.close()
            return
        try:
            connection.connect(f"/proc/self/fd/{directory}/{self._record.attach_socket.name}")
            self._monitor = connection
            connection.sendall(self._early)
        except OSError:
            connection.close()
        finally:
            os.close(directory)

    def _pass_input(self) -> bool:
        """Relay some input. Return False if the client has detached."""
        try:
            data = os.read(self._client, _READ_BYTES)
        except OSError:
            data = b""
        if not data:
            self._client = -1
            if self._monitor is not None:
                with contextlib.suppress(OSError):
                    self._monitor.shutdown(socket.SHUT_WR)
            return True
        data, detached = self._keys.without(data)
        if self._monitor is not None:
            with contextlib.suppress(OSError):  # the program has ended: its output follows
                self._monitor.sendall(data)
        return not detached
