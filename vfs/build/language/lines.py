"""The lines of a Dockerfile: parser directives, comments, continuations, and the text of heredocs.

1. A byte order mark at the start is skipped. Lines end in "\n" or "\r\n".
2. Directives (`# name=value`) are before everything else, comments and empty lines included; the first other line ends
   them. Only `syntax`, `escape` and `check` are directives; each may be given once.
3. A line is continued if it ends in the escape character, spaces after it allowed, unless that character is itself
   escaped (`foo \\\\`). Comments and empty lines between continued lines are left out; leading white space stays.
4. White space before an instruction or a comment is ignored.

Source: BuildKit frontend/dockerfile/parser/parser.go; Dockerfile reference, "Format" and "Parser directives".
"""

from __future__ import annotations

import re

from rootlay.store.model.value import value
from rootlay.vfs.build.language.errors import BadDockerfile

# Go's unicode.IsSpace; Python's str.isspace also takes U+001C … U+001F.
SPACES = (
    "\t\n\v\f\r \x85\xa0\u1680"
    "\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u2028\u2029\u202f\u205f\u3000"
)
DIRECTIVES = ("syntax", "escape", "check")

# re.ASCII: Go's \s has no Unicode spaces.
_DIRECTIVE = re.compile(r"#\s*([a-zA-Z][a-zA-Z0-9]*)\s*=\s*(.+?)\s*", re.ASCII)


@value
class Line:
    """One logical line: the text of an instruction.

    Args:
        first, last: physical lines, from 1.
        text: joined, comments left out.
        gap: the first empty line between continued ones, None without one (BuildKit warns about it).
    """

    first: int
    last: int
    text: str
    gap: int | None = None


class LineReader:
    """A reader of the logical lines of a text, in order, and the heredocs after them.

    Args:
        text: the whole file.
        file: the name for messages.
    """

    def __init__(self, text: str, file: str) -> None:
        self._lines = _split(text)
        self._next = 0
        self._file = file
        self.directives: dict[str, str] = {}
        self._read_directives()
        self.escape = self.directives.get("escape", "\\")
        mark = re.escape(self.escape)
        self._continued = re.compile(rf"(?:(?<=[^{mark}])|^){mark}[ \t]*$")

    @property
    def line(self) -> int:
        """The number of the last line that was read; 0 at the start."""
        return self._next

    def next(self) -> Line | None:
        """Return the next logical line that is not empty; None at the end."""
        while self._next < len(self._lines):
            text = _uncommented(self._take().lstrip(SPACES))
            first = self._next
            text, more = self._cut(text)
            if not text and not more:
                continue
            gap, parts = None, [text]
            while more and self._next < len(self._lines):
                part = self._take()
                if part.lstrip(SPACES).startswith("#"):
                    continue
                if not part.strip(SPACES):
                    gap = gap or self._next
                    continue
                part, more = self._cut(part)
                parts.append(part)
            return Line(first, self._next, "".join(parts), gap)
        return None

    def heredoc(self, name: str, chomp: bool) -> str | None:
        """Return the lines up to the one with the name, each with its end of line; None if the file ends before."""
        content: list[str] = []
        while self._next < len(self._lines):
            line = self._lines[self._next]
            self._next += 1
            end = line.rstrip("\r\n")
            if (end.lstrip("\t") if chomp else end) == name:
                return "".join(content)
            content.append(line)
        return None

    def _take(self) -> str:
        self._next += 1
        return self._lines[self._next - 1].rstrip("\r\n")

    def _cut(self, text: str) -> tuple[str, bool]:
        """Return the text without a continuation mark, and whether there was one."""
        cut = self._continued.sub("", text, count=1)
        return cut, cut != text

    def _read_directives(self) -> None:
        for number, line in enumerate(self._lines, 1):
            match = _DIRECTIVE.fullmatch(line.rstrip("\r\n").lstrip(SPACES))
            if match is None or (name := match[1].lower()) not in DIRECTIVES:
                return
            if name in self.directives:
                raise BadDockerfile(self._file, number, None, f"only one {name} parser directive can be used")
            if name == "escape" and match[2] not in ("\\", "`"):
                raise BadDockerfile(self._file, number, None, f"invalid escape character {match[2]!r}: use \\ or `")
            self.directives[name] = match[2]


def _split(text: str) -> list[str]:
    """Return lines with their ends. Not str.splitlines, which also splits at form feeds and more."""
    text = text.removeprefix("\ufeff")
    lines = text.split("\n")
    return [line + "\n" for line in lines[:-1]] + ([lines[-1]] if lines[-1] else [])


def _uncommented(line: str) -> str:
    return "" if line.startswith("#") else line
