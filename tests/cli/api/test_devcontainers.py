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


def test_up_and_exec(debian: Rootlay, socket_path: Path, tmp_path: Path) -> None:
    server = Server(debian, socket_path)
    project = tmp_path / "project"
    (project / ".devcontainer").mkdir(parents=True)
    (project / "file").write_text("hello\n")
    wanted = {
        "image": "debian", "remoteUser": "root", "postCreateCommand": "echo made > /tmp/made",
        "containerEnv": {"A": "b"},
        "mounts": ["source=cache,target=/cache,type=volume"],
    }  # fmt: skip
    (project / ".devcontainer/devcontainer.json").write_text(json.dumps(wanted))
    environ = {**os.environ, "DOCKER_HOST": server.url, "DOCKER_BUILDKIT": "0", "HOME": str(tmp_path)}

    def client(*words: str) -> str:
        command = [CLIENT, words[0], "--workspace-folder", str(project), *words[1:]]
        done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=200, check=False)
        assert done.returncode == 0, (done.stdout[-2000:], done.stderr[-2000:])
        return done.stdout

    started = json.loads(client("up").strip().splitlines()[-1])
    assert started["outcome"] == "success"
    assert client("exec", "sh", "-c", "pwd; cat file /tmp/made; echo $A; > /cache/f; echo new > out") == (
        "/workspaces/project\nhello\nmade\nb\n"
    )
    assert (project / "out").read_text() == "new\n"
    assert json.loads(client("up").strip().splitlines()[-1])["containerId"] == started["containerId"], "it runs on"
    debian("rm", "-f", "-v", started["containerId"])
    server.close()
