"""The parser of Dockerfiles: from text to syntax tree.

1. `parse` reads lines (`lines`), keyword and flags (`words`), heredocs (`heredoc`), makes instructions (`forms`), and
   gathers them into stages. `parse_trigger` does it for one ONBUILD trigger of a base image.
2. Every error is a BadDockerfile that names file, line and instruction. The first one ends the reading.
3. Nothing is expanded, and nothing outside the text is read.

Source: BuildKit frontend/dockerfile/parser and …/instructions; Dockerfile reference.
"""

from __future__ import annotations

from collections.abc import Iterator

from rootlay.vfs.build.language import instruction as tree
from rootlay.vfs.build.language.dockerfile import Dockerfile, Stage
from rootlay.vfs.build.language.errors import BadDockerfile, BadValue
from rootlay.vfs.build.language.forms import FORMS, Statement
from rootlay.vfs.build.language.heredoc import RawHeredoc, find_marks
from rootlay.vfs.build.language.lines import SPACES, Line, LineReader
from rootlay.vfs.build.language.suggest import near_miss
from rootlay.vfs.build.language.syntax import Source
from rootlay.vfs.build.language.words import exec_form, split_keyword

_ONBUILD = "ONBUILD"
_KEYWORDS = (*FORMS, _ONBUILD)
_WITH_HEREDOCS = ("ADD", "COPY", "RUN")
_NO_TRIGGERS = ("FROM", "MAINTAINER", _ONBUILD)


def parse(text: str | bytes, file: str = "Dockerfile") -> Dockerfile:
    """Read a whole Dockerfile.

    Args:
        text: bytes are UTF-8; other bytes are allowed in comments only.
        file: the name for messages: "-" for standard input.

    Raises:
        BadDockerfile: it breaks a rule of the language.
    """
    reader = LineReader(text if isinstance(text, str) else text.decode("utf-8", "surrogateescape"), file)
    args: list[tree.Arg] = []
    stages: list[Stage] = []
    body: list[tree.Instruction] = []
    for found in _instructions(reader, file):
        if isinstance(found, tree.From):
            _close(stages, body)
            stages.append(Stage(len(stages), found, ()))
            body = []
        elif stages:
            body.append(found)
        elif isinstance(found, tree.Arg):
            args.append(found)
        else:
            raise BadDockerfile(file, found.source.first_line, found.keyword, "is before the first FROM")
    _close(stages, body)
    if not stages:
        raise BadDockerfile(file, None, None, "no FROM" if args else "no instructions: a Dockerfile starts with FROM")
    return Dockerfile(file, tuple(args), tuple(stages), reader.directives)


def parse_instructions(text: str, file: str) -> list[tree.Instruction]:
    """Read instructions that are not in a Dockerfile. `file`: the name for messages. Raises BadDockerfile."""
    return list(_instructions(LineReader(text, file), file))


def parse_trigger(trigger: str, file: str) -> tree.Instruction:
    """Read one trigger of a base image's `OnBuild`.

    Args:
        file: the name for messages, such as "ONBUILD of debian:12".

    Raises:
        BadDockerfile: it is not exactly one instruction, or is one that cannot be a trigger.
    """
    found = parse_instructions(trigger, file)
    if len(found) != 1:
        raise BadDockerfile(file, None, _ONBUILD, f"a trigger is one instruction, not {len(found)}: {trigger!r}")
    keyword = found[0].keyword
    if keyword in _NO_TRIGGERS:
        raise BadDockerfile(file, 1, keyword, "cannot be a trigger of ONBUILD")
    return found[0]


def _close(stages: list[Stage], body: list[tree.Instruction]) -> None:
    """Give the last stage its instructions."""
    if stages:
        last = stages[-1]
        stages[-1] = Stage(last.index, last.base, tuple(body))


def _instructions(reader: LineReader, file: str) -> Iterator[tree.Instruction]:
    while (line := reader.next()) is not None:
        keyword = split_keyword(line.text)[0]
        try:
            yield _instruction(reader, line, file)
        except BadValue as error:
            raise BadDockerfile(file, line.first, keyword, error.reason, error.suggestion) from None


def _instruction(reader: LineReader, line: Line, file: str) -> tree.Instruction:
    if any("\udc80" <= char <= "\udcff" for char in line.text):
        raise BadValue("is not UTF-8 text")
    if "\0" in line.text:
        raise BadValue("has a NUL byte, which names and arguments cannot have")
    keyword, flags, rest = split_keyword(line.text)
    inner = keyword.upper()
    if inner == _ONBUILD:
        _no_flags(flags)
        inner, flags, trigger_rest = split_keyword(rest)
        inner = _trigger_keyword(inner)
    else:
        trigger_rest = rest
    if inner not in FORMS:
        raise BadValue(f"unknown instruction: {keyword}", near_miss(keyword, _KEYWORDS, any_case=True))
    heredocs = _heredocs(reader, line, inner, trigger_rest)
    source = Source(file, line.first, reader.line, line.text.strip(SPACES), line.gap)
    made = FORMS[inner](Statement(source, tuple(flags), trigger_rest, reader.escape, heredocs))
    if keyword.upper() != _ONBUILD:
        return made
    documents = "".join(f"\n{document.raw}{document.mark.name}" for document in heredocs)
    return tree.Onbuild(source, rest + documents, made)


def _trigger_keyword(word: str) -> str:
    if not word:
        raise BadValue("needs an instruction")
    if word.upper() in _NO_TRIGGERS:
        raise BadValue(f"{word.upper()} cannot be a trigger of ONBUILD")
    if word.upper() not in FORMS:
        raise BadValue(f"unknown instruction: {word}", near_miss(word, _KEYWORDS, any_case=True))
    return word.upper()


def _no_flags(flags: list[str]) -> None:
    if flags:
        raise BadValue(f"unknown flag: {flags[0].partition('=')[0]}")


def _heredocs(reader: LineReader, line: Line, keyword: str, rest: str) -> tuple[RawHeredoc, ...]:
    """Read the heredocs that a line announces: those of COPY, ADD and RUN, not in exec form."""
    if keyword not in _WITH_HEREDOCS or "<<" not in line.text or exec_form(rest) is not None:
        return ()
    found = []
    for mark in find_marks(line.text):
        raw = reader.heredoc(mark.name, mark.chomp)
        if raw is None:
            raise BadValue(f"the heredoc is not closed: no line is {mark.name!r}")
        found.append(RawHeredoc(mark, raw))
    return tuple(found)
