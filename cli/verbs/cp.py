"""`rootlay cp`: copy between the host and a container."""

from __future__ import annotations

import os

from rootlay.cli.spec import Argument, Context, Option, UsageError, Values, Verb


def action(values: Values, context: Context) -> int:
    from rootlay.store.container import Containers
    from rootlay.vfs.containerstack import open_overlay
    from rootlay.vfs.transfer import copy_in, copy_out

    source, target = values.required("source"), values.required("target")
    containers = Containers(context.root)
    (source_name, source_path), (target_name, target_path) = split(source), split(target)
    if bool(source_name) == bool(target_name):
        raise UsageError("one of SOURCE and TARGET is CONTAINER:PATH, the other a path of the host")
    follow = values.flag("follow_link")
    with open_overlay(context.root, containers.find(source_name or target_name)) as overlay:
        if source_name:
            copy_out(overlay, os.fsencode(source_path), os.fsencode(target_path), follow=follow)
        else:
            archive = values.flag("archive")
            copy_in(overlay, os.fsencode(source_path), os.fsencode(target_path), archive=archive, follow=follow)
    return 0


def split(text: str) -> tuple[str, str]:
    """`CONTAINER:PATH` -> (container, path); a path of the host has no container. `./a:b` is a path."""
    name, sign, path = text.partition(":")
    if sign and name and not name.startswith((".", "/")) and "/" not in name:
        return name, path or "/"
    return "", text


VERB = Verb(
    name="cp",
    help="Copy files or directories between the host and a container, running or not.",
    action=action,
    options=(
        Option(("-a", "--archive"), "flag", "Keep owners (numbers)."),
        Option(("-L", "--follow-link"), "flag", "Follow a symbolic link given as the source."),
    ),
    arguments=(Argument("source", "CONTAINER:PATH or a path."), Argument("target", "CONTAINER:PATH or a path.")),
    examples=("rootlay cp web:/etc/nginx/nginx.conf .", "rootlay cp ./site/. web:/usr/share/nginx/html"),
)
