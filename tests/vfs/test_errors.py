"""The promise of `rootlay.vfs`: its errors have one root, and all can be imported from there."""

from __future__ import annotations

import builtins
import inspect
import re
from collections.abc import Iterator

import pytest

import rootlay.vfs
from rootlay.store.model.errors import RootlayError
from rootlay.vfs.pyfs.importfs import import_pyfs
from tests.support.errorclasses import defined_errors, exported_errors

pytest.importorskip("fsspec", reason="fsspec is not installed")

NOT_EXPORTED = {
    *("AddressTaken", "MissingExtra"),  # the command line's, of `rootlay api`
    *("BadRequest", "BadTopOptions", "NetworkRefused", "UnknownExec", "UnknownNetwork"),  # the Engine API's
    "HeaderError",  # caught by the reader of archives, which says where it was
    "NoRanges",  # caught by the lazy pull, which then pulls all
    "NotStarted",  # of programs in the background: the command line's
    "OutputFailed",  # the command line's
}
OUTSIDE = {
    "BadValue",  # the parser of Dockerfiles makes it BadDockerfile
    "Conflict",  # COPY makes it BuildFailed, `add_layer` lets its ValueError through
    "MissingSource",  # likewise
    "MissingTarget",  # the merge makes it BrokenHardLink
    "NotLazy",  # the pull then pulls all
    *("ApiError", "BadKeys", "ClientLeft"),  # the Engine API's
    "LeaveToTyper",  # the three of the command line
    "ReaderGone",
    "UsageError",
}


def test_every_error_of_the_package_is_below_the_root_and_exported() -> None:
    defined = {cls.__name__: cls for cls in defined_errors() if not issubclass(cls, Warning)}
    below = {name for name, cls in defined.items() if issubclass(cls, RootlayError)}
    assert below - NOT_EXPORTED == exported_errors().keys()
    assert defined.keys() - below == OUTSIDE
    assert below >= NOT_EXPORTED


def raises_sections() -> Iterator[tuple[str, str]]:
    """Each error (no errno) a public docstring names: `Raises NAME, NAME.` or a section with `NAME, NAME: why`."""
    for name in rootlay.vfs.__all__:
        cls = getattr(rootlay.vfs, name)
        for key, member in inspect.getmembers(cls):
            text = inspect.cleandoc(member.__doc__ or "")
            if key.startswith("_") or not getattr(member, "__module__", "rootlay").startswith("rootlay"):
                continue
            _, _, section = text.partition("Raises:\n")
            lists = re.findall(r"^ +((?:[A-Z]\w+, )*[A-Z]\w+):", section, re.MULTILINE)
            lists += re.findall(r"Raises ((?:[A-Z]\w+, )*[A-Z]\w+)", text)
            yield from (
                (f"{name}.{key}", error) for names in lists for error in names.split(", ") if not error.isupper()
            )


def test_what_public_methods_say_that_they_raise_can_be_imported() -> None:
    said = list(raises_sections())
    assert {error for _, error in said} > {"EngineMissing", "UnknownUser", "HookEngineMissing", "TooManyLayers"}
    pyfs = import_pyfs().errors  # a LayerFS raises its protocol's
    for where, error in said:
        assert error in exported_errors() or hasattr(builtins, error) or hasattr(pyfs, error), where


@pytest.mark.parametrize(
    ("name", "base"),
    [
        ("EngineMissing", RuntimeError),
        ("HookEngineMissing", RuntimeError),
        ("ActivationMisused", RuntimeError),
        ("UnknownUser", LookupError),
        ("ImpossibleProgram", ValueError),
    ],
)
def test_an_error_is_what_it_was_before_it_had_the_root(name: str, base: type[Exception]) -> None:
    assert issubclass(exported_errors()[name], base)


def test_the_roots_former_name_works_with_a_warning() -> None:
    with pytest.warns(DeprecationWarning, match="StoreError is called RootlayError now"):
        assert rootlay.vfs.StoreError is RootlayError
