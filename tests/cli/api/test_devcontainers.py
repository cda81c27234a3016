"""The reference client of development containers: `devcontainer up` and `exec`.

    npm install @devcontainers/cli
    ROOTLAY_TEST_DEVCONTAINER=node_modules/.bin/devcontainer ROOTLAY_TEST_DEBIAN=debian.tar \
        tests/run tests/cli/api/test_devcontainers.py
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.cli.api.conftest import Server
from tests.cli.conftest import Rootlay

CLIENT = os.environ.get("ROOTLAY_TEST_DEVCONTAINER", "")
pytestmark = [
    pytest.mark.programs,
    pytest.mark.skipif(not CLIENT, reason="ROOTLAY_TEST_DEVCONTAINER does not name devcontainer (@devcontainers/cli)"),
    pytest.mark.skipif(shutil.which("docker") is None, reason="docker (Debian: docker-cli) is not installed"),
]


class Project:
    """A directory with a devcontainer.json, and the client for it."""

    def __init__(self, path: Path, url: str, wanted: dict[str, object]) -> None:
        self.path = path
        self.up_words: tuple[str, ...] = ()
        self.environ = {**os.environ, "DOCKER_HOST": url, "DOCKER_BUILDKIT": "0", "HOME": str(path.parent)}
        (path / ".devcontainer").mkdir(parents=True)
        (path / "file").write_text("hello\n")
        (path / ".devcontainer/devcontainer.json").write_text(json.dumps(wanted))

    def __call__(self, *words: str) -> str:
        command = [CLIENT, words[0], "--workspace-folder", str(self.path), *words[1:]]
        done = subprocess.run(command, env=self.environ, capture_output=True, text=True, timeout=200, check=False)
        assert done.returncode == 0, (done.stdout[-2000:], done.stderr[-2000:])
        return done.stdout

    def up(self) -> str:
        """Return the ID of the container."""
        started = json.loads(self("up", *self.up_words).strip().splitlines()[-1])
        assert started["outcome"] == "success"
        return str(started["containerId"])


def test_up_and_exec(debian: Rootlay, socket_path: Path, tmp_path: Path) -> None:
    server = Server(debian, socket_path)
    project = Project(tmp_path / "project", server.url, {
        "image": "debian", "remoteUser": "root", "postCreateCommand": "echo made > /tmp/made",
        "containerEnv": {"A": "b"},
        "mounts": ["source=cache,target=/cache,type=volume"],
    })  # fmt: skip
    identity = project.up()
    assert project("exec", "sh", "-c", "pwd; cat file /tmp/made; echo $A; > /cache/f; echo new > out") == (
        "/workspaces/project\nhello\nmade\nb\n"
    )
    assert (project.path / "out").read_text() == "new\n"
    assert project.up() == identity, "it runs on"
    debian("rm", "-f", "-v", identity)
    server.close()


@pytest.mark.parametrize("which", ["docker-cli", "docker-link"])
def test_a_dockerfile_and_a_user(debian: Rootlay, socket_path: Path, tmp_path: Path, which: str) -> None:
    """The client builds the image, and one more on it that gives the user the caller's number."""
    server = Server(debian, socket_path)
    project = Project(tmp_path / "project", server.url, {
        "build": {"dockerfile": "Dockerfile", "args": {"NAME": "dev"}}, "remoteUser": "dev",
        "onCreateCommand": "git init -q . && git add file", "remoteEnv": {"B": "c"},
    })  # fmt: skip
    if which == "docker-link":
        (tmp_path / "bin").mkdir()
        debian("--root", str(debian.root), "docker-link", str(tmp_path / "bin"))
        project.environ["PATH"] = f"{tmp_path}/bin:{os.environ['PATH']}"
        del project.environ["DOCKER_HOST"], project.environ["DOCKER_BUILDKIT"]
    else:  # buildx, where it is installed, needs BuildKit
        project.up_words = ("--buildkit", "never")
    (project.path / ".devcontainer/Dockerfile").write_text(
        "FROM debian\nARG NAME\nRUN useradd -m -u 4321 $NAME && echo built > /built\n"
    )
    identity = project.up()
    assert project(
        "exec", "sh", "-c", "whoami; cat /built; git status --short; echo $B; touch ~/mine made"
    ).splitlines()[:3] == ["dev", "built", "A  file"]
    assert (project.path / "made").stat().st_uid == os.geteuid()
    debian("rm", "-f", "-v", identity)
    server.close()
