"""The part of HCL that bake files use: blocks, attributes, strings with `${VARIABLE}`, lists and maps.

Functions, operators and conditions are refused: they are a language of their own.
"""

from __future__ import annotations

import re
from typing import Any

from rootlay.cli.spec import UsageError
from rootlay.store.model.value import value

_TOKEN = re.compile(
    r'(?P<space>[ \t\r]+|#[^\n]*|//[^\n]*|/\*(?:.*?\*/|(?P<open>.*)))|(?P<line>\n)|(?P<text>"(?:[^"\\\n]|\\.)*")'
    r"|(?P<number>-?\d+(?:\.\d+)?)|(?P<name>[A-Za-z_][\w-]*)|(?P<mark>[{}\[\],=:])|(?P<other>.)",
    re.DOTALL,
)
_DIGITS_MAX = 100
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", '"': '"', "\\": "\\"}


@value
class Variable:
    """A reference to a variable."""

    name: str


@value
class Text:
    """A string with variables in it: texts and Variables."""

    parts: tuple[Any, ...]


@value
class Block:
    """`kind "label" { name = value }`."""

    kind: str
    label: str
    values: dict[str, Any]


class _Reader:
    def __init__(self, text: str, what: str) -> None:
        self._what = what
        self._tokens: list[tuple[str, str, int]] = []
        self._at = 0
        line = 1
        for found in _TOKEN.finditer(text):
            if found.lastgroup != "space":
                self._tokens.append((str(found.lastgroup), found[0], line))
            if found["open"] is not None:
                raise UsageError(f"{what}:{line}: a comment is not closed")
            line += found[0].count("\n")
        self._tokens.append(("end", "", line))

    def wrong(self, reason: str) -> UsageError:
        """Return an error of the line."""
        return UsageError(f"{self._what}:{self._tokens[self._at][2]}: {reason}")

    def fail(self, expected: str) -> UsageError:
        kind, text, _ = self._tokens[self._at]
        shown = "the end" if kind == "end" else repr(text)
        return self.wrong(f"expected {expected}, found {shown}; functions and operators are not read")

    def peek(self) -> tuple[str, str]:
        return self._tokens[self._at][:2]

    def take(self, kind: str, text: str = "") -> str:
        found = self.peek()
        if found[0] != kind or (text and found[1] != text):
            raise self.fail(repr(text) if text else f"a {kind}")
        self._at += 1
        return found[1]

    def skip(self, *texts: str) -> bool:
        """Skip line ends and these marks; return whether there was a mark."""
        found = False
        while self.peek()[0] == "line" or self.peek()[1] in texts:
            found = found or self.peek()[0] != "line"
            self._at += 1
        return found

    def blocks(self) -> list[Block]:
        found = []
        self.skip()
        while self.peek()[0] != "end":
            kind = self.take("name")
            label = _plain(self.take("text")) if self.peek()[0] == "text" else ""
            found.append(Block(kind, label, self.body()))
            self.skip()
        return found

    def body(self) -> dict[str, Any]:
        """Read `{ name = value … }`; also a map, with commas and quoted names."""
        self.take("mark", "{")
        found: dict[str, Any] = {}
        self.skip(",")
        while self.peek()[1] != "}":
            name = _plain(self.take("text")) if self.peek()[0] == "text" else self.take("name")
            if self.peek()[1] == "{":
                found[name] = self.body()
            else:
                if self.peek()[1] == ":":
                    self.take("mark", ":")
                else:
                    self.take("mark", "=")
                found[name] = self.value()
            self.skip(",")
        self.take("mark", "}")
        return found

    def value(self) -> Any:
        kind, text = self.peek()
        if text == "{":
            return self.body()
        if text == "[":
            return self.items()
        if kind == "text":
            return self.interpolated(_plain(self.take("text")))
        if kind == "number":
            if len(text) > _DIGITS_MAX:
                raise self.wrong(f"a number has more than {_DIGITS_MAX} digits")
            return float(text) if "." in self.take("number") else int(text)
        name = self.take("name")
        return {"true": True, "false": False, "null": None}.get(name, Variable(name))

    def items(self) -> list[Any]:
        self.take("mark", "[")
        found = []
        self.skip()
        while self.peek()[1] != "]":
            found.append(self.value())
            if not self.skip(",") and self.peek()[1] != "]":
                raise self.fail("',' or ']'")
        self.take("mark", "]")
        return found

    def interpolated(self, text: str) -> Any:
        """Return a string, or a Text if it has variables. `$${` is `${`."""
        parts = re.split(r"(?<!\$)\$\{([^{}]*)\}", text)
        found: list[Any] = []
        for number, part in enumerate(parts):
            name = part.strip()
            if re.search(r"(?<!\$)\$\{", part) if number % 2 == 0 else not re.fullmatch(r"[A-Za-z_][\w-]*", name):
                raise self.wrong(f"{part!r}: only names of variables can be in the ${{…}} of a string")
            found.append(Variable(name) if number % 2 else part.replace("$${", "${"))
        return Text(tuple(found)) if len(found) > 1 else found[0]


def _plain(quoted: str) -> str:
    return re.sub(r"\\(.)", lambda found: _ESCAPES.get(found[1], found[0]), quoted[1:-1])


def parse_hcl(text: str, what: str) -> list[Block]:
    """Return the blocks of a file. Raises UsageError, with the line."""
    reader = _Reader(text, what)
    try:
        return reader.blocks()
    except RecursionError:
        raise reader.wrong("lists and maps are nested too deeply") from None
