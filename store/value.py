"""Frozen, slotted value classes without the `dataclasses` module.

`import dataclasses` takes 8 ms (it imports inspect), and each class that it makes about 0.6 ms, because it compiles
source text: 30 ms of the start of every `rootlay run` (bench/startup.py). Classes on that path use this instead; type
checkers treat them as frozen dataclasses. Off that path dataclasses are the rule: their instances are made faster.

Rules:
1. Fields are the annotated names of the class itself; no inheritance of fields. Defaults are shared, so they must be
   immutable; for others say `field(factory)`.
2. Equality by class and fields; hashable if the fields are; `replace` makes a changed copy.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, dataclass_transform

T = TypeVar("T")


class _Factory:
    __slots__ = ("make",)

    def __init__(self, make: Callable[[], Any]) -> None:
        self.make = make


def field(*, default_factory: Callable[[], Any]) -> Any:
    """A default that is made anew for each instance."""
    return _Factory(default_factory)


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def value(cls: type[T]) -> type[T]:
    """Class decorator: see the module. The class is made anew, with slots."""
    names = tuple(cls.__annotations__)
    defaults = {name: cls.__dict__[name] for name in names if name in cls.__dict__}
    body = {key: item for key, item in cls.__dict__.items() if key not in defaults and key not in _DROPPED}
    body |= {"__slots__": names, "__fields__": names, "__defaults__": defaults, "__qualname__": cls.__qualname__}
    for name, method in _METHODS.items():
        body.setdefault(name, method)
    metaclass: Any = type(cls)
    made: type[T] = metaclass(cls.__name__, cls.__bases__, body)
    return made


def replace(instance: T, **changes: Any) -> T:
    """A copy with some fields changed. Raises TypeError for a field that is not there."""
    return type(instance)(**{**as_dict(instance), **changes})


def fields(kind: type) -> tuple[str, ...]:
    """The names of a value class's fields, in order."""
    names: tuple[str, ...] = kind.__fields__  # type: ignore[attr-defined]  # `value` put it there
    return names


def as_dict(instance: Any) -> dict[str, Any]:
    """Fields and values, one level deep."""
    return {name: getattr(instance, name) for name in fields(type(instance))}


_DROPPED = ("__dict__", "__weakref__")
_set = object.__setattr__


def _init(self: Any, *given: Any, **named: Any) -> None:
    names = self.__fields__
    if len(given) > len(names):
        raise TypeError(f"{type(self).__name__} takes {len(names)} values, {len(given)} were given")
    for name, item in zip(names, given, strict=False):
        _set(self, name, item)
    for name in names[len(given) :]:
        if name in named:
            item = named.pop(name)
        elif name in self.__defaults__:
            item = self.__defaults__[name]
            if isinstance(item, _Factory):
                item = item.make()
        else:
            raise TypeError(f"{type(self).__name__} needs a value for {name}")
        _set(self, name, item)
    if named:
        raise TypeError(f"{type(self).__name__} has no field {next(iter(named))}, or it was given twice")
    self.__post_init__()


def _post_init(self: Any) -> None:
    """For classes to check themselves."""


def _eq(self: Any, other: object) -> Any:
    if type(other) is not type(self):
        return NotImplemented
    return as_dict(self) == as_dict(other)


def _hash(self: Any) -> int:
    return hash((type(self), *(getattr(self, name) for name in self.__fields__)))


def _repr(self: Any) -> str:
    shown = ", ".join(f"{name}={getattr(self, name)!r}" for name in self.__fields__)
    return f"{type(self).__qualname__}({shown})"


def _frozen(self: Any, name: str, item: object = None) -> None:
    raise AttributeError(f"{type(self).__name__} is frozen: cannot change {name}")


def _get_state(self: Any) -> dict[str, Any]:
    return as_dict(self)


def _set_state(self: Any, state: dict[str, Any]) -> None:
    for name, item in state.items():
        _set(self, name, item)


_METHODS: dict[str, Any] = {
    "__init__": _init,
    "__post_init__": _post_init,
    "__eq__": _eq,
    "__hash__": _hash,
    "__repr__": _repr,
    "__setattr__": _frozen,
    "__delattr__": _frozen,
    "__getstate__": _get_state,
    "__setstate__": _set_state,
}
