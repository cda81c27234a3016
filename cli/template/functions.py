"""The functions that a template can call: Go's own (text/template/funcs.go) and Docker's (docker/cli templates).

Rules:
1. A function takes Python values and raises `TemplateError` with the message alone; the evaluator adds the place.
2. `takes` names the type of each parameter, for the check before the call: string, int, or any.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

from rootlay.cli.template.errors import TemplateError
from rootlay.cli.template.gofmt import show, sprint, sprintf, sprintln
from rootlay.cli.template.values import Byte, StringMap, TypedNil, is_true, to_json, type_name
from rootlay.store.model.value import value


@value
class Function:
    """A function. `variadic`: the last type of `takes` is that of any number of arguments."""

    call: Callable[..., Any]
    takes: tuple[str, ...]
    variadic: bool = False


def _index(item: Any, *indexes: Any) -> Any:
    if item is None:
        raise TemplateError("index of untyped nil")
    for index in indexes:
        if item is None or (isinstance(item, TypedNil) and item.of == "pointer"):
            raise TemplateError("index of nil pointer")
        if isinstance(item, list | str) or (isinstance(item, TypedNil) and item.of == "slice"):
            item = _element([] if isinstance(item, TypedNil) else item, index)
        elif isinstance(item, dict) or (isinstance(item, TypedNil) and item.of == "map"):
            item = _entry(item, index)
        else:
            raise TemplateError(f"can't index item of type {type_name(item)}")
    return item


def _element(item: list[Any] | str, index: Any) -> Any:
    position = _position(index, len(item.encode() if isinstance(item, str) else item), "index")
    return Byte(item.encode()[position]) if isinstance(item, str) else item[position]


def _entry(item: Any, index: Any) -> Any:
    if index is None:
        raise TemplateError("value is nil; should be of type string")
    if not isinstance(index, str):
        raise TemplateError(f"value has type {type_name(index)}; should be string")
    missing = "" if isinstance(item, StringMap) else None
    return missing if isinstance(item, TypedNil) else item.get(index, missing)


def _position(index: Any, count: int, verb: str, extra: int = 0) -> int:
    if index is None:
        raise TemplateError(f"cannot {verb} slice/array with nil")
    if isinstance(index, bool) or not isinstance(index, int):
        raise TemplateError(f"cannot {verb} slice/array with type {type_name(index)}")
    if not 0 <= index < count + extra:
        raise TemplateError(f"index out of range: {index}")
    return index


def _slice(item: Any, *indexes: Any) -> Any:
    if item is None:
        raise TemplateError("slice of untyped nil")
    if len(indexes) > 3:
        raise TemplateError(f"too many slice indexes: {len(indexes)}")
    if not isinstance(item, list | str):
        raise TemplateError(f"can't slice item of type {type_name(item)}")
    if isinstance(item, str) and len(indexes) == 3:
        raise TemplateError("cannot slice string with 3 indexes")
    whole = item.encode() if isinstance(item, str) else item
    bounds = [_position(index, len(whole), "index", 1) for index in indexes]
    bounds = bounds + [0, len(whole)][len(bounds) :]
    for first, second in pairwise(bounds):
        if first > second:
            raise TemplateError(f"invalid slice index: {first} > {second}")
    part = whole[bounds[0] : bounds[1]]
    return part.decode("utf-8", "replace") if isinstance(part, bytes) else part


def _length(item: Any) -> int:
    if item is None or (isinstance(item, TypedNil) and item.of == "pointer"):
        raise TemplateError("len of nil pointer")
    if isinstance(item, TypedNil):
        return 0
    if isinstance(item, str):
        return len(item.encode("utf-8", "surrogateescape"))
    if isinstance(item, list | dict):
        return len(item)
    raise TemplateError(f"len of type {type_name(item)}")


def _equal(first: Any, *others: Any) -> bool:
    if not others:
        raise TemplateError("missing argument for comparison")
    return any(_same(first, other) for other in others)


def _same(first: Any, second: Any) -> bool:
    kinds = _basic(first), _basic(second)
    if kinds[0] != kinds[1]:
        if first is None or second is None:
            return False
        raise TemplateError("incompatible types for comparison")
    if kinds[0]:
        return bool(first == second)
    for item in (first, second):
        if isinstance(item, list | dict):
            raise TemplateError(f"non-comparable type {show(item)}: {type_name(item)}")
    return first is second or (_is_nil(first) and _is_nil(second))


def _is_nil(item: Any) -> bool:
    return item is None or isinstance(item, TypedNil)


def _basic(item: Any) -> str:
    for kind, name in ((bool, "bool"), (int, "int"), (float, "float"), (str, "string")):
        if isinstance(item, kind):
            return name
    return ""


def _less(first: Any, second: Any) -> bool:
    kinds = _basic(first), _basic(second)
    if "" in kinds:
        raise TemplateError("invalid type for comparison")
    if kinds[0] != kinds[1]:
        raise TemplateError("incompatible types for comparison")
    if kinds[0] == "bool":
        raise TemplateError("invalid type for comparison")
    return bool(first < second)


def _text_of(items: tuple[Any, ...]) -> str:
    return items[0] if len(items) == 1 and isinstance(items[0], str) else sprint(items)


def _html(*items: Any) -> str:
    table: dict[str, int | str | None] = {
        '"': "&#34;",
        "'": "&#39;",
        "&": "&amp;",
        "<": "&lt;",
        ">": "&gt;",
        "\0": "\ufffd",
    }
    return _text_of(items).translate(str.maketrans(table))


def _js(*items: Any) -> str:
    table = {"\\": "\\\\", "'": "\\'", '"': '\\"', "<": "\\u003C", ">": "\\u003E", "&": "\\u0026", "=": "\\u003D"}
    return "".join(table.get(c) or (c if c.isprintable() else f"\\u{ord(c):04X}") for c in _text_of(items))


def _urlquery(*items: Any) -> str:
    from urllib.parse import quote_plus

    return quote_plus(_text_of(items))


def _join(items: Any, separator: str) -> str:
    if _is_nil(items):
        return ""
    if isinstance(items, dict):
        return separator.join(sorted(show(item) for item in items.values()))
    if not isinstance(items, list):
        raise TemplateError(f"expected slice, got {type_name(items)}")
    return separator.join(show(item) for item in items)


def _split(text: str, separator: str) -> list[str]:
    return text.split(separator) if separator else list(text)


def _title(text: str) -> str:
    """Return Go's strings.Title: the first letter of each word as a title."""
    letters = []
    before = " "
    for character in text:
        inside = before == "_" or before.isalnum() or (ord(before) > 0x7F and not before.isspace())
        letters.append(character if inside else character.title())
        before = character
    return "".join(letters)


