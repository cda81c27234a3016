"""Checks of argument types: one TypeError names the argument and the expected type.

    @checks_arguments
    class Store: …

Rules:
1. The annotation of an argument defines its type: there is no second list. Types without a rule here are not checked
   (objects of other packages, callables, truth values).
2. Only types are checked. The code that uses a name checks what it means and whether it exists.
3. None means the default of an argument that has one.
4. The public methods of `Store`, `Image` and `Container` are checked. The code that parses paths of their file systems
   checks them, as in `os`.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping, Sequence
from types import FunctionType
from typing import Any, TypeVar

T = TypeVar("T")
_NO_DEFAULT: Any = object()
_HAS_REST = 4  # CO_VARARGS, without `import inspect`, which takes milliseconds
Test = Callable[[object], bool]


def _is_path(given: object) -> bool:
    return isinstance(given, (str, os.PathLike))


def _sequence_of(test: Test) -> Test:
    return lambda given: (
        isinstance(given, Sequence) and not isinstance(given, (str, bytes, bytearray)) and all(map(test, given))
    )


def _mapping_of(test: Test) -> Test:
    return lambda given: (
        isinstance(given, Mapping)
        and all(isinstance(name, str) for name in given)
        and all(test(value) for value in given.values())
    )


def _is_text(given: object) -> bool:
    return isinstance(given, str)


def _is_content(given: object) -> bool:
    return isinstance(given, bytes) or _is_path(given)


def _is_named(name: str) -> Test:
    """Return whether the value is of a class in rootlay with this name, without an import."""
    return lambda given: any(
        cls.__name__ == name and cls.__module__.startswith("rootlay.") for cls in type(given).__mro__
    )


def _is_number(given: object) -> bool:
    return isinstance(given, (int, float)) and not isinstance(given, bool)


def _is_int(given: object) -> bool:
    return isinstance(given, int) and not isinstance(given, bool)


def _is_image_or_name(given: object) -> bool:
    return _is_text(given) or _is_named("Image")(given)


KINDS: dict[str, tuple[str, Test]] = {
    "None": ("None", lambda given: given is None),
    "str": ("a string", _is_text),
    "bytes": ("bytes", lambda given: isinstance(given, bytes)),
    "int": ("a whole number", _is_int),
    "float": ("a number", _is_number),
    "Path": ("a path", _is_path),
    "os.PathLike[str]": ("a path", _is_path),
    "Sequence[str]": ("a sequence of strings", _sequence_of(_is_text)),
    "tuple[str, ...]": ("a sequence of strings", _sequence_of(_is_text)),
    "Sequence[str | os.PathLike[str]]": ("a sequence of strings or paths", _sequence_of(_is_path)),
    "Mapping[str, str]": ("a mapping of strings to strings", _mapping_of(_is_text)),
    "dict[str, str]": ("a mapping of strings to strings", _mapping_of(_is_text)),
    "Mapping[str, Content]": ("a mapping of strings to contents", _mapping_of(_is_content)),
    "Limits": ("Limits", _is_named("Limits")),
    "Sequence[Bind]": ("a sequence of Bind", _sequence_of(_is_named("Bind"))),
    "Progress": ("a function", callable),
    "Note": ("a function", callable),
    "RegistrySettings": ("a RegistrySettings", _is_named("Settings")),
    "Sequence[Image | str]": (
        "a sequence of images or names",
        _sequence_of(_is_image_or_name),
    ),
    "MutableMapping[str, str]": ("a mapping", lambda given: isinstance(given, MutableMapping)),
    "BinaryIO": ("a file that can be written to", lambda given: callable(getattr(given, "write", None))),
    **{name: (words, _is_named(name)) for name, words in (("Snapshot", "a Snapshot"), ("Container", "a Container"))},
    "Image": ("an Image", _is_named("Image")),
}


class _Check:
    """The expected type of one argument: its annotation; `default` if it has one."""

    __slots__ = ("default", "tests", "words")

    def __init__(self, annotation: str, default: object = _NO_DEFAULT) -> None:
        parts = [annotation] if annotation in KINDS else annotation.split(" | ")
        known = all(part in KINDS for part in parts)
        self.tests = [KINDS[part][1] for part in parts] if known else [lambda _: True]
        self.words = " or ".join(dict.fromkeys(KINDS[part][0] for part in parts if part != "None")) if known else ""
        self.default = default

    def passed(self, where: str, name: str, given: object) -> object:
        """Return the argument, or its default instead of None. Raises TypeError."""
        for test in self.tests:
            if test(given):
                return given
        if given is None and self.default is not _NO_DEFAULT:
            return self.default
        for place, piece, item in _elements(given):
            if not any(test(piece) for test in self.tests):
                raise TypeError(f"{where}: {name} is {self.words}, but {name}[{place!r}] is {_shown(item)}")
        raise TypeError(f"{where}: {name} is {self.words}, not {_shown(given)}")


def _elements(given: object) -> Iterator[tuple[object, object, object]]:
    """Yield each element of a sequence or mapping: its place, a collection of it alone, and itself."""
    if isinstance(given, Mapping):
        yield from ((key, {key: item}, item) for key, item in given.items())
    elif isinstance(given, Sequence) and not isinstance(given, (str, bytes, bytearray)):
        yield from ((index, [item], item) for index, item in enumerate(given))


def _shown(given: object) -> str:
    text = repr(given)
    return f"{type(given).__name__}: {text if len(text) <= 60 else f'{text[:57]}…'}"


def checks_arguments(cls: type[T]) -> type[T]:
    """Make public methods of the decorated class check their arguments."""
    for name, member in list(vars(cls).items()):
        if name.startswith("_"):
            continue
        if isinstance(member, FunctionType):
            setattr(cls, name, _checked(member))
        elif isinstance(member, classmethod):
            setattr(cls, name, classmethod(_checked(member.__func__)))
    return cls


def _checked(function: Callable[..., Any]) -> Callable[..., Any]:
    code = function.__code__
    names = code.co_varnames[1 : code.co_argcount + code.co_kwonlyargcount]
    single = code.co_varnames[1 : code.co_argcount]
    rest = code.co_varnames[code.co_argcount + code.co_kwonlyargcount] if code.co_flags & _HAS_REST else None
    values = function.__defaults__ or ()
    defaults = dict(zip(single[len(single) - len(values) :], values, strict=True)) | (function.__kwdefaults__ or {})
    kinds = function.__annotations__
    checks = {name: _Check(str(kinds[name]), defaults.get(name, _NO_DEFAULT)) for name in names}
    if rest:
        checks[rest] = _Check(str(kinds[rest]))

    @functools.wraps(function)
    def checked(self: object, *arguments: Any, **options: Any) -> Any:
        where = f"{(self if isinstance(self, type) else type(self)).__name__}.{function.__name__}"
        places: Iterable[str | None] = (*single[: len(arguments)], *[rest] * (len(arguments) - len(single)))
        passed = [
            checks[name].passed(where, name, given) if name else given
            for name, given in zip(places, arguments, strict=True)
        ]
        for name, given in options.items():
            if name in checks:
                options[name] = checks[name].passed(where, name, given)
        return function(self, *passed, **options)

    return checked


def check_fields(where: str, cls: type, options: Mapping[str, object]) -> None:
    """Check the fields of `cls`, a class of values. Raises TypeError."""
    for name, given in options.items():
        if name not in cls.__annotations__:
            raise TypeError(f"{where}: there is no option {name!r}; expected one of: {', '.join(cls.__annotations__)}")
        _Check(str(cls.__annotations__[name])).passed(where, name, given)
