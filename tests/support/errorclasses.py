"""The error classes of the package, and their exit codes by name."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator

import rootlay.cli.printer
import rootlay.store
import rootlay.vfs
from rootlay.store.model.errors import RootlayError

NEED_OTHERS = (
    "rootlay.cli.explore.",
    *(f"rootlay.vfs.plugins.{name}" for name in ("upathfs", "pytestplugin", "daskp", "rayplugin")),
)
"""Modules that import packages which need not be there."""


def exported_errors() -> dict[str, type[RootlayError]]:
    """Those that `rootlay.vfs` exports."""
    found = {name: getattr(rootlay.vfs, name) for name in rootlay.vfs.__all__ if name != "RootlayFileSystem"}
    return {name: cls for name, cls in found.items() if isinstance(cls, type) and issubclass(cls, RootlayError)}


def defined_errors() -> Iterator[type[BaseException]]:
    """All exception classes that a module of rootlay defines: every module is imported. Needs fsspec."""
    for package in (rootlay.store, rootlay.vfs, rootlay.cli):
        for info in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
            if "._" in info.name or info.name.startswith(NEED_OTHERS):  # `_NAME` are C libraries
                continue
            for value in vars(importlib.import_module(info.name)).values():
                if isinstance(value, type) and issubclass(value, BaseException) and value.__module__ == info.name:
                    yield value


CODES = {name: cls.exit_code for name, cls in exported_errors().items()} | {
    "OutputFailed": rootlay.cli.printer.OutputFailed.exit_code
}
