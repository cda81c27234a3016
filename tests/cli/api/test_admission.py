"""Who may use the sockets that control containers: the user's programs, but not those of containers."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
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


@pytest.mark.parametrize(("host", "status"), [("127.0.0.1", b"200"), ("localhost", b"200"), ("evil.example", b"403")])
def test_a_page_in_a_browser_may_not_use_a_port(small: Rootlay, host: str, status: bytes) -> None:
    command = [sys.executable, "-m", "rootlay.cli.main", "--root", str(small.root), "api", "--tcp", "127.0.0.1:0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as server:
        assert server.stdout is not None
        port = int(server.stdout.readline().decode().rpartition(":")[2])
        with socket.create_connection(("127.0.0.1", port)) as client:
            client.sendall(f"GET /_ping HTTP/1.1\r\nHost: {host}:{port}\r\nConnection: close\r\n\r\n".encode())
            assert client.recv(100).split()[1] == status
        server.terminate()
