"""Announcements of heredocs in a line (`<<EOF`, `<<-"EOF"`).

Source: BuildKit frontend/dockerfile/parser/parser.go, heredocsFromLine and ParseHeredoc.
"""

from __future__ import annotations

import re

from rootlay.store.model.value import value
from rootlay.vfs.build.language.errors import BadValue
from rootlay.vfs.build.language.lexer import Lexer
from rootlay.vfs.build.language.syntax import Heredoc

_MARK = re.compile(r"\d*<<(-?)([^<]*)", re.ASCII)
_TABS = re.compile(r"^\t+", re.MULTILINE)
# Always "\": BuildKit does not use the escape directive here.
_LINE = Lexer(raw_quotes=True, raw_escapes=True, keep_unset=True)
_PLAIN = Lexer(keep_unset=True)
_QUOTED = Lexer(raw_quotes=True, keep_unset=True)


@value
class Mark:
    """An announcement: the delimiter without quotes, whether it was unquoted, and whether it was `<<-`."""

    name: str
    expands: bool
    chomp: bool


@value
class RawHeredoc:
    """A heredoc with its lines as in the file, tabs included."""

    mark: Mark
    raw: str

    @property
    def heredoc(self) -> Heredoc:
        """Return the heredoc for instructions."""
        content = _TABS.sub("", self.raw) if self.mark.chomp else self.raw
        return Heredoc(self.mark.name, content, self.mark.expands, self.mark.chomp)


def find_mark(word: str) -> Mark | None:
    """Return the announcement in a word; None if it is not one. Raises BadValue for a bad delimiter."""
    match = _MARK.fullmatch(word)
    if match is None or not match[2]:
        return None
    words = _PLAIN.words(match[2], {})
    if len(words) != 1:
        return None
    quoted = _QUOTED.words(match[2], {})
    if len(quoted) != 1:
        raise BadValue(f"the delimiter of a heredoc must be one word, not {match[2]!r}")
    return Mark(words[0], _quotes(words[0]) == _quotes(quoted[0]), match[1] == "-")


def find_marks(line: str) -> list[Mark]:
    """Return all announcements of a line, in order. A line that the lexer cannot read has none. Raises BadValue."""
    try:
        words = _LINE.words(line, {})
    except BadValue:
        return []
    return [mark for word in words if (mark := find_mark(word)) is not None]


def _quotes(word: str) -> int:
    return word.count("'") + word.count('"')
