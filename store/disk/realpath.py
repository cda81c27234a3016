"""The real path of a frequently used directory, without a test of each of its components every time."""

from __future__ import annotations

import os

_known: dict[str, str] = {}


def real_directory(path: os.PathLike[str] | str) -> str:
    """Return as os.path.realpath. An earlier result is valid as long as both names lead to the same directory.

    For a small number of directories: each result is kept.
    """
    text = os.fspath(path)
    real = _known.get(text)
    if real is None or not _same(text, real):
        real = _known[text] = os.path.realpath(text)
    return real


def _same(one: str, other: str) -> bool:
    try:
        return os.path.samestat(os.stat(one), os.stat(other))
    except OSError:
        return False
