"""Flags of docker's build: what they write, and what they answer without a build."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Rootlay

STAGES = "ARG V=1\nFROM small AS base\nARG X\nRUN true\nFROM base\nRUN --mount=type=secret,id=key true\nLABEL a=b\n"


def write(directory: Path, text: str) -> str:
    (directory / "Dockerfile").write_text(text)
    return str(directory)


def test_the_metadata_file_names_the_image(small: Rootlay, tmp_path: Path) -> None:
    context = write(tmp_path, "FROM small\nLABEL a=b\n")
    place = tmp_path / "metadata.json"
    small("build", "-t", "app:1", "--annotation", "org.x=y", "--metadata-file", str(place), context)
    found = json.loads(place.read_text())
    [shown] = json.loads(small.out("inspect", "--json", "app:1"))
    assert found["containerimage.config.digest"] == shown["id"]
    assert found["containerimage.digest"] == found["containerimage.descriptor"]["digest"] == shown["digest"]
    assert found["image.name"] == "docker.io/library/app:1"
    assert shown["manifest"]["annotations"] == {"org.x": "y"}


@pytest.mark.parametrize("text", ["index:a=b", "a", "=b"])
def test_an_annotation_of_what_is_not_made_is_refused(small: Rootlay, tmp_path: Path, text: str) -> None:
    small.fails("build", "--annotation", text, write(tmp_path, "FROM small\n"), code=2)


def test_the_layers_of_some_stages_are_made_again(small: Rootlay, tmp_path: Path) -> None:
    context = write(tmp_path, "FROM small AS base\nRUN echo a > /a\nFROM base AS end\nRUN echo b > /b\n")
    small("build", context)
    assert b"2 steps, 2 of them cached" in small("build", context).stderr
    again = small("build", "--no-cache-filter", "end", context).stderr
    assert b"2 steps, 1 of them cached" in again


def test_progress_as_json_lines(small: Rootlay, tmp_path: Path) -> None:
    done = small("build", "--progress=rawjson", write(tmp_path, "FROM small\nRUN echo hello\n"))
    lines = [json.loads(line) for line in done.stderr.decode().splitlines() if line.startswith("{")]
    vertexes = [vertex for line in lines for vertex in line.get("vertexes", ())]
    assert {vertex["name"] for vertex in vertexes} == {"[1/2] FROM small", "[2/2] RUN echo hello"}
    assert all("completed" in vertex for vertex in vertexes[1::2])
    assert any(log["data"] == "aGVsbG8K" for line in lines for log in line.get("logs", ()))


def test_a_check_builds_nothing_and_fails_if_it_finds_something(small: Rootlay, tmp_path: Path) -> None:
    context = write(tmp_path, "FROM small\nCMD a\n")
    done = small("build", "--check", context, code=1)
    assert b"Check complete, 1 warning has been found!" in done.stdout
    assert b"WARNING: JSONArgsRecommended - https://docs.docker.com/go/dockerfile/rule/" in done.stdout
    assert b"   2 | >>> CMD a" in done.stdout
    found = json.loads(small.out("build", "--call=check,format=json", context, code=1))
    assert [each["ruleName"] for each in found["warnings"]] == ["JSONArgsRecommended"]
    assert small.out("build", "--check", write(tmp_path, "FROM small\n")) == "Check complete, no warnings found.\n"
    assert "<none>" not in small.out("images")


def test_the_outline_and_the_targets(small: Rootlay, tmp_path: Path) -> None:
    context = write(tmp_path, STAGES)
    outline = json.loads(small.out("build", "--call=outline,format=json", context))
    assert outline["args"] == [{"name": "V", "value": "1"}, {"name": "X", "value": ""}]
    assert outline["secrets"] == [{"name": "key", "required": False}]
    assert small.out("build", "--call=targets", context).split() == [
        *("TARGET", "BASE", "base", "small", "(unnamed)", "(default)", "base"),
    ]
    assert "key" in small.out("build", "--call=outline", context)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--sbom=generator=x"], "one generator"),
        (["--attest", "type=other"], "type=provenance or type=sbom"),
        (["--platform", "linux"], "expected OS/ARCH"),
        (["-m", "1g"], "limits of the caller"),
        (["--squash"], "rootlay import"),
        (["--isolation=hyperv"], "Windows"),
        (["--call=lent"], "expected build, check, outline or targets"),
    ],
)
def test_what_is_refused_says_why(small: Rootlay, tmp_path: Path, words: list[str], said: str) -> None:
    assert said in small.fails("build", *words, write(tmp_path, "FROM small\n"), code=2)


def test_what_is_accepted_has_no_effect(small: Rootlay, tmp_path: Path) -> None:
    accepted = (
        "--load --rm --force-rm --provenance=false --sbom=false --builder=default --shm-size=1g --ulimit=nofile=9"
    )
    small("build", *accepted.split(), "--compress", "--isolation=default", write(tmp_path, "FROM small\n"))


BAKE = """
variable "TAG" { default = "v1" }
group "default" { targets = ["app", "other"] }
target "base" {
  context = "."  # a comment
  labels = { team = "a", "quoted.name" = "b" }
}
target "app" {
  inherits = ["base"]
  tags     = ["app:${TAG}", "app:latest"]
}
target "other" {
  inherits = ["base"]
  dockerfile-inline = "FROM small\\nLABEL inline=yes\\n"
  tags = [TAG]
}
"""


def test_bake_builds_the_targets_of_a_file(small: Rootlay, tmp_path: Path) -> None:
    write(tmp_path, "FROM small\n")
    (tmp_path / "docker-bake.hcl").write_text(BAKE)
    small("buildx", "bake", "--set", "other.tags=other:1", cwd=tmp_path)
    [app] = json.loads(small.out("image", "inspect", "app:v1"))
    [other] = json.loads(small.out("image", "inspect", "other:1"))
    assert app["Config"]["Labels"] == {"team": "a", "quoted.name": "b"}
    assert sorted(app["RepoTags"]) == ["app:latest", "app:v1"]
    assert other["Config"]["Labels"] == {"team": "a", "quoted.name": "b", "inline": "yes"}


def test_a_bake_file_in_json_is_the_same(small: Rootlay, tmp_path: Path) -> None:
    target = {"context": ".", "args": {"A": "1"}, "tags": ["x:1"], "no-cache": True}
    (tmp_path / "docker-bake.json").write_text(json.dumps({"target": {"default": target}}))
    shown = json.loads(small.out("bake", "--print", cwd=tmp_path))
    assert shown["target"]["default"] == target


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('target "a" { tags = [upper("x")] }', "docker-bake.hcl:1: expected ',' or ']'"),
        ('target "a" { wrong = 1 }', "unknown attribute wrong"),
        ('target "default" { inherits = ["default"] }', "inherits from itself"),
        ('target "default" { tags = [NOPE] }', "there is no variable NOPE"),
        ("", "failed to find target default"),
        ('function "f" { params = [] }', "expected target, group or variable"),
        (
            'variable "A" { default = B }\nvariable "B" { default = "${A}" }\ntarget "default" { tags = [A] }',
            "docker-bake.hcl: target default: variables contain each other in a loop: A -> B -> A",
        ),
        (
            'variable "V0" { default = "aaaaaaaa" }\n'
            + "".join(f'variable "V{n + 1}" {{ default = "${{V{n}}}${{V{n}}}" }}\n' for n in range(40))
            + 'target "default" { tags = [V40] }',
            "docker-bake.hcl: target default: a text is longer than 131072 characters with its variables",
        ),
        (
            'variable "V0" { default = "aaaaaaaa" }\n'
            + "".join(f'variable "V{n + 1}" {{ default = [V{n}, V{n}] }}\n' for n in range(40))
            + 'target "default" { tags = [V40] }',
            "docker-bake.hcl: target default: variable V14 is longer than 131072 characters",
        ),
        ('target "a" {\n  tags = ' + "[" * 5000, "docker-bake.hcl:2: lists and maps are nested too deeply"),
        (f'\ntarget "a" {{ shm-size = {"9" * 5000} }}', "docker-bake.hcl:2: a number has more than 100 digits"),
        ('target "default" { tags = "a" }', "docker-bake.hcl: target default: tags: expected a list of texts"),
        ('target "default" { args = [] }', "docker-bake.hcl: target default: args: expected a map of texts"),
        ('target "default" { context = {} }', "docker-bake.hcl: target default: context: expected a text"),
        ('target "default" { inherits = [1] }', "docker-bake.hcl: target default: inherits: expected a list of texts"),
        ('target "default" { pull = "maybe" }', "docker-bake.hcl: target default: pull: expected true or false"),
        ('group "default" { targets = 1 }', "docker-bake.hcl: group default: targets: expected a list of names"),
        ('target "a" {}\ntarget "b" { tags = ["${"] }', "docker-bake.hcl:2: '${': only names of variables"),
        ('target "a" {}\n/* no end', "docker-bake.hcl:2: a comment is not closed"),
    ],
)
def test_a_wrong_bake_file_is_refused(small: Rootlay, tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "docker-bake.hcl").write_text(text)
    assert said in small.fails("bake", "--print", code=2, cwd=tmp_path)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"target": 3}', "docker-bake.json: target: expected an object of objects, by name"),
        ('{"target": ' + '{"a":' * 100_000, "docker-bake.json: lists and maps are nested too deeply"),
        (
            '{"target": {"default": {"tags": ["\\ud800"]}}}',
            "docker-bake.json: target default: tags: expected a list of texts",
        ),
    ],
)
def test_a_wrong_bake_file_in_json_is_refused(small: Rootlay, tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "docker-bake.json").write_text(text)
    assert said in small.fails("bake", "--print", code=2, cwd=tmp_path)


def test_a_bake_file_that_is_not_text_is_refused(small: Rootlay, tmp_path: Path) -> None:
    (tmp_path / "docker-bake.hcl").write_bytes(b'target "default" { tags = ["\xff"] }')
    assert "docker-bake.hcl: not UTF-8 text" in small.fails("bake", "--print", code=2, cwd=tmp_path)


def test_targets_that_inherit_in_many_ways_are_made_once(small: Rootlay, tmp_path: Path) -> None:
    lines = ['target "t0" { tags = ["x"] }']
    lines += [f'target "t{n + 1}" {{ inherits = ["t{n}", "t{n}"] }}' for n in range(60)]
    (tmp_path / "docker-bake.hcl").write_text("\n".join(lines))
    assert json.loads(small.out("bake", "--print", "t60", cwd=tmp_path))["target"]["t60"] == {"tags": ["x"]}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("a.args=x", "--set a.args=x: target a: args: expected a map of texts"),
        ("a.tags.x=y", "--set a.tags.x=y: tags of target a is not a map"),
    ],
)
def test_a_wrong_override_of_a_target_is_refused(small: Rootlay, tmp_path: Path, given: str, said: str) -> None:
    (tmp_path / "docker-bake.hcl").write_text('target "a" { tags = ["x"] }')
    assert said in small.fails("bake", "--print", "--set", given, "a", code=2, cwd=tmp_path)
