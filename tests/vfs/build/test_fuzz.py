"""Whatever a file holds: an answer, or one clear error; never a crash, never a hang."""

from __future__ import annotations

import contextlib
import os
import re

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rootlay.store.model.manifest import Platform
from rootlay.vfs.build.context.ignore import parse_ignore
from rootlay.vfs.build.language.dockerfile import Dockerfile
from rootlay.vfs.build.language.errors import BadDockerfile
from rootlay.vfs.build.language.expand import expand
from rootlay.vfs.build.language.parser import parse
from rootlay.vfs.build.language.scope import GlobalScope
from tests.vfs.build import dockerfiles

EXAMPLES = int(os.environ.get("ROOTLAY_TEST_FUZZ_EXAMPLES", "200"))
LINUX = Platform("linux", "amd64")

fuzz = settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))


def read(text: str | bytes) -> Dockerfile | None:
    """The tree; None where the error is as it should be."""
    try:
        return parse(text, "file")
    except BadDockerfile as caught:
        error = caught
    lines = text.count("\n" if isinstance(text, str) else b"\n") + 1  # type: ignore[arg-type]
    assert error.line is None or 1 <= error.line <= lines
    assert re.match(rf"file(:{error.line})?: ", str(error))
    assert error.reason
    return None


@fuzz
@given(dockerfiles.dockerfiles())
def test_a_dockerfile_is_read_and_expanded_or_refused(text: str) -> None:
    found = read(text)
    if found is None:
        return
    last = 0
    for instruction in (part for stage in found.stages for part in (stage.base, *stage.instructions)):
        assert last < instruction.source.first_line <= instruction.source.last_line <= text.count("\n") + 1
        last = instruction.source.last_line
    try:
        outer = GlobalScope.of(found, {"A": "x y", "C": "$A"}, build=LINUX, target=LINUX)
        for stage in found.stages:
            outer.expand_from(stage.base)
            scope = outer.stage(["PATH=/bin", "E="])
            for instruction in stage.instructions:
                expanded = expand(instruction, scope)
                assert type(expanded) is type(instruction)
                scope = scope.after(expanded)
    except BadDockerfile:
        return  # a substitution without a value, a port that is none, …


@fuzz
@given(
    st.text()
    | st.lists(st.sampled_from(["FROM a\n", "RUN ", "<<E", "\\\n", "\n", "E", "\0", "\ufeff", "\x85"])).map("".join)
)
def test_any_text_is_read_or_refused(text: str) -> None:
    read(text)


@fuzz
@given(st.binary(), st.booleans())
def test_any_bytes_are_read_or_refused(data: bytes, in_comment: bool) -> None:
    found = read(b"FROM a\n" + (b"# " if in_comment else b"") + data)
    if found is not None:
        for stage in found.stages:
            for instruction in stage.instructions:
                instruction.source.text.encode()


@fuzz
@given(dockerfiles.ignore_files | st.text(), dockerfiles.paths)
def test_an_ignore_file_gives_an_answer_or_is_refused(text: str, path: str) -> None:
    try:
        rules = parse_ignore(text)
    except BadDockerfile:
        return
    rules.excludes(path)
    if any(not rules.excludes(f"{path}/{name}") for name in ("a", "b/a")) and rules.excludes(path):
        assert rules.may_take_back(path)


def test_deep_nesting_and_long_lines_are_refused_or_read_at_once() -> None:
    for text in (
        "[" * 20_000,
        "${a:-" * 20_000,
        "a" * 200_000,
        '"' * 19_999,
        "a\\\n" * 10_000,
        "<<a " * 1000,
        "-" * 9999,
    ):
        found = read(f"FROM a\nRUN {text}\nENV A={text}\nCOPY {text} /b\n")
        if found is not None:
            outer = GlobalScope.of(found, {}, build=LINUX, target=LINUX)
            for instruction in found.stages[0].instructions:
                with contextlib.suppress(BadDockerfile):
                    expand(instruction, outer.stage([]))
