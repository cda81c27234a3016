"""`rootlay logs`: print the output of a detached container's program."""

from __future__ import annotations

from rootlay.cli.spec import Argument, Context, Option, UsageError, Values, Verb


def action(values: Values, context: Context) -> int:
    from rootlay.store.containers.containers import Containers
    from rootlay.vfs.docker.times import full_nano
    from rootlay.vfs.lifecycle.logs import iter_log
    from rootlay.vfs.run.containerlog import STDERR

    record = Containers(context.root).find(values.required("container"))
    tail, until = _tail(values), values.text("until")
    since_ns, until_ns = _moment(values, "since") or 0, _moment(values, "until")
    if not record.log.exists() and not record.state().monitor:
        context.err.line(
            f"rootlay: {record.name} has no log: only detached programs (run -d, start) write one; "
            "other programs write to their terminal"
        )
        return 0
    stamps, streams = values.flag("timestamps"), (context.out.binary, context.err.binary)
    follow = values.flag("follow") and until is None
    for line in iter_log(record, since_ns=since_ns, until_ns=until_ns, tail=tail, follow=follow):
        shown = streams[line.stream == STDERR and not record.config.tty]
        shown.write((f"{full_nano(line.time_ns)} ".encode() if stamps else b"") + line.data)
        if follow:
            shown.flush()
    for shown in streams:
        shown.flush()
    return 0


def _moment(values: Values, name: str) -> int | None:
    """Return --since or --until, ns since the epoch. Raises UsageError."""
    from rootlay.vfs.docker.times import parse_moment

    text = values.text(name)
    if not text:
        return None
    try:
        return parse_moment(text)
    except ValueError:
        raise UsageError(f"--{name} {text[:40]}: expected a time such as 2026-01-02T13:23:37Z, or 42m") from None


def _tail(values: Values) -> int | None:
    """Return the number of lines; None for all. As in Docker, a negative number means all."""
    text = values.text("tail") or "all"
    if text == "all":
        return None
    try:
        return int(text) if int(text) >= 0 else None
    except ValueError:
        raise UsageError(f"--tail {text[:40]}: expected a number of lines, or all") from None


VERB = Verb(
    name="logs",
    help="Show the output of a detached container: its standard output and standard error.",
    action=action,
    options=(
        Option(("-f", "--follow"), "flag", "Follow log output."),
        Option(("-n", "--tail"), "text", "Number of lines to show from the end; `all` for all.", "LINES"),
        Option(
            ("--details",),
            "flag",
            "Show the attributes that --log-opt chooses.",
            accepted="--log-opt has no effect: there are no attributes",
        ),
        Option(("--since",), "text", "Show lines since this time: RFC 3339, seconds since 1970, or 42m.", "TIME"),
        Option(("--until",), "text", "Show lines before this time, as --since.", "TIME"),
        Option(("-t", "--timestamps"), "flag", "Show the time of each line."),
    ),
    arguments=(Argument("container", "Name or ID."),),
)
