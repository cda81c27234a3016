"""We read what BuildKit reads: its own answers, recorded, and for as many new cases as one likes where it is at hand.

`buildkit_answers.json` holds requests with the answers of BuildKit 0.12, made by `record` below; it needs the program
that buildkit/make builds:

    ROOTLAY_TEST_BUILDKIT=…/oracle python -m pytest tests/vfs/build/test_buildkit.py     # thousands of new cases
    ROOTLAY_TEST_BUILDKIT=…/oracle python -m tests.vfs.build.test_buildkit               # record anew

Where we differ on purpose, `differs_on_purpose` says why.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from tests.vfs.build import dockerfiles
from tests.vfs.build.buildkit_oracle import Answer, BuildKit, Request, ours
from tests.vfs.build.cases import CASES

ANSWERS = Path(__file__).parent / "buildkit_answers.json"
PROGRAM = os.environ.get("ROOTLAY_TEST_BUILDKIT", "")
EXAMPLES = int(os.environ.get("ROOTLAY_TEST_BUILDKIT_EXAMPLES", "3000"))

ENVIRONMENT = {"A": "ab ba", "B": "aXbXa", "E": ""}
_flags = ("rawquotes", "rawescapes", "skipquotes", "keepunset")


def requests() -> st.SearchStrategy[Request]:
    """Everything that can be asked."""
    lex = st.fixed_dictionaries(
        {
            "kind": st.just("lex"),
            "text": dockerfiles.lexer_texts,
            "env": st.just(ENVIRONMENT),
            "escape": st.sampled_from("\\`"),
            **dict.fromkeys(_flags, st.booleans()),
        }
    )
    some_paths = st.lists(dockerfiles.paths, min_size=3, max_size=3)
    match = st.fixed_dictionaries({"kind": st.just("match"), "text": dockerfiles.patterns, "paths": some_paths})
    ignore = st.fixed_dictionaries({"kind": st.just("ignore"), "text": dockerfiles.ignore_files, "paths": some_paths})
    parse = st.fixed_dictionaries({"kind": st.just("parse"), "text": dockerfiles.dockerfiles()})
    return st.one_of(lex, match, ignore, parse, parse, parse)


def differs_on_purpose(request: Request, mine: Answer, theirs: Answer) -> str | None:
    """Why the answers may differ; None if they may not."""
    text, kind = request["text"], request["kind"]
    if theirs.get("error") == "panic":
        return "BuildKit 0.12 crashes"
    if kind in ("match", "ignore") and "error" in mine:
        return "a bad pattern is always an error here, not only where matching reaches it"
    if kind == "match" and "[^" in text:
        return "a set may match a slash; Go takes the first place where a part fits and does not come back"
    if kind == "ignore" and re.search(r"(?<!\[)\^", text):
        return "a `^` outside of a set is itself here, and an anchor in moby's regular expression"
    if kind == "ignore" and re.search(r"\[[^\]]*[*?.]", text):
        return "moby's sets are not filepath.Match's: it hands their content to a regular expression"
    if kind == "lex" and "%" in text and "\\}" in text:
        return "BuildKit turns `%` patterns round, and a backslash at their end comes to escape another character"
    if kind == "parse":
        return _parse_difference(text, mine, theirs)
    return None


def _parse_difference(text: str, mine: Answer, theirs: Answer) -> str | None:
    if "error" in mine and re.search(r"(?i)(ARG|STOPSIGNAL)\s[^\n]*--|ONBUILD\s+(\\\n)*--", text):
        return "flags of ARG and STOPSIGNAL are unknown flags here, and dropped in BuildKit 0.12"
    if "error" in mine and "--mount" in text and "--mount" in mine["error"]:
        return "mounts without variables are checked at once here"
    if "error" in mine and re.search(r"(?i)onbuild", text):
        return "a trigger that is wrong is an error where it is written, not only in the build that uses it"
    if re.search(r"\][^\n]", text):
        return "BuildKit 0.12 drops what stands behind a JSON array; later ones, and we, take it for the shell form"
    if "<<" in text and "[" in text:
        return "in exec form, `<<EOF` is a path or an argument here; BuildKit 0.12 takes it for an empty heredoc"
    return None


def check(request: Request, theirs: Answer) -> None:
    mine = ours(request)
    same = ("error" in mine) == ("error" in theirs) and ("error" in mine or mine == theirs)
    assert same or differs_on_purpose(request, mine, theirs), f"{request}\nours   {mine}\ntheirs {theirs}"


def recorded() -> list[list[Any]]:
    found: list[list[Any]] = json.loads(ANSWERS.read_text(encoding="utf-8"))
    return found


@pytest.mark.parametrize("kind", ["lex", "match", "ignore", "parse"])
def test_recorded_answers(kind: str) -> None:
    chosen = [(request, answer) for request, answer in recorded() if request["kind"] == kind]
    assert len(chosen) > 50
    assert sum("error" not in answer for _, answer in chosen) > len(chosen) // 4
    for request, answer in chosen:
        check(request, answer)


@pytest.fixture(scope="module")
def buildkit() -> Iterator[BuildKit]:
    if not PROGRAM:
        pytest.skip("ROOTLAY_TEST_BUILDKIT does not name the program that buildkit/make builds")
    oracle = BuildKit(Path(PROGRAM))
    yield oracle
    oracle.close()


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
@given(request_=requests())
def test_new_cases(buildkit: BuildKit, request_: Request) -> None:
    check(request_, buildkit.ask(request_))


def record(count: int = 1200) -> None:
    """Write the file anew: the texts of the other tests, and random ones."""
    oracle = BuildKit(Path(PROGRAM))
    found: dict[str, tuple[Request, Answer]] = {}

    def keep(request: Request) -> None:
        found.setdefault(json.dumps(request), (request, oracle.ask(request)))

    for text in CASES:
        keep({"kind": "parse", "text": text})
    ask = settings(max_examples=count, database=None, deadline=None, phases=[Phase.generate])(given(requests())(keep))
    seed(1)(ask)()
    ANSWERS.write_text(
        "[\n" + ",\n".join(json.dumps(pair, ensure_ascii=False) for pair in found.values()) + "\n]\n", encoding="utf-8"
    )


if __name__ == "__main__":
    record()
