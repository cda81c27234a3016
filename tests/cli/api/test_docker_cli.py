"""Debian's docker and docker compose as clients of the API, as the user of the tests."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.api.conftest import Server
from tests.support.registry.real import PASSWORD, USER, running

pytestmark = [
    pytest.mark.oracles,
    pytest.mark.skipif(shutil.which("docker") is None, reason="docker (Debian: docker-cli) is not installed"),
]


class Docker:
    """The client, with a server."""

    def __init__(self, server: Server, home: Path) -> None:
        self.environ = {
            **os.environ, "DOCKER_HOST": server.url, "DOCKER_CONFIG": str(home / ".docker"), "DOCKER_BUILDKIT": "0",
            "HOME": str(home), "COMPOSE_ANSI": "never", "COMPOSE_PROGRESS": "plain",
        }  # fmt: skip
        self.home = home

    def __call__(
        self,
        *words: str,
        input: str = "",  # noqa: A002 -- subprocess.run's own name
        code: int = 0,
        timeout_s: float = 60,
        **environ: str,
    ) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            ["docker", *words], input=input, capture_output=True, text=True, check=False, timeout=timeout_s,
            env=self.environ | environ, cwd=self.home,
        )  # fmt: skip
        assert done.returncode == code, (words, done.returncode, done.stdout[-2000:], done.stderr[-2000:])
        return done

    def out(self, *words: str, input: str = "", code: int = 0) -> str:  # noqa: A002
        return self(*words, input=input, code=code).stdout


@pytest.fixture
def docker(server: Server, tmp_path: Path) -> Iterator[Docker]:
    home = tmp_path / "home"
    home.mkdir()
    made = Docker(server, home)
    yield made
    identities = made.out("ps", "-aq").split()
    if identities:
        made("rm", "-f", "-v", *identities)


def test_version_and_info(docker: Docker) -> None:
    assert "API version:      1.47 (minimum version 1.24)" in docker.out("version")
    assert "Storage Driver: rootlay" in docker.out("info")


def test_run_in_the_foreground(docker: Docker) -> None:
    done = docker("run", "--rm", "small", "sh", "-c", "echo out; echo err >&2; exit 5", code=5)
    assert (done.stdout, done.stderr) == ("out\n", "err\n")
    assert docker.out("run", "-i", "--rm", "small", "cat", input="text\n") == "text\n"
    assert "executable file not found" in docker("run", "--rm", "small", "absent", code=127).stderr
    assert (
        docker.out("run", "--rm", "-e", "A=b", "-w", "/etc", "-u", "user", "small", "sh", "-c", "echo $A; pwd")
        == "b\n/etc\n"
    )
    assert docker.out("ps", "-aq") == ""


def test_run_on_a_terminal(docker: Docker) -> None:
    script = shutil.which("script")
    if script is None:
        pytest.skip("script (Debian: bsdutils) is not installed")
    done = subprocess.run(
        [script, "-qec", "docker run --rm -it small sh -c 'test -t 0 && echo terminal; exit 6'", "/dev/null"],
        env=docker.environ, capture_output=True, timeout=60, check=False, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert b"terminal" in done.stdout, done
    assert done.returncode == 6


def test_a_detached_container(docker: Docker) -> None:
    identity = docker.out(
        "run", "-d", "--name", "web", "-p", "80", "-l", "a=b", "small", "sh", "-c", "echo up; exec sleep 60"
    ).strip()
    assert docker.out("ps", "--no-trunc", "--format", "{{.ID}} {{.Names}}") == f"{identity} web\n"
    assert docker("exec", "web", "sh", "-c", "echo in; exit 3", code=3).stdout == "in\n"
    assert docker.out("exec", "-i", "web", "cat", input="x") == "x"
    assert docker.out("logs", "web") == "up\n"
    assert docker.out("port", "web").startswith("80/tcp -> 0.0.0.0:")
    assert docker.out("inspect", "-f", "{{.State.Status}} {{.Config.Labels.a}}", "web") == "running b\n"
    assert "sleep 60" in docker.out("top", "web")
    assert docker.out("stats", "--no-stream", "--format", "{{.Name}} {{.PIDs}}", "web") == "web 1\n"
    docker("pause", "web")
    assert "(Paused)" in docker.out("ps")
    docker("unpause", "web")
    docker("rename", "web", "web2")
    docker("restart", "-t", "0", "web2")
    assert docker("logs", "web2").stdout == "up\nup\n"
    docker("stop", "-t", "0", "web2")
    assert docker.out("wait", "web2") in ("137\n", "143\n")
    docker("start", "web2")
    docker("kill", "web2")
    assert "is running" not in docker("rm", "web2").stderr


def test_logs_follow_to_the_end(docker: Docker) -> None:
    docker("run", "-d", "--name", "f", "small", "sh", "-c", "echo one; sleep 0.5; echo two >&2")
    done = docker("logs", "-f", "f")
    assert (done.stdout, done.stderr) == ("one\n", "two\n")
    assert docker("logs", "-n", "1", "f").stderr == "two\n"


def test_attach_gets_output_and_the_exit_code(docker: Docker) -> None:
    docker("create", "--name", "a", "-i", "small", "sh", "-c", "read x; echo got $x; exit 4")
    assert docker("start", "-a", "-i", "a", input="line\n", code=4).stdout == "got line\n"


def test_files_go_both_ways(docker: Docker) -> None:
    docker("create", "--name", "c", "small", "true")
    (docker.home / "tree/sub").mkdir(parents=True)
    (docker.home / "tree/sub/f").write_text("content\n")
    docker("cp", "tree", "c:/tmp/new")
    docker("cp", "c:/tmp/new/sub/f", "back")
    assert (docker.home / "back").read_text() == "content\n"
    assert "A /tmp/new/sub/f" in docker.out("diff", "c")
    assert "Could not find the file" in docker("cp", "c:/absent", ".", code=1).stderr


def test_images_and_builds(docker: Docker) -> None:
    (docker.home / "Dockerfile").write_text('FROM small\nARG V=0\nRUN echo $V > /v\nCMD ["cat", "/v"]\n')
    assert "Successfully tagged built:latest" in docker.out("build", "-t", "built", "--build-arg", "V=9", ".")
    assert docker.out("run", "--rm", "built") == "9\n"
    assert "built" in docker.out("images")
    assert "RUN" in docker.out("history", "--no-trunc", "built")
    docker("save", "-o", "b.tar", "built")
    docker("tag", "built", "host/b:1")
    docker("rmi", "built", "host/b:1")
    assert docker.out("load", "-i", "b.tar") == "Loaded image: built:latest\n"
    docker("create", "--name", "x", "built")
    docker("commit", "-m", "why", "x", "again")
    assert docker.out("image", "inspect", "-f", "{{.Os}}", "again") == "linux\n"
    assert docker.out("system", "df").startswith("TYPE")
    docker("system", "prune", "-f")


def test_a_build_by_buildkit_says_what_to_do(docker: Docker) -> None:
    if "buildx" not in docker.out("info"):
        pytest.skip("docker has no buildx (Debian: docker-buildx): it builds as with DOCKER_BUILDKIT=0")
    (docker.home / "Dockerfile").write_text("FROM small\n")
    assert "set DOCKER_BUILDKIT=0" in docker("build", ".", code=1, DOCKER_BUILDKIT="").stderr


def test_volumes_and_networks(docker: Docker) -> None:
    docker("volume", "create", "data")
    docker("run", "--rm", "-v", "data:/d", "small", "sh", "-c", "echo kept > /d/f")
    assert docker.out("run", "--rm", "--mount", "type=volume,src=data,dst=/d", "small", "cat", "/d/f") == "kept\n"
    docker("network", "create", "net")
    docker("run", "-d", "--name", "db", "--network", "net", "--network-alias", "store", "small", "sleep", "60")
    hosts = docker.out("run", "--rm", "--network", "net", "small", "cat", "/etc/hosts")
    assert (
        f"{docker.out('inspect', '-f', '{{.NetworkSettings.Networks.net.IPAddress}}', 'db').strip()}\tstore\n" in hosts
    )
    assert "active endpoints" in docker("network", "rm", "net", code=1).stderr
    docker("rm", "-f", "db")
    docker("network", "rm", "net")
    docker("volume", "rm", "data")


COMPOSE = """
services:
  db:
    image: small
    command: ["sh", "-c", "echo db up; touch /data/ready; exec sleep 300"]
    volumes: ["data:/data"]
    healthcheck: {test: ["CMD", "cat", "/data/ready"], interval: 200ms, timeout: 5s, retries: 50}
  web:
    build: .
    depends_on: {db: {condition: service_healthy}}
    environment: {NAME: value}
    networks: [default, front]
    ports: ["8000"]
