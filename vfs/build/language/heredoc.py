"""Where a line announces heredocs (`<<EOF`, `<<-"EOF"`).

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
    """A heredoc with its lines as they stand in the file, tabs included."""

    mark: Mark
    raw: str

    @property
    def heredoc(self) -> Heredoc:
        """What instructions hold."""
        content = _TABS.sub("", self.raw) if self.mark.chomp else self.raw
        return Heredoc(self.mark.name, content, self.mark.expands, self.mark.chomp)


def find_mark(word: str) -> Mark | None:
    """The announcement that a word is; None if it is none. Raises BadValue for a bad delimiter."""
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
    """All announcements of a line, in order. A line that the lexer cannot read has none. Raises BadValue."""
    try:
        words = _LINE.words(line, {})
    except BadValue:
        return []
    return [mark for word in words if (mark := find_mark(word)) is not None]


def _quotes(word: str) -> int:
    return word.count("'") + word.count('"')
