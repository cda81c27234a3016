"""Who may use the sockets that control containers: the user's programs, but not those of containers."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from rootlay.store.containers.containers import Containers
from rootlay.vfs.run.peer import mark_of_peer
from tests.cli.api.conftest import Server
from tests.cli.conftest import Rootlay

ASK = """
import socket, sys
s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1])
s.sendall(b"GET /containers/json HTTP/1.1\\r\\nHost: x\\r\\nConnection: close\\r\\n\\r\\n")
answer = b""
while data := s.recv(65536): answer += data
print(answer.decode())
"""
TYPE = """
import socket, sys, time
s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]); s.sendall(b"typed by another\\n"); time.sleep(0.5)
"""


def connected(path: Path) -> socket.socket:
    client = socket.socket(socket.AF_UNIX)
    client.connect(os.fspath(path))
    return client


def test_a_program_of_a_container_may_not_use_the_api(server: Server) -> None:
    """It reaches the socket by name, which Landlock does not prevent."""
    words = ("host", "--", sys.executable, "-c", ASK, str(server.socket))
    answer = server.command.out("run", "--rm", *words)
    assert answer.startswith("HTTP/1.1 403")
    assert "only if its socket is bound into the container" in answer
    for bind in (server.socket, server.socket.parent):
        assert server.command.out("run", "--rm", "-v", f"{bind}:{bind}", *words).startswith("HTTP/1.1 200")
    assert subprocess.run(
        [sys.executable, "-c", ASK, str(server.socket)], capture_output=True, check=True
    ).stdout.startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize("mount", ["--tmpfs=/m", "-v=/m", "-v=volume:/m", "--mount=type=image,source=small,target=/m"])
def test_a_mount_without_a_source_of_the_user_s_is_not_the_socket(
    small: Rootlay, socket_path: Path, monkeypatch: pytest.MonkeyPatch, mount: str
) -> None:
    """It has no host path, and no path must not be taken for the server's working directory."""
    monkeypatch.chdir(socket_path.parent)
    server = Server(small, socket_path)
    answer = small.out("run", "--rm", mount, "host", "--", sys.executable, "-c", ASK, str(socket_path))
    server.close()
    assert answer.startswith("HTTP/1.1 403")


def test_a_link_that_a_program_made_does_not_lead_to_the_socket(server: Server, tmp_path: Path) -> None:
    place = tmp_path / "bound"
    (place / "below").mkdir(parents=True)
    ask = "import os, subprocess, sys\nos.rename('/w/below', '/w/was')\nos.symlink(sys.argv[1], '/w/below')\n"
    ask += f"sys.argv[1] += '/{server.socket.name}'\n{ASK}"
    words = ("-v", f"{place}:/w", "-v", f"{place}/below:/below", "host", "--", sys.executable, "-c", ask)
    assert server.command.out("run", "--rm", *words, str(server.socket.parent)).startswith("HTTP/1.1 403")


def test_each_connection_is_answered_when_children_end(server: Server) -> None:
    """Each child serves a thousand."""
    for _ in range(2010):
        with connected(server.socket) as client:
            client.sendall(b"GET /_ping HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            assert client.recv(100).startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize("target", ["//[", "http://[/", "//[zz]/_ping"])
def test_a_target_that_is_no_url_is_a_bad_request(server: Server, target: str) -> None:
    with connected(server.socket) as client:
        client.sendall(f"GET {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        assert client.recv(100).startswith(b"HTTP/1.1 400")


def test_a_program_of_a_container_may_not_type_into_another(small: Rootlay, socket_path: Path) -> None:
    small("save", "-o", str(socket_path.parent / "small.tar"), "small")
    small = Rootlay(socket_path.parent / "s")  # a short path: that of its sockets fits into an address
    small("load", "-i", str(socket_path.parent / "small.tar"))
    small("run", "-d", "-i", "--name", "c", "small", "cat")
    path = Containers(small.root).find("c").attach_socket
    assert path.is_socket()
    small("run", "--rm", "host", "--", sys.executable, "-c", TYPE, str(path), code=None)
    subprocess.run([sys.executable, "-c", TYPE, str(path)], check=True)
    for _ in range(50):
        if small.out("logs", "c"):
            break
        time.sleep(0.1)
    assert small.out("logs", "c") == "typed by another\n"
    small("rm", "-f", "c")


def test_a_process_that_has_ended_is_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("s")
        listener.listen()
        program = "import socket; s = socket.socket(socket.AF_UNIX); s.connect('s')"
        subprocess.run([sys.executable, "-c", program], check=True)
        with listener.accept()[0] as gone:
            assert mark_of_peer(gone) == 0
        with socket.socket(socket.AF_UNIX) as client:
            client.connect("s")
            with listener.accept()[0] as here:
                assert mark_of_peer(here) is None


@pytest.mark.parametrize(
    ("host", "more", "status"),
    [
        ("127.0.0.1", "", b"200"),
        ("127.1.2.3", "", b"200"),
        ("localhost", "", b"200"),
        ("[::1]", "", b"200"),
        ("localhost", "Sec-Fetch-Site: none\r\n", b"200"),
        ("evil.example", "", b"403"),
        ("127.0.0.1.evil.example", "", b"403"),
        ("127.evil.example", "", b"403"),
        ("", "", b"403"),
        ("[", "", b"403"),
        ("localhost", "Origin: http://evil.example\r\n", b"403"),
        ("localhost", "Sec-Fetch-Site: cross-site\r\n", b"403"),
        ("localhost", "Origin: null\r\n", b"403"),
    ],
)
def test_a_page_in_a_browser_may_not_use_a_port(tcp: int, host: str, more: str, status: bytes) -> None:
    with socket.create_connection(("127.0.0.1", tcp)) as client:
        client.sendall(f"GET /_ping HTTP/1.1\r\nHost: {host}:{tcp}\r\n{more}Connection: close\r\n\r\n".encode())
        assert client.recv(100).split()[1] == status


@pytest.fixture(scope="module")
def tcp(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port of a server."""
    root = str(tmp_path_factory.mktemp("tcp"))
    command = [sys.executable, "-m", "rootlay.cli.main", "--root", root, "api", "--tcp", "127.0.0.1:0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as server:
        assert server.stdout is not None
        yield int(server.stdout.readline().decode().rpartition(":")[2])
        server.terminate()
