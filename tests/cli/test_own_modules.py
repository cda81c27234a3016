"""Python programs that rootlay starts take nothing from the working directory, where a program inside may write."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import Rootlay

#: Each is started where the false package lies.
COMMANDS: dict[str, tuple[str, ...]] = {
    "run": ("run", "--rm", "small", "cat", "/etc/motd"),
    "run -d": ("run", "-d", "--name", "c", "small", "cat", "/etc/motd"),
    "python": ("python", "small", "-c", "open('/etc/motd').read()"),
    "build": ("build", "--no-cache", "-t", "made", "."),
    "wrap": ("wrap", "small", "/bin/sh", "-o", "wrapped"),
}
FALSE = "import os\nos.close(os.open({mark!r}, os.O_CREAT | os.O_WRONLY))\n"


@pytest.fixture
def trap(tmp_path: Path) -> Path:
    """A directory with packages of rootlay's and the standard library's names; the file that they make is `ran`."""
    for name in ("rootlay", "socket", "json", "lmdb"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text(FALSE.format(mark=str(tmp_path / "ran")))
    (tmp_path / "Dockerfile").write_text("FROM small\nRUN cat /etc/motd\nRUN rm /etc/motd\n")
    return tmp_path


@pytest.mark.parametrize("verb", COMMANDS)
def test_nothing_is_imported_from_the_working_directory(small: Rootlay, trap: Path, verb: str) -> None:
    command = [sys.executable, "-P", "-m", "rootlay.cli.main", "--root", str(small.root), *COMMANDS[verb]]
    done = subprocess.run(command, cwd=trap, capture_output=True, timeout=120)
    assert done.returncode == 0, done.stderr
    if verb == "run -d":
        small("wait", "c")
    assert not (trap / "ran").exists()


def test_nothing_is_imported_from_the_owner_s_directory(small: Rootlay, trap: Path) -> None:
    """The waiting program becomes a Python after a program inside has written to the directory."""
    script = "import os, sys\nfrom rootlay.vfs import Store\n"
    script += "c = Store.open(sys.argv[1]).image('small').container()\n"
    script += "c.run(['true'], check=True)\nos.chdir(sys.argv[2])\n"
    script += "c.popen(['cat', '/etc/motd', '/usr/share/doc/two/readme']).wait()\nc.close()\n"
    subprocess.run([sys.executable, "-c", script, str(small.root), str(trap)], check=True)
    assert not (trap / "ran").exists()
