"""Docker's groups, `docker-link`, and the versions that tools parse."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path

import pytest

from rootlay.store.networks.networks import UnknownNetwork
from tests.cli.conftest import Rootlay


@pytest.mark.parametrize(
    ("group", "single"),
    [
        ("container ls -a --format {{.Names}}", "ps -a --format {{.Names}}"),
        ("image ls -q", "images -q"),
        ("image history small --format {{.ID}}", "history small --format {{.ID}}"),
        ("system info --format {{.Driver}}", "info --format {{.Driver}}"),
    ],
)
def test_a_verb_of_a_group_is_the_verb_alone(small: Rootlay, group: str, single: str) -> None:
    small("create", "--name", "c", "small", "true")
    assert small.out(*group.split()) == small.out(*single.split()) != ""


def test_a_program_s_exit_code_comes_through_a_group(small: Rootlay) -> None:
    assert small("container", "run", "--rm", "small", "sh", "-c", "exit 7", code=7)
    small.fails("container", "run", "nope:1", "true", "--pull=never", code=125)


@pytest.mark.parametrize(
    "words", [["container"], ["volume", "nope"], ["context", "create", "x"], ["manifest", "rm"], ["volume", "rm"]]
)
def test_what_a_group_does_not_have_is_one_line(small: Rootlay, words: list[str]) -> None:
    small.fails(*words, code=2)


def test_volumes_and_networks(small: Rootlay) -> None:
    assert small.out("volume", "create", "data", "--label", "a=b") == "data\n"
    assert small.out("volume", "ls", "-q", "--filter", "label=a=b") == "data\n"
    assert small.out("volume", "ls", "-q", "--filter", "label=a=c") == ""
    small("create", "--name", "c", "-v", "data:/data", "small", "true")
    assert "in use" in small("volume", "rm", "data", code=None).stderr.decode()
    small("network", "create", "inner")
    small("network", "connect", "--alias", "db", "inner", "c")
    [network] = json.loads(small.out("network", "inspect", "inner"))
    assert network["Name"] == "inner"
    assert "inner" in small.out("ps", "-a", "--format", "{{.Networks}}").strip().split(",")
    small("network", "disconnect", "inner", "c")
    assert small.out("network", "rm", "inner") == "inner\n"
    small.fails("network", "rm", "inner", code=UnknownNetwork.exit_code)
    small("network", "rm", "-f", "inner")


def test_prune_removes_what_is_not_used(small: Rootlay) -> None:
    small("create", "--name", "c", "small", "true")
    small("volume", "create", "data")
    small("network", "create", "inner")
    done = small.out("system", "prune", "-f", "--volumes")
    assert "Deleted Containers:" in done
    assert "Deleted Networks:\ninner\n" in done
    assert done.splitlines()[-1].startswith("Total reclaimed space: ")
    assert small.out("volume", "ls", "-q") == "data\n"
    assert "data" in small.out("volume", "prune", "-a", "-f")
    assert small.out("images", "-q") != ""
    assert "untagged: small" in small.out("image", "prune", "-a", "-f")
    assert small.out("images", "-q") == ""


def test_the_versions_that_tools_parse(small: Rootlay, monkeypatch: pytest.MonkeyPatch) -> None:
    number = small.out("version", "--format", "{{.Server.Version}}").strip()
    assert re.fullmatch(r"\d+\.\d+\.\d+", number)
    assert small.out("version", "--format", "{{.Client.Version}} {{.Server.APIVersion}}").split()[0] == number
    found = json.loads(small.out("version", "--format", "json"))
    assert found["Server"]["ApiVersion"] == found["Client"]["ApiVersion"]
    assert "Server: rootlay" in small.out("version")
    assert json.loads(small.out("info", "--format", "json"))["Driver"] == "rootlay"
    assert small.out("version", "--format", "{{.Server.Experimental}}") == "false\n"
    assert small.out("info", "--format", "{{.ClientInfo.Version}}").strip() == number
    fields = "{{.HTTPProxy}}|{{.NoProxy}}|{{.ProductLicense}}|{{.CPUCfsPeriod}}|{{.ServerErrors}}|{{.Warnings}}"
    monkeypatch.setenv("HTTP_PROXY", "http://p:1")
    monkeypatch.setenv("NO_PROXY", "n")
    assert small.out("info", "--format", fields) == "http://p:1|n||false|[]|[]\n"
    assert json.loads(small.out("info", "--format", "{{json .}}"))["CpuCfsPeriod"] is False
    unknown = small.fails("info", "--format", "{{.CpuCfsPeriod}}", code=2)
    assert "can't evaluate field CpuCfsPeriod in type system.dockerInfo" in unknown


def test_docker_link_makes_a_docker_command(small: Rootlay, tmp_path: Path) -> None:
    done = small("--root", str(small.root), "docker-link", str(tmp_path))
    assert done.stdout.decode() == f"{tmp_path}/docker\n"
    assert b"is not in PATH" in done.stderr
    environ = {**os.environ, "PATH": f"{tmp_path}:/usr/bin:/bin"}

    def docker(*words: str) -> str:
        return subprocess.run(("docker", *words), env=environ, check=True, capture_output=True, text=True).stdout

    assert re.fullmatch(r"Docker version \d+\.\d+\.\d+, build \S+\n", docker("--version"))
    assert docker("-v") == docker("--version")
    assert docker("-D", "--context", "default", "images", "--format", "{{.Repository}}") == "small\n"
    small("docker-link", str(tmp_path))
    (tmp_path / "docker").write_text("another")
    assert "--force" in small.fails("docker-link", str(tmp_path), code=2)
    small("docker-link", "--force", str(tmp_path))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["-H", "tcp://x:1", "ps"], "connects to no daemon"),
        (["--context", "other", "ps"], "connects to no daemon"),
        (["--log-level"], "a value is missing"),
    ],
)
def test_docker_s_options_before_the_verb(small: Rootlay, words: list[str], said: str) -> None:
    assert said in small.fails(*words, code=2)


def test_the_contexts(small: Rootlay) -> None:
    assert small.out("context", "show") == "default\n"
    assert small.out("context", "ls", "-q") == "default\n"
    assert small.out("context", "use", "default") == "default\n"
    assert (
        json.loads(small.out("context", "inspect"))[0]["Name"] == "default" if small.out("context", "inspect") else True
    )
    small.fails("context", "use", "other", code=2)


def test_the_disk_usage(small: Rootlay) -> None:
    kinds = small.out("system", "df", "--format", "{{.Type}} {{.TotalCount}}").splitlines()
    assert kinds == ["Images 1", "Containers 0", "Local Volumes 0", "Build Cache 0"]
    assert "Images space usage:" in small.out("system", "df", "-v")


def test_events_since_a_time(small: Rootlay) -> None:
    small("create", "--name", "c", "small", "true")
    shown = small.out("events", "--since", "1h", "--until", "0s", "--format", "{{.Type}} {{.Action}}")
    assert "container create" in shown.splitlines()


def test_events_have_dockers_names_in_dockers_order(small: Rootlay) -> None:
    small("create", "--name", "c", "small", "true")
    words = ("events", "--since", "1h", "--until", "0s", "-f", "container=c", "--format")
    text = "{{.Status}} {{.From}} {{.Scope}} {{.ID}} {{.TimeNano}} {{.Actor}}"
    status, image, scope, identity, moment, actor = small.out(*words, text).split(" ", 5)
    assert (status, image, scope) == ("create", "small", "local")
    assert actor == f"{{{identity} map[image:small name:c]}}\n"
    document = (
        f'{{"status":"create","id":"{identity}","from":"small","Type":"container","Action":"create","Actor":{{"ID":'
        f'"{identity}","Attributes":{{"image":"small","name":"c"}}}},"scope":"local","time":{int(moment) // 10**9},'
        f'"timeNano":{moment}}}'
    )
    assert small.out(*words, "{{json .}}") == small.out(*words, "json") == document + "\n"


def test_a_usage_error_names_the_words_that_were_given(rootlay: Rootlay) -> None:
    assert rootlay.fails("image", "ls", "--bogus", code=2).endswith("(see `rootlay image ls --help`)")
    assert ": not a valid integer (see `rootlay stop --help`)" in rootlay.fails("stop", "-t", "x", "c", code=2)
