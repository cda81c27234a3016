"""SIGINT and SIGTERM in each phase of a build: one line, exit code 130, no process, no half image, nothing in the way.

In each case the build has come to where it would stay for ever: a server that does not answer, a program that does
not end, a reader that does not read.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from rootlay.store.containers.containers import Containers
from rootlay.vfs.build.cache.gcroots import needed
from tests.vfs.build.conftest import Yard
from tests.vfs.build.test_interrupted import strays

pytestmark = pytest.mark.once

LONG_S = 55  # below the 60 s after which a silent server is given up


@dataclass
class Silent:
    """A server that takes connections and requests, and says nothing."""

    port: int
    asked: threading.Event = field(default_factory=threading.Event)


@contextmanager
def silent_server() -> Iterator[Silent]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        found = Silent(listener.getsockname()[1])
        kept: list[socket.socket] = []

        def serve() -> None:
            with suppress(OSError):
                while True:
                    connection, _ = listener.accept()
                    kept.append(connection)
                    connection.recv(1)
                    found.asked.set()

        threading.Thread(target=serve, daemon=True).start()
        yield found
        listener.shutdown(socket.SHUT_RDWR)
        for connection in kept:
            connection.close()


@dataclass(frozen=True)
class Phase:
    """Where a build is stopped.

    Args:
        text: the Dockerfile; {port} is a silent server's.
        words: options and the context.
        reached: a line of standard error, or empty: the server has been asked; None: standard input is waited for.
        finished: the image is there before: only what becomes of it is stopped.
    """

    text: str
    words: tuple[str, ...] = (".",)
    reached: str | None = ""
    finished: bool = False


PHASES = {
    "dockerfile": Phase("", ("-f", "-", "."), None),
    "context from standard input": Phase("", ("-",), None),
    "context from git": Phase("", ("git://127.0.0.1:{port}/a.git",)),
    "context from a URL": Phase("", ("http://127.0.0.1:{port}/a.tar",)),
    "FROM": Phase("FROM 127.0.0.1:{port}/a\n"),
    "RUN": Phase("FROM base\nRUN trap '' INT TERM; echo started; while :; do sleep 1; done\n", reached="started"),
    "RUN of a child that left": Phase(
        "FROM base\nRUN setsid sleep 1000 & echo started; wait\n", reached="started"
    ),
    "COPY": Phase("FROM base\nCOPY huge /\n", reached="COPY huge"),
    "ADD of a URL": Phase("FROM base\nADD http://127.0.0.1:{port}/a /\n"),
    "ADD from git": Phase("FROM base\nADD git://127.0.0.1:{port}/a.git /\n"),
    "cache-from": Phase("FROM base\nRUN echo {port}\n", ("--cache-from", "127.0.0.1:{port}/cache", ".")),
    "cache-to": Phase("FROM base\n", ("--cache-to", "type=registry,ref=127.0.0.1:{port}/c", "."), finished=True),
    "export": Phase("FROM base\nCOPY large /\n", ("-o", "-", "."), "exporting", finished=True),
    "push": Phase("FROM base\n", ("-o", "type=registry,name=127.0.0.1:{port}/a", "."), finished=True),
}  # fmt: skip


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("name", PHASES)
def test_stopped(yard: Yard, tmp_path: Path, name: str, number: signal.Signals) -> None:
    phase = PHASES[name]
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    with open(yard.context / "huge", "wb") as huge:
        huge.truncate(1 << 40)
    (yard.context / "large").write_bytes(bytes(1 << 20))
    (yard.context / ".dockerignore").write_text("" if "huge" in phase.text else "huge\n")
    with silent_server() as server:
        if phase.text:
            yard.write("Dockerfile", phase.text.format(port=server.port))
        words = [word.format(port=server.port) for word in phase.words]
        process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "rootlay.cli.main",
                "--root",
                str(yard.store.root),
                "build",
                "-t",
                "stopped",
                *words,
            ],
            cwd=yard.context,
            env={**os.environ, "TMPDIR": str(scratch)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,  # what comes after the line that is waited for stays for `communicate`
            preexec_fn=heed_interrupts,
        )
        try:
            before = _wait_for(phase, process, server)
            process.send_signal(number)
            err = (before + process.communicate(timeout=LONG_S)[1]).decode("utf-8", "replace")
        except BaseException:
            process.kill()
            process.communicate()
            raise
    assert process.returncode == 130, err
    assert err.splitlines()[-1] == "rootlay: the build was cancelled"
    assert sum(line.startswith("rootlay:") for line in err.splitlines()) == 1
    assert not strays(yard.store.root)
    assert not list(Containers(yard.store.root).iter_all())
    assert not list(scratch.iterdir())
    named = "stopped:latest" in {record.reference for record in yard.store.images()}
    assert named == phase.finished
    if named:
        assert yard.trees.open(yard.store.image("stopped").diff_ids).find(b"/bin/sh") is not None
        yard.store.remove("stopped", in_use=lambda: needed(yard.store))
    assert yard.build("FROM base\nRUN echo next\n").image


def heed_interrupts() -> None:
    """What a shell runs in the background is told to ignore SIGINT."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def _wait_for(phase: Phase, process: subprocess.Popen[bytes], server: Silent) -> bytes:
    """Return what was read of standard error."""
    assert process.stderr is not None
    if phase.reached == "":
        assert server.asked.wait(LONG_S)
        return b""
    if phase.reached == "exporting":
        assert process.stdout is not None
        assert process.stdout.read(1000)
        time.sleep(0.3)  # the pipe is full by now, or soon
        return b""
    if phase.reached is None:
        until = time.monotonic() + LONG_S
        while not _reads_stdin(process.pid) and time.monotonic() < until:
            time.sleep(0.05)
        return b""
    read = b""
    for line in process.stderr:
        read += line
        if phase.reached.encode() in line and (phase.reached != "started" or b"RUN" not in line):
            break
    return read


def _reads_stdin(pid: int) -> bool:
    """Whether it waits in read(0, …)."""
    with suppress(OSError):
        return Path(f"/proc/{pid}/syscall").read_text().split()[:2] == ["0", "0x0"]
    return False
