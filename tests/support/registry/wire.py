"""A TCP relay in front of a server: counts what is on the wire, and can be slow or cut."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from socketserver import BaseServer
from types import TracebackType

_CHUNK_BYTES = 1 << 16


@contextlib.contextmanager
def serving(server: BaseServer) -> Iterator[None]:
    """A server at work in a thread, until the block ends."""
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()


class Wire:
    """Listens on a port of its own, relays to `target`. Thread safe; use it as a context manager."""

    def __init__(self, target: tuple[str, int], bytes_per_s: float | None = None) -> None:
        """`bytes_per_s` limits what comes from the server, all connections together."""
        self._target = target
        self._bytes_per_s = bytes_per_s
        self._lock = threading.Lock()
        self._free_at = 0.0
        self.received = 0  # from the server
        self.sent = 0
        self.open = threading.Event()  # cleared: nothing more comes from the server
        self.open.set()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.host = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self._connections: set[threading.Thread] = set()
        self._ends: set[socket.socket] = set()
        self._acceptor = threading.Thread(target=self._accept, daemon=True)
        self._acceptor.start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                thread = threading.Thread(target=self._serve, args=(client,), daemon=True)
                self._connections.add(thread)
                thread.start()

    def _serve(self, client: socket.socket) -> None:
        """One connection, both ways, until one side has had enough."""
        with client, contextlib.suppress(OSError), socket.socket() as server:
            # What the kernel would hold back here has not been on the wire.
            server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _CHUNK_BYTES)
            server.connect(self._target)
            self._ends |= {client, server}
            up = threading.Thread(target=self._relay, args=(client, server, False), daemon=True)
            up.start()
            self._relay(server, client, True)
            up.join()
            self._ends -= {client, server}

    def _relay(self, source: socket.socket, sink: socket.socket, down: bool) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(_CHUNK_BYTES):
                if down:
                    self._wait(len(data))
                with self._lock:
                    if down:
                        self.received += len(data)
                    else:
                        self.sent += len(data)
                sink.sendall(data)
        for end in (source, sink):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def _wait(self, count: int) -> None:
        """Until `count` bytes may pass: a link of that speed, without bursts."""
        self.open.wait()
        if self._bytes_per_s is None:
            return
        with self._lock:
            now = time.monotonic()
            self._free_at = max(now, self._free_at) + count / self._bytes_per_s
            until = self._free_at
        time.sleep(max(0.0, until - now))

    def close(self) -> None:
        """Listen no more, and cut what is connected."""
        self.open.set()
        for end in (self._listener, *self._ends):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        self._acceptor.join()
        self._listener.close()
        for thread in self._connections:
            thread.join()

    def __enter__(self) -> Wire:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
