"""Frozen, slotted value classes without the `dataclasses` module.

`import dataclasses` takes 8 ms (it imports inspect), and each class about 0.6 ms, because it compiles source text: 30
ms of the start of every `rootlay run`, and as much again for a `commit` or a `build` (bench/startup.py). All value
classes use this module instead; type checkers treat them as frozen dataclasses.

Rules:
1. Fields are the annotated names of the class, after those of the value class that it inherits from. Defaults are
   shared, so they must be immutable; for others use `field(default_factory=…)`.
2. Equality by class and fields; hashable if the fields are; `replace` makes a changed copy.
3. A class with many instances gets compiled methods after COMPILE_AT of them: from then on they are made and compared
   as fast as those of a dataclass.
"""

from __future__ import annotations

import itertools
import operator
from collections.abc import Callable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, TypeVar, dataclass_transform, overload

    T = TypeVar("T")

COMPILE_AT = 50


class _Field:
    __slots__ = ("default", "keyword", "make", "shown")

    def __init__(self, default: Any, make: Callable[[], Any] | None, shown: bool, keyword: bool) -> None:
        self.default = default
        self.make = make
        self.shown = shown
        self.keyword = keyword


_UNSET: Any = object()


def field(
    *,
    default: Any = _UNSET,
    default_factory: Callable[[], Any] | None = None,
    repr: bool = True,  # noqa: A002 (as in dataclasses)
    kw_only: bool = False,
) -> Any:
    """Return the options of a field: a default, or a factory that makes one for each instance; whether it is shown, and
    given by its name only. Fields that are given by name are the last ones."""
    return _Field(default, default_factory, repr, kw_only)


class _Signature:
    """The signature of a value class, for `help` and editors: made when it is wanted, because inspect is heavy."""

    def __get__(self, instance: object, cls: Any) -> Any:
        from inspect import Parameter, Signature

        shown = []
        for at, name in enumerate(cls.__fields__):
            kind = Parameter.POSITIONAL_OR_KEYWORD if at < cls.__positional__ else Parameter.KEYWORD_ONLY
            default = cls.__defaults__.get(name, Parameter.empty)
            default = default.make() if isinstance(default, _Field) and default.make else default
            annotation = next(
                (c.__annotations__[name] for c in cls.__mro__ if name in vars(c).get("__annotations__", ())), object
            )
            shown.append(Parameter(name, kind, default=default, annotation=annotation))
        required = [each for each in shown if each.default is Parameter.empty]
        if shown[: len(required)] != required:  # a field without a default follows one that has one
            shown = [each.replace(kind=Parameter.KEYWORD_ONLY) for each in shown]
        return Signature(shown)


if TYPE_CHECKING:

    @overload
    def value(cls: type[T], /) -> type[T]: ...
    @overload
    def value(*, order: bool = False, slots: bool = True) -> Callable[[type[T]], type[T]]: ...
    @dataclass_transform(frozen_default=True, field_specifiers=(field,))
    def value(cls: Any = None, /, **options: Any) -> Any: ...
else:

    def value(cls=None, /, *, order=False, slots=True):
        """Make a value class: a class decorator, see the module. It makes a new class, with slots.

        Args:
            order: instances are also compared by <, by their fields.
            slots: False: instances have a `__dict__`, for cached properties.
        """
        if cls is None:
            return lambda given: _make(given, order, slots)
        return _make(cls, order, slots)


def _make(cls: type[Any], order: bool, slots: bool) -> type[Any]:
    own = tuple(name for name, kind in cls.__annotations__.items() if not _of_class(kind))
    inherited: tuple[str, ...] = getattr(cls, "__fields__", ())
    defaults = dict(getattr(cls, "__defaults__", {}))
    hidden = set(getattr(cls, "__hidden__", ()))
    named: set[str] = set()
    for name in own:
        given = cls.__dict__.get(name, _UNSET)
        if isinstance(given, _Field):
            hidden |= set() if given.shown else {name}
            named |= {name} if given.keyword else set()
            given = given if given.make else given.default
        if given is not _UNSET:
            defaults[name] = given
    body = {key: item for key, item in cls.__dict__.items() if key not in own and key not in _DROPPED}
    names = (*inherited, *own)
    body |= {"__fields__": names, "__defaults__": defaults, "__hidden__": hidden, "__qualname__": cls.__qualname__}
    body |= {"__positional__": len(names) - len(named), "__signature__": _Signature()}
    body["__generated__"] = tuple(name for name in _COMPILED if name not in body)
    if slots:
        body["__slots__"] = own
    for name, method in (_METHODS | (_ORDERING if order else {})).items():
        if not (inherited and name == "__post_init__"):
            body.setdefault(name, method)
    body["__left__"] = COMPILE_AT
    metaclass: Any = type(cls)
    made: type[Any] = metaclass(cls.__name__, cls.__bases__, body)
    return made


