"""Going down trees of any depth: recursive generators without recursion.

Images and containers may hold trees of thousands of levels, and Python gives up at about a thousand. A walk is written
as a recursive generator, but yields `Down(walk of a child)` where it would say `yield from`; `descend` runs it with a
stack of its own. What is below comes out in the place of the `Down`.

A walk that fails, or that nobody wants to go on with, closes those it was called from, innermost first: their `with`
and `finally` blocks run.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from typing import Generic, TypeVar

from rootlay.store.model.value import value

T = TypeVar("T")


@value
class Down(Generic[T]):
    """A step of a walk: first all that this walk gives, then on with the one at hand."""

    walk: Walk[T]


Walk = Generator[T | Down[T], None, None]


def descend(walk: Walk[T]) -> Iterator[T]:
    """What a walk and those it goes down to give, in order."""
    stack = [walk]
    try:
        while stack:
            for step in stack[-1]:
                if isinstance(step, Down):
                    stack.append(step.walk)
                    break
                yield step
            else:
                stack.pop()
    finally:
        while stack:
            stack.pop().close()


def finish(walk: Walk[None]) -> None:
    """Run a walk that gives nothing, and is there for what it does."""
    for _ in descend(walk):
        pass
