"""The same script of Debian's docker client against a real daemon and against `rootlay api`: the output is compared.

The commands have no network: the daemon of tests/prepare/docker has none.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.api.conftest import Server

DAEMON = os.environ.get("ROOTLAY_TEST_DOCKER", "")
IMAGE = "rlapi-small:1"
RUN = ("run", "--rm", "--network", "none")
pytestmark = [
    pytest.mark.oracles,
    pytest.mark.skipif(shutil.which("docker") is None, reason="docker (Debian: docker-cli) is not installed"),
    pytest.mark.skipif(
        not DAEMON or os.geteuid() != 0, reason="ROOTLAY_TEST_DOCKER does not name a docker daemon, or we are not root"
    ),
]
SCRIPT: tuple[tuple[str, ...], ...] = (
    (*RUN, IMAGE, "echo", "hi"),
    (*RUN, IMAGE, "sh", "-c", "exit 9"),
    (*RUN, "-w", "/tmp", "-e", "A=b", IMAGE, "sh", "-c", "pwd; echo $A"),
    ("run", "-d", "--name", "c1", "--network", "none", "-l", "a=b", IMAGE, "sh", "-c", "echo one; exec sleep 100"),
    ("ps", "--filter", "name=c1", "--format", "{{.Names}} {{.Image}} {{.Command}} {{.Ports}} {{.State}} {{.Labels}}"),
    ("exec", "c1", "sh", "-c", "echo x; exit 3"),
    ("exec", "-w", "/etc", "-u", "1234", "c1", "sh", "-c", "pwd; id -u"),
    ("logs", "c1"),
    ("inspect", "-f", "{{.State.Status}} {{.Config.Cmd}} {{.Config.Labels}} {{.Name}} {{.Path}} {{.Args}}", "c1"),
    ("inspect", "-f", "{{.HostConfig.NetworkMode}} {{.Config.Tty}} {{.State.ExitCode}} {{json .Config.Env}}", "c1"),
    ("inspect", "absent"),
    ("start", "absent"),
    ("rm", "c1"),
    ("rename", "c1", "c2"),
    ("run", "--name", "c2", "--network", "none", IMAGE, "true"),
    ("pause", "c2"),
    ("exec", "c2", "true"),
    ("unpause", "c2"),
    ("unpause", "c2"),
    ("kill", "-s", "NOSUCH", "c2"),
    ("kill", "c2"),
    ("kill", "c2"),
    ("inspect", "-f", "{{.State.Status}} {{.State.ExitCode}}", "c2"),
    ("wait", "c2"),
    ("logs", "absent"),
    ("cp", "c2:/absent", "-"),
    ("diff", "c2"),
    ("rmi", IMAGE),
    ("rmi", "absent"),
    ("tag", IMAGE, "Bad:Tag"),
    ("rm", "c2"),
    ("volume", "create", "rlapi-v"),
    ("volume", "create", "rlapi-v"),
    ("volume", "inspect", "-f", "{{.Name}} {{.Driver}} {{.Scope}}", "rlapi-v"),
    (*RUN, "-v", "rlapi-v:/d", IMAGE, "sh", "-c", "echo k > /d/f"),
    (*RUN, "-v", "rlapi-v:/d:ro", IMAGE, "sh", "-c", "cat /d/f; echo y > /d/g"),
    ("volume", "rm", "absent"),
    ("volume", "rm", "rlapi-v"),
    ("network", "inspect", "absent"),
    ("network", "rm", "host"),
    (*RUN, "--mount", "type=bind,src=/nosuch,dst=/x", IMAGE, "true"),
    (*RUN, "-i", IMAGE, "cat"),
    ("create", "--name", "c3", "--network", "none", IMAGE, "true"),
    ("start", "-a", "c3"),
    ("ps", "-a", "--filter", "status=bogus"),
    ("ps", "-a", "--filter", "bogus=1"),
    ("top", "c3"),
    ("rm", "c3"),
)


def shown(text: str) -> str:
    """The output of a command, without IDs."""
    text = re.sub(r"[0-9a-f]{64}", "ID64", text)
    return re.sub(r"\b[0-9a-f]{12}\b", "ID12", text)


def run_script(host: str, directory: Path) -> list[tuple[tuple[str, ...], int, str]]:
    found = []
    for words in SCRIPT:
        done = subprocess.run(
            ["docker", *words], capture_output=True, text=True, timeout=60, check=False, input="",
            env={**os.environ, "DOCKER_HOST": host, "DOCKER_CONFIG": str(directory)}, cwd=directory,
        )  # fmt: skip
        found.append((words, done.returncode, shown(done.stdout + done.stderr)))
        if words[:2] == ("run", "-d"):
            subprocess.run(["sleep", "0.5"], check=True)
    return found


@pytest.fixture
def daemon(small_tar: Path) -> Iterator[str]:
    host = f"unix://{DAEMON.removeprefix('unix://')}"
    subprocess.run(["docker", "-H", host, "import", str(small_tar), IMAGE], check=True, capture_output=True)
    yield host
    subprocess.run(["docker", "-H", host, "rm", "-f", "c1", "c2", "c3"], check=False, capture_output=True)
    subprocess.run(["docker", "-H", host, "rmi", "-f", IMAGE], check=False, capture_output=True)


def test_a_script_has_the_output_of_a_real_daemon(server: Server, daemon: str, tmp_path: Path) -> None:
    server.client()("POST", "/images/small/tag", repo=IMAGE.partition(":")[0], tag="1")
    server.client()("DELETE", "/images/small")
    ours, theirs = run_script(server.url, tmp_path), run_script(daemon, tmp_path)
    assert [pair for pair in zip(ours, theirs, strict=True) if pair[0] != pair[1]] == []
