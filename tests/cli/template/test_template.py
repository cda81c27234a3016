"""Templates give what the real `docker` gives: the output, or the message of the error."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from rootlay.cli.template.errors import TemplateError
from rootlay.cli.template.evaluate import Template
from rootlay.cli.template.values import Struct, to_json
from tests.cli.template.cases import DIFFERENT, TEMPLATES, VOLUME, value
from tests.support.docker.answers import docker_with

RECORDED = Path(__file__).with_name("docker_answers.json")
"""The answers of docker 26.1.5; the test that asks it again writes nothing, and says which one differs."""


def ours(template: str) -> str:
    try:
        return Template(template).execute(value()) + "\n"
    except TemplateError as error:
        return f"template parsing error: {error}\n"


def answers() -> dict[str, str]:
    """Ask the real docker for each template."""
    with docker_with({"/volumes/v": VOLUME}) as docker:
        found = {}
        for template in TEMPLATES:
            done = docker("volume", "inspect", "--format", template, "v")
            found[template] = done.stdout if done.returncode == 0 else done.stderr
        return found


def test_a_template_gives_what_docker_gives() -> None:
    recorded = json.loads(RECORDED.read_text(encoding="utf-8"))
    assert recorded.keys() == set(TEMPLATES)
    wrong = {template: (ours(template), answer) for template, answer in recorded.items() if ours(template) != answer}
    assert wrong.keys() == DIFFERENT.keys()
    assert len(TEMPLATES) > 200


@pytest.mark.oracles
@pytest.mark.skipif(shutil.which("docker") is None, reason="needs docker")
def test_the_recorded_answers_are_those_of_docker() -> None:
    assert answers() == json.loads(RECORDED.read_text(encoding="utf-8"))


def test_a_template_that_calls_itself_ends() -> None:
    assert "exceeded maximum template depth" in ours('{{define "T"}}{{template "T"}}{{end}}{{template "T"}}')


def test_a_key_that_is_missing_is_an_error_if_it_must_be() -> None:
    with pytest.raises(TemplateError, match=r'at <.x>: map has no entry for key "x"'):
        Template("{{.x}}").execute({"y": 1}, strict=True)


def test_a_row_as_json_has_gos_escapes_of_html_and_a_document_has_none() -> None:
    assert to_json(Struct("*formatter.Row", {"A": "<x&y>"})) == r'{"A":"\u003cx\u0026y\u003e"}'
    assert to_json(Struct("", {"A": "<x&y>"}, {"A": "<x&y>"})) == '{"A":"<x&y>"}'
    assert to_json("<x&y>") == '"<x&y>"'
