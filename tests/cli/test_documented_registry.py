"""The commands of the documentation that need a registry run against a local one, under other names."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.conftest import Rootlay
from tests.support.documented import Command, commands_of, run_page
from tests.support.registry.real import PASSWORD, USER, RealRegistry, free_port, running
from tests.support.rootfs import PROGRAMS, build_rootfs

pytestmark = pytest.mark.oracles
TREE = Path(__file__).parents[2]
PAGES = ("README", "docs/tutorial", "docs/howto/ci")
NEEDS = "registry"


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealRegistry]:
    with running(tmp_path_factory.mktemp("registry") / "r", login=True, tls=True) as found:
        yield found


@pytest.fixture
def environ(registry: RealRegistry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """A home that is logged in, and a registry that has the images which the pages pull."""
    monkeypatch.setenv("SSL_CERT_FILE", str(registry.ca))
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "docker"))
    (tmp_path / "tree").mkdir()
    build_rootfs(tmp_path / "tree", (*PROGRAMS, "bash"))
    own = Rootlay(tmp_path / "own")
    own("import", str(tmp_path / "tree"), "small")
    own("login", "-u", USER, "--password-stdin", registry.host, input=PASSWORD.encode())
    for name in ("library/debian:trixie-slim", "debian:trixie-slim", "app:1"):
        own("push", "small", f"{registry.host}/{name}")
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "rootlay").write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m rootlay.cli.main "$@"\n')
    (programs / "rootlay").chmod(0o755)
    (tmp_path / "home").mkdir()
    return {
        **os.environ, "HOME": str(tmp_path / "home"), "PATH": f"{programs}:{os.environ['PATH']}", "COLUMNS": "200",
        "TOKEN": PASSWORD, "SHARED": str(own.root), "TMPDIR": str(tmp_path), "LC_ALL": "C.UTF-8",
    }  # fmt: skip


def here(text: str, registry: RealRegistry) -> str:
    """Return a command with the names of the local registry, without a terminal, with its user."""
    for before, after in (
        ("registry.example/debian:", "registry.example/library/debian:"),
        (" debian:trixie-slim", f" {registry.host}/library/debian:trixie-slim"),
        ("registry.example", registry.host),
        ("login -u ci ", f"login -u {USER} "),
        ("run -it ", "run -i "),
        ("-p 8080:80 ", f"-p {free_port()}:80 "),
        (" python3 ", f" {shlex.quote(sys.executable)} "),
    ):
        text = text.replace(before, after)
    return text


@pytest.mark.parametrize("name", PAGES)
def test_commands_that_need_a_registry_run(
    name: str, registry: RealRegistry, environ: dict[str, str], tmp_path: Path
) -> None:
    commands = list(commands_of(TREE / f"{name}.md"))
    last = max(number for number, command in enumerate(commands) if command.needs == NEEDS)
    chosen = [
        Command(here(command.text, registry), here(command.output, registry), command.needs)
        for command in commands[: last + 1]
    ]
    assert any(command.needs == NEEDS for command in chosen)
    wrong, times = run_page(chosen, tmp_path / "home", environ, frozenset({NEEDS, "landlock"}))
    assert not wrong, "\n".join(wrong)
    assert len(times) >= 2