def _of_class(annotation: Any) -> bool:
    """Return whether it is `ClassVar[…]`, as text or as an object: not a field."""
    return str(annotation).removeprefix("typing.").startswith("ClassVar")


def replace(instance: T, **changes: Any) -> T:
    """Return a copy with some fields changed. Raises TypeError for an unknown field."""
    return type(instance)(**{**as_dict(instance), **changes})


def fields(kind: type) -> tuple[str, ...]:
    """Return the names of a value class's fields, in order."""
    names: tuple[str, ...] = kind.__fields__  # type: ignore[attr-defined]  # `value` put it there
    return names


def as_dict(instance: Any) -> dict[str, Any]:
    """Return fields and values, one level deep."""
    return {name: getattr(instance, name) for name in fields(type(instance))}


_DROPPED = ("__dict__", "__weakref__")
_set = object.__setattr__


def _init(self: Any, *given: Any, **named: Any) -> None:
    names = self.__fields__
    if len(given) > self.__positional__:
        raise TypeError(f"{type(self).__name__} takes {self.__positional__} values, {len(given)} were given")
    for name, item in zip(names, given, strict=False):
        _set(self, name, item)
    for name in names[len(given) :]:
        if name in named:
            item = named.pop(name)
        elif name in self.__defaults__:
            item = self.__defaults__[name]
            if isinstance(item, _Field) and item.make:
                item = item.make()
        else:
            raise TypeError(f"{type(self).__name__} needs a value for {name}")
        _set(self, name, item)
    if named:
        raise TypeError(f"{type(self).__name__} has no field {next(iter(named))}, or it was given twice")
    self.__post_init__()
    cls = type(self)
    cls.__left__ -= 1
    if cls.__left__ == 0:
        _compile(cls)


def _compile(cls: Any) -> None:
    """Give a class its compiled methods (rule 3)."""
    names, defaults = cls.__fields__, cls.__defaults__
    if any(first in defaults and second not in defaults for first, second in itertools.pairwise(names)):
        return  # a parameter without a default must not follow one with a default
    scope: dict[str, Any] = {"_set": _set, "_unset": _UNSET, "_defaults": defaults, "_class": cls}
    parameters, sets = [], []
    for at, name in enumerate(names):
        if at == cls.__positional__:
            parameters.append("*")
        made = isinstance(defaults.get(name), _Field)
        parameters.append(f"{name}={'_unset' if made else f'_defaults[{name!r}]'}" if name in defaults else name)
        sets.append(
            f"_set(self, {name!r}, _defaults[{name!r}].make() if {name} is _unset else {name})"
            if made
            else f"_set(self, {name!r}, {name})"
        )
    if cls.__post_init__ is not _post_init:
        sets.append("self.__post_init__()")
    mine, theirs = (f"({''.join(f'{whose}.{name}, ' for name in names)})" for whose in ("self", "other"))
    texts = {
        "__init__": f"def __init__(self, {', '.join(parameters)}):\n " + "\n ".join(sets or ["pass"]),
        "__eq__": "def __eq__(self, other):\n"
        f" return {mine} == {theirs} if type(other) is type(self) else NotImplemented",
        "__hash__": f"def __hash__(self):\n return hash((_class, *{mine}))",
    }
    for name in cls.__generated__:
        exec(texts[name], scope)
        setattr(cls, name, scope[name])


def _post_init(self: Any) -> None:
    """Do nothing; a class may define its own checks."""


def _eq(self: Any, other: object) -> Any:
    if type(other) is not type(self):
        return NotImplemented
    return as_dict(self) == as_dict(other)


def _hash(self: Any) -> int:
    return hash((type(self), *(getattr(self, name) for name in self.__fields__)))


def _repr(self: Any) -> str:
    names = (name for name in self.__fields__ if name not in self.__hidden__)
    shown = ", ".join(f"{name}={getattr(self, name)!r}" for name in names)
    return f"{type(self).__qualname__}({shown})"


def _ordered(compare: Callable[[Any, Any], bool]) -> Callable[[Any, object], Any]:
    def method(self: Any, other: object) -> Any:
        if type(other) is not type(self):
            return NotImplemented
        return compare(tuple(as_dict(self).values()), tuple(as_dict(other).values()))

    return method


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
_COMPILED = ("__init__", "__eq__", "__hash__")
_ORDERING: dict[str, Any] = {
    "__lt__": _ordered(operator.lt),
    "__le__": _ordered(operator.le),
    "__gt__": _ordered(operator.gt),
    "__ge__": _ordered(operator.ge),
}
