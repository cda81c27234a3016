r"""BuildKit's shell lexer: variables, quotes and escapes in the words of a Dockerfile.

1. `$NAME`, `${NAME}`, and with a modifier: `${NAME:-word}` `${NAME-word}` (default), `:+` `+` (alternative), `:?` `?`
   (or fail); `#` `##` `%` `%%` (cut the shortest or longest match from the start or the end); `/` `//` (replace the
   first match or all). With the colon, empty counts as unset.
2. In a word after a modifier, variables, quotes and escapes work again.
3. Patterns know `*` and `?`; `\` escapes them, itself, and a `}` or `/`. There are no brackets.
4. Single quotes keep everything; double quotes keep all but `$` and the escape character before `"`, `$` or itself.
5. A variable that is not set is empty, or stays unchanged (`keep_unset`).
6. Words split at white space outside quotes; white space in an unquoted variable's value splits, too.
7. Variables can make a text, and all texts of one lexer together, only so much longer (`longest`, `room`): a value that
   is made of itself twice grows without end.

Source: BuildKit frontend/dockerfile/shell/lex.go.
"""

from __future__ import annotations

from collections.abc import Mapping

from rootlay.store.model.jsonfield import DOCUMENT_BYTES_MAX
from rootlay.store.model.value import field, value
from rootlay.vfs.build.language import shellpattern
from rootlay.vfs.build.language.errors import BadValue
from rootlay.vfs.build.language.lines import SPACES

_SPECIAL = frozenset("@*#?-$!0")
_DEEPEST = 100
_SHOWN = 120
LONGEST_VARIABLE = 131_072
"""Linux's MAX_ARG_STRLEN: no program can be started with a longer variable."""


class Room:
    """How many more characters variables can add to the texts of a lexer: by default as many as an image's config."""

    def __init__(self, limit: int = DOCUMENT_BYTES_MAX) -> None:
        self.limit = self.left = limit


@value
class Lexer:
    """The reader of words, with its options.

    Args:
        escape: "\\" or "`".
        raw_quotes: keep quotes in the result.
        raw_escapes: keep escape characters in the result.
        skip_quotes: quotes mean nothing (the content of heredocs).
        keep_unset: leave variables that are not set as they are written.
        longest: how many characters variables can add to one text.
        room: how many they can add to all.
    """

    escape: str = "\\"
    raw_quotes: bool = False
    raw_escapes: bool = False
    skip_quotes: bool = False
    keep_unset: bool = False
    longest: int = LONGEST_VARIABLE
    room: Room = field(default_factory=Room, repr=False)

    def word(self, text: str, variables: Mapping[str, str]) -> str:
        """Return the text as one word. Raises BadValue."""
        return self.lex(text, variables).text

    def words(self, text: str, variables: Mapping[str, str]) -> list[str]:
        """Return the text split into words. Raises BadValue."""
        return self.lex(text, variables).words

    def lex(self, text: str, variables: Mapping[str, str]) -> Lexed:
        """Return everything about the text. Raises BadValue."""
        scan = _Scan(self, text, variables)
        try:
            result, words = scan.until(None, self.raw_escapes)
        except BadValue as error:
            raise BadValue(f"{error.reason}, in {text[:_SHOWN]!r}") from None
        return Lexed(result, words, frozenset(scan.unset))


@value
class Lexed:
    """The result: as one word, as several, and the variables that were named but are not set."""

    text: str
    words: list[str]
    unset: frozenset[str]


class _Words:
    """The words of rule 6, while they are collected."""

    def __init__(self) -> None:
        self.done: list[str] = []
        self._parts: list[str] = []

    def add(self, text: str) -> None:
        for char in text:
            if char not in SPACES:
                self._parts.append(char)
            else:
                self.flush()

    def add_raw(self, text: str) -> None:
        self._parts.append(text)

    def flush(self) -> list[str]:
        if self._parts and (word := "".join(self._parts)):
            self.done.append(word)
        self._parts.clear()
        return self.done


