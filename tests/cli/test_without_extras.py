"""Commands that have the words of Docker's API work in an installation without the packages that its server needs."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.cli.conftest import Rootlay

MAIN = "import sys; sys.modules['h11'] = None\nfrom rootlay.cli.entry import main\nmain()\n"
COMMANDS = """
system prune -f | system prune -f --filter until=24h | system df -v | builder prune -f | container prune -f | image ls
image prune -f | volume prune -f | network prune -f | network ls | volume ls | events --until 0s | stats --no-stream
ps -a --filter status=running | container ls -a | info | version | builder du | history small | inspect small
""".replace("\n", " | ").strip(" |")


@pytest.mark.parametrize("command", COMMANDS.split(" | "))
def test_a_command_needs_no_server(small: Rootlay, command: str) -> None:
    words = [sys.executable, "-c", MAIN, "--root", str(small.root), *command.split()]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
