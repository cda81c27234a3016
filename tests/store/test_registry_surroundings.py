"""What surrounds a client: proxies, a CA of the house, credential helpers, Docker Hub's short names, a progress bar."""

from __future__ import annotations

import base64
import contextlib
import gzip
import json
import os
import pty
import re
import select
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from rootlay.store.model.value import replace
from rootlay.store.registry.errors import AccessDenied, RegistryUnreachable
from rootlay.store.registry.proxies import Proxies
from rootlay.store.registry.pull import pull
from rootlay.store.registry.push import push
from rootlay.store.registry.retry import RetryRules
from rootlay.store.registry.settings import Settings
from rootlay.store.store import ImageStore
from tests.support.archives.make import docker_archive, make_tar
from tests.support.registry.fake import FakeRegistry, Handler, Seen
from tests.support.registry.real import PASSWORD, USER, RealRegistry, running
from tests.support.registry.wire import Wire, serving

HUB, HOUSE = "registry-1.docker.io", "registry.house.example"
LOGIN = "proxyuser:proxy-pass"


@dataclass
class Proxy:
    """A proxy for everything, which knows one registry only: whatever host is asked for, that one answers."""

    target: tuple[str, int]
    login: str = ""
    asked: list[str] = field(default_factory=list)
    url: str = ""


class _Connection(BaseHTTPRequestHandler):
    proxy: Proxy

    def log_message(self, *words: object) -> None:
        """Quiet."""

    def _may(self) -> bool:
        wanted = "Basic " + base64.b64encode(self.proxy.login.encode()).decode()
        if self.proxy.login and self.headers.get("Proxy-Authorization") != wanted:
            self.send_error(407)
            return False
        self.proxy.asked.append(f"{self.command} {self.path}")
        return True

    def do_CONNECT(self) -> None:
        if not self._may():
            return
        self.send_response(200)
        self.end_headers()
        with socket.create_connection(self.proxy.target) as behind, contextlib.suppress(OSError):
            ends = [self.connection, behind]
            while True:
                for ready in select.select(ends, [], [])[0]:
                    data = ready.recv(65536)
                    if not data:
                        return
                    ends[ready is self.connection].sendall(data)

    def do_GET(self) -> None:
        """In the clear: the whole URL is in the request."""
        if not self._may():
            return
        path = "/" + self.path.split("/", 3)[3]
        with socket.create_connection(self.proxy.target) as behind, contextlib.suppress(OSError):
            kept = "".join(f"{k}: {v}\r\n" for k, v in self.headers.items() if not k.lower().startswith("proxy-"))
            behind.sendall(f"{self.command} {path} HTTP/1.0\r\n{kept}\r\n".encode())
            while data := behind.recv(65536):
                self.connection.sendall(data)
        self.close_connection = True

    do_HEAD = do_GET  # noqa: N815 -- http.server's names


@contextlib.contextmanager
def proxy_to(registry: RealRegistry, login: str = "") -> Iterator[Proxy]:
    proxy = Proxy(("127.0.0.1", registry.port), login)
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Connection,), {"proxy": proxy}))
    server.daemon_threads = True
    user = f"{login}@" if login else ""
    proxy.url = f"http://{user}127.0.0.1:{server.server_address[1]}"
    with serving(server):
        yield proxy


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealRegistry]:
    """A registry with the names of Docker Hub and of a house, by a CA of our own."""
    with running(tmp_path_factory.mktemp("hub") / "r", tls=True, names=(HUB, HOUSE)) as found:
        yield found


def settings_for(registry: RealRegistry, proxy: Proxy) -> Settings:
    return Settings(ca_file=registry.ca, proxies=Proxies(proxy.url, proxy.url), retry=RetryRules(2, 0.01, 0.02))


def load(store: ImageStore, tmp_path: Path, layers: int = 1, size: int = 1000) -> None:
    """`app:1` into the store."""
    tars = [make_tar([(f"f{number}", "f", os.urandom(size))]) for number in range(layers)]
    (tmp_path / "a.tar").write_bytes(docker_archive([(tars, ["app:1"])]))
    store.load(tmp_path / "a.tar")


