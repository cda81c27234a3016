"""No name of the reference is unknown: each verb and flag of docker/cli 28 works, is accepted, or is refused.

`docker_flags.json` has the names and kinds of its verbs (without swarm, plugins, trust and checkpoint).
"""

from __future__ import annotations

import importlib.util
import json
import re
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from rootlay.cli.globaloptions import GLOBAL_OPTIONS
from rootlay.cli.spec import Option, Verb
from rootlay.cli.subverbs import GROUPS
from rootlay.cli.verblist import TWO_WORDS, VERBS, load_verb

DOCS = Path(__file__).parents[2] / "docs"
REFERENCE: dict[str, dict[str, str]] = json.loads(
    (Path(__file__).parent / "docker_flags.json").read_text(encoding="utf-8")
)
IN_BOTH_PARSERS = {"--help"}


def verb_of(name: str) -> Verb | None:
    """The table of a verb of one word or two."""
    first, _, second = name.partition(" ")
    if first not in VERBS:
        return None
    verb = load_verb(first)
    return GROUPS[first].load(second) if second else verb


def options_of(name: str) -> tuple[Option, ...]:
    if name == "docker":
        return GLOBAL_OPTIONS
    verb = verb_of(name)
    assert verb is not None, f"no verb {name}"
    return verb.all_options


@pytest.mark.parametrize("name", sorted(REFERENCE))
def test_every_name_of_the_reference_is_known(name: str) -> None:
    known = {flag: option.kind for option in options_of(name) for flag in option.flags}
    wanted = {flag: kind for flag, kind in REFERENCE[name].items() if flag not in IN_BOTH_PARSERS}
    assert {flag: known.get(flag) for flag in wanted} == wanted


def test_the_reference_is_whole() -> None:
    assert len(REFERENCE) == 121
    assert sum(map(len, REFERENCE.values())) > 1000
    assert TWO_WORDS <= VERBS


@pytest.mark.parametrize("name", sorted(TWO_WORDS))
def test_each_verb_of_a_group_has_help(name: str) -> None:
    load_verb(name)
    for second in GROUPS[name].names:
        verb = GROUPS[name].load(second)
        assert verb is not None
        assert verb.help


@pytest.mark.parametrize("name", sorted(REFERENCE))
def test_an_option_without_effect_says_why(name: str) -> None:
    for option in options_of(name):
        for text in (option.accepted, option.refused):
            assert not text.endswith(".")
        assert option.status != "refused" or len(option.refused) > 15


@pytest.fixture(scope="module")
def make_docker() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_docker", DOCS / "make_docker.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_for_users_of_docker_is_up_to_date(make_docker: Any) -> None:
    assert (DOCS / "coming-from-docker.md").read_text(encoding="utf-8") == make_docker.page()


def test_the_readme_has_the_same_counts() -> None:
    rows = re.findall(
        r"^\| (\d+ \w+) \| (\d+) \| (\d*) ?\|", (DOCS / "coming-from-docker.md").read_text(), re.MULTILINE
    )
    (verbs, verbs_work, _), (options, options_work, accepted) = rows[:2]
    text = (DOCS.parent / "README.md").read_text(encoding="utf-8")
    assert f"Of the {verbs} and {options} of docker/cli 28" in text
    assert f"{verbs_work} and {options_work} work; {accepted} options are accepted" in text
