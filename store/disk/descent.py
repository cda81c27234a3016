"""Walks of trees of any depth: recursive generators without recursion.

Images and containers may hold trees of thousands of levels, and Python's recursion limit is about a thousand. A walk is
written as a recursive generator, but yields `Down(walk of a child)` in the place of `yield from`; `descend` runs it
with an explicit stack. The results of the child replace the `Down`.

A walk that fails, or is not continued, closes its callers, innermost first: their `with` and `finally` blocks run.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from typing import Generic, TypeVar

from rootlay.store.model.value import value

T = TypeVar("T")


@value
class Down(Generic[T]):
    """A step of a walk: first all results of this walk, then the rest of the current one."""

    walk: Walk[T]


Walk = Generator[T | Down[T], None, None]


def descend(walk: Walk[T]) -> Iterator[T]:
    """Yield the results of a walk and of those it descends to, in order."""
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
    """Run a walk that yields nothing, for its effects."""
    for _ in descend(walk):
        pass