@pytest.mark.parametrize(
    ("name", "path", "known_as"),
    [
        ("hello", "library/hello", "hello:latest"),
        ("hello:2", "library/hello", "hello:2"),
        ("docker.io/hello:3", "library/hello", "hello:3"),
        ("index.docker.io/library/hello:4", "library/hello", "hello:4"),
        ("user/hello:5", "user/hello", "user/hello:5"),
    ],
)
def test_short_names_are_docker_hubs(
    hub: RealRegistry, store: ImageStore, other: ImageStore, tmp_path: Path, name: str, path: str, known_as: str
) -> None:
    """By way of a proxy, because the machine has no Docker Hub."""
    load(store, tmp_path)
    with proxy_to(hub) as proxy:
        settings = settings_for(hub, proxy)
        mark = hub.seen
        digest = push(store, "app:1", settings, target=name).digest
        pulled = pull(other, name, settings)
        assert {e.path.split("/manifests")[0] for e in hub.exchanges(mark) if "/manifests/" in e.path} == {
            f"/v2/{path}"
        }
        assert (pulled.image.references, pulled.digest) == ((known_as,), digest)
        assert set(proxy.asked) == {f"CONNECT {HUB}:443"}


def test_a_proxy_with_a_login(hub: RealRegistry, store: ImageStore, other: ImageStore, tmp_path: Path) -> None:
    load(store, tmp_path)
    with proxy_to(hub, LOGIN) as proxy:
        settings = settings_for(hub, proxy)
        push(store, "app:1", settings, target=f"{HOUSE}/app:1")
        assert pull(other, f"{HOUSE}/app:1", settings).fetched_layers == 1
        bad = proxy.url.replace("proxy-pass", "wrong-pass")
        with pytest.raises(RegistryUnreachable) as caught:
            pull(other, f"{HOUSE}/app:2", replace(settings, proxies=Proxies("", bad)))
        assert "pass" not in str(caught.value)


def test_what_the_proxy_is_not_for(hub: RealRegistry, store: ImageStore, other: ImageStore, tmp_path: Path) -> None:
    """This machine, ever; and what NO_PROXY names."""
    load(store, tmp_path)
    with proxy_to(hub) as proxy:
        settings = settings_for(hub, proxy)
        push(store, "app:1", settings, target=f"{hub.host}/here:1")
        pull(other, f"{hub.host}/here:1", settings)
        assert proxy.asked == []
        excepted = replace(settings, proxies=Proxies(proxy.url, proxy.url, ("house.example",)))
        with pytest.raises(RegistryUnreachable):
            pull(other, f"{HOUSE}/app:1", excepted)
        assert proxy.asked == []


def test_in_the_clear_by_a_proxy(store: ImageStore, other: ImageStore, tmp_path: Path) -> None:
    load(store, tmp_path)
    with running(tmp_path / "r") as registry, proxy_to(registry, LOGIN) as proxy:
        push(store, "app:1", Settings(), target=f"{registry.host}/app:1")
        settings = replace(settings_for(registry, proxy), ca_file=None, plain_http=True)
        assert pull(other, f"{HOUSE}/app:1", settings).fetched_layers == 1
        assert all(line.split()[1].startswith(f"http://{HOUSE}/v2/") for line in proxy.asked)


def test_from_the_environment(hub: RealRegistry, store: ImageStore, tmp_path: Path) -> None:
    """HTTPS_PROXY, SSL_CERT_FILE and `--cacert`, as everybody's."""
    load(store, tmp_path)
    with proxy_to(hub) as proxy:
        push(store, "app:1", settings_for(hub, proxy), target="from-the-environment:1")
        clean = {k: v for k, v in os.environ.items() if not k.lower().endswith("_proxy")}
        clean |= {"HTTPS_PROXY": proxy.url, "DOCKER_CONFIG": str(tmp_path)}
        for number, (more, words) in enumerate((({"SSL_CERT_FILE": str(hub.ca)}, []), ({}, ["--cacert", str(hub.ca)]))):
            root = str(tmp_path / f"cli{number}")
            command = [sys.executable, "-m", "rootlay.cli.main", "--root", root, "pull", *words]
            done = subprocess.run(
                [*command, "from-the-environment:1"], env={**clean, **more}, capture_output=True, text=True, check=True
            )
            assert "Pulled image: from-the-environment:1" in done.stdout
        assert f"CONNECT {HUB}:443" in proxy.asked


