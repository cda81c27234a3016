"""The language of Dockerfiles: a case for each rule of the reference."""

from __future__ import annotations

import pytest

from rootlay.vfs.build.language import instruction as tree
from rootlay.vfs.build.language.errors import BadDockerfile
from rootlay.vfs.build.language.parser import parse, parse_trigger
from rootlay.vfs.build.language.syntax import Command, Source


def first(text: str) -> tree.Instruction:
    """The first instruction after `FROM scratch`, which is put before it."""
    return parse(f"FROM scratch\n{text}").stages[0].instructions[0]


def reason(text: str) -> str:
    with pytest.raises(BadDockerfile) as caught:
        parse(text)
    return str(caught.value)


def test_keywords_are_known_in_any_case() -> None:
    assert isinstance(first("rUn true"), tree.Run)


def test_the_shell_form_is_one_string_and_the_exec_form_several() -> None:
    assert first("CMD echo  'a b'") == tree.Cmd(
        Source("Dockerfile", 2, 2, "CMD echo  'a b'"), Command(("echo  'a b'",), True)
    )
    command = first('CMD [ "echo", "a b" ]')
    assert isinstance(command, tree.Cmd)
    assert command.command == Command(("echo", "a b"), False)


def test_bad_json_is_the_shell_form() -> None:
    command = first("CMD ['echo']")
    assert isinstance(command, tree.Cmd)
    assert command.command == Command(("['echo']",), True)


def test_json_with_other_things_than_strings_is_an_error() -> None:
    assert reason("FROM a\nCMD [1]") == "Dockerfile:2: CMD: an array in JSON form must have only strings"


def test_an_unknown_instruction_names_the_near_miss() -> None:
    assert reason("FROM a\nRNU x") == "Dockerfile:2: RNU: unknown instruction: RNU (did you mean RUN?)"
    assert reason("FROM a\nonbuil x") == "Dockerfile:2: onbuil: unknown instruction: onbuil (did you mean onbuild?)"


def test_an_unknown_flag_names_the_near_miss() -> None:
    assert reason("FROM a\nCOPY --form=b c d") == "Dockerfile:2: COPY: unknown flag: --form (did you mean --from?)"


def test_a_trigger_is_one_instruction() -> None:
    assert isinstance(parse_trigger("RUN true", "base"), tree.Run)
    with pytest.raises(BadDockerfile, match="one instruction"):
        parse_trigger("RUN true\nRUN false", "base")