volumes: {data: {}}
networks: {front: {}}
"""


def test_compose_from_up_to_down(docker: Docker) -> None:
    if subprocess.run(["docker", "compose", "version"], capture_output=True, check=False).returncode:
        pytest.skip("docker compose (Debian: docker-compose) is not installed")
    (docker.home / "compose.yaml").write_text(COMPOSE)
    (docker.home / "Dockerfile").write_text('FROM small\nCMD ["sh", "-c", "echo web $NAME; exec sleep 300"]\n')
    docker("compose", "up", "-d", timeout_s=120)
    assert "(healthy)" in docker.out("compose", "ps", "db")
    assert "web value" in docker.out("compose", "logs", "web")
    hosts = docker.out("compose", "exec", "-T", "web", "cat", "/etc/hosts")
    assert re.search(r"^127\.\d+\.\d+\.\d+\tdb$", hosts, re.M), hosts
    assert docker.out("compose", "exec", "-T", "db", "cat", "/data/ready") == ""
    docker("compose", "up", "-d")  # nothing changes
    docker("compose", "restart", "-t", "0", "web")
    docker("compose", "down", "-v", "-t", "0")
    assert docker.out("ps", "-aq") == docker.out("volume", "ls", "-q") == ""
    assert docker.out("network", "ls", "-q", "--filter", "type=custom") == ""


def test_env_starts_a_server_once(docker: Docker, server: Server, tmp_path: Path) -> None:
    environ = {**docker.environ, "ROOTLAY_ROOT": str(server.command.root)}
    command = [sys.executable, "-m", "rootlay.cli.main", "api", "--env"]
    first = subprocess.run(command, env=environ, capture_output=True, text=True, check=True, timeout=30).stdout
    again = subprocess.run(command, env=environ, capture_output=True, text=True, check=True, timeout=30).stdout
    assert first == again
    assert first.startswith("export DOCKER_HOST=unix://")
    shown = subprocess.run(
        ["sh", "-c", f"{first}docker ps -a --format x && docker images -q | head -1"], env=environ, capture_output=True,
        text=True, check=True, timeout=30,
    ).stdout  # fmt: skip
    assert len(shown.strip()) == 12
    assert first.splitlines()[1:] == ["export DOCKER_BUILDKIT=0"]
    _end(Path(first.splitlines()[0].partition("unix://")[2].strip("'")))


def _end(path: Path) -> None:
    """End the server of a socket, by the process that listens there."""
    import signal
    import socket
    import struct

    with socket.socket(socket.AF_UNIX) as link:
        link.connect(str(path))
        pid, _, _ = struct.unpack("3i", link.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    os.kill(pid, signal.SIGTERM)


@pytest.mark.parametrize("login", [False, True])
def test_push_and_pull_with_a_registry(docker: Docker, tmp_path: Path, login: bool) -> None:
    with running(tmp_path / "registry", login=login) as registry:
        name = f"{registry.host}/team/small:1"
        docker("tag", "small", name)
        if login:
            assert "denied" in docker("push", name, code=1).stderr
            docker("login", "-u", USER, "--password-stdin", registry.host, input=PASSWORD)
        pushed = docker.out("push", name)
        assert "1: digest: sha256:" in pushed
        docker("rmi", name, "small")
        pulled = docker.out("pull", name)
        assert "Status: Downloaded newer image" in pulled or "Image is up to date" in pulled
        assert docker.out("run", "--rm", name, "cat", "/etc/motd") == "welcome\n"
        assert "not found" in docker("pull", f"{registry.host}/team/absent:1", code=1).stderr
        docker("tag", name, "small")


SAME = (
    "", "-e A=1 -w /tmp -u 7:8", "-p 18080:80 -p 19090:90/udp", "--restart on-failure:3", "--memory 64m --cpus 1.5",
    "--memory-swap 128m --memory 64m", "--ulimit nofile=100:200", "--add-host h:1.2.3.4 --dns 1.1.1.1 --dns-search x",
    "--label a=b --group-add 55 --hostname hh --domainname dd", "--health-cmd true --health-interval 5s",
    "--no-healthcheck", "--stop-signal INT --stop-timeout 5", "--expose 80-82", "--rm", "--read-only",
    "--oom-score-adj 5", "--pids-limit 50", "--entrypoint echo", "--entrypoint=", "--network none", "--network host",
)  # fmt: skip


@pytest.mark.parametrize("options", SAME)
def test_a_container_of_rootlay_is_shown_as_one_that_docker_asked_for(
    docker: Docker, server: Server, options: str
) -> None:
    words = ("create", *options.split(), "--name")
    command = ("small", "sh", "-c", "true")
    docker(*words, "theirs", *command)
    server.command(*words, "ours", *command)
    theirs, ours = (json.loads(docker.out("inspect", name))[0] for name in ("theirs", "ours"))
    for found in (theirs, ours):
        for name in ("Id", "Created", "Name", "HostnamePath", "HostsPath", "ResolvConfPath", "LogPath", "GraphDriver"):
            del found[name]
        del found["HostConfig"]["ConsoleSize"]
        for endpoint in found["NetworkSettings"]["Networks"].values():
            endpoint["EndpointID"] = ""
        if "--hostname" not in options:
            found["Config"]["Hostname"] = ""
    assert ours == theirs
