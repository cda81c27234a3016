"""`rootlay wrap`: make executables that enter an image without Python."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from rootlay.cli.spec import Argument, Context, Option, UsageError, Values, Verb

if TYPE_CHECKING:
    from rootlay.vfs.wrap.wrap import Wrapped


def action(values: Values, context: Context) -> int:
    from rootlay.cli.container.mountoptions import binds_of
    from rootlay.cli.progress import show_progress
    from rootlay.vfs.wrap.options import WrapOptions
    from rootlay.vfs.wrap.wrap import remove_wrapped, wrap_programs

    output = values.text("output")
    if values.flag("list"):
        return _list(values, context)
    if not output:
        raise UsageError("-o DIR is missing: the directory of the commands")
    image, programs = values.text("image") or "", values.many("programs")
    if values.flag("remove"):
        remove_wrapped(Path(output), [word for word in (image, *programs) if word])
        return 0
    if not image or not programs:
        raise UsageError("IMAGE PROGRAM… is missing: the image, and its programs to wrap")
    options = WrapOptions(
        image=os.path.realpath(image) if "/" in image and os.path.isfile(image) else image,
        upper=values.text("upper") or "",
        relocatable=values.flag("relocatable"),
        env=values.many("env"),
        user=values.text("user"),
        working_dir=values.text("workdir"),
        binds=binds_of(values),
        home=not values.flag("no_home"),
        tmp=not values.flag("no_tmp"),
        cwd=not values.flag("no_cwd"),
        network=values.text("network") or "",
        confine=values.text("confine") or "",
    )
    _check(options.network in ("", "host", "none"), "--network", options.network, "host or none")
    _check(options.confine in ("", "auto", "require", "off"), "--confine", options.confine, "auto, require or off")
    _check(not any(bind.kind != "bind" for bind in options.binds), "-v", "a volume", "HOST:CTR[:ro]")
    with show_progress(context, "hydrating") as progress:
        made = wrap_programs(context.root, Path(output), programs, options, context.environ, progress)
    context.out.lines(str(made.directory / name) for name in made.settings.programs())
    return 0


def _check(holds: bool, option: str, given: str, expected: str) -> None:
    if not holds:
        raise UsageError(f"{option}: {given}: expected {expected}")


def _list(values: Values, context: Context) -> int:
    from rootlay.cli.listing import Column, print_table
    from rootlay.vfs.wrap.wrap import find_wrapped, iter_wrapped

    output = values.text("output")
    rows = [_row(found) for found in ([find_wrapped(Path(output))] if output else iter_wrapped(context.root))]
    columns = [
        Column("DIRECTORY", lambda row: str(row["directory"])),
        Column("IMAGE", lambda row: str(row["image"])),
        Column("UPPER", lambda row: str(row["upper"])),
        Column("PROGRAMS", lambda row: " ".join(row["programs"])),
    ]
    print_table(context, rows, columns, as_json=values.flag("json"))
    return 0


def _row(found: Wrapped) -> dict[str, object]:
    return {
        "directory": str(found.directory),
        "image": found.image,
        "upper": found.upper,
        "container": found.container,
        "programs": found.settings.programs(),
    }


VERB = Verb(
    name="wrap",
    help=(
        "Make executables that enter an image in milliseconds, without Python. All files of the image are written to "
        "disk first. The user's home, /tmp and the working directory are visible inside at the same paths. All "
        "commands of a directory share its options."
    ),
    action=action,
    options=(
        Option(("-o", "--output"), "text", "Directory of the commands; made if it is missing.", "DIR"),
        Option(
            ("--upper",),
            "text",
            "What happens with changes of the image's files: `shared` (default): all commands of DIR share them; "
            "`private`: each user has his own, below his home; `throw-away`: each start has its own, removed at its "
            "end.",
            "shared|private|throw-away",
        ),
        Option(("--relocatable",), "flag", "Keep everything in DIR: it can be moved, and other users can use it."),
        Option(("-e", "--env"), "many", "Set a variable; NAME alone takes it from here, now.", "NAME[=VALUE]"),
        Option(("-u", "--user"), "text", "User inside.", "NAME|UID[:GROUP|GID]"),
        Option(("-w", "--workdir"), "text", "Directory inside if the working directory is not visible.", "DIR"),
        Option(("-v", "--volume"), "many", "Bind mount a host path.", "HOST:CTR[:ro]"),
        Option(("--no-home",), "flag", "Do not show the home directory inside."),
        Option(("--no-tmp",), "flag", "Do not show the machine's /tmp inside."),
        Option(("--no-cwd",), "flag", "Do not show the working directory inside."),
        Option(("--network",), "text", "`host` (default), or `none`.", "NAME"),
        Option(("--confine",), "text", "Confinement by Landlock, as for `run` (default: auto).", "auto|require|off"),
        Option(("--list",), "flag", "List the wrapped commands of the store, or of DIR."),
        Option(("--json",), "flag", "With --list: print JSON."),
        Option(("--remove",), "flag", "Remove the commands of DIR, or those that are named instead of IMAGE."),
    ),
    arguments=(
        Argument("image", "Image name or ID, or the path of a bundle.", required=False),
        Argument("programs", "Programs of the image: a name, a path inside, or NAME=PATH.", required=False, many=True),
    ),
    examples=(
        "rootlay wrap python:3.13 python3 pip -o ~/bin/python-3.13",
        "rootlay wrap gcc.rlay gcc make -o /apps/gcc/14 --relocatable --upper throw-away",
        "rootlay wrap --list",
        "rootlay wrap --remove -o ~/bin/python-3.13 pip",
        "rootlay wrap --remove -o ~/bin/python-3.13",
    ),
)
