"""Literals of Go: numbers, characters and quoted strings to Python's values."""

from __future__ import annotations

import re

_ESCAPE = re.compile(r"\\(x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|[0-7]{3}|.)", re.DOTALL)
_SIMPLE = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v", "\\": "\\"}
_UNDERSCORES = re.compile(r"(?<=[0-9a-fA-FxXoObB])_(?=[0-9a-fA-F])")


def unquote(text: str) -> str:
    """Return the value of a quoted or raw string, or of a character. Raises ValueError for a bad escape."""
    mark, body = text[0], text[1:-1]
    if mark == "`":
        return body.replace("\r", "")
    raw = bytearray()
    end = 0
    for found in _ESCAPE.finditer(body):
        raw += body[end : found.start()].encode("utf-8", "surrogateescape") + _escape(found[1], mark)
        end = found.end()
    return (raw + body[end:].encode("utf-8", "surrogateescape")).decode("utf-8", "surrogateescape")


def _escape(code: str, mark: str) -> bytes:
    if code in _SIMPLE:
        return _SIMPLE[code].encode()
    if code == mark:
        return code.encode()
    if len(code) == 3 and code[0] in "x01234567":
        number = int(code[1:], 16) if code[0] == "x" else int(code, 8)
        if number < 256:
            return bytes([number])
    elif code[0] in "uU" and len(code) > 1:
        number = int(code[1:], 16)
        if number < 0x110000 and not 0xD800 <= number < 0xE000:
            return chr(number).encode()
    raise ValueError("invalid syntax")


def number(text: str) -> int | float:
    """Return the value of a number; a float only if it is written as one. Raises ValueError."""
    if text[0] == "'":
        character = unquote(text)
        if len(character) != 1:
            raise ValueError(f"malformed character constant: {text}")
        return ord(character)
    plain = _UNDERSCORES.sub("", text)
    if "_" in plain or plain.endswith("i"):
        raise ValueError(f"bad number syntax: {text!r}")
    sign, digits = (plain[0], plain[1:]) if plain[0] in "+-" else ("", plain)
    if len(digits) > 1 and digits[0] == "0" and digits.isdigit():
        digits = "0o" + digits[1:]
    try:
        return int(sign + digits, 0)
    except ValueError:
        return float(plain)
