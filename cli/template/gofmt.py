"""Go's package fmt: `%v` of values, Sprint, Sprintln and Sprintf."""

from __future__ import annotations

import re
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from rootlay.cli.template.lexer import quote
from rootlay.cli.template.values import Struct, TypedNil, type_name
from rootlay.store.model.value import value

_DIRECTIVE = re.compile(
    r"%(?P<flags>[+\-# 0]*)(?:\[(?P<index>\d+)\])?(?P<width>\*|\d+)?(?P<point>\.(?P<precision>\*|\d+)?)?"
    r"(?:\[(?P<last>\d+)\])?(?P<verb>.)?",
    re.DOTALL,
)
_SHORTEST = 6
"""The digits at which `%v` begins to write a float with an exponent: 1e+06."""


@value
class _Directive:
    flags: str
    width: int | None
    precision: int | None
    verb: str


def sprint(items: Sequence[Any]) -> str:
    """Return the values as text, with a space between two that are not strings."""
    parts: list[str] = []
    for number, item in enumerate(items):
        if number and not isinstance(item, str) and not isinstance(items[number - 1], str):
            parts.append(" ")
        parts.append(show(item))
    return "".join(parts)


def sprintln(items: Sequence[Any]) -> str:
    """Return the values as text, with spaces between them and a line end."""
    return " ".join(show(item) for item in items) + "\n"


def show(item: Any, *, top: bool = True) -> str:
    """Return `%v` of a value."""
    if item is None or isinstance(item, TypedNil):
        return {"slice": "[]", "map": "map[]"}.get(item.of if item else "", "<nil>")
    if isinstance(item, bool):
        return "true" if item else "false"
    if isinstance(item, float):
        return _general(item)
    if isinstance(item, Struct):
        mark = "&" if top and item.kind.startswith("*") else ""
        return mark + "{" + " ".join(show(item.get(name), top=False) for name in item.fields) + "}"
    if isinstance(item, dict):
        return "map[" + " ".join(f"{key}:{show(item[key], top=False)}" for key in sorted(item)) + "]"
    if isinstance(item, list):
        return "[" + " ".join(show(element, top=False) for element in item) + "]"
    return str(item)


def _general(number: float, precision: int | None = None) -> str:
    """Return `%v` (or `%g`) of a float: with an exponent if it is below -4 or at least the number of digits (6)."""
    if number != number or number in (float("inf"), float("-inf")):
        return "NaN" if number != number else "+Inf" if number > 0 else "-Inf"
    if number == 0:
        return "0"
    sign, digits, exponent = Decimal(repr(number) if precision is None else f"{number:.{precision or 1}g}").as_tuple()
    shown = "".join(map(str, digits)).rstrip("0") or "0"
    power = int(exponent) + len(digits) - 1
    limit = _SHORTEST if precision is None else max(precision, 1)
    if -4 <= power < limit:
        text = format(Decimal((0, tuple(map(int, shown)), power - len(shown) + 1)), "f")
    else:
        text = shown[0] + ("." + shown[1:] if shown[1:] else "") + f"e{'-' if power < 0 else '+'}{abs(power):02d}"
    return ("-" if sign else "") + text


def sprintf(pattern: str, items: Sequence[Any]) -> str:
    """Return Go's Sprintf, with its marks for wrong calls: `%!d(string=x)`."""
    return _Sprintf(items).run(pattern)


class _Sprintf:
    """One call of Sprintf: the position in its arguments."""

    def __init__(self, items: Sequence[Any]) -> None:
        self._items = items
        self._at = 0
        self._reordered = False

    def run(self, pattern: str) -> str:
        parts: list[str] = []
        end = 0
        while True:
            begin = pattern.find("%", end)
            if begin < 0:
                break
            found = _DIRECTIVE.match(pattern, begin)
            assert found is not None  # every part of it may be missing
            parts += [pattern[end:begin], self._one(found)]
            end = found.end()
        parts.append(pattern[end:])
        if not self._reordered and self._at < len(self._items):
            rest = ", ".join(
                "<nil>" if item is None else f"{type_name(item)}={show(item)}" for item in self._items[self._at :]
            )
            parts.append(f"%!(EXTRA {rest})")
        return "".join(parts)

    def _one(self, found: re.Match[str]) -> str:
        if found["verb"] == "%":
            return "%"
        if found["index"] and found["width"]:
            self._jump(found["index"])
        width = self._count(found["width"])
        precision = self._count(found["precision"]) if found["precision"] else 0 if found["point"] else None
        self._jump(found["last"] or (None if found["width"] else found["index"]))
        if found["verb"] is None:
            return "%!(NOVERB)"
        if not 0 <= self._at < len(self._items):
            return f"%!{found['verb']}({'BADINDEX' if self._reordered else 'MISSING'})"
        item = self._items[self._at]
        self._at += 1
        flags = found["flags"]
        if width is not None and width < 0:
            flags, width = flags + "-", -width
        return _directive(_Directive(flags, width, precision, found["verb"]), item)

    def _jump(self, index: str | None) -> None:
        if index is not None:
            self._at = int(index) - 1
            self._reordered = True

    def _count(self, text: str | None) -> int | None:
        """Return a width or precision, which may be the next argument."""
        if text != "*":
            return None if text is None else int(text)
        item = self._items[self._at] if self._at < len(self._items) else None
        self._at += 1
        return item if isinstance(item, int) else None


