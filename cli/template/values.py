"""Go's values as Python's: None is a nil interface, dict a map, list a slice; the classes here are the other kinds."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from typing import Any

from rootlay.store.model.value import value


@value
class Struct:
    """A struct (or a pointer to one).

    Args:
        kind: the name of its type, for errors: `*formatter.ImageContext`.
        fields: its fields by name; a callable is evaluated when it is read, as a method.
        document: the fields as `json` prints them, in their order; None: all fields, sorted by name.
    """

    kind: str
    fields: Mapping[str, Any]
    document: Any = None

    def get(self, name: str) -> Any:
        """Return a field. Raises KeyError."""
        found = self.fields[name]
        return found() if callable(found) else found


@value
class Method:
    """A field that is called with one string: `{{.Label "key"}}`."""

    call: Callable[[str], Any]


class StringMap(dict[str, Any]):
    """A map[string]string: `index` of a missing key gives the empty string."""


@value
class TypedNil:
    """A nil that has a type. `of`: pointer, slice or map. `kind`: the name of its type."""

    of: str
    kind: str


class _Missing:
    """The class of MISSING."""

    __slots__ = ()


MISSING: Any = _Missing()
"""The value of a key that a map does not have: Go's invalid reflect.Value."""


class JsonNumber(str):
    """A json.Number: a number of a document as it was written. Go compares and prints it as a string."""

    __slots__ = ()


class Byte(int):
    """A uint8: an element of a string."""


def type_name(item: Any) -> str:
    """Return Go's name of the type of a value."""
    if isinstance(item, Struct | TypedNil):
        return item.kind
    if isinstance(item, StringMap):
        return "map[string]string"
    if isinstance(item, bool):
        return "bool"
    names = {int: "int", Byte: "uint8", float: "float64", str: "string", dict: "map[string]interface {}"}
    names |= {JsonNumber: "json.Number", type(None): "interface {}"}
    return names.get(type(item), "[]interface {}")


def is_true(item: Any) -> bool:
    """Return whether `if` takes a value as true."""
    if isinstance(item, Struct):
        return True
    return not isinstance(item, TypedNil | _Missing) and bool(item)


def plain(item: Any) -> Any:
    """Return a value as JSON's encoder of Python takes it."""
    if isinstance(item, Struct):
        if item.document is not None:
            return {name: plain(field) for name, field in item.document.items()}
        found = {name: item.get(name) for name in sorted(item.fields)}
        return {name: plain(field) for name, field in found.items() if not isinstance(field, Method)}
    if isinstance(item, dict):
        return {key: plain(item[key]) for key in sorted(item)}
    if isinstance(item, list):
        return [plain(element) for element in item]
    if isinstance(item, float):
        return _WrittenFloat(item)
    if isinstance(item, JsonNumber):
        return json.loads(item)
    return None if isinstance(item, TypedNil | _Missing) else item


class _WrittenFloat(float):
    """A float that is written as Go's encoder writes it: with an exponent below 1e-6 and from 1e21 on."""

    def __repr__(self) -> str:
        text = repr(float(self))
        if self and not 1e-6 <= abs(self) < 1e21:
            mantissa, _, exponent = text.partition("e")
            return f"{mantissa.removesuffix('.0')}e{exponent[0]}{exponent[1:].lstrip('0')}"
        return format(Decimal(text), "f").removesuffix(".0")


def to_json(item: Any) -> str:
    """Return a value as Go's encoder without HTML escapes writes it."""
    text = "".join(_encoder(plain(item)))
    if isinstance(item, Struct) and item.document is None:  # a row has its own encoder there, with HTML escapes
        text = text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
    return text.replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def _encoder(item: Any) -> Iterator[str]:
    if isinstance(item, dict):
        yield "{"
        for number, (key, element) in enumerate(item.items()):
            yield ("," if number else "") + _text(key) + ":"
            yield from _encoder(element)
        yield "}"
    elif isinstance(item, list | tuple):
        yield "["
        for number, element in enumerate(item):
            yield "," if number else ""
            yield from _encoder(element)
        yield "]"
    else:
        yield repr(item) if isinstance(item, float) else _text(item)


def _text(item: Any) -> str:
    return json.dumps(item, ensure_ascii=False)
