"""How the progress of a build is shown: the options `--progress` and `--quiet`, and the reports that they select."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

from rootlay.cli.build.plainreport import PlainReport
from rootlay.cli.spec import Context, Option, UsageError, Values

if TYPE_CHECKING:
    from rootlay.vfs.build.result.report import Report

PROGRESS_OPTIONS = (
    Option(
        ("--progress",),
        "text",
        "Progress output: auto (live on a terminal, lines elsewhere), plain, tty, quiet or rawjson.",
        "HOW",
        default="auto",
    ),
    Option(("-q", "--quiet"), "flag", "Print only the image ID."),
)


@contextlib.contextmanager
def open_report(values: Values, context: Context) -> Iterator[Report]:
    """Return the report that --progress and --quiet select. Raises UsageError."""
    how = how_of(values, context)
    if how == "quiet":
        from rootlay.cli.build.quietreport import QuietReport

        yield QuietReport(context.err)
    elif how == "tty":
        from rootlay.cli.build.screen import ScreenReport

        with ScreenReport(context.err, colour="NO_COLOR" not in context.environ) as screen:
            yield screen
    elif how == "rawjson":
        from rootlay.cli.build.jsonreport import JsonReport

        yield JsonReport(context.err)
    else:
        yield PlainReport(context.err)


def how_of(values: Values, context: Context) -> str:
    """Return `quiet`, `tty`, `rawjson` or `plain`. Raises UsageError."""
    how = values.required("progress")
    if how not in ("auto", "plain", "tty", "quiet", "rawjson"):
        raise UsageError(f"--progress={how}: expected auto, plain, tty, quiet or rawjson")
    if values.flag("quiet") or how == "quiet":
        return "quiet"
    if how == "auto":
        return "tty" if context.err.isatty() and context.environ.get("TERM", "dumb") != "dumb" else "plain"
    return how
