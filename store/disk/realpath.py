"""The real path of a directory that is asked for often: without a look at each of its components every time."""

from __future__ import annotations

import os

_known: dict[str, str] = {}


def real_directory(path: os.PathLike[str] | str) -> str:
    """As os.path.realpath. What was found before counts as long as both names lead to the same directory.

    For directories of which there are few: each is remembered.
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
