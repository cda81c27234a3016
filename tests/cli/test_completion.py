"""Completion: candidates from the tables and the store, in a bash that really completes; help, and mistyped names."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from rootlay.cli.completion.words import FILES, complete
from tests.cli.conftest import Rootlay


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory, small_store: Path) -> Rootlay:
    """A store that no test changes."""
    root = tmp_path_factory.mktemp("filled") / "store"
    shutil.copytree(small_store, root, symlinks=True)
    small = Rootlay(root)
    small("create", "--name", "alpha", "small", "true")
    small("create", "--name", "beta", "small", "true")
    small("snapshot", "create", "alpha", "before")
    small("volume", "create", "data")
    small("network", "create", "front")
    small("tag", "small", "other:2")
    return small


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("expl", ["explore"]),
        ("help expl", ["explore"]),
        ("volume in", ["inspect"]),
        ("rm ", ["alpha", "beta"]),
        ("rm alpha ", ["beta"]),
        ("--root /x rm b", ["beta"]),
        ("rmi s", ["small:latest"]),
        ("run --rm -it ot", ["other:2"]),
        ("run --pull m", ["missing"]),
        ("run --pull=m", ["--pull=missing"]),
        ("run --network f", ["front"]),
        ("kill --signal TER", ["TERM"]),
        ("run --rm --nam", ["--name"]),
        ("run small --nam", []),
        ("rollback alpha ", ["before"]),
        ("snapshot l", ["ls"]),
        ("snapshot rm alpha ", ["before"]),
        ("diff alpha@", ["alpha@before"]),
        ("volume rm ", ["data"]),
        ("network inspect f", ["front"]),
        ("inspect d", ["data"]),
        ("exec alpha /etc/pass", ["/etc/passwd"]),
        ("cp al", ["alpha:"]),
        ("cp alpha:/et", ["alpha:/etc/"]),
        ("cp alpha:/etc/pass", ["alpha:/etc/passwd"]),
        ("load ", [FILES]),
        ("build --file ", [FILES]),
        ("nonsense ", []),
    ],
)
def test_the_last_word_is_completed(filled: Rootlay, line: str, found: list[str]) -> None:
    assert complete(line.split(" "), filled.root) == found


def test_the_command_prints_a_candidate_a_line(filled: Rootlay) -> None:
    assert filled.out("__complete", "--", "rm", "").splitlines() == ["alpha", "beta"]


def test_options_that_are_refused_are_not_offered(rootlay: Rootlay) -> None:
    offered = complete(["run", "--"], rootlay.root)
    assert "--mac-address" not in offered
    assert "--volume" in offered
    assert not rootlay.root.exists()


@pytest.mark.parametrize(
    ("line", "result"),
    [("rootlay rm al", "alpha"), ("rootlay cp alpha:/et", "/etc/"), ("rootlay run --pull=alw", "always")],
)
def test_bash_completes(filled: Rootlay, tmp_path: Path, line: str, result: str) -> None:
    command = tmp_path / "rootlay"
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -m rootlay.cli.entry "$@"\n')
    command.chmod(0o755)
    script = f"""
        source <(rootlay completion bash)
        compopt() {{ :; }}
        COMP_LINE='{line}' COMP_POINT={len(line)}
        _rootlay_complete
        printf '%s\\n' "${{COMPREPLY[@]}}"
    """
    environ = {**os.environ, "ROOTLAY_ROOT": str(filled.root), "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    done = subprocess.run(["bash", "-c", script], env=environ, capture_output=True, check=True, text=True)
    assert done.stdout.splitlines() == [result]


def test_each_shell_has_a_script(rootlay: Rootlay) -> None:
    for shell in ("bash", "zsh", "fish"):
        assert "rootlay __complete" in rootlay.out("completion", shell)
    assert "bash, fish, zsh" in rootlay.fails("completion", "csh", code=2)


def test_help_is_a_verb(rootlay: Rootlay) -> None:
    assert rootlay.out("help", "run") == rootlay.out("run", "--help")
    assert rootlay.out("help") == rootlay.out("--help")
    assert "--driver" in rootlay.out("help", "volume", "create")
    assert "No such command 'nonsense'" in rootlay.fails("help", "nonsense", code=2)


def test_mistyped_names_are_recognized(filled: Rootlay) -> None:
    assert filled.fails("rm", "alhpa", code=14).endswith("did you mean alpha?")
    assert filled.fails("history", "smal", code=10).endswith("did you mean small:latest?")
    assert filled.fails("run", "--pull=never", "smal", "true", code=125).endswith("did you mean small:latest?")
    assert "mean" not in filled.fails("rm", "unlike", code=14)
