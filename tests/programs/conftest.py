"""Images for real programs.

`debian` needs ROOTLAY_TEST_DEBIAN, a Debian root as a tar. `machine` needs ROOTLAY_TEST_PROGRAMS, a larger one; what a
test needs and the image does not have is named as the reason to skip. docs/compatibility.md says how to make both.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.cli.conftest import Rootlay
from tests.support.madeonce import made_once

HERE = Path(__file__).parent
HANGS_S = 1200  # longer than the longest takes on a busy machine


@dataclass(frozen=True)
class Machine:
    """Throw-away containers of one image."""

    rootlay: Rootlay
    image: str = "image"

    def sh(self, script: str, *options: str, needs: str = "") -> str:
        """Standard output of a bash script that must succeed; `needs`: the programs it uses."""
        probe = " ".join(f"command -v {name} >/dev/null || echo {name};" for name in needs.split())
        missing = self.rootlay.out("run", "--rm", self.image, "--", "sh", "-c", f"{probe} true").split()
        if missing:
            pytest.skip(f"the image has no {', '.join(missing)}")
        return self.rootlay.out("run", "--rm", *options, self.image, "--", "bash", "-ec", script, timeout_s=HANGS_S)


def _machine(tmp_path_factory: pytest.TempPathFactory, variable: str) -> Machine:
    source = os.environ.get(variable)
    if not source:
        pytest.skip(f"{variable} does not name a Debian root file system")
    rootlay = Rootlay(tmp_path_factory.mktemp("programs") / "store")
    rootlay("import", source, "image", timeout_s=HANGS_S)
    return Machine(rootlay)


@pytest.fixture(scope="session")
def debian(tmp_path_factory: pytest.TempPathFactory) -> Machine:
    return _machine(tmp_path_factory, "ROOTLAY_TEST_DEBIAN")


@pytest.fixture(scope="session")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Machine:
    return _machine(tmp_path_factory, "ROOTLAY_TEST_PROGRAMS")


def with_packages(machine: Machine, name: str, packages: str) -> Machine:
    """An image `name`: that of `machine` with these packages of Debian, installed inside."""
    install = f"apt-get update -q && apt-get install -qy --no-install-recommends {packages} && apt-get clean"
    machine.rootlay("run", "--name", name, machine.image, "--", "sh", "-c", install, timeout_s=3 * HANGS_S)
    machine.rootlay("commit", name, name, timeout_s=HANGS_S)
    machine.rootlay("rm", name)
    return Machine(machine.rootlay, name)


@pytest.fixture(scope="session")
def exercisers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of the C exercisers, static, so that any image runs them."""
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("cc is not installed")

    def make(place: Path) -> None:
        for name in ("fileops", "treeops"):
            command = [compiler, "-O1", "-static", "-o", str(place / name), str(HERE / f"{name}.c")]
            subprocess.run(command, check=True, capture_output=True)

    return made_once(tmp_path_factory, "exercisers", make)
