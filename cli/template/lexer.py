"""The lexer of Go's templates: text and actions to tokens (text/template/parse/lex.go)."""

from __future__ import annotations

from rootlay.store.model.value import value

LEFT, RIGHT = "{{", "}}"
SPACES = " \t\r\n"
_MARKER_LENGTH = 2
"""Of a trim marker: `- ` after the left delimiter, ` -` before the right one."""
_NUMBER_BASES = {"x": "0123456789abcdefABCDEF_", "o": "01234567_", "b": "01_"}

KEYWORDS = frozenset(("block", "break", "continue", "define", "else", "end", "if", "nil", "range", "template", "with"))


@value
class Token:
    """A token. `kind`: a keyword, or text, left, right, space, pipe, assign, declare, char, quoted, raw, rune, number,
    bool, field, variable, dot, identifier, open, close, error, EOF. `at`: its position in characters, from 0."""

    kind: str
    text: str
    at: int
    line: int

    def __str__(self) -> str:
        if self.kind == "EOF":
            return "EOF"
        if self.kind == "error":
            return self.text
        if self.kind in KEYWORDS or self.kind == "dot":
            return f"<{self.text}>"
        return quote(self.text[:10]) + ("..." if len(self.text) > 10 else "")


def quote(text: str) -> str:
    """Return Go's `%q` of a string."""
    escapes = {"\a": "\\a", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\v": "\\v"}
    escapes |= {"\\": "\\\\", '"': '\\"'}
    return '"' + "".join(escapes.get(c) or (c if c.isprintable() else _escaped(c)) for c in text) + '"'


def _escaped(character: str) -> str:
    code = ord(character)
    return f"\\x{code:02x}" if code < 0x80 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


class Lexer:
    """Turns one template into its tokens. An error is the last token."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.start = 0
        self.depth = 0
        self.tokens: list[Token] = []

    def run(self) -> list[Token]:
        """Return all tokens; the last one is EOF or an error."""
        while not self.tokens or self.tokens[-1].kind not in ("EOF", "error"):
            self._outside()
        return self.tokens

    def _emit(self, kind: str) -> None:
        self.tokens.append(Token(kind, self.text[self.start : self.at], self.start, self._line(self.start)))
        self.start = self.at

    def _line(self, at: int) -> int:
        return 1 + self.text.count("\n", 0, at)

    def _error(self, message: str) -> None:
        self.tokens.append(Token("error", message, self.start, self._line(self.at)))

    def _outside(self) -> None:
        """Read text up to the next action, and the action."""
        found = self.text.find(LEFT, self.at)
        if found < 0:
            self.at = len(self.text)
            if self.at > self.start:
                self._emit("text")
            self._emit("EOF")
            return
        inside = found + len(LEFT)
        trims = self.text[inside : inside + 1] == "-" and self.text[inside + 1 : inside + 2] in tuple(SPACES)
        self.at = self.start + len(self.text[self.start : found].rstrip(SPACES)) if trims else found
        if self.at > self.start:
            self._emit("text")
        self.start, self.at = found, inside
        skipped = _MARKER_LENGTH if trims else 0
        if self.text.startswith("/*", self.at + skipped):
            self.at += skipped
            self._comment()
            return
        self._emit("left")
        self.at += skipped
        self.start = self.at
        self.depth = 0
        while self.tokens[-1].kind not in ("right", "error"):
            self._inside()

    def _right(self, at: int) -> tuple[bool, bool]:
        """Return whether a right delimiter is at this place, and whether it has a trim marker."""
        trims = self.text[at : at + 1] in tuple(SPACES) and self.text.startswith("-" + RIGHT, at + 1)
        if trims:
            return True, True
        return self.text.startswith(RIGHT, at), False

    def _comment(self) -> None:
        end = self.text.find("*/", self.at + 2)
        if end < 0:
            self._error("unclosed comment")
            return
        self.at = end + 2
        closes, trims = self._right(self.at)
        if not closes:
            self._error("comment ends before closing delimiter")
            return
        self._skip_right(trims)

    def _skip_right(self, trims: bool) -> None:
        self.at += len(RIGHT) + (_MARKER_LENGTH if trims else 0)
        if trims:
            self.at += len(self.text[self.at :]) - len(self.text[self.at :].lstrip(SPACES))
        self.start = self.at

    def _inside(self) -> None:
        """Read one token of an action."""
        closes, trims = self._right(self.at)
        if closes:
            self._close(trims)
            return
        character = self.text[self.at : self.at + 1]
        following = self.text[self.at + 1 : self.at + 2]
        if not character:
            self._error("unclosed action")
        elif character in SPACES:
            self._space()
        elif character == ":" and following != "=":
            self._error("expected :=")
        elif character in _SINGLE:
            self.at += 2 if character == ":" else 1
            self._emit(_SINGLE[character])
        elif character in _QUOTES:
            self._quoted(character)
        elif character == "$":
            self._field("variable")
        elif character == "." and not _digit(following):
            self._field("field")
        elif character in ".+-" or _digit(character):
            self._number()
        elif _alphanumeric(character):
            self._identifier()
        elif character in "()":
            self._parenthesis(character)
        elif character < "\x80" and character.isprintable():
            self.at += 1
            self._emit("char")
        else:
            self._error(f"unrecognized character in action: {_unicode(character)}")

    def _close(self, trims: bool) -> None:
        if self.depth:
            self._error("unclosed left paren")
            return
        if trims:
            self.at = self.start = self.at + _MARKER_LENGTH
        self.at += len(RIGHT)
        self._emit("right")
        if trims:
            self._skip_spaces_after()

    def _skip_spaces_after(self) -> None:
        rest = self.text[self.at :]
        self.at = self.start = self.at + len(rest) - len(rest.lstrip(SPACES))

    def _space(self) -> None:
        while self.text[self.at : self.at + 1] in tuple(SPACES):
            self.at += 1
        if self._right(self.at - 1)[1]:  # the last space belongs to a trim marker
            self.at -= 1
        if self.at > self.start:
            self._emit("space")

    def _parenthesis(self, character: str) -> None:
        self.at += 1
        self.depth += 1 if character == "(" else -1
        if self.depth < 0:
            self._error("unexpected right paren")
        else:
            self._emit("open" if character == "(" else "close")

    def _quoted(self, mark: str) -> None:
        kind, name = _QUOTES[mark]
        self.at += 1
        while True:
            character = self.text[self.at : self.at + 1]
            if character == "\\" and mark != "`":
                self.at += 1
                character = self.text[self.at : self.at + 1]
                if character not in ("", "\n"):
                    self.at += 1
                    continue
            if not character or (character == "\n" and mark != "`"):
                self._error(f"unterminated {name}")
                return
            self.at += 1
            if character == mark:
                self._emit(kind)
                return

    def _field(self, kind: str) -> None:
        self.at += 1
        if self._terminated():
            self._emit("dot" if kind == "field" else kind)
            return
        self._word()
        if self._terminated():
            self._emit(kind)
        else:
            self._bad_character()

    def _identifier(self) -> None:
        self._word()
        if not self._terminated():
            self._bad_character()
            return
        word = self.text[self.start : self.at]
        self._emit(word if word in KEYWORDS else "bool" if word in ("true", "false") else "identifier")

    def _word(self) -> None:
        while _alphanumeric(self.text[self.at : self.at + 1]):
            self.at += 1

    def _bad_character(self) -> None:
        self._error(f"bad character {_unicode(self.text[self.at])}")

    def _terminated(self) -> bool:
        """Return whether a word may end here."""
        character = self.text[self.at : self.at + 1]
        return not character or character in SPACES + ".,|:)(" or self.text.startswith(RIGHT, self.at)

    def _number(self) -> None:
        self._accept_one("+-")
        digits = "0123456789_"
        if self._accept_one("0"):
            for letter, allowed in _NUMBER_BASES.items():
                if self._accept_one(letter + letter.upper()):
                    digits = allowed
                    break
        self._accept_all(digits)
        if self._accept_one("."):
            self._accept_all(digits)
        if len(digits) == 11 and self._accept_one("eE"):
            self._accept_one("+-")
            self._accept_all(digits)
        self._accept_one("i")
        if _alphanumeric(self.text[self.at : self.at + 1]):
            self.at += 1
            self._error(f"bad number syntax: {quote(self.text[self.start : self.at])}")
            return
        self._emit("number")

    def _accept_one(self, allowed: str) -> bool:
        found = self.text[self.at : self.at + 1] in tuple(allowed)
        self.at += found
        return found

    def _accept_all(self, allowed: str) -> None:
        while self._accept_one(allowed):
            pass


_SINGLE = {"=": "assign", ":": "declare", "|": "pipe"}
_QUOTES = {
    '"': ("quoted", "quoted string"),
    "`": ("raw", "raw quoted string"),
    "'": ("rune", "character constant"),
}


def _digit(character: str) -> bool:
    return "0" <= character <= "9" if character else False


def _alphanumeric(character: str) -> bool:
    return character == "_" or character.isalpha() or character.isdecimal()


def _unicode(character: str) -> str:
    """Return Go's `%#U`."""
    code = f"U+{ord(character):04X}"
    return f"{code} '{character}'" if character.isprintable() else code
