"""The same script of Debian's docker client against a real daemon and against `rootlay api`: the output is compared.

The commands have no network: the daemon of tests/prepare/docker has none.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.cli.api.conftest import Server
from tests.support.docker.day import IMAGE, KNOWN, NAMES, SCRIPT, prepare

DAEMON = os.environ.get("ROOTLAY_TEST_DOCKER", "")
pytestmark = [
    pytest.mark.oracles,
    pytest.mark.skipif(shutil.which("docker") is None, reason="docker (Debian: docker-cli) is not installed"),
    pytest.mark.needs_root("to use a docker daemon"),
    pytest.mark.skipif(not DAEMON, reason="ROOTLAY_TEST_DOCKER does not name a docker daemon"),
]


def shown(text: str) -> str:
    """The output of a command, without IDs."""
    text = re.sub(r"[0-9a-f]{64}", "ID64", text)
    return re.sub(r"\b[0-9a-f]{12}\b", "ID12", text)


def run_script(host: str, directory: Path) -> list[tuple[tuple[str, ...], int, str]]:
    found = []
    prepare(directory)
    environ = {**os.environ, "DOCKER_HOST": host, "DOCKER_CONFIG": str(directory), "DOCKER_BUILDKIT": "0"}
    for words in SCRIPT:
        done = subprocess.run(
            ["docker", *words], capture_output=True, text=True, timeout=60, check=False, input="", env=environ,
            cwd=directory,
        )  # fmt: skip
        found.append((words, done.returncode, shown((done.stdout + done.stderr).replace(str(directory), "DIRECTORY"))))
        if words[:2] == ("run", "-d"):
            time.sleep(0.5)
        elif words[0] == "run" and "--network" in words:  # its events come next, `--until` a whole second
            time.sleep(1.1)
    return found


@pytest.fixture
def daemon(small_tar: Path) -> Iterator[str]:
    host = f"unix://{DAEMON.removeprefix('unix://')}"
    subprocess.run(["docker", "-H", host, "import", str(small_tar), IMAGE], check=True, capture_output=True)
    yield host
    subprocess.run(["docker", "-H", host, "rm", "-f", *NAMES], check=False, capture_output=True)
    subprocess.run(["docker", "-H", host, "rmi", "-f", IMAGE], check=False, capture_output=True)


def _run_on_both(url: str, daemon: str, place: Path) -> list[tuple[Any, Any]]:
    place.mkdir()
    with ThreadPoolExecutor(2) as pool:  # half of a script waits
        return list(zip(*pool.map(run_script, (url, daemon), (place / "ours", place / "theirs")), strict=True))


def test_a_script_has_the_output_of_a_real_daemon(server: Server, daemon: str, tmp_path: Path) -> None:
    server.client()("POST", "/images/small/tag", repo=IMAGE.partition(":")[0], tag="1")
    server.client()("DELETE", "/images/small")
    pairs = _run_on_both(server.url, daemon, tmp_path / "first")
    found = [pair for pair in pairs if pair[0] != pair[1] and pair[0][0] not in KNOWN]
    if found:  # a busy daemon loses output of a short program at times: what differs must differ again
        again = {pair[0][0] for pair in _run_on_both(server.url, daemon, tmp_path / "again") if pair[0] != pair[1]}
        found = [pair for pair in found if pair[0][0] in again]
    assert found == []
    assert [pair[0][0] for pair in pairs if pair[0] == pair[1] and pair[0][0] in KNOWN] == [], "no difference any more"