def test_a_credential_helper(
    store: ImageStore, other: ImageStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The password is the helper's; nobody but the registry gets it."""
    load(store, tmp_path)
    helper = tmp_path / "docker-credential-house"
    helper.write_text(
        f"#!/bin/sh\ncat > {tmp_path}/asked\necho '{json.dumps({'Username': USER, 'Secret': PASSWORD})}'\n"
    )
    helper.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    with running(tmp_path / "r", login=True) as registry:
        config = tmp_path / "config.json"
        settings = Settings(docker_config=config)
        with pytest.raises(AccessDenied):
            push(store, "app:1", settings, target=f"{registry.host}/app:1")
        config.write_text(json.dumps({"credHelpers": {registry.host: "house"}}))
        push(store, "app:1", settings, target=f"{registry.host}/app:1")
        assert (tmp_path / "asked").read_text() == registry.host
        assert pull(other, f"{registry.host}/app:1", settings).fetched_layers == 1
        assert PASSWORD not in config.read_text()


# Several layers at a time, one progress


def test_layers_come_side_by_side_and_report_together(other: ImageStore) -> None:
    fake = FakeRegistry().start()
    tars = [make_tar([(f"f{number}", "f", os.urandom(200_000))]) for number in range(6)]
    blobs = [gzip.compress(tar, 1) for tar in tars]
    fake.add("app:1", tars, blobs)
    three = threading.Barrier(3, timeout=20)

    def hook(handler: Handler, seen: Seen) -> bool:
        if "/blobs/" in seen.path and len(fake.blobs[seen.path.rpartition("/")[2]]) > 100_000:
            three.wait()  # nobody goes on before three are here
        return False

    fake.hook = hook
    seen: list[tuple[int, int | None, str]] = []
    try:
        pull(other, f"{fake.host}/app:1", Settings(plain_http=True, parallel=3), progress=lambda *at: seen.append(at))
    finally:
        fake.stop()
    total = sum(map(len, blobs))
    assert {at[1:] for at in seen} == {(total, f"{fake.host}/app:1")}
    done = [at[0] for at in seen]
    assert done == sorted(done)
    assert done[-1] == total


def test_one_bar_on_a_terminal(store: ImageStore, tmp_path: Path) -> None:
    load(store, tmp_path, layers=4, size=1_000_000)
    with running(tmp_path / "r") as registry, Wire(("127.0.0.1", registry.port), bytes_per_s=4e6) as wire:
        push(store, "app:1", Settings(), target=f"{registry.host}/app:1")
        ours, theirs = pty.openpty()
        environ = {**os.environ, "TERM": "xterm", "COLUMNS": "120", "DOCKER_CONFIG": str(tmp_path)}
        command = [sys.executable, "-m", "rootlay.cli.main", "--root", str(tmp_path / "cli"), "pull"]
        child = subprocess.Popen([*command, f"{wire.host}/app:1"], stdout=subprocess.PIPE, stderr=theirs, env=environ)
        os.close(theirs)
        shown = b""
        with contextlib.suppress(OSError):  # the terminal's end
            while data := os.read(ours, 65536):
                shown += data
        os.close(ours)
        out, _ = child.communicate()
    assert child.returncode == 0
    assert b"Fetched 4 of 4 layers" in out
    plain = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", shown.decode())
    lines = [line for line in re.split(r"[\r\n]+", plain) if "app:1" in line]
    assert lines
    assert all(line.count("app:1") == 1 for line in lines)
    assert any(" of 4MB " in line for line in lines), lines[-1]
