"""testcontainers-python: a generic container with a wait strategy."""

from __future__ import annotations

import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.api.conftest import Server
from tests.cli.conftest import Rootlay

pytest.importorskip("docker", reason="docker-py is not installed")
core = pytest.importorskip("testcontainers.core", reason="testcontainers is not installed")


@pytest.fixture
def settings(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", server.url)
    monkeypatch.setenv("TESTCONTAINERS_RYUK_DISABLED", "true")
    from testcontainers.core.config import testcontainers_config

    monkeypatch.setattr(testcontainers_config, "ryuk_disabled", True)


@pytest.mark.usefixtures("settings")
@pytest.mark.filterwarnings("ignore")
def test_a_generic_container_waits_for_its_log() -> None:
    from testcontainers.core.container import DockerContainer
    from testcontainers.core.waiting_utils import wait_for_logs

    with DockerContainer("small").with_command(["sh", "-c", "sleep 0.3; echo ready; sleep 60"]) as container:
        wait_for_logs(container, "ready", timeout=20)
        code, output = container.exec(["cat", "/etc/motd"])
        assert (code, output) == (0, b"welcome\n")


@pytest.fixture
def debian_server(debian: Rootlay, socket_path: Path) -> Iterator[Server]:
    running = Server(debian, socket_path)
    yield running
    running.close()


@pytest.mark.filterwarnings("ignore")
def test_a_published_port_is_reached(debian_server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", debian_server.url)
    from testcontainers.core.config import testcontainers_config
    from testcontainers.core.container import DockerContainer
    from testcontainers.core.waiting_utils import wait_for_logs

    monkeypatch.setattr(testcontainers_config, "ryuk_disabled", True)
    server = DockerContainer("debian").with_command("python3 -u -m http.server 80").with_exposed_ports(80)
    with server as container:
        wait_for_logs(container, "Serving HTTP", timeout=30)
        address = f"http://{container.get_container_host_ip()}:{container.get_exposed_port(80)}/"
        with urllib.request.urlopen(address, timeout=10) as answer:
            assert answer.status == 200
