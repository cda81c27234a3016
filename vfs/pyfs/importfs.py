"""Import of PyFilesystem2 on systems where it cannot import itself.

`fs` 2.4.16 imports `pkg_resources`, which was removed in setuptools 82, is absent from a new environment of Python 3.12
or later, and warns in between. It needs two functions of it. A stand-in replaces the module during the import and
restores `sys.modules` afterwards, so that no application that embeds rootlay sees it.
"""

from __future__ import annotations

import importlib
import sys
import types
from collections.abc import Iterator
from importlib.metadata import EntryPoint, entry_points

_NAME = "pkg_resources"


def _iter_entry_points(group: str, name: str | None = None) -> Iterator[EntryPoint]:
    found = entry_points(group=group)
    return iter(found if name is None else found.select(name=name))


def _stand_in() -> types.ModuleType:
    module = types.ModuleType(_NAME)
    vars(module).update(
        declare_namespace=lambda name: None, iter_entry_points=_iter_entry_points, EntryPoint=EntryPoint
    )
    return module


def import_pyfs() -> types.ModuleType:
    """Return the module `fs`, imported without a warning. Idempotent; about 60 ms the first time.

    Raises:
        ImportError: PyFilesystem2 is not installed.
    """
    if "fs.opener" in sys.modules:
        return sys.modules["fs"]
    before = sys.modules.get(_NAME)
    sys.modules[_NAME] = _stand_in()
    try:
        importlib.import_module("fs.opener")
        return importlib.import_module("fs")
    finally:
        if before is None:
            del sys.modules[_NAME]
        else:
            sys.modules[_NAME] = before
