"""The parts of instructions: their place, commands, pairs, here-documents."""

from __future__ import annotations

from rootlay.store.model.value import value


@value
class Source:
    """The place of an instruction.

    Args:
        file: the name from the user ("-" for standard input, "Dockerfile" by default); part of every message.
        first_line: counted from 1.
        last_line: inclusive; the end of the last heredoc if there are any.
        text: the instruction as one line: continuations joined, comments inside left out, heredocs not included.
            Progress output shows it.
        gap: the line of an empty continuation, None without one.
    """

    file: str
    first_line: int
    last_line: int
    text: str
    gap: int | None = None

    def __str__(self) -> str:
        return f"{self.file}:{self.first_line}"


@value
class Heredoc:
    """One here-document of RUN, COPY or ADD.

    Args:
        name: the delimiter without its quotes: the file's name in COPY and ADD.
        content: the lines between, each with its "\\n"; leading tabs already removed for `<<-`. In COPY and ADD,
            variables of an unquoted heredoc are replaced by `expand`; in RUN the shell replaces them.
        expands: whether the delimiter was unquoted.
        chomp: whether it was `<<-` (for code that prints it again).
    """

    name: str
    content: str
    expands: bool
    chomp: bool = False


@value
class Command:
    """The command of RUN, CMD, ENTRYPOINT or HEALTHCHECK.

    Args:
        words: exec form: the arguments. Shell form: one string, the text for `SHELL… TEXT`; for RUN, heredocs are
            already put back into it, or are it (see Run.script).
        shell: whether it is the shell form.
    """

    words: tuple[str, ...]
    shell: bool


@value
class Pair:
    """`key=value` of ENV, LABEL or ARG; the value of an ARG without a default is None."""

    key: str
    value: str | None
