"""Lists and details are formatted as the real `docker` formats them, on the same JSON: that of our API's handlers.

The client gets the JSON from a socket; so no daemon is needed.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rootlay.cli.docker.ask import ask
from rootlay.cli.printer import standard_streams
from rootlay.cli.spec import Context
from tests.cli.conftest import Rootlay
from tests.support.docker.answers import Docker, docker_with

pytestmark = [
    pytest.mark.oracles,
    pytest.mark.skipif(shutil.which("docker") is None, reason="needs docker's command line"),
]
LISTS = {
    "ps -a": ("/containers/json", {"all": True, "size": True}),
    "images": ("/images/json", {}),
    "volume ls": ("/volumes", {}),
    "network ls": ("/networks", {}),
    "history small": ("/images/small/history", {}),
}
COMMON = ("", "json", "table", "{{json .}}", "{{.Nothing}}", "table {{.Nothing}}", "{{range}}")
FORMATS = {
    "ps -a": (
        "{{.ID}} {{.Names}} {{.Image}} {{.Command}}",
        "table {{.Names}}\\t{{.State}}\\t{{.Mounts}}\\t{{.Networks}}",
        "{{.CreatedAt}}|{{.Ports}}|{{.LocalVolumes}}|{{.Labels}}",
        '{{.Label "team"}}',
        "{{.Label}}",
        'table {{.Names}}\\t{{.Label "team"}}',
        "{{upper .Names}} {{.Labels | len}}",
        "table {{upper .Names}}",
        '{{if eq .State "created"}}new{{end}}',
        "{{truncate .ID 3}}\\t{{.Status}}",
    ),
    "images": (
        "{{.Repository}}:{{.Tag}} {{.ID}} {{.Size}}",
        "{{.Digest}} {{.CreatedAt}} {{.Containers}} {{.SharedSize}} {{.UniqueSize}}",
        "table {{.Repository}}\\t{{.Digest}}",
    ),
    "volume ls": ("{{.Name}} {{.Driver}} {{.Labels}} {{.Links}}", "table {{.Name}}\\t{{.Size}}", "{{.Mountpoint}}"),
    "network ls": ("{{.Name}} {{.Driver}} {{.Internal}} {{.IPv6}} {{.CreatedAt}}", "table {{.ID}}\\t{{.Labels}}"),
    "history small": ("{{.ID}} {{.CreatedBy}} {{.Size}} {{.Comment}}", "table {{.CreatedBy}}\\t{{.CreatedAt}}"),
}
FLAGS = {
    "ps -a": ("--no-trunc", "-q", "-q --no-trunc", "-s"),
    "images": ("--no-trunc", "-q", "--digests", "-q --no-trunc"),
    "volume ls": ("-q",),
    "network ls": ("--no-trunc", "-q"),
    "history small": ("--no-trunc", "-q", "-H=false"),
}
CASES = [
    (line, [*extra])
    for line in LISTS
    for extra in [
        *(["--format", text] if text else [] for text in (*COMMON, *FORMATS[line])),
        *(text.split() for text in FLAGS[line]),
    ]
]
DIFFERENT = {"json", "{{json .}}"}
"""What docker 28 has and docker 26 does not (`Platform`, `IPv4`), or has no more (`VirtualSize`): compared by key."""


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, small_tree: Path) -> Rootlay:
    """A store with two images, containers, volumes and networks."""
    rootlay = Rootlay(tmp_path_factory.mktemp("lists") / "store")
    rootlay("import", str(small_tree), "small")
    rootlay("tag", "small", "host.example/team/other:v1")
    rootlay("volume", "create", "data", "--label", "a=b")
    rootlay("volume", "create", "data10")
    rootlay("volume", "create", "data9")
    rootlay("network", "create", "inner", "--label", "x=y", "--internal")
    rootlay("create", "--name", "one", "--label", "team=a", "small", "sh", "-c", "echo a long command")
    rootlay("create", "--name", "two", "-v", "data:/data", "small", "true")
    return rootlay


def context_of(rootlay: Rootlay) -> Context:
    return Context(rootlay.root, dict(os.environ), *standard_streams(), True)


@pytest.fixture(scope="module")
def docker(world: Rootlay) -> Iterator[Docker]:
    answers: dict[str, Any] = {}
    for path, query in LISTS.values():
        answers[path] = ask(context_of(world), "GET", path, **query)
    answers["/containers/json"].sort(key=lambda each: -each["Created"])
    answers["/images/json"].sort(key=lambda each: -each["Created"])
    for path in ("/images/small/json", "/containers/one/json", "/volumes/data", "/networks/inner"):
        answers[path] = ask(context_of(world), "GET", path)
    answers["/system/df"] = ask(context_of(world), "GET", "/system/df", verbose=True)
    with docker_with(answers) as client:
        yield client


def said(message: str) -> str:
    """A message without its beginning: `ps` has its own words, and counts the columns from `table` on."""
    return re.sub(r"^(rootlay: )?(template parsing error|failed to \w+ template): template: :1:(\d+: )?", "", message)


@pytest.mark.parametrize(("line", "extra"), CASES)
def test_a_list_is_dockers(world: Rootlay, docker: Docker, line: str, extra: list[str]) -> None:
    for _ in range(10):  # the age of an object may change between the two
        theirs = docker(*line.split(), *extra)
        ours = world(*line.split(), *extra, code=None)
        if sorted(ours.stdout.decode().split()) == sorted(theirs.stdout.split()):
            break
    if theirs.returncode:
        assert ours.returncode != 0
        assert said(ours.stderr.decode()) == said(theirs.stderr)
        return
    out = ours.stdout.decode()
    if extra[1:] and extra[1] in DIFFERENT:
        rows = [[json.loads(text) for text in lines.splitlines()] for lines in (out, theirs.stdout)]
        for mine, other in zip(*(sorted(each, key=json.dumps) for each in rows), strict=True):
            common = (mine.keys() & other.keys()) - {"CreatedSince", "RunningFor"}
            assert {key: mine[key] for key in common} == {key: other[key] for key in common}
            assert len(common) >= len(other) - 2
        return
    lines = [[text.rstrip() for text in each.splitlines()] for each in (out, theirs.stdout)]
    if line == "images":  # docker has the names of one image in a random order
        lines = [sorted(each) for each in lines]
    assert lines[0] == lines[1]


INSPECTED: dict[str, tuple[str, ...]] = {
    "image inspect small": (
        *("{{.Id}}", "{{.ID}}", "{{.Config.Env}}", "{{.Config.Healthcheck}}", "{{.RepoTags}}", "{{.RootFS.Layers}}"),
        *("{{json .Config.Labels}}", "{{.Os}}/{{.Architecture}}", "{{.Foo}}", "{{range .RepoTags}}{{.}},{{end}}"),
        *("{{len .RootFS.Layers}}", "{{index .RepoTags 7}}", "{{json .RootFS}}"),
    ),
    "container inspect one": (
        *("{{.State.Status}}", "{{.State.Running}}", "{{.Name}}", "{{.Config.Labels}}", "{{.State.Health}}"),
        *('{{index .Config.Labels "team"}}', '{{index .Config.Labels "none"}}|', "{{.Config.Cmd}}", "{{.State.Foo}}"),
        *("{{json .Config.Cmd}}", "{{.HostConfig.AutoRemove}}", "{{.NetworkSettings.Ports}}", "{{.Path}} {{.Args}}"),
        *("{{json .NetworkSettings.Ports}}", "{{.State.Health.Status}}", "{{range .Mounts}}x{{end}}"),
        *("{{if .State.Health}}a{{else}}b{{end}}", "{{eq .State.ExitCode 0}}", "{{.HostConfig.Binds}}"),
        "{{.Created.Foo}}",
        *("{{.HostConfig.LogConfig}}", "{{.HostConfig.PidsLimit}}"),
        *("{{.HostConfig.SecurityOpt}}", "{{.HostConfig.Annotations}}", "{{.HostConfig.StorageOpt}}"),
        *("{{range .NetworkSettings.Networks}}{{.IPAMConfig}} {{.Links}} {{.Aliases}} {{.DriverOpts}}{{end}}",),
        *(
            "{{.HostConfig.MemorySwappiness}}",
            "{{.HostConfig.DeviceRequests}}",
            "{{.State}}",
            "{{.HostConfig.Ulimits}}",
        ),
    ),
    "volume inspect data": ("{{.Name}}", "{{.Labels}}", "{{.Options}}", '{{index .Labels "a"}}', "{{.Foo}}"),
    "network inspect inner": (
        *("{{.Name}}", "{{.Driver}} {{.Internal}}", "{{.Labels}}", "{{json .IPAM}}", "{{.IPAM.Driver}}"),
        "{{.IPAM.Options}}",
    ),
}


@pytest.mark.parametrize(("line", "text"), [(line, text) for line in INSPECTED for text in INSPECTED[line]])
def test_details_by_a_template_are_dockers(world: Rootlay, docker: Docker, line: str, text: str) -> None:
    theirs, ours = docker(*line.split(), "--format", text), world(*line.split(), "--format", text, code=None)
    assert bool(theirs.returncode) == bool(ours.returncode)
    if theirs.returncode:
        assert ours.stderr.decode().strip().removeprefix("rootlay: ") == theirs.stderr.strip()
    else:
        assert ours.stdout.decode() == theirs.stdout


@pytest.mark.parametrize(
    "text", ["", "json", "{{range .Images}}{{.Repository}} {{.Size}};{{end}}", "{{len .Containers}}"]
)
def test_the_usage_of_each_object_is_dockers(world: Rootlay, docker: Docker, text: str) -> None:
    words = ("system", "df", "-v", *(("--format", text) if text else ()))
    age = re.compile(r"(Less than a second|About a minute|\d+ (second|minute)s?) ago")
    theirs, ours = (age.sub("AGO", shown).split() for shown in (docker(*words).stdout, world.out(*words)))
    assert ours == theirs
