"""The server: one process for each connection (docs/adr/0027).

Rules:
1. The parent is single-threaded, forks and keeps nothing: a killed server, or a killed connection, loses no container.
   Each child accepts one connection; it may fork programs, and take the connection over.
2. A handler's answer, error or crash is that of its own connection.
3. The socket has mode 0600 from its first moment, and belongs to the one server that holds its lock.
4. A program of a container may use the socket only if the user has bound it into that container: `refusal`.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import gc
import os
import select
import signal
import socket
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import h11

from rootlay.cli.api.call import Call, Reply
from rootlay.cli.api.errors import ApiError, explain
from rootlay.cli.api.exchange import ClientLeft, Connection, Exchange
from rootlay.cli.api.routes import LEFT_OUT, ROUTES, find_route, split_version
from rootlay.cli.spec import Context
from rootlay.store.containers.containers import Containers
from rootlay.store.model.errors import RootlayError
from rootlay.store.model.value import value
from rootlay.vfs.docker.versions import API_VERSION, ENGINE_VERSION, MIN_API_VERSION
from rootlay.vfs.run.peer import mark_of_peer
from rootlay.vfs.run.processes import mark_for

_BACKLOG = 128
_RETRY_S = 0.2
"""Time after which a fork that failed is tried again."""
_BAD = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
WAITING = 2
"""Children that wait for a connection."""
_PID = struct.Struct("i")


class AddressTaken(RootlayError):
    """Another server has the socket, or the address cannot be bound."""

    exit_code = 80

    def __init__(self, address: str, reason: str) -> None:
        super().__init__(f"{address}: {reason}")
        self.address = address


@value
class Listener:
    """A bound socket. `lock` is the descriptor that holds the lock of its path, -1 if there is none."""

    socket: socket.socket
    lock: int = -1


def listen_unix(path: Path) -> Listener:
    """Bind a UNIX socket of mode 0600, in the place of one without a server.

    Raises AddressTaken, OSError.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if path.parent.stat().st_uid not in (os.geteuid(), 0):
        raise AddressTaken(str(path), "its directory belongs to another user; choose another --socket")
    lock = os.open(path.with_name(f".{path.name}.lock"), os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        raise AddressTaken(str(path), "another `rootlay api` serves it; stop that one, or choose --socket") from None
    with contextlib.suppress(FileNotFoundError):
        path.unlink()
    listener = socket.socket(socket.AF_UNIX)
    mask = os.umask(0o177)
    try:
        listener.bind(str(path))
    except OSError as error:
        raise AddressTaken(str(path), f"{error.strerror or error}; choose a shorter or another --socket") from error
    finally:
        os.umask(mask)
    listener.listen(_BACKLOG)
    return Listener(listener, lock)


def listen_tcp(host: str, port: int) -> Listener:
    """Bind a TCP socket. Raises AddressTaken."""
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        raise AddressTaken(f"{host}:{port}", (error.strerror or str(error)).lower()) from error
    listener.listen(_BACKLOG)
    return Listener(listener)


def serve(listener: Listener, context: Context, ready: Callable[[], None]) -> None:
    """Serve until SIGTERM or SIGINT. Connections that are open then live on until their clients leave."""
    _preload()
    gc.collect()
    gc.freeze()
    _Parent(listener, context).run(ready)


class _Parent:
    """The process that forks: some children wait for a connection, so that no client waits for a fork."""

    def __init__(self, listener: Listener, context: Context) -> None:
        self._listener = listener
        self._context = context
        self._waiting: set[int] = set()
        self._stopped = False
        self._heard, self._told = os.pipe()
        self._pid = os.getpid()

    def run(self, ready: Callable[[], None]) -> None:
        """Keep `WAITING` children until a signal ends the server. `ready` is called when it does so."""
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, self._stop)
        signal.signal(signal.SIGINT, self._stop)
        signal.signal(signal.SIGCHLD, self._collect)
        ready()
        while not self._stopped:
            full = self._fill()
            if not full and not select.select([self._heard], [], [], _RETRY_S)[0]:
                continue
            for (pid,) in _PID.iter_unpack(os.read(self._heard, _PID.size * 64)):
                self._waiting.discard(pid)
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)
        for pid in self._waiting:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)

    def _fill(self) -> bool:
        """Fork what is missing of the waiting children. Return whether that was possible: many idle clients may take
        all processes that the user can have."""
        while len(self._waiting) < WAITING:
            try:
                self._fork()
            except OSError:
                return False
        return True

    def _fork(self) -> None:
        pid = os.fork()
        if pid:
            self._waiting.add(pid)
            return
        code = 1
        try:
            for number in (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD):
                signal.signal(number, signal.SIG_DFL)
            if self._listener.lock >= 0:
                os.close(self._listener.lock)
            _die_with_parent(signal.SIGKILL)
            if os.getppid() != self._pid:
                os._exit(0)
            client, _ = self._listener.socket.accept()
            _die_with_parent(0)
            os.write(self._told, _PID.pack(os.getpid()))
            self._listener.socket.close()
            os.close(self._heard)
            os.close(self._told)
            handle_connection(client, self._context, refusal(client, self._context))
            code = 0
        finally:
            os._exit(code)

    def _stop(self, number: int, frame: object) -> None:
        del number, frame
        self._stopped = True
        os.write(self._told, _PID.pack(0))

    def _collect(self, number: int, frame: object) -> None:
        """Collect children that have ended; one that was killed while it waited is replaced."""
        del number, frame
        with contextlib.suppress(ChildProcessError):
            while (pid := os.waitpid(-1, os.WNOHANG)[0]) > 0:
                if pid in self._waiting:
                    self._waiting.discard(pid)
                    os.write(self._told, _PID.pack(0))


