"""Errors of builds that are the Dockerfile's: where, in which instruction, what, and the near miss."""

from __future__ import annotations

from rootlay.store.model.errors import RootlayError


class BadDockerfile(RootlayError):
    """A Dockerfile, or a trigger of a base image, that breaks the language's rules.

    Args:
        file: as the user named it.
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
    """A flag, word or variable that is wrong, before it is known in which instruction it stands.

    The parser and `expand` turn it into BadDockerfile; nothing else sees it.
    """

    def __init__(self, reason: str, suggestion: str | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.suggestion = suggestion