def _directive(directive: _Directive, item: Any) -> str:
    verb = directive.verb
    if verb == "T":
        return _padded(directive, "<nil>" if item is None else type_name(item))
    if isinstance(item, list | dict | Struct) and verb not in "vp":
        return _container(directive, item)
    text = _formatted(directive, item)
    if text is None:
        return f"%!{verb}({'<nil>' if item is None else f'{type_name(item)}={show(item)}'})"
    return _padded(directive, text)


def _container(directive: _Directive, item: Any) -> str:
    """Return a verb of a list, map or struct: it is applied to each element."""
    if isinstance(item, list):
        return "[" + " ".join(_directive(directive, element) for element in item) + "]"
    if isinstance(item, dict):
        pairs = (f"{_directive(directive, key)}:{_directive(directive, item[key])}" for key in sorted(item))
        return "map[" + " ".join(pairs) + "]"
    return "{" + " ".join(_directive(directive, item.get(name)) for name in item.fields) + "}"


def _formatted(directive: _Directive, item: Any) -> str | None:
    """Return a value by its verb, without padding; None if the verb does not fit."""
    if directive.verb == "v":
        return _go_syntax(item) if "#" in directive.flags else _plain_verb(directive, item)
    if isinstance(item, bool):
        return show(item) if directive.verb == "t" else None
    if isinstance(item, str):
        return _of_text(directive, item)
    if isinstance(item, int):
        return _of_integer(directive, item)
    if isinstance(item, float):
        return _of_float(directive, item)
    return None


def _plain_verb(directive: _Directive, item: Any) -> str:
    if isinstance(item, str):
        return item if directive.precision is None else item[: directive.precision]
    if isinstance(item, int) and not isinstance(item, bool):
        return _signed(directive, item, str(abs(item)))
    return show(item)


def _go_syntax(item: Any) -> str:
    """Return `%#v`."""
    if isinstance(item, str):
        return quote(item)
    if item is None:
        return "<nil>"
    if isinstance(item, list):
        return f"{type_name(item)}{{{', '.join(map(_go_syntax, item))}}}"
    if isinstance(item, dict):
        pairs = (f"{_go_syntax(key)}:{_go_syntax(item[key])}" for key in sorted(item))
        return f"{type_name(item)}{{{', '.join(pairs)}}}"
    return show(item)


def _of_text(directive: _Directive, item: str) -> str | None:
    text = item if directive.precision is None else item[: directive.precision]
    if directive.verb == "s":
        return text
    if directive.verb == "q":
        return f"`{text}`" if "#" in directive.flags and "`" not in text else quote(text)
    if directive.verb in "xX":
        data = text.encode("utf-8", "surrogateescape")
        digits = data.hex(" ") if " " in directive.flags else data.hex()
        digits = ("0x" if "#" in directive.flags and digits else "") + digits
        return digits.upper() if directive.verb == "X" else digits
    return None


def _of_integer(directive: _Directive, item: int) -> str | None:
    bases = {"d": "d", "x": "x", "X": "X", "o": "o", "b": "b", "O": "o"}
    verb = directive.verb
    if verb in bases:
        digits = format(abs(item), bases[verb])
        if directive.precision is not None:
            digits = digits.rjust(directive.precision, "0")
        prefix = {"x": "0x", "X": "0X", "o": "0", "b": "0b"}.get(verb, "") if "#" in directive.flags else ""
        return _signed(directive, item, ("0o" if verb == "O" else prefix) + digits)
    if verb == "c":
        return chr(item) if 0 <= item < 0x110000 else "\ufffd"
    if verb == "q":
        return f"'{chr(item)}'" if 0 <= item < 0x110000 else "'\ufffd'"
    if verb == "U":
        return f"U+{item:04X}"
    return None


def _of_float(directive: _Directive, item: float) -> str | None:
    verb, precision = directive.verb, directive.precision
    if verb in "fFeE":
        digits = f"{abs(item):.{6 if precision is None else precision}{verb}}"
    elif verb in "gG":
        digits = _general(abs(item), precision)
    else:
        return None
    return _signed(directive, -1 if item < 0 else 1, digits)


def _signed(directive: _Directive, item: int, digits: str) -> str:
    sign = "-" if item < 0 else "+" if "+" in directive.flags else " " if " " in directive.flags else ""
    if "0" in directive.flags and "-" not in directive.flags and directive.precision is None and directive.width:
        digits = digits.rjust(directive.width - len(sign), "0")
    return sign + digits


def _padded(directive: _Directive, text: str) -> str:
    width = directive.width or 0
    if "-" in directive.flags:
        return text.ljust(width)
    zeros = "0" in directive.flags and directive.verb in "sqxX" and not text.startswith(("+", "-"))
    return text.rjust(width, "0" if zeros else " ")