def _die_with_parent(number: int) -> None:
    """Set the signal that this process gets when its parent ends (prctl(2), PR_SET_PDEATHSIG); 0: none."""
    ctypes.CDLL(None).prctl(1, number, 0, 0, 0)


def _preload() -> None:
    """Import what handlers need, once, before the forks."""
    for route in ROUTES:
        route.load()


def handle_connection(client: socket.socket, context: Context, refused: str = "") -> None:
    """Serve the requests of one client until it leaves. `refused`: why none of them may be answered."""
    connection = Connection(client, f"Docker/{ENGINE_VERSION} (linux)")
    with client, contextlib.suppress(ClientLeft):
        while True:
            try:
                exchange = connection.next_request()
            except h11.RemoteProtocolError:
                connection.send_bytes(_BAD)
                return
            if exchange is None:
                return
            if refused or (refused := _strange_host(client, exchange)):
                exchange.reply(403, {"message": refused})
                return
            try:
                handle(exchange, context)
            except h11.RemoteProtocolError as error:  # in the body
                if not exchange.answered:
                    connection.send_bytes(_BAD)
                raise ClientLeft from error
            if exchange.taken_over or not connection.renew():
                return


def refusal(client: socket.socket, context: Context) -> str:
    """Return why a client may not use the API; empty if it may. Confinement does not stop a connection by name."""
    if client.family != socket.AF_UNIX:
        return ""
    mark = mark_of_peer(client)
    if mark is None:
        return ""
    path = os.path.realpath(client.getsockname())
    for record in Containers(context.root).iter_all():
        if mark == mark_for(record.id):
            sources = (os.path.realpath(bind.host) for bind in record.config.binds)
            if any(os.path.commonpath((path, source)) == source for source in sources):
                return ""
    return f"a program of a container uses the API only if its socket is bound into the container: -v {path}:{path}"


def _strange_host(client: socket.socket, exchange: Exchange) -> str:
    """Return why a request to a TCP port is refused: a web page in a browser may send one by a name of its own."""
    if client.family == socket.AF_UNIX:
        return ""
    host = exchange.headers.get("host", "").rpartition(":")[0].strip("[]") or exchange.headers.get("host", "")
    if host.startswith("127.") or host in ("localhost", "::1"):
        return ""
    return f"the host {host!r} is not this machine"


def handle(exchange: Exchange, context: Context) -> None:
    """Answer one request. Raises ClientLeft."""
    try:
        answer = _call(exchange, context)
        if exchange.answered:
            return
        if isinstance(answer, Reply):
            exchange.reply(answer.status, answer.body, answer.headers)
        else:
            exchange.reply(200, answer)
    except ClientLeft:
        raise
    except Exception as error:
        status, message = explain(error)
        if exchange.answered:
            raise ClientLeft from error  # in the middle of a stream: it ends without its end
        exchange.reply(status, {"message": message})


def _call(exchange: Exchange, context: Context) -> Any:
    text, path = split_version(exchange.path)
    version = _version(text)
    exchange.api_version = API_VERSION
    found = find_route(exchange.method, path)
    if found is None:
        part = path.strip("/").partition("/")[0]
        if part == "plugins" and path != "/plugins":  # `docker inspect NAME` asks for plugins, too
            raise ApiError(404, "plugin not found: rootlay has no plugins")
        if part in LEFT_OUT:
            swarm = part != "plugins"
            reason = "This node is not a swarm manager: rootlay has no swarm" if swarm else "rootlay has no plugins"
            raise ApiError(503 if swarm else 501, reason)
        if any(route.pattern.fullmatch(path) for route in ROUTES):
            raise ApiError(405, f"{exchange.method} is not a method of {path}")
        raise ApiError(404, "page not found")
    route, parts = found
    names = {name: unquote(each, errors="surrogateescape") for name, each in parts.items()}
    return route.load()(Call(context, exchange, names, route.read(exchange.query), version))


def _version(text: str) -> tuple[int, int]:
    """Return the version of a request; the newest without one. Raises ApiError."""
    newest, oldest = _pair(API_VERSION), _pair(MIN_API_VERSION)
    if not text:
        return newest
    if _pair(text) < oldest:
        raise ApiError(
            400, f"client version {text} is too old. Minimum supported API version is {MIN_API_VERSION}, "
            "please upgrade your client to a newer version",
        )  # fmt: skip
    if _pair(text) > newest:
        raise ApiError(400, f"client version {text} is too new. Maximum supported API version is {API_VERSION}")
    return _pair(text)


def _pair(text: str) -> tuple[int, int]:
    major, _, minor = text.partition(".")
    return int(major), int(minor)
