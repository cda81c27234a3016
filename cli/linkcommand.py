"""Commands of other programs that are rootlay: scripts in a directory, each with this store."""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path

from rootlay.cli.spec import Context, UsageError, Values

MARK = "# made by rootlay "


def link_commands(values: Values, context: Context, commands: dict[str, str], *, verb: str) -> int:
    """Write the scripts and print their paths.

    Args:
        values: of a verb with `directory` and `--force`.
        commands: what follows the program in the script, by the command's name; `{program}` is rootlay.
        verb: the name of the verb, for the mark.

    Raises:
        UsageError: no such directory, or another program has a name.
    """
    from rootlay.store.disk.outfile import output_file

    directory = Path(values.required("directory"))
    if not directory.is_dir():
        raise UsageError(f"{directory}: no such directory; make it first, and put it into PATH")
    for name in commands:
        place = directory / name
        if os.path.lexists(place) and not values.flag("force") and not _is_ours(place, verb):
            raise UsageError(f"{place}: exists already; use --force to replace it, or another directory")
    root = f" --root {shlex.quote(str(context.root))}" if context.root_given else ""
    program = f"{shlex.quote(sys.executable)} -P -m rootlay.cli.entry{root}"
    for name, line in commands.items():
        with output_file(directory / name, 0o777) as script:
            script.write(f"#!/bin/sh\n{MARK}{verb}\n{line.format(program=program)}\n".encode())
        context.out.line(directory / name)
    if str(directory.absolute()) not in context.environ.get("PATH", "").split(":"):
        context.err.line(f"rootlay: {directory} is not in PATH; add it: export PATH={directory.absolute()}:$PATH")
    return 0


def _is_ours(place: Path, verb: str) -> bool:
    try:
        with open(place, "rb") as file:
            return (MARK + verb).encode() in file.read(200)
    except OSError:
        return False
