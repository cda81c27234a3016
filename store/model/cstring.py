"""Texts that a system call accepts."""

from __future__ import annotations

import os


def is_c_string(text: str) -> bool:
    """Return whether a text can be a name, an argument or a variable: NUL and half of a pair of surrogates cannot."""
    try:
        return b"\0" not in os.fsencode(text)
    except UnicodeEncodeError:
        return False