class _Scan:
    """One reading of one text: a recursive descent."""

    def __init__(self, lexer: Lexer, text: str, variables: Mapping[str, str]) -> None:
        self._lexer = lexer
        self._text = text
        self._at = 0
        self._variables = variables
        self._depth = 0
        self._left = lexer.longest
        self.unset: set[str] = set()

    def until(self, stop: str | None, raw_escapes: bool) -> tuple[str, list[str]]:
        """Read to the end, or up to and with the character `stop`."""
        lexer, words = self._lexer, _Words()
        result: list[str] = []
        while (char := self._peek()) != "":
            if char == stop:
                self._at += 1
                return "".join(result), words.flush()
            if char == "$":
                result.append(self._dollar())
                words.add(result[-1])
            elif char in "'\"" and not lexer.skip_quotes:
                result.append(self._single() if char == "'" else self._double(raw_escapes))
                words.add_raw(result[-1])
            elif char == lexer.escape:
                self._at += 1
                escaped = (char if raw_escapes else "") + self._take()
                result.append(escaped)
                words.add_raw(escaped)
            else:
                result.append(self._take())
                words.add(char)
        if stop is not None:
            raise BadValue(f"syntax error: missing {stop!r}")
        return "".join(result), words.flush()

    def _peek(self) -> str:
        return self._text[self._at : self._at + 1]

    def _take(self) -> str:
        char = self._text[self._at : self._at + 1]
        self._at += len(char)
        return char

    def _single(self) -> str:
        end = self._text.find("'", self._at + 1)
        if end < 0:
            raise BadValue("a single quote (') is not closed")
        start, self._at = self._at, end + 1
        return self._text[start : end + 1] if self._lexer.raw_quotes else self._text[start + 1 : end]

    def _double(self, raw_escapes: bool) -> str:
        quote = self._take()
        result = [quote if self._lexer.raw_quotes else ""]
        while (char := self._peek()) != '"':
            if char == "":
                raise BadValue('a double quote (") is not closed')
            if char == "$":
                result.append(self._dollar())
                continue
            self._at += 1
            if char == self._lexer.escape:
                result.append(char if raw_escapes else "")
                if self._peek() == "":
                    continue
                if self._peek() in ('"', "$", self._lexer.escape):
                    char = self._take()
            result.append(char)
        self._at += 1
        return "".join(result) + (quote if self._lexer.raw_quotes else "")

    def _dollar(self) -> str:
        start = self._at
        value = self._variable()
        grown = max(0, len(value) - (self._at - start))
        self._left -= grown
        self._lexer.room.left -= grown
        if min(self._left, self._lexer.room.left) < 0:
            limit = self._lexer.longest if self._left < 0 else self._lexer.room.limit
            written = self._text[start : self._at][:_SHOWN]
            raise BadValue(f"{written} is too long: variables can add at most {limit} characters here")
        return value

    def _variable(self) -> str:
        self._at += 1
        if self._peek() != "{":
            name = self._name()
            return self._value(name, f"${name}") if name else "$"
        self._depth += 1
        if self._depth > _DEEPEST:
            raise BadValue(f"more than {_DEEPEST} substitutions inside each other")
        self._at += 1
        if self._peek() == "":
            raise BadValue("syntax error: missing '}'")
        if self._peek() in "{}:":
            raise BadValue("syntax error: bad substitution")
        value = self._substitution(self._name())
        self._depth -= 1
        return value

    def _value(self, name: str, written: str) -> str:
        value = self._variables.get(name)
        if value is None:
            self.unset.add(name)
            return written if self._lexer.keep_unset else ""
        return value

    def _substitution(self, name: str) -> str:
        """Parse the text after `${NAME`."""
        modifier = self._take()
        if modifier == "}":
            return self._value(name, f"${{{name}}}")
        colon = modifier == ":"
        kind = self._take() if colon else modifier
        if kind == "/" and not colon:
            return self._replace(name)
        if kind == "" or kind not in "+-?#%":
            raise BadValue(f"unsupported modifier ({modifier + kind if colon else kind}) in substitution")
        word, _ = self.until("}", kind in "#%")
        value = self._variables.get(name)
        if value is None:
            self.unset.add(name)
            if self._lexer.keep_unset:
                return f"${{{name}{modifier}{kind if colon else ''}{word}}}"
        if kind in "#%":
            return _cut(kind, word, value or "")
        return _choose(kind, colon, name, word, value)

    def _replace(self, name: str) -> str:
        everywhere = self._peek() == "/"
        self._at += everywhere
        pattern, _ = self.until("/", True)
        replacement, _ = self.until("}", True)
        value = self._value(name, f"${{{name}/{pattern}/{replacement}}}")
        if name not in self._variables:
            return value
        return shellpattern.replace(pattern, value, replacement, everywhere=everywhere, limit=self._left)

    def _name(self) -> str:
        """Return letters, digits and `_`; a number; or one special parameter. Empty if there is none of these."""
        start = self._at
        first = self._peek()
        if first.isdecimal():
            while self._peek().isdecimal():
                self._at += 1
        elif first in _SPECIAL:
            self._at += 1
        else:
            while (char := self._peek()) == "_" or char.isalpha() or char.isdecimal():
                self._at += 1
        return self._text[start : self._at]


def _choose(kind: str, colon: bool, name: str, word: str, value: str | None) -> str:
    """Apply `-`, `+` and `?`."""
    missing = value is None or (colon and value == "")
    if kind == "+":
        return "" if missing else word
    if not missing:
        return value or ""
    if kind == "-":
        return word
    raise BadValue(f"{name}: {word or 'is not allowed to be ' + ('unset' if value is None else 'empty')}")


def _cut(kind: str, pattern: str, value: str) -> str:
    """Apply `#`, `##`, `%` and `%%`."""
    longest = pattern.startswith(kind)
    return shellpattern.cut(pattern[longest:], value, longest=longest, from_end=kind == "%")
