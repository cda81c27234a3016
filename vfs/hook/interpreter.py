"""The host files that a Python process always needs: those of its own interpreter.

Rules:
1. For an interpreter of the distribution (prefix `/usr`, `/usr/local`), only its library directories are shown, not all
   of `/usr`.
2. Current directories of `sys.path` are shown, but not the root, its children, or a home directory: an image has those.
3. They are read-only inside.
"""

from __future__ import annotations

import functools
import os
import site
import sys
import sysconfig
from collections.abc import Iterable, Iterator
from pathlib import Path

SHARED_PREFIXES = ("/", "/usr", "/usr/local")
_LINKS_MAX = 40  # as in the kernel
WHEELS = "/usr/share/python-wheels"
"""Where distributions keep the files that `venv` installs (WHEEL_PKG_DIR; a query of sysconfig takes milliseconds)."""


def interpreter_paths(more: Iterable[str] = ()) -> tuple[str, ...]:
    """Return absolute paths without a slash at the end; none is below another.

    Args:
        more: additional absolute paths.
    """
    return _reduced((*_fixed(), *_imported_from(tuple(sys.path))), tuple(more))


@functools.lru_cache(maxsize=8)
def _reduced(wanted: tuple[str, ...], more: tuple[str, ...]) -> tuple[str, ...]:
    found: set[str] = set()
    for path in wanted:
        if path and os.path.isabs(path) and os.path.exists(path):
            found.update((os.path.normpath(path), os.path.realpath(path)))
    found.difference_update(SHARED_PREFIXES)
    for path in more:
        found.update((os.path.normpath(path), os.path.realpath(path)))
    kept: list[str] = []
    for path in sorted(found):
        if not any(path.startswith(f"{other}/") for other in kept):
            kept.append(path)
    return tuple(kept)


@functools.cache
def _fixed() -> tuple[str, ...]:
    return tuple(_of_interpreter())


def _of_interpreter() -> Iterator[str]:
    for prefix in {sys.prefix, sys.exec_prefix, sys.base_prefix, sys.base_exec_prefix}:
        if prefix not in SHARED_PREFIXES:
            yield prefix
    for name in ("stdlib", "platstdlib", "purelib", "platlib"):
        yield sysconfig.get_path(name)
    yield from site.getsitepackages()
    if site.ENABLE_USER_SITE and site.USER_SITE:
        yield site.USER_SITE
    yield os.path.dirname(os.__file__)
    yield WHEELS
    for executable in (sys.executable, getattr(sys, "_base_executable", "")):
        yield from _links(executable)
    yield str(Path(__file__).parents[2])  # rootlay itself


def _links(path: str) -> Iterator[str]:
    """Return a file and, if it is a link, each target in turn: `venv/bin/python`, `/usr/bin/python3`, `python3.13`."""
    yield path
    for _ in range(_LINKS_MAX):
        if not os.path.islink(path):
            return
        path = os.path.join(os.path.dirname(path), os.readlink(path))
        yield path


def _imported_from(paths: tuple[str, ...]) -> Iterator[str]:
    home = os.path.expanduser("~")
    for path in paths:
        if path.count("/") >= 2 and path.rstrip("/") != home:
            yield path
