"""`rootlay docker-link`: a `docker` command that is rootlay."""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path

from rootlay.cli.spec import Argument, Context, Option, UsageError, Values, Verb

_NAME = "docker"
_MARK = "# made by rootlay docker-link"


def action(values: Values, context: Context) -> int:
    from rootlay.store.disk.outfile import output_file

    directory = Path(values.required("directory"))
    if not directory.is_dir():
        raise UsageError(f"{directory}: no such directory; make it first, and put it into PATH")
    place = directory / _NAME
    if os.path.lexists(place) and not values.flag("force") and not _is_ours(place):
        raise UsageError(f"{place}: exists already; use --force to replace it, or another directory")
    root = f" --root {shlex.quote(str(context.root))}" if context.root_given else ""
    program = f"{shlex.quote(sys.executable)} -m rootlay.cli.entry{root}"
    text = f'#!/bin/sh\n{_MARK}\nROOTLAY_AS_DOCKER=1 exec {program} "$@"\n'
    with output_file(place, 0o777) as script:
        script.write(text.encode())
    context.out.line(place)
    if str(directory.absolute()) not in context.environ.get("PATH", "").split(":"):
        context.err.line(f"rootlay: {directory} is not in PATH; add it: export PATH={directory.absolute()}:$PATH")
    return 0


def _is_ours(place: Path) -> bool:
    try:
        with open(place, "rb") as file:
            return _MARK.encode() in file.read(200)
    except OSError:
        return False


VERB = Verb(
    name="docker-link",
    help="Make a `docker` command in a directory: a script that runs rootlay with this store.",
    action=action,
    options=(Option(("-f", "--force"), "flag", "Replace another program of that name."),),
    arguments=(Argument("directory", "Directory for the command; usually one in PATH."),),
    examples=("mkdir -p ~/.local/bin && rootlay docker-link ~/.local/bin",),
)
