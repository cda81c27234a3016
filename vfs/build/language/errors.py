"""Errors in the Dockerfile of a build: file and line, instruction, reason, and a suggestion."""

from __future__ import annotations

from rootlay.store.model.errors import RootlayError


class BadDockerfile(RootlayError):
    """A Dockerfile, or a trigger of a base image, that breaks the language's rules.

    Args:
        file: the name from the user.
        line: counted from 1; None if it is not about one line.
        instruction: the keyword as written, None outside of instructions.
        reason: what is wrong.
        suggestion: the word that was probably meant.
    """

    fault = "caller"
    exit_code = 60

    def __init__(
        self, file: str, line: int | None, instruction: str | None, reason: str, suggestion: str | None = None
    ) -> None:
        where = file if line is None else f"{file}:{line}"
        what = "" if instruction is None else f"{instruction}: "
        hint = "" if suggestion is None else f" (did you mean {suggestion}?)"
        super().__init__(f"{where}: {what}{reason}{hint}")
        self.file = file
        self.line = line
        self.instruction = instruction
        self.reason = reason
        self.suggestion = suggestion


class BadValue(ValueError):
    """A wrong flag, word or variable, before its instruction is known.

    The parser and `expand` turn it into BadDockerfile; no other code sees it.
    """

    def __init__(self, reason: str, suggestion: str | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.suggestion = suggestion
