"""The parts of one logical line: keyword, flags, words, exec form.

Source: BuildKit frontend/dockerfile/parser (split_command.go, line_parsers.go).
"""

from __future__ import annotations

import json
import re
from typing import NoReturn

from rootlay.vfs.build.language.errors import BadValue
from rootlay.vfs.build.language.lines import SPACES

_BLANKS = re.compile(r"[\t\v\f\r ]+")


def split_keyword(line: str) -> tuple[str, list[str], str]:
    """Return keyword, flags (`--name=value`, quotes and escapes removed) and the rest."""
    parts = _BLANKS.split(line.strip(SPACES), maxsplit=1)
    if len(parts) == 1:
        return parts[0], [], ""
    flags, rest = _flags(parts[1])
    return parts[0], flags, rest.strip(SPACES)


def _flags(line: str) -> tuple[list[str], str]:
    """Return the leading words that start with `--`, up to one that does not, or to a lone `--`."""
    flags: list[str] = []
    at = 0
    while True:
        while at < len(line) and line[at] in SPACES:
            at += 1
        if not line.startswith("--", at):
            return flags, line[at:]
        flag, at = _flag(line, at)
        if flag == "--":
            return flags, line[at:]
        flags.append(flag)


def _flag(line: str, at: int) -> tuple[str, int]:
    r"""Return one flag from `at`, and its end. `\` escapes here whatever the escape directive is (BuildKit)."""
    flag: list[str] = []
    quote = ""
    while at < len(line):
        char = line[at]
        if char == "\\":
            at += 1
            flag.append(line[at : at + 1])
        elif quote:
            if char == quote:
                quote = ""
            else:
                flag.append(char)
        elif char in SPACES:
            break
        elif char in "'\"":
            quote = char
        else:
            flag.append(char)
        at += 1
    return "".join(flag), at


def split_blanks(rest: str) -> list[str]:
    """Return words between blanks; quotes mean nothing."""
    return _BLANKS.split(rest) if rest else []


def split_first_blank(rest: str) -> list[str]:
    """Return at most two parts, split at the first blanks."""
    return _BLANKS.split(rest, maxsplit=1)


def split_words(rest: str, escape: str) -> list[str]:
    """Return words between spaces; quoted or escaped spaces do not end one. Quotes and escapes stay, for `expand`."""
    words: list[str] = []
    start, at, quote = -1, 0, ""
    while at < len(rest):
        char = rest[at]
        if not quote and char in SPACES:
            if start >= 0:
                words.append(rest[start:at])
            start = -1
        elif char == escape and quote != "'":
            if at + 1 == len(rest):  # an escape character at the end is dropped
                break
            start = at if start < 0 else start
            at += 1
        else:
            start = at if start < 0 else start
            if quote:
                quote = "" if char == quote else quote
            elif char in "'\"":
                quote = char
        at += 1
    if start >= 0:
        words.append(rest[start:at])
    return words


def exec_form(rest: str) -> tuple[str, ...] | None:
    """Return the strings of a JSON array; None if the text is not a JSON array, and so is the shell form.

    Raises:
        BadValue: it is a JSON array with an element that is not a string.
    """
    rest = rest.lstrip(SPACES)
    if not rest.startswith("["):
        return None
    try:
        values = json.loads(rest, parse_constant=_no_json)
    except (ValueError, RecursionError):
        return None
    if not all(isinstance(value, str) for value in values):
        raise BadValue("an array in JSON form must have only strings")
    if any("\0" in value for value in values):
        raise BadValue("has a NUL byte, which names and arguments cannot have")
    # An unpaired surrogate (written "\ud800") becomes U+FFFD, as in Go.
    return tuple(value.encode("utf-16", "surrogatepass").decode("utf-16", "replace") for value in values)


def _no_json(name: str) -> NoReturn:
    """Refuse NaN and Infinity, which are Python's JSON, not Go's."""
    raise ValueError(name)
