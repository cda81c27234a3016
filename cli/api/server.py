"""The server: one process for each connection (docs/adr/0027).

Rules:
1. The parent is single-threaded, forks and keeps nothing: a killed server, or a killed connection, loses no container.
   Each child has one connection at a time; it may fork programs, and take the connection over. It gets another one if
   nothing is left of the last: no descriptor, thread or child process.
2. A handler's answer, error or crash is that of its own connection.
3. The socket has mode 0600 from its first moment, and belongs to the one server that holds its lock.
4. A program of a container may use the socket only if the user has bound it into that container: `refusal`.
"""

from __future__ import annotations

import contextlib
import fcntl
import gc
import ipaddress
import os
import select
import signal
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import unquote, urlsplit

import h11

from rootlay.cli.api.call import Call, Reply
from rootlay.cli.api.errors import ApiError, explain
from rootlay.cli.api.exchange import ClientLeft, Connection, Exchange
from rootlay.cli.api.routes import LEFT_OUT, ROUTES, find_route, split_version
from rootlay.cli.spec import Context
from rootlay.store.model.errors import RootlayError
from rootlay.store.model.value import value
from rootlay.vfs.docker.versions import API_VERSION, ENGINE_VERSION, MIN_API_VERSION
from rootlay.vfs.run.containerlaunch import bound_hosts
from rootlay.vfs.run.peer import mark_of_peer
from rootlay.vfs.run.processes import marked_container

_BACKLOG = 4096
"""As Docker: a client with a time-out that finds it full gets an error at once."""
_RETRY_S = 0.2
"""Time after which a fork that failed is tried again."""
_BAD = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
WAITING_MAX = 4
"""Children that wait for a connection: more end after theirs."""
CONNECTIONS = 1000
"""Of one child, so that none grows for ever."""


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
    """The process that accepts connections and hands each to a child that waits, so that no client waits for a fork.

    A child holds one end of a socket pair, its link; this process holds the other ends. A child that has ended, or was
    killed, closes its end, and one that waits ends when this process does.
    """

    def __init__(self, listener: Listener, context: Context) -> None:
        self._listener = listener.socket
        self._lock = listener.lock
        self._context = context
        self._links: dict[int, socket.socket] = {}
        self._waiting: list[int] = []
        self._poll = select.poll()
        self._heard, self._told = os.pipe()
        self._stopped = False

    def run(self, ready: Callable[[], None]) -> None:
        """Serve until a signal ends the server. `ready` is called when it does so."""
        for number in (signal.SIGHUP, signal.SIGCHLD):  # children are collected by the kernel
            signal.signal(number, signal.SIG_IGN)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop)
        self._listener.setblocking(False)
        self._poll.register(self._heard, select.POLLIN)
        ready()
        while not self._stopped:
            full = self._fill()
            if self._waiting:
                self._poll.register(self._listener, select.POLLIN)
            for fd, _ in self._poll.poll(None if full else _RETRY_S * 1000):
                if fd in self._links:
                    self._hear(fd)
                elif fd == self._listener.fileno():
                    self._hand_over()
            if not self._waiting:
                with contextlib.suppress(KeyError):
                    self._poll.unregister(self._listener)

    def _fill(self) -> bool:
        """Fork a child if none waits. Return whether that was possible: many idle clients may take all processes that
        the user can have."""
        while not self._waiting:
            try:
                self._fork()
            except OSError:
                return False
        return True

    def _fork(self) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            try:
                pid = os.fork()
            except OSError:
                ours.close()
                raise
            if not pid:
                self._be_child(ours, theirs)
        self._links[ours.fileno()] = ours
        self._waiting.append(ours.fileno())
        self._poll.register(ours, select.POLLIN)

    def _be_child(self, ours: socket.socket, link: socket.socket) -> NoReturn:
        code = 1
        try:
            for number in (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD):
                signal.signal(number, signal.SIG_DFL)
            for other in (self._listener, ours, *self._links.values()):
                other.close()
            for fd in (self._heard, self._told, self._lock):
                if fd >= 0:
                    os.close(fd)
            _serve_from(link, self._context)
            code = 0
        finally:
            os._exit(code)

    def _hand_over(self) -> None:
        """Accept a connection, and give it to a child."""
        try:
            client, _ = self._listener.accept()
        except BlockingIOError:  # it has left
            return
        except OSError:  # no descriptor is free
            time.sleep(_RETRY_S)
            return
        with client:
            while self._waiting:
                fd = self._waiting.pop()
                try:
                    socket.send_fds(self._links[fd], [b"\0"], [client.fileno()])
                except OSError:  # the child was killed
                    self._forget(fd)
                    self._fill()
                else:
                    return

    def _hear(self, fd: int) -> None:
        """Note that a child has ended, or waits again: one more than are needed gets its end."""
        try:
            waits = bool(self._links[fd].recv(1))
        except OSError:
            waits = False
        if waits and len(self._waiting) < WAITING_MAX:
            self._waiting.append(fd)
        else:
            self._forget(fd)

    def _forget(self, fd: int) -> None:
        self._poll.unregister(fd)
        self._links.pop(fd).close()
        with contextlib.suppress(ValueError):
            self._waiting.remove(fd)

    def _stop(self, number: int, frame: object) -> None:
        del number, frame
        self._stopped = True
        os.write(self._told, b"\0")


def _serve_from(link: socket.socket, context: Context) -> None:
    """Serve connections one after the other, until one leaves something behind, or the server ends."""
    before = set(os.listdir("/proc/self/fd"))
    for left in reversed(range(CONNECTIONS)):
        data, fds, _, _ = socket.recv_fds(link, 1, 1, socket.MSG_CMSG_CLOEXEC)
        if not data:
            return
        client = socket.socket(fileno=fds[0])
        handle_connection(client, context, refusal(client, context))
        if not left or _has_left(before):
            return
        link.send(b"\0")


def _has_left(before: set[str]) -> bool:
    """Return whether descriptors, threads or child processes are left of a connection: their time is this process's."""
    if set(os.listdir("/proc/self/fd")) != before or threading.active_count() > 1:
        return True
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
        return True
    return False


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
            if refused or (refused := _of_a_web_page(client, exchange)):
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
    record = marked_container(context.root / "containers", mark)
    if record and any(os.path.commonpath((path, source)) == source for source in bound_hosts(record)):
        return ""
    return f"a program of a container uses the API only if its socket is bound into the container: -v {path}:{path}"


def _of_a_web_page(client: socket.socket, exchange: Exchange) -> str:
    """Return why a request to a TCP port is refused: a web page in a browser can send one, and reads the answer if the
    page's host has this machine's address."""
    if client.family == socket.AF_UNIX:
        return ""
    for name in ("origin", "sec-fetch-site"):
        if exchange.headers.get(name, "none") != "none":
            return "a request of a web page: the API is for programs"
    named = exchange.headers.get("host", "")
    with contextlib.suppress(ValueError):
        host = urlsplit(f"//{named}").hostname or ""
        if host == "localhost" or ipaddress.ip_address(host).is_loopback:
            return ""
    return f"the host {named!r} is not this machine"


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
