"""Verbs that take several names: each has its turn, whatever became of those before it."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from rootlay.cli.errorreport import GENERAL, explain
from rootlay.cli.spec import Context


def each(names: Iterable[str], act: Callable[[str], None], context: Context, verb: str) -> int:
    """Do it for each name. What failed is said at the end, a line for each, and the exit code is 1, as Docker's is.

    Of a single name the error is raised, with the exit code that is its own.
    """
    given = tuple(names)
    if len(given) == 1:
        act(given[0])
        return 0
    failed = []
    for name in given:
        try:
            act(name)
        except Exception as error:
            message, _ = explain(error, verb, context.root)
            failed.append(f"rootlay: {message}")
    context.out.flush()
    context.err.lines(failed)
    return GENERAL if failed else 0
