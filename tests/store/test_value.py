"""Value classes behave as frozen dataclasses do."""

from __future__ import annotations

import copy
import pickle
import subprocess
import sys
from functools import cached_property
from typing import Any, ClassVar

import pytest

from rootlay.store.model.value import COMPILE_AT, as_dict, field, replace, value


@value
class Point:
    """A point."""

    x: int
    y: int = 2
    tags: dict[str, int] = field(default_factory=dict)

    @property
    def total(self) -> int:
        return self.x + self.y


@value
class Positive:
    n: int

    def __post_init__(self) -> None:
        if self.n <= 0:
            raise ValueError("not positive")


@value
class Place(Point):
    kind: ClassVar[str] = "place"

    name: str = "here"
    secret: str = field(default="hush", repr=False)


@value(order=True)
class Version:
    major: int
    minor: int = 0


@value(slots=False)
class Cached:
    n: int

    @cached_property
    def twice(self) -> int:
        return 2 * self.n


def test_fields_are_inherited_and_some_are_not_shown() -> None:
    place = Place(1, name="there")
    assert (place.x, place.y, place.tags, place.name, place.secret, place.total) == (1, 2, {}, "there", "hush", 3)
    assert repr(place) == "Place(x=1, y=2, tags={}, name='there')"
    assert Place.kind == place.kind == "place"
    assert Place(1) != Point(1)
    assert not hasattr(place, "__dict__")
    assert replace(place, x=2, secret="s") == Place(2, 2, {}, "there", "s")


def test_order_and_cached_properties() -> None:
    assert sorted([Version(2), Version(1, 5), Version(1)]) == [Version(1), Version(1, 5), Version(2)]
    assert Version(1) <= Version(1) < Version(1, 1) >= Version(1)
    assert not Version(1) > Version(1)
    with pytest.raises(TypeError):
        Version(1) < (1, 0)  # type: ignore[operator]  # noqa: B015
    assert Cached(2).twice == 4
    assert Cached(2) == Cached(2)


@pytest.mark.parametrize("kind", [Point, Positive, Place, Version, Cached])
def test_after_many_instances_everything_is_as_before(kind: type) -> None:
    """Methods are compiled then; hashes stay, for instances may be in sets."""
    few = [kind(n) for n in range(1, 9)]
    texts = list(map(repr, few))
    found = {few[0]: 1} if kind not in (Point, Place) else {}
    for n in range(COMPILE_AT + 1):
        kind(n + 1)
    again = [kind(n) for n in range(1, 9)]
    assert again == few
    assert list(map(repr, again)) == texts
    assert kind(1) != kind(2)
    assert kind(1) != 1
    for key in found:
        assert key == kind(1)
        assert found[kind(1)] == 1
    assert kind(1).__init__.__code__.co_name == "__init__"
    with pytest.raises(TypeError):
        kind()
    with pytest.raises(TypeError):
        kind(1, unknown=1)
    with pytest.raises(AttributeError):
        kind(1).other = 2
    if kind is Positive:
        with pytest.raises(ValueError, match="not positive"):
            kind(0)
    if kind is Point:
        assert kind(1).tags is not kind(1).tags


def test_fields_defaults_equality_and_text() -> None:
    point = Point(1)
    assert (point.x, point.y, point.tags, point.total) == (1, 2, {}, 3)
    assert point == Point(1, 2, {})
    assert point != Point(1, 3)
    assert point != (1, 2, {})  # type: ignore[comparison-overlap]  # that is what is asked
    assert repr(point) == "Point(x=1, y=2, tags={})"
    assert Point(1).tags is not Point(1).tags
    assert Point.__doc__ == "A point."


def test_frozen_and_slotted() -> None:
    point = Point(1)
    with pytest.raises(AttributeError):
        point.x = 2  # type: ignore[misc]  # deliberately wrong
    with pytest.raises(AttributeError):
        point.other = 2  # type: ignore[attr-defined]  # deliberately wrong
    with pytest.raises(AttributeError):
        del point.x
    assert not hasattr(point, "__dict__")


@pytest.mark.parametrize(("words", "named"), [((), {}), ((1, 2, {}, 4), {}), ((1,), {"z": 1}), ((1,), {"x": 1})])
def test_wrong_arguments(words: tuple[Any, ...], named: dict[str, Any]) -> None:
    with pytest.raises(TypeError):
        Point(*words, **named)


def test_hash_replace_dict_and_checks() -> None:
    assert hash(Positive(1)) == hash(Positive(1))
    assert len({Positive(1), Positive(1), Positive(2)}) == 2
    assert replace(Point(1), y=5) == Point(1, 5)
    assert as_dict(Point(1)) == {"x": 1, "y": 2, "tags": {}}
    with pytest.raises(TypeError):
        replace(Point(1), z=1)
    with pytest.raises(ValueError, match="not positive"):
        replace(Positive(1), n=0)


def test_copies_and_pickles() -> None:
    point = Point(1, 2, {"a": 1})
    assert copy.deepcopy(point) == point
    assert pickle.loads(pickle.dumps(point)) == point


HEAVY = (
    "dataclasses",
    "inspect",
    "typer",
    "rich",
    "fs",
    "lmdb",
    "zstandard",
    "hashlib",
    "socket",
    "shutil",
    "secrets",
    "tempfile",
)


@pytest.mark.parametrize("module", ["rootlay.cli.verbs.run", "rootlay.cli.verbs.exec_", "rootlay.cli.verbs.start"])
def test_what_run_imports_is_light(module: str) -> None:
    """The modules that `rootlay run` needs before the program starts, found by doing it without starting one."""
    script = (
        "import sys, rootlay.cli.main, importlib; importlib.import_module(sys.argv[1]);"
        "import rootlay.vfs.containers.create, rootlay.vfs.run.foreground, rootlay.vfs.run.removal;"
        "import rootlay.store.store;"
        "print([name for name in sys.argv[2:] if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-S", "-c", script, module, *HEAVY],
        capture_output=True,
        text=True,
        check=False,
        env={"PYTHONPATH": ":".join(sys.path)},
    )
    assert done.stdout.strip() == "[]", done.stdout + done.stderr
