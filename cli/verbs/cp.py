"""`rootlay cp`: copy between the host and a container."""

from __future__ import annotations

import os
import sys

from rootlay.cli.progress import show_progress
from rootlay.cli.spec import Argument, Context, Option, UsageError, Values, Verb

STREAM = b"-"


def action(values: Values, context: Context) -> int:
    from rootlay.store.containers.containers import Containers
    from rootlay.vfs.changes.transfer import copy_in, copy_out
    from rootlay.vfs.containers.mounted import open_mounted, require_writable

    source, target = values.required("source"), values.required("target")
    if not source or not target:
        raise UsageError("SOURCE and TARGET cannot be empty")
    containers = Containers(context.root)
    (source_name, source_path), (target_name, target_path) = split(source), split(target)
    if bool(source_name) == bool(target_name):
        raise UsageError("one of SOURCE and TARGET is CONTAINER:PATH, the other a path of the host")
    follow, archive = values.flag("follow_link"), values.flag("archive")
    inner = os.fsencode(source_path if source_name else target_path)
    outer = os.fsencode(target_path if source_name else source_path)
    if outer == STREAM and source_name and context.out.isatty():
        raise UsageError("will not write an archive to a terminal: redirect standard output")
    record = containers.find(source_name or target_name)
    shown = show_progress(context, "copying", hidden=values.flag("quiet"))
    with shown as progress, open_mounted(record) as tree:
        if target_name:
            require_writable(record, tree, inner)
        if outer == STREAM:
            from rootlay.vfs.changes.tartransfer import copy_in_tar, copy_out_tar

            if source_name:
                copy_out_tar(tree, inner, context.out.binary, follow=follow, progress=progress)
            else:
                copy_in_tar(tree, sys.stdin.buffer, inner, archive=archive, progress=progress)
        elif source_name:
            copy_out(tree, inner, outer, follow=follow, progress=progress)
        else:
            copy_in(tree, outer, inner, archive=archive, follow=follow, progress=progress)
    record.note("archive-path" if source_name else "extract-to-dir")
    return 0


def split(text: str) -> tuple[str, str]:
    """Split `CONTAINER:PATH` into (container, path); a path of the host has no container. `./a:b` is a path."""
    name, sign, path = text.partition(":")
    if sign and name and not name.startswith((".", "/")) and "/" not in name:
        return name, path or "/"
    return "", text


VERB = Verb(
    name="cp",
    help="Copy files or directories between the host and a container, running or not. With - for the host's path, "
    "cp writes a tar archive to standard output, or unpacks one from standard input into a directory of the container.",
    action=action,
    options=(
        Option(("-a", "--archive"), "flag", "Archive mode: keep numeric owners."),
        Option(("-L", "--follow-link"), "flag", "Follow a symbolic link in the source."),
        Option(("-q", "--quiet"), "flag", "Show no progress."),
    ),
    arguments=(
        Argument("source", "CONTAINER:PATH, a path, or - ."),
        Argument("target", "CONTAINER:PATH, a path, or - ."),
    ),
    examples=(
        "rootlay cp web:/etc/nginx/nginx.conf .",
        "rootlay cp ./site/. web:/usr/share/nginx/html",
        "rootlay cp web:/var/log - | tar -x",
    ),
)
