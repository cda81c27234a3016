"""Verbs that take several names: each name is handled, even if an earlier one failed."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from rootlay.cli.errorreport import GENERAL, explain
from rootlay.cli.spec import Context


def each(names: Iterable[str], act: Callable[[str], None], context: Context, verb: str) -> int:
    """Run the verb for each name. Report failures at the end, a line for each, with exit code 1, as Docker does.

    For a single name raise the error, with its own exit code.
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
