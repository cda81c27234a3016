"""Automata of patterns. All positions of a pattern are followed at once, so the time grows with the product of the
lengths of pattern and text (a translation to `re` takes exponential time for many stars).

The positions are the bits of a number. Each set of positions that a text has led to is a node, and remembers where each
character led from there: most texts need one look-up for each character.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from rootlay.store.model.value import value

Test = Callable[[str], bool]
_REMEMBERED = 1000


def never(char: str) -> bool:
    """No character."""
    return False


def always(char: str) -> bool:
    """Any character."""
    return True


@value
class Step:
    """One position of a pattern.

    Args:
        advance: the characters that lead to the next position.
        stay: the characters that lead here again.
        jumps: how many positions further a match may go on without a character.
    """

    advance: Test = never
    stay: Test = never
    jumps: tuple[int, ...] = ()


def star(stay: Test) -> Step:
    """Return the step for any number of such characters."""
    return Step(stay=stay, jumps=(1,))


class _Node(dict[str, "_Node"]):
    """A set of positions, and the nodes that characters lead to from here."""

    __slots__ = ("_automaton", "accepts", "states")

    def __init__(self, automaton: Automaton, states: int) -> None:
        self._automaton = automaton
        self.states = states
        self.accepts = bool(states >> automaton.length)

    def __missing__(self, char: str) -> _Node:
        node = self._automaton.follow(self.states, char)
        self[char] = node
        return node


class Automaton:
    """A pattern.

    Args:
        steps: its positions. Equal steps without `advance` in a row count once.
        anywhere: a match may begin at any character.
    """

    def __init__(self, steps: Iterable[Step], *, anywhere: bool = False) -> None:
        self._steps: list[Step] = []
        for step in steps:
            if not (step.jumps and self._steps and self._steps[-1] == step):
                self._steps.append(step)
        self.length = len(self._steps)
        self._anywhere = int(anywhere)
        self._jumping = [(by, self._mask(lambda step, by=by: by in step.jumps)) for by in (1, 2)]  # type: ignore[misc]
        self._masks: dict[str, tuple[int, int]] = {}
        self._nodes: dict[int, _Node] = {}
        self.start = self._node(1)

    def matches(self, text: str) -> bool:
        """Return whether the whole text matches."""
        node = self.start
        for char in text:
            node = node[char]
            if not node.states:
                return False
        return node.accepts

    def ends(self, text: str, start: int = 0) -> tuple[int, int] | None:
        """Return the ends of the shortest and the longest match from `start`; None if there is none."""
        node = self.start
        shortest = longest = start if node.accepts else -1
        for at in range(start, len(text)):
            node = node[text[at]]
            if not node.states:
                break
            if node.accepts:
                longest = at + 1
                shortest = longest if shortest < 0 else shortest
        return None if longest < 0 else (shortest, longest)

    def follow(self, states: int, char: str) -> _Node:
        """Return the node that a character leads to."""
        masks = self._masks.get(char)
        if masks is None:
            if len(self._masks) >= _REMEMBERED:
                self._masks.clear()
            masks = self._mask(lambda step: step.advance(char)), self._mask(lambda step: step.stay(char))
            self._masks[char] = masks
        advance, stay = masks
        return self._node((states & advance) << 1 | states & stay | self._anywhere)

    def _node(self, states: int) -> _Node:
        before = -1
        while before != states:
            before = states
            for by, mask in self._jumping:
                states |= (states & mask) << by
        node = self._nodes.get(states)
        if node is None:
            if len(self._nodes) >= _REMEMBERED:
                for old in list(self._nodes.values()):  # stages are built in several threads
                    old.clear()
                self._nodes.clear()
            node = self._nodes[states] = _Node(self, states)
        return node

    def _mask(self, test: Callable[[Step], bool]) -> int:
        """Return the positions whose step passes a test."""
        return int("0" + "".join("1" if test(step) else "0" for step in reversed(self._steps)), 2)


def literal(char: str) -> Step:
    """Return the step for one certain character."""
    return Step(advance=char.__eq__)


def accepted_ends(automaton: Automaton, text: Sequence[str]) -> list[bool]:
    """Return for each position of a text, its end included, whether a match ends there."""
    node = automaton.start
    found = [node.accepts]
    for char in text:
        node = node[char]
        found.append(node.accepts)
    return found
