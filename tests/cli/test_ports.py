"""`-p` and `--network`: mapped ports from inside and outside, and no network at all."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
import urllib.request
from pathlib import Path

import pytest

from rootlay.vfs.run.ports import Port, parse_ports
from tests.cli.conftest import Rootlay

SOURCE = Path(__file__).parents[1] / "native" / "sockets.c"


@pytest.fixture(scope="module")
def sockets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if not shutil.which("cc"):
        pytest.skip("needs a C compiler (cc)")
    folder = tmp_path_factory.mktemp("sockets")
    subprocess.run(["cc", "-static", "-O1", "-o", str(folder / "sockets"), str(SOURCE)], check=True)
    return folder


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("", 0))
        return int(probe.getsockname()[1])


@pytest.mark.parametrize(
    ("text", "ports"),
    [
        ("8080:80", [Port(80, 8080)]),
        ("127.0.0.1:8080:80/udp", [Port(80, 8080, "udp", "127.0.0.1")]),
        ("[::1]:8080:80", [Port(80, 8080, "tcp", "::1")]),
        ("0.0.0.0:1:2/tcp", [Port(2, 1)]),
        ("8000-8002:80-82", [Port(80, 8000), Port(81, 8001), Port(82, 8002)]),
    ],
)
def test_dockers_syntax(text: str, ports: list[Port]) -> None:
    assert list(parse_ports([text])) == ports
    assert list(parse_ports([str(port) for port in ports])) == ports


@pytest.mark.parametrize("text", ["80", "0:80", "127.0.0.1::80"])
def test_a_port_without_host_gets_a_free_one(text: str) -> None:
    (port,) = parse_ports([text])
    assert port.inside == 80
    assert port.outside > 1023


def test_a_port_with_a_range_of_the_host_gets_the_first_that_is_free() -> None:
    with socket.create_server(("0.0.0.0", 0)) as taken:
        first = taken.getsockname()[1]
        (port,) = parse_ports([f"{first}-{first + 20}:80"])
        assert first < port.outside <= first + 20
        with pytest.raises(ValueError, match="no such port"):
            parse_ports([f"{first}-{first}:80", f"192.0.2.1:{first}-{first + 1}:81"])


@pytest.mark.parametrize(
    "text",
    ["", "x", "80:x", "80:70000", "1-3:80-81", "80:80/sctp", "1.2.3:80:80", "::1:80:80", "3-1:3-1", "a:80:80"],
)
def test_what_is_no_port_is_refused_in_one_line(small: Rootlay, text: str) -> None:
    assert "-p" in small.fails("run", "--rm", "-p", text, "small", "true", code=125)


def test_one_port_inside_cannot_be_published_twice(small: Rootlay) -> None:
    assert "twice" in small.fails("run", "--rm", "-p", "8080:80", "-p", "8081:80", "small", "true", code=125)


@pytest.mark.parametrize("address", ["", "127.0.0.1:"])
def test_programs_inside_see_the_port_inside(small: Rootlay, sockets: Path, address: str) -> None:
    tcp, udp = free_port(), free_port()
    words = ["-p", f"{address}{tcp}:80", "-p", f"{address}{udp}:80/udp", "-v", f"{sockets}:/s:ro"]
    done = small("run", "--rm", *words, "small", "/s/sockets", "80", code=None)
    assert (done.returncode, done.stdout) == (0, b"ok\n"), done


def test_ps_shows_them(small: Rootlay) -> None:
    small("run", "-d", "--name", "p", "-p", "8081:81", "-p", "[::1]:8080:80/udp", "small", "sleep", "60")
    assert "[::1]:8080->80/udp, 0.0.0.0:8081->81/tcp" in small.out("ps")
    small("rm", "-f", "p")


def test_without_maps_ports_are_the_hosts(small: Rootlay, sockets: Path) -> None:
    done = small("run", "--rm", "-v", f"{sockets}:/s:ro", "small", "/s/sockets", str(free_port()), code=None)
    assert (done.returncode, done.stdout) == (0, b"ok\n"), done


def test_a_server_on_port_80_is_found_outside(debian: Rootlay) -> None:
    port = free_port()
    server = ["python3", "-m", "http.server", "80", "-d", "/etc"]
    debian("run", "-d", "--name", f"web{port}", "-p", f"127.0.0.1:{port}:80", "debian", *server)
    try:
        for _ in range(600):
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/debian_version") as answer:
                    assert answer.read()
                break
            except OSError:
                time.sleep(0.1)
        else:
            pytest.fail(debian.out("logs", f"web{port}"))
        script = "import urllib.request as u; print(len(u.urlopen('http://127.0.0.1:80/passwd').read()) > 0)"
        assert debian.out("exec", f"web{port}", "python3", "-c", script) == "True\n"
    finally:
        debian("rm", "-f", f"web{port}")


def test_nginx_on_port_80_as_an_ordinary_user(tmp_path: Path) -> None:
    image = os.environ.get("ROOTLAY_TEST_NGINX")
    if not image:
        pytest.skip("ROOTLAY_TEST_NGINX names no Debian root file system with nginx")
    rootlay, port = Rootlay(tmp_path / "store"), free_port()
    rootlay("import", image, "nginx")
    rootlay("run", "-d", "--name", "web", "-p", f"{port}:80", "nginx", "nginx", "-g", "daemon off;")
    try:
        for _ in range(600):
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/") as answer:
                    assert b"nginx" in answer.read()
                break
            except OSError:
                time.sleep(0.1)
        else:
            pytest.fail(rootlay.out("logs", "web"))
        rootlay("exec", "web", "nginx", "-s", "reload")
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/") as answer:
            assert answer.status == 200
    finally:
        rootlay("rm", "-f", "web")


def test_without_a_network_only_unix_sockets_are_left(debian: Rootlay) -> None:
    script = """
import socket
a, b = socket.socketpair(); a.send(b"x"); assert b.recv(1) == b"x"
s = socket.socket(socket.AF_UNIX); s.bind("/tmp/s"); s.listen(); socket.socket(socket.AF_UNIX).connect("/tmp/s")
for family in (socket.AF_INET, socket.AF_INET6, socket.AF_NETLINK, socket.AF_PACKET):
    try:
        socket.socket(family, socket.SOCK_DGRAM)
    except OSError as error:
        print(error.errno)
"""
    out = debian.out("run", "--rm", "--network=none", "debian", "python3", "-c", script)
    assert out == "97\n" * 4
    assert "network" in debian.fails("run", "--rm", "--network=nosuch", "debian", "true", code=125)
    assert "network" in debian.fails("run", "--rm", "--network=none", "-p", "80:80", "debian", "true", code=125)
