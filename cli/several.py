"""Verbs that take several names: each name is handled, even if an earlier one failed."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from rootlay.cli.errorreport import GENERAL, explain
from rootlay.cli.spec import Context, Values

if TYPE_CHECKING:
    from rootlay.store.containers.record import ContainerRecord


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


def each_container(values: Values, context: Context, verb: str, act: Callable[[ContainerRecord], object]) -> int:
    """Run the verb for each given container, and print its name as it was given. Otherwise as `each`."""
    from rootlay.store.containers.containers import Containers

    def handle(name: str) -> None:
        act(Containers(context.root).find(name))
        context.out.line(name)

    return each(values.many("container"), handle, context, verb)
