"""`rootlay diff`: show the changes in a container, or the differences between two states."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from rootlay.cli.spec import Argument, Context, Option, UsageError, Values, Verb

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rootlay.store.model.image import Image
    from rootlay.vfs.changes.change import Change
    from rootlay.vfs.changes.changes import Changes
    from rootlay.vfs.containers.states import State

_LINES = 4096  # printed in one piece


def action(values: Values, context: Context) -> int:
    from rootlay.store.containers.containers import Containers
    from rootlay.vfs.containers.states import State, diff_states, find_state, iter_diff

    first, second = values.required("container"), values.text("other")
    if second is None:
        name, _, snapshot = first.partition("@")
        record = Containers(context.root).find(name)
        before: State | Image = State(record, base=True)
        after = find_state(context.root, first) if snapshot else State(record)
    else:
        before, after = find_state(context.root, first), find_state(context.root, second)
    target, has_form = values.text("apply"), any(values.flag(form) for form in ("stat", "summary", "patch"))
    if target is None and not has_form:
        _list(iter_diff(context.root, before, after), values, context)
        return 0
    changes = diff_states(context.root, before, after)
    if target is not None:
        for left_out in changes.apply(target):
            context.err.line(f"rootlay: left out: {left_out}")
    if has_form:
        _show(changes, values, context)
    else:
        _list(changes, values, context)
    return 0


def _list(changes: Iterable[Change], values: Values, context: Context) -> None:
    """Print kinds and paths. They are gathered first: a slow reader must not keep the states in use."""
    found = [change.kind.encode() + change.path.raw for change in changes]
    if values.flag("json"):
        context.out.json_list({"kind": chr(each[0]), "path": os.fsdecode(each[1:])} for each in found)
        return
    for first in range(0, len(found), _LINES):
        context.out.lines(f"{chr(each[0])} {os.fsdecode(each[1:])}" for each in found[first : first + _LINES])


def _show(changes: Changes, values: Values, context: Context) -> None:
    """Print the forms for people. A patch is exact, except on a terminal, where its control characters are escaped."""
    if values.flag("json"):
        raise UsageError("--json and --stat, --summary or --patch: only one of them")
    if values.flag("stat"):
        context.out.lines(changes.stat().split("\n"))
    if values.flag("summary"):
        context.out.lines(changes.summary().split("\n"))
    if values.flag("patch") and (patch := changes.as_patch()):
        if context.out.isatty():
            context.out.lines(patch.removesuffix("\n").split("\n"))
        else:
            context.out.flush()
            context.out.binary.write(patch.encode("utf-8", "surrogateescape"))


VERB = Verb(
    name="diff",
    help=(
        "List files added (A), changed (C) and deleted (D) in a container, or between two states. "
        "Takes time proportional to the changes."
    ),
    action=action,
    options=(
        Option(("--json",), "flag", "As JSON."),
        Option(("--stat",), "flag", "Show the number of added and removed lines of each file, as git diff --stat."),
        Option(("--summary",), "flag", "Show the numbers of changed objects by type, the bytes, and renamed files."),
        Option(("-p", "--patch"), "flag", "Show the changes of texts as a patch, which `git apply` takes."),
        Option(
            ("--apply",), "text", "Also apply the changes to this directory; each file is replaced atomically.", "DIR"
        ),
    ),
    arguments=(
        Argument(
            "container",
            ("CONTAINER or CONTAINER@SNAPSHOT, compared with its image; or IMAGE, if a second state follows."),
        ),
        Argument("other", "CONTAINER, CONTAINER@SNAPSHOT or IMAGE to compare with.", required=False),
    ),
    examples=(
        "rootlay diff c1",
        "rootlay diff c1@before c1",
        "rootlay diff debian debian:2",
        "rootlay diff --stat --summary c1",
    ),
)