def _pad(text: str, before: int, after: int) -> str:
    if before < 0 or after < 0:
        raise TemplateError("strings: negative Repeat count")
    return " " * before + text + " " * after if text else text


def _truncate(text: str, length: int) -> str:
    data = text.encode("utf-8", "surrogateescape")
    if len(data) < length:
        return text
    if length < 0:
        raise TemplateError(f"runtime error: slice bounds out of range [:{length}]")
    return data[:length].decode("utf-8", "replace")


_ANY = ("any",)
FUNCTIONS: dict[str, Function] = {
    "and": Function(lambda first, *rest: first, ("any", "any"), True),  # the evaluator stops at the first false
    "or": Function(lambda first, *rest: first, ("any", "any"), True),
    "not": Function(lambda item: not is_true(item), _ANY),
    "call": Function(lambda *items: None, ("any", "any"), True),  # there are no functions among the values
    "html": Function(_html, _ANY, True),
    "index": Function(_index, ("any", "any"), True),
    "js": Function(_js, _ANY, True),
    "len": Function(_length, _ANY),
    "print": Function(lambda *items: sprint(items), _ANY, True),
    "printf": Function(lambda pattern, *items: sprintf(pattern, items), ("string", "any"), True),
    "println": Function(lambda *items: sprintln(items), _ANY, True),
    "slice": Function(_slice, ("any", "any"), True),
    "urlquery": Function(_urlquery, _ANY, True),
    "eq": Function(_equal, ("any", "any"), True),
    "ne": Function(lambda first, second: not _same(first, second), ("any", "any")),
    "lt": Function(_less, ("any", "any")),
    "le": Function(lambda first, second: _less(first, second) or _same(first, second), ("any", "any")),
    "gt": Function(lambda first, second: not (_less(first, second) or _same(first, second)), ("any", "any")),
    "ge": Function(lambda first, second: not _less(first, second), ("any", "any")),
    # Docker's
    "json": Function(to_json, _ANY),
    "join": Function(_join, ("any", "string")),
    "lower": Function(str.lower, ("string",)),
    "upper": Function(str.upper, ("string",)),
    "title": Function(_title, ("string",)),
    "split": Function(_split, ("string", "string")),
    "truncate": Function(_truncate, ("string", "int")),
    "pad": Function(_pad, ("string", "int", "int")),
}
HEADER_FUNCTIONS: dict[str, Function] = FUNCTIONS | {
    "json": Function(lambda text: text, ("string",)),
    "lower": Function(lambda text: text, ("string",)),
    "upper": Function(lambda text: text, ("string",)),
    "title": Function(lambda text: text, ("string",)),
    "truncate": Function(lambda text, _: text, ("string", "int")),
}
"""The functions in the header of a table: they leave the titles as they are."""
