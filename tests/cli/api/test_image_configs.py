"""Images with odd configs: refused with the name of the field, or usable; no verb ends with an error of its own."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest.mock import ANY

from tests.cli.api.conftest import Server
from tests.support.archives.make import make_config, make_tar
from tests.support.docker.client import Answer, Client

Json = dict[str, Any]
SEED = 10
ODD: list[Any] = [
    None, 0, -1, 1 << 70, 1.5, True, "", "x", "\ud800", "\0", [], [None], ["x"], ["\ud800"], ["=x"], ["a=\0"], [1],
    [[]], {}, {"a": None}, {"a": 1}, {"": {}}, {"\ud800": {}}, {"x/y": {}}, {"99999/tcp": {}}, {"/a\0": {}},
    {"a": {"b": [1]}},
]  # fmt: skip
FIELDS = (
    "User", "Env", "Entrypoint", "Cmd", "WorkingDir", "Labels", "ExposedPorts", "Volumes", "StopSignal", "Shell",
    "Healthcheck", "OnBuild",
)  # fmt: skip
HEALTH = ("Test", "Interval", "Timeout", "StartPeriod", "StartInterval", "Retries")


def configs() -> Iterator[tuple[str, Json]]:
    """Yield each field with each odd value, in an order of this seed."""
    found: list[tuple[str, Json]] = [(name, {name: odd}) for name in FIELDS for odd in ODD]
    found += [(name, {"Healthcheck": {"Test": ["CMD", "true"], name: odd}}) for name in HEALTH for odd in ODD]
    random.Random(SEED).shuffle(found)
    yield from found


def archive(tar: bytes, config: Json) -> bytes:
    whole = json.loads(make_config([tar]))
    data = json.dumps({**whole, "config": {"Cmd": ["true"], **config}}).encode()
    manifest = [{"Config": "c.json", "RepoTags": ["odd:1"], "Layers": ["layer.tar"]}]
    members = (("c.json", data), ("layer.tar", tar), ("manifest.json", json.dumps(manifest).encode()))
    return make_tar([(name, "f", content) for name, content in members])


def refused(api: Client, tar: bytes, config: Json) -> str:
    """Load an image; return why it is refused, empty if it is not."""
    return next(
        (line["error"] for line in api("POST", "/images/load", archive(tar, config)).lines if "error" in line), ""
    )


def use(api: Client) -> Iterator[Answer]:
    """Ask for everything of the image, with containers of it."""
    for path in ("/images/json", "/images/odd:1/json", "/images/odd:1/history"):
        yield api("GET", path)
    for ports in (False, True):
        body = {"Image": "odd:1", "HostConfig": {"PublishAllPorts": ports}}
        made = api("POST", "/containers/create", body, status=ANY)
        yield made
        if made.status == 201:
            path = f"/containers/{made.json['Id']}"
            yield api("GET", f"{path}/json")
            yield api("GET", "/containers/json", all=1)
            yield api("DELETE", path, v=1)


def test_an_odd_config_is_refused_with_its_field_or_can_be_used(server: Server, small_tar: Path) -> None:
    api, tar = server.client(), small_tar.read_bytes()
    loaded: list[Json] = []
    for name, config in configs():
        if said := refused(api, tar, config):
            assert ": config: " in said or "surrogates" in said, (config, said)
            assert name in said or "surrogates" in said, (config, said)
        else:
            loaded.append(config)
            assert [answer.body for answer in use(api) if answer.status >= 500] == [], config
    assert len(loaded) > 50
    for config in [*loaded[:12], {"Volumes": {"\ud800": {}}}, {"Env": ["\ud800=1"]}]:
        refused(api, tar, config)
        for words in (
            ("run", "--rm", "odd:1"),
            ("run", "--rm", "-P", "odd:1", "true"),
            ("images",),
            ("history", "odd:1"),
        ):
            done = server.command(*words, code=None)
            assert b"Traceback" not in done.stderr, (config, words)


def test_what_can_only_be_refused_later_names_the_image(server: Server, small_tar: Path) -> None:
    api, tar = server.client(), small_tar.read_bytes()
    assert not refused(api, tar, {"ExposedPorts": {"99999/tcp": {}}})
    server.command("run", "--rm", "odd:1")
    said = server.command.fails("run", "--rm", "-P", "odd:1", code=125)
    assert "image odd:1: ExposedPorts: 99999/tcp" in said
    assert not refused(api, tar, {"Healthcheck": {"Test": ["CMD", "true"], "Interval": -1}})
    server.command("run", "--rm", "odd:1")
    server.command("create", "--name", "c", "odd:1")
    server.command("commit", "-c", "CMD true", "c", "odd:2")
    server.command("rm", "c")
    assert "OnBuild" in refused(api, tar, {"OnBuild": 5})
