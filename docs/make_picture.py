"""Write docs/images/terminal.svg, the picture of the README: commands, run now, with the output that they print.

python docs/make_picture.py     # with rootlay installed, as an ordinary user; uses a store in a temporary directory
"""

from __future__ import annotations

import io
import os
import re
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from rich.console import Console
from rich.text import Text

COMMANDS = (
    "rootlay run --name first host -- sh -c 'id -un; rm -rf /usr/share/doc; echo hi > /etc/hello'",
    "rootlay diff first",
    "ls -d /usr/share/doc /etc/hello",
    "rootlay commit first my-changes",
    "rootlay images",
)


def outputs() -> Iterator[tuple[str, str]]:
    """Run the commands in one store, and yield each with its output."""
    with tempfile.TemporaryDirectory() as root:
        environ = {**os.environ, "ROOTLAY_ROOT": f"{root}/store", "COLUMNS": "100", "LC_ALL": "C.UTF-8"}
        for command in COMMANDS:
            done = subprocess.run(
                ["sh", "-c", command],
                env=environ,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                check=False,
            )
            yield command, done.stdout.rstrip("\n")
        subprocess.run(["rootlay", "rm", "-f", "first"], env=environ, stdout=subprocess.DEVNULL, check=False)


def main() -> None:
    """Draw the commands and their output."""
    console = Console(width=100, record=True, file=io.StringIO(), force_terminal=True)
    for command, output in outputs():
        console.print(Text.assemble(("$ ", "green"), (command, "bold")))
        console.print(Text(output))
    drawn = console.export_svg(title="rootlay, as an ordinary user", unique_id="rootlay")
    drawn = re.sub(r"@font-face \{.*?\}\s*", "", drawn, flags=re.DOTALL)  # fonts of another host
    Path(__file__).with_name("images").joinpath("terminal.svg").write_text(drawn, encoding="utf-8")


if __name__ == "__main__":
    main()
