"""The promise of `rootlay.vfs`: its errors have one root, and all can be imported from there."""

from __future__ import annotations

import builtins
import copy
import inspect
import multiprocessing
import pickle
import re
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import pytest

import rootlay.vfs
from rootlay.store.model.digest import Digest
from rootlay.store.model.errors import RootlayError
from rootlay.vfs.build.language.syntax import Source
from rootlay.vfs.pyfs.importfs import import_pyfs
from rootlay.vfs.run.ports import parse_ports
from rootlay.vfs.settings.ulimits import parse_ulimit
from tests.support.errorclasses import defined_errors, exported_errors

pytest.importorskip("fsspec", reason="fsspec is not installed")

NOT_EXPORTED = {
    *("AddressTaken", "MissingExtra"),  # the command line's, of `rootlay api`
    *(
        "ApiError",
        "BadRequest",
        "BadTopOptions",
        "NetworkRefused",
        "UnknownExec",
        "UnknownNetwork",
    ),  # the Engine API's
    "HeaderError",  # caught by the reader of archives, which says where it was
    "NoRanges",  # caught by the lazy pull, which then pulls all
    *("BadImageFile", "BadRule", "NoSuchList", "OutputFailed", "Refused", "SbomNeedsLibrary"),  # the command line's
}
OUTSIDE = {
    "BadValue",  # the parser of Dockerfiles makes it BadDockerfile
    "CopiedByFields",  # a part of the root
    "Conflict",  # COPY makes it BuildFailed, `add_layer` lets its ValueError through
    "MissingSource",  # likewise
    "MissingTarget",  # the merge makes it BrokenHardLink
    "NoDelta",  # the view is made whole then
    "NotLazy",  # the pull then pulls all
    *("BadKeys", "ClientLeft"),  # the Engine API's
    *("Cancelled", "TimedOut"),  # `run` makes them CancelledError and subprocess.TimeoutExpired
    "UnknownAclVersion",  # the callers make it an errno, or leave the attribute out
    "LeaveToTyper",  # the three of the command line
    "ReaderGone",
    "UsageError",
    *("TemplateError", "_Leave"),  # of `--format`: the verbs make it a usage error
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
    with pytest.warns(DeprecationWarning, match="StoreError is deprecated: use rootlay.vfs.RootlayError"):
        assert rootlay.vfs.StoreError is RootlayError


SAMPLES: dict[str, object] = {
    "str": "word",
    "bytes": b"a/\xff",
    "int": 7,
    "bool": True,
    "object": "thing",
    "Path": Path("/somewhere"),
    "Digest": Digest.of(b"x"),
    "Source": Source("Dockerfile", 3, 4, "RUN false"),
    "Port": parse_ports(["8080:80"])[0],
    "Ulimit": parse_ulimit("nofile=1"),
    "tuple[str, ...]": ("b" * 64, "a" * 64),
    "Iterable[str]": ("linux/arm64", "linux/amd64"),
    "float": 1.5,
}
"""A value for each type of a constructor's argument."""


INTERNAL = {"ApiError", "BadValue", "LeaveToTyper", "MissingTarget", "NotLazy", "ReaderGone", "UsageError"}
"""Errors that no caller sees."""


def passed_on(error: BaseException, protocol: int) -> BaseException:
    found = pickle.loads(pickle.dumps(error, protocol))
    assert isinstance(found, BaseException)
    return found


def built(cls: type[BaseException]) -> BaseException:
    """An error with a value for each argument, and its context, as a caller sees it."""
    if cls.__init__ is BaseException.__init__ or cls.__init__ is Exception.__init__:
        return cls("something")
    given: list[Any] = []
    named: dict[str, Any] = {}
    for parameter in list(inspect.signature(cls.__init__).parameters.values())[1:]:
        if parameter.kind is parameter.VAR_POSITIONAL:
            given.append("something")
        elif parameter.kind is not parameter.VAR_KEYWORD:
            value = SAMPLES[str(parameter.annotation).removesuffix(" | None")]
            if parameter.kind is parameter.KEYWORD_ONLY:
                named[parameter.name] = value
            else:
                given.append(value)
    error = cls(*given, **named)
    if hasattr(error, "add_note"):
        error.add_note("in a worker")
    return error


@pytest.mark.parametrize(
    "copied",
    [copy.copy, copy.deepcopy, *(partial(passed_on, protocol=number) for number in range(pickle.HIGHEST_PROTOCOL + 1))],
    ids=["copy", "deepcopy", *(f"pickle{number}" for number in range(pickle.HIGHEST_PROTOCOL + 1))],
)
def test_every_error_survives_a_copy_and_the_way_between_processes(
    copied: Callable[[BaseException], BaseException],
) -> None:
    """multiprocessing and concurrent.futures pickle what a worker raises; an error that fails there hangs the pool."""
    errors = [built(cls) for cls in defined_errors() if not issubclass(cls, Warning) and cls.__name__ not in INTERNAL]
    assert len(errors) > 50
    for error in errors:
        other = copied(error)
        assert type(other) is type(error)
        assert (str(other), other.args, vars(other)) == (str(error), error.args, vars(error)), error


def test_an_error_comes_back_from_a_worker() -> None:
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        raised = pool.submit(raise_in_worker)
    with pytest.raises(rootlay.vfs.TooLarge) as caught:
        raised.result(timeout=60)
    assert (caught.value.what, caught.value.reason, caught.value.flag) == ("a.tar", "too big", "--max-size")


def raise_in_worker() -> None:
    raise rootlay.vfs.TooLarge("a.tar", "too big", "--max-size")
