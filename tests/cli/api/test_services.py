"""Services in containers for tests, by the libraries for that: testcontainers with PostgreSQL, Redis and its reaper,
four pytest workers at once, pytest-docker and tox-docker. The images are built from Debian packages.

    pip install redis pytest-docker tox-docker
    ROOTLAY_TEST_DEBIAN=debian.tar ROOTLAY_TEST_NETWORK=1 tests/run tests/cli/api/test_services.py
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.api.conftest import Server
from tests.cli.conftest import Rootlay

PROJECT = Path(__file__).parents[2] / "support/compose"
IMAGES = {"postgres:17": "db", "redis:8": "cache", "testcontainers/ryuk:0.8.1": "ryuk"}
pytestmark = [
    pytest.mark.programs,
    pytest.mark.slow,
    pytest.mark.timeout(900),
    pytest.mark.skipif(not os.environ.get("ROOTLAY_TEST_NETWORK"), reason="ROOTLAY_TEST_NETWORK is not set"),
    pytest.mark.long_form,
    pytest.mark.skipif(not os.environ.get("ROOTLAY_TEST_LONG"), reason="ROOTLAY_TEST_LONG is not set"),
]


def needs(module: str) -> pytest.MarkDecorator:
    missing = importlib.util.find_spec(module) is None
    return pytest.mark.skipif(missing, reason=f"{module} is not installed")


@pytest.fixture(scope="module")
def services(debian_store: Path) -> Iterator[Server]:
    with tempfile.TemporaryDirectory(prefix="rl-", dir="/tmp") as directory:
        command = Rootlay(debian_store)
        for name, place in IMAGES.items():
            command("build", "-q", "-t", name, str(PROJECT / place), timeout_s=600)
        server = Server(command, Path(directory) / "d.sock")
        yield server
        assert command.out("ps", "-aq") == "", "all containers were removed"
        assert command.out("fsck").strip() == "nothing wrong was found"
        server.close()


def python(server: Server, place: Path, files: dict[str, str], *words: str, **environ: str) -> str:
    for name, text in files.items():
        (place / name).write_text(textwrap.dedent(text))
    done = subprocess.run(
        [sys.executable, *words], cwd=place, capture_output=True, text=True, timeout=600, check=False,
        env={**os.environ, "DOCKER_HOST": server.url, "HOME": str(place), **environ},
    )  # fmt: skip
    assert done.returncode == 0, (done.stdout[-4000:], done.stderr[-4000:])
    return done.stdout


@needs("testcontainers")
@needs("redis")
def test_four_workers_with_databases_of_their_own(services: Server, tmp_path: Path) -> None:
    tests = """
        import pytest
        from testcontainers.core.container import DockerContainer
        from testcontainers.core.waiting_utils import wait_for_logs
        from testcontainers.postgres import PostgresContainer
        from testcontainers.redis import RedisContainer

        @pytest.mark.parametrize("number", range(4))
        def test_postgres(number):
            with PostgresContainer("postgres:17") as database:
                psql = ["psql", "-h", "127.0.0.1", "-U", "test", "-Atc"]
                wrapped = database.get_wrapped_container()
                def sql(text):
                    code, out = wrapped.exec_run([*psql, text, "test"], environment={"PGPASSWORD": "test"})
                    assert code == 0, out
                    return out.decode().strip()
                sql(f"create table t as select {number} as n")
                assert sql("select n from t") == str(number)
                assert sql("show data_directory") == "/var/lib/postgresql/data"

        @pytest.mark.parametrize("number", range(4))
        def test_redis(number):
            with RedisContainer("redis:8") as cache:
                client = cache.get_client()
                client.set("number", number)
                assert client.get("number") == str(number).encode()

        @pytest.mark.parametrize("number", range(4))
        def test_generic(number):
            command = ["sh", "-c", f"sleep 0.5; echo ready {number}; exec sleep 60"]
            with DockerContainer("debian").with_command(command) as container:
                wait_for_logs(container, f"ready {number}", timeout=60)
    """
    words = ("-m", "pytest", "-q", "-p", "no:cacheprovider", "-n", "4", "test_services.py")
    out = python(services, tmp_path, {"test_services.py": tests}, *words, TESTCONTAINERS_RYUK_DISABLED="true")
    assert "12 passed" in out


@needs("testcontainers")
def test_the_reapers_protocol(services: Server, tmp_path: Path) -> None:
    script = """
        from testcontainers.core.container import DockerContainer, Reaper
        with DockerContainer("debian").with_command("sleep 60") as container:
            print(Reaper._container.get_wrapped_container().logs().decode())
        Reaper.delete_instance()
    """
    out = python(
        services, tmp_path, {"reaped.py": script}, "reaped.py", TESTCONTAINERS_DOCKER_SOCKET_OVERRIDE="/dev/null"
    )
    assert "filter label=org.testcontainers.session-id=" in out


@needs("pytest_docker")
@pytest.mark.skipif(shutil.which("docker") is None, reason="docker (Debian: docker-cli) is not installed")
def test_pytest_docker(services: Server, tmp_path: Path) -> None:
    compose = """
        services:
          cache:
            image: redis:8
            ports: ["6379"]
    """
    tests = """
        import socket

        def ask(port):
            try:
                with socket.create_connection(("127.0.0.1", port), 5) as link:
                    link.sendall(b"PING\\r\\n")
                    return link.recv(100) == b"+PONG\\r\\n"
            except OSError:
                return False

        def test_cache(docker_services):
            port = docker_services.port_for("cache", 6379)
            docker_services.wait_until_responsive(lambda: ask(port), timeout=60, pause=0.2)
    """
    (tmp_path / "tests").mkdir()
    place = "tests"
    files = {f"{place}/docker-compose.yml": compose, f"{place}/test_cache.py": tests}
    assert "1 passed" in python(services, tmp_path, files, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests")


@needs("tox_docker")
def test_tox_docker(services: Server, tmp_path: Path) -> None:
    ini = """
        [tox]
        skipsdist = true
        envlist = it
        [testenv:it]
        skip_install = true
        docker = cache
        commands = python ask.py
        [docker:cache]
        image = redis:8
        expose = CACHE_6379_TCP_PORT=6379/tcp
        host_var = CACHE_HOST
        healthcheck_cmd = redis-cli ping
        healthcheck_interval = 1
        healthcheck_timeout = 20
        healthcheck_retries = 30
    """
    ask = """
        import os, socket
        link = socket.create_connection((os.environ["CACHE_HOST"], int(os.environ["CACHE_6379_TCP_PORT"])))
        link.sendall(b"PING\\r\\n")
        assert link.recv(9) == b"+PONG\\r\\n"
    """
    python(services, tmp_path, {"tox.ini": ini, "ask.py": ask}, "-m", "tox", "--no-list-dependencies")
