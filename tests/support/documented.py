"""Commands of a page of the documentation, and a shell that runs them: see docs/testing.md.

A block ```` ```console ```` has lines that start with `$ ` (a command; a here-document follows it without a mark) and
the output of each command. `…` in an output stands for any text; a line that is only `…` for any number of lines.
`<!-- needs: NAME -->` before a block says what it cannot run without.
"""

from __future__ import annotations

import re
import subprocess
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

BLOCK = re.compile(r"(?:^<!-- needs: (\w+) -->\n+)?^```console\n(.*?)^```", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Command:
    """A command, the output that the page shows, and what it needs (empty: nothing)."""

    text: str
    output: str
    needs: str = ""


def commands_of(page: Path) -> Iterator[Command]:
    """Return the commands of the blocks of a page, in order."""
    for needs, block in BLOCK.findall(page.read_text(encoding="utf-8")):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, output = _split(part.splitlines())
            yield Command(command, output, needs)


def _split(lines: list[str]) -> tuple[str, str]:
    """Return a command with its here-document, and the output below."""
    end = 1
    if here := re.search(r"<<'?(\w+)'?", lines[0]):
        end = lines.index(here[1]) + 1
    return "\n".join(lines[:end]), "\n".join(lines[end:])


def matches(expected: str, output: str) -> bool:
    """Return whether an output is the one that a page shows."""
    lines = [
        "(?:.*\n)*" if line == "…" else ".*".join(map(_words, line.split("…"))) + "\n" for line in expected.splitlines()
    ]
    return re.fullmatch("".join(lines), output if not output or output.endswith("\n") else output + "\n") is not None


def _words(text: str) -> str:
    """Return the pattern of fixed words; the width of columns may differ."""
    return re.sub(r"(?:\\ )+", " +", re.escape(text))


def run_page(
    commands: Iterable[Command], home: Path, environ: Mapping[str, str], has: frozenset[str], *, timeout_s: int = 200
) -> tuple[list[str], list[tuple[str, float]]]:
    """Run the commands in one shell in `home`, without those that need something else than `has`.

    Returns what went wrong (a command that failed, or whose output is another one), and each command with its seconds.
    """
    chosen = [command for command in commands if not command.needs or command.needs in has]
    with tempfile.TemporaryDirectory() as name:
        made = Path(name)
        script = []
        for number, command in enumerate(chosen):
            script.append(f"{{ {command.text}\n}} >{made}/{number}.out 2>&1 </dev/null")
            script.append(f"echo $? $EPOCHREALTIME >{made}/{number}.end")
        start = time.time()
        subprocess.run(["bash", "-c", "\n".join(script)], env=environ, timeout=timeout_s, check=True, cwd=home)
        wrong, times = [], []
        for number, command in enumerate(chosen):
            code, end = (made / f"{number}.end").read_text().split()
            output = (made / f"{number}.out").read_text(errors="replace")
            if code != "0" or not matches(command.output, output):
                wrong.append(f"$ {command.text}\n{output}(exit code {code}; the page shows:)\n{command.output}")
            times.append((command.text, float(end) - start))
            start = float(end)
    return wrong, times
