"""The syntax tree of a template (text/template/parse/node.go). `str` of a node is what Go's errors quote.

`at`: the position in the template, in characters from 0.
"""

from __future__ import annotations

from typing import Any

from rootlay.store.model.value import value


@value
class Text:
    at: int
    text: str


@value
class Literal:
    """A boolean, number or string. `source`: as written. `kind`: bool, number, string."""

    at: int
    source: str
    value: Any
    kind: str

    def __str__(self) -> str:
        return self.source


@value
class Nil:
    at: int

    def __str__(self) -> str:
        return "nil"


@value
class Dot:
    at: int

    def __str__(self) -> str:
        return "."


@value
class Field:
    at: int
    names: tuple[str, ...]

    def __str__(self) -> str:
        return "".join(f".{name}" for name in self.names)


@value
class Variable:
    at: int
    names: tuple[str, ...]

    def __str__(self) -> str:
        return ".".join(self.names)


@value
class Chain:
    """Fields of a value that is not a variable: `(index .X 0).Y`."""

    at: int
    of: Any
    names: tuple[str, ...]

    def __str__(self) -> str:
        return _operand(self.of) + "".join(f".{name}" for name in self.names)


@value
class Identifier:
    at: int
    name: str

    def __str__(self) -> str:
        return self.name


@value
class Command:
    at: int
    arguments: tuple[Any, ...]

    def __str__(self) -> str:
        return " ".join(_operand(argument) for argument in self.arguments)


@value
class Pipeline:
    at: int
    declared: tuple[Variable, ...]
    assigns: bool
    commands: tuple[Command, ...]

    def __str__(self) -> str:
        names = ", ".join(map(str, self.declared))
        sign = (" = " if self.assigns else " := ") if names else ""
        return names + sign + " | ".join(map(str, self.commands))


@value
class Action:
    at: int
    pipeline: Pipeline

    def __str__(self) -> str:
        return f"{{{{{self.pipeline}}}}}"


@value
class Branch:
    """An `if`, `with` or `range` (`kind`)."""

    at: int
    kind: str
    pipeline: Pipeline
    body: tuple[Any, ...]
    otherwise: tuple[Any, ...] | None

    def __str__(self) -> str:
        return f"{{{{{self.kind} {self.pipeline}}}}}"


@value
class Leave:
    """A `break` or `continue` (`kind`)."""

    at: int
    kind: str

    def __str__(self) -> str:
        return f"{{{{{self.kind}}}}}"


@value
class Call:
    """A `template` action: run a defined template."""

    at: int
    name: str
    quoted: str
    pipeline: Pipeline | None

    def __str__(self) -> str:
        return f"{{{{template {self.quoted}{f' {self.pipeline}' if self.pipeline else ''}}}}}"


def _operand(node: Any) -> str:
    return f"({node})" if isinstance(node, Pipeline) else str(node)
