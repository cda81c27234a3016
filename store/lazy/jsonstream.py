"""The entries of a table of contents, parsed while its JSON text arrives: neither is ever whole in memory.

Rules:
1. Only the text of the current value is held, and no value may be longer than `VALUE_CHARS_MAX`: the longest real one
   is an entry with all of its extended attributes.
2. A number is complete when something else follows it: the beginning of a longer one looks the same.
"""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Iterable, Iterator
from typing import Any

VALUE_CHARS_MAX = 1 << 20
_NUMBER_REST = re.compile(r"[-+.eE0-9]*\Z")
_SPACE = re.compile(r"[ \t\r\n]*")


def iter_entries(chunks: Iterable[bytes]) -> Iterator[Any]:
    """Yield the values in the list `entries` of the top-level object; names need not be UTF-8.

    Raises ValueError, RecursionError for input that is not JSON of this form.
    """
    text = _Text(chunks)
    text.expect("{")
    while text.peek() != "}":
        name = text.value()
        text.expect(":")
        if name == "entries":
            yield from _iter_list(text)
        else:
            text.value()
        if text.peek() == ",":
            text.expect(",")


def _iter_list(text: _Text) -> Iterator[Any]:
    text.expect("[")
    while text.peek() != "]":
        yield text.value()
        if text.peek() == ",":
            text.expect(",")
    text.expect("]")


class _Text:
    """JSON text, read from its start."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = iter(chunks)
        self._decoder = codecs.getincrementaldecoder("utf-8")("surrogateescape")
        self._decode = json.JSONDecoder().raw_decode
        self._text = ""
        self._at = 0
        self._ended = False

    def peek(self) -> str:
        """Return the next character that is not a space. Raises ValueError at the end."""
        while True:
            found = _SPACE.match(self._text, self._at)
            self._at = len(self._text) if found is None else found.end()
            if self._at < len(self._text):
                return self._text[self._at]
            if not self._read(1):
                raise ValueError("it ends early")

    def expect(self, character: str) -> None:
        """Consume a character. Raises ValueError for another one."""
        if self.peek() != character:
            raise ValueError(f"{character} is missing")
        self._at += 1

    def value(self) -> Any:
        """Return the next value. Raises ValueError."""
        self.peek()
        while True:
            try:
                found, end = self._decode(self._text, self._at)
            except ValueError:
                if not self._more():
                    raise
                continue
            if isinstance(found, int | float) and _NUMBER_REST.match(self._text, end) and self._more():
                continue
            self._at = end
            return found

    def _more(self) -> bool:
        """Read twice as much of the current value, so that all attempts cost no more than the text's length."""
        have = len(self._text) - self._at
        return have <= VALUE_CHARS_MAX and self._read(have)

    def _read(self, count: int) -> bool:
        """Read at least `count` more characters, or all that there are; return whether there are more than before."""
        parts = [self._text[self._at :]] if self._at else [self._text]
        self._at = 0
        new = 0
        while new < max(1, count) and not self._ended:
            chunk = next(self._chunks, None)
            self._ended = chunk is None
            part = self._decoder.decode(chunk or b"", final=self._ended)
            parts.append(part)
            new += len(part)
        self._text = "".join(parts)
        return new > 0
