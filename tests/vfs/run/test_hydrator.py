"""The hydrator's connections (docs/format.md §8): programs inside reach its socket, so any client may be hostile."""

from __future__ import annotations

import contextlib
import os
import resource
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from rootlay.vfs.run.clients import CLIENTS_MAX, CONTENT_MAGIC, MAGIC, REPLY, REQUEST
from rootlay.vfs.run.hydrator import nothing_ahead, serve

ODD = {
    "nothing": b"",
    "half a request": REQUEST.pack(MAGIC, 1)[:2],
    "one byte less": REQUEST.pack(MAGIC, 1)[:-1],
    "another magic": REQUEST.pack(1, 1),
    "zeros": bytes(800),
    "text": b"GET / HTTP/1.0\r\n\r\n" * 50,
    "a request and a half": REQUEST.pack(MAGIC, 1) + REQUEST.pack(MAGIC, 2)[:4],
}


class Running:
    """A hydrator that answers with the negative of what was asked for, and fails for 13."""

    def __init__(self, place: Path) -> None:
        self.path = str(place / "socket")
        self.asked: list[int] = []
        self.delay_s = 0.0
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(self.path)
        listener.listen(128)
        self._lifeline, self._owner = os.pipe()
        arguments = (listener, self._hydrate, self._lifeline, lambda: True, nothing_ahead, 0, self._contents)
        self.thread = threading.Thread(target=serve, args=arguments)
        self.thread.start()
        self._listener = listener

    def _hydrate(self, entry: int) -> None:
        self.asked.append(entry)
        time.sleep(self.delay_s)
        if entry == 13:
            raise OSError(28, "full")

    def _contents(self, entry: int) -> bytes:
        self._hydrate(entry)
        return bytes(entry)

    def connect(self) -> socket.socket:
        client = socket.socket(socket.AF_UNIX)
        client.connect(self.path)  # as the engine does: it waits. With a time limit a full queue is EAGAIN at once
        client.settimeout(20)
        return client

    def ask(self, entry: int) -> int:
        with self.connect() as client:
            client.sendall(REQUEST.pack(MAGIC, entry))
            return int(REPLY.unpack(client.recv(4, socket.MSG_WAITALL))[0])

    def stop(self) -> None:
        os.close(self._owner)
        self.thread.join(20)
        assert not self.thread.is_alive()
        os.close(self._lifeline)
        self._listener.close()


@pytest.fixture
def running() -> Iterator[Running]:
    with tempfile.TemporaryDirectory(prefix="rl") as short:  # a socket's path has 107 bytes
        found = Running(Path(short))
        yield found
        found.stop()


def push(client: socket.socket) -> int:
    """Send requests without reading an answer until nothing more goes out. Returns how many bytes."""
    client.setblocking(False)
    block, pushed = REQUEST.pack(MAGIC, 1) * 8192, 0
    until = time.monotonic() + 1
    while time.monotonic() < until:
        with contextlib.suppress(BlockingIOError):
            pushed += client.send(block)
            until = time.monotonic() + 1
    return pushed


def test_a_client_that_never_reads_stops_nobody_else(running: Running) -> None:
    with running.connect() as hostile:
        pushed = push(hostile)
        assert pushed > 100_000
        start = time.monotonic()
        assert [running.ask(entry) for entry in (5, 13)] == [0, -28]
        assert time.monotonic() - start < 10
        assert len(running.asked) < pushed // REQUEST.size, "no more is answered than is read"


def test_a_client_that_never_reads_is_dropped_after_a_while(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    with running.connect() as hostile:
        push(hostile)
        monkeypatch.setattr("rootlay.vfs.run.clients.PATIENCE_S", 0.2)
        assert running.ask(5) == 0
        assert eventually(lambda: running.ask(5) != 0 or is_dropped(hostile))
        assert running.ask(5) == 0


@pytest.mark.parametrize("name", ODD)
def test_an_odd_client_stops_nobody_else(running: Running, name: str) -> None:
    with running.connect() as odd:
        odd.sendall(ODD[name])
        assert running.ask(5) == 0
    assert running.ask(6) == 0


def test_all_requests_of_one_connection_are_answered_in_order(running: Running) -> None:
    with running.connect() as client:
        client.sendall(b"".join(REQUEST.pack(MAGIC, 13 if n % 3 else n) for n in range(1000)))
        answers = b""
        while len(answers) < 4000:
            answers += client.recv(4000)
    assert [REPLY.unpack_from(answers, 4 * n)[0] for n in range(1000)] == [-28 if n % 3 else 0 for n in range(1000)]


def test_content_follows_the_number_of_its_bytes(running: Running) -> None:
    with running.connect() as client:
        for entry, number in ((5, 5), (0, 0), (13, -28), (100_000, 100_000)):
            client.sendall(REQUEST.pack(CONTENT_MAGIC, entry))
            assert REPLY.unpack(client.recv(4, socket.MSG_WAITALL))[0] == number
            assert client.recv(max(number, 0), socket.MSG_WAITALL) == bytes(max(number, 0))


def test_turns_are_fair(running: Running) -> None:
    """Whoever sends a thousand requests at once does not keep the others waiting for all of them."""
    running.delay_s = 0.002
    with running.connect() as greedy:
        greedy.sendall(REQUEST.pack(MAGIC, 1) * 1000)
        time.sleep(0.05)
        assert running.ask(5) == 0
        assert len(running.asked) < 500


def test_thousands_of_connections_stop_nobody_else(running: Running) -> None:
    """More than there are places, and more than the hydrator may have descriptors; of processes of their own."""
    hold = (
        "import socket, sys, time; held = []\n"
        "for n in range(900):\n"
        "    s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]); held.append(s)\n"
        "    if n % 2: s.send(b'RH')\n"
        "print('held', flush=True); time.sleep(60)"
    )
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    before = len(os.listdir("/proc/self/fd"))
    assert soft > CLIENTS_MAX
    command = [sys.executable, "-c", hold, running.path]
    holders = [subprocess.Popen(command, stdout=subprocess.PIPE) for _ in range(3)]
    try:
        for holder in holders:
            assert holder.stdout is not None
            assert holder.stdout.readline() == b"held\n"
        assert [running.ask(entry) for entry in range(20, 30)] == [0] * 10
        assert len(os.listdir("/proc/self/fd")) < before + CLIENTS_MAX + 20
    finally:
        for holder in holders:
            holder.kill()
            holder.communicate()


def is_dropped(client: socket.socket) -> bool:
    try:
        client.send(b"x")
    except BlockingIOError:
        return False
    except ConnectionError:
        return True
    return False


def eventually(question: Callable[[], bool]) -> bool:
    until = time.monotonic() + 60
    while not question() and time.monotonic() < until:
        time.sleep(0.01)
    return question()


def test_no_descriptor_is_left(running: Running) -> None:
    assert running.ask(1) == 0
    time.sleep(0.1)
    before = len(os.listdir("/proc/self/fd"))
    for entry in range(50):
        assert running.ask(entry if entry != 13 else 14) == 0
    assert eventually(lambda: len(os.listdir("/proc/self/fd")) <= before)
