"""kill -9 at any moment of an import or commit: all or nothing, the next command works, leftovers are swept."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.cli.conftest import Rootlay

ROUNDS = int(os.environ.get("ROOTLAY_CRASH_ROUNDS", "6"))


def kill_after(rootlay: Rootlay, delay: float, *words: str) -> bool:
    """Start a command and kill its whole process group after a while. True when it had finished before."""
    process = subprocess.Popen(
        [sys.executable, "-m", "rootlay.cli.main", *words],
        env={**os.environ, "ROOTLAY_ROOT": str(rootlay.root)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        return process.wait(delay) == 0
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        return False


def time_of(rootlay: Rootlay, *words: str) -> float:
    start = time.monotonic()
    rootlay(*words)
    return time.monotonic() - start


def tags(rootlay: Rootlay) -> set[str]:
    return {row["tag"] for row in json.loads(rootlay.out("images", "--json"))}


def leftovers(rootlay: Rootlay) -> list[Path]:
    """What stays in tmp/. A hydrator that is about to end has a directory there for a moment more."""
    deadline = time.monotonic() + 5
    while True:
        rootlay("images")
        found = list((rootlay.root / "tmp").iterdir()) if (rootlay.root / "tmp").is_dir() else []
        if not found or time.monotonic() > deadline:
            return found
        time.sleep(0.1)


@pytest.fixture(scope="module")
def big_tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Some hundred files of random bytes, so that an import takes a while."""
    target = tmp_path_factory.mktemp("big")
    source = random.Random(1)
    for i in range(300):
        (target / f"d{i % 20}").mkdir(exist_ok=True)
        (target / f"d{i % 20}" / f"f{i}").write_bytes(source.randbytes(40_000))
    return target


def test_killed_imports_leave_all_or_nothing(tmp_path: Path, big_tree: Path) -> None:
    whole = time_of(Rootlay(tmp_path / "measure"), "import", str(big_tree), "big")
    rootlay = Rootlay(tmp_path / "store")
    seen = {True: 0, False: 0}
    for round_ in range(ROUNDS):
        kill_after(rootlay, whole * (0.1 + 0.95 * round_ / ROUNDS), "import", str(big_tree), f"big:{round_}")
        there = str(round_) in tags(rootlay)
        seen[there] += 1
        if there:
            assert rootlay("history", f"big:{round_}").returncode == 0
            rootlay("rmi", f"big:{round_}")
        assert leftovers(rootlay) == []
    assert seen[False] >= 2, "the kills came too late to mean anything"
    rootlay("import", str(big_tree), "big")
    rootlay("create", "--name", "c", "big", "x")
    rootlay("cp", "c:/.", str(tmp_path / "out"))
    assert not subprocess.run(
        ["diff", "-r", "--exclude=etc", str(big_tree), str(tmp_path / "out")], check=False
    ).returncode


def test_killed_commits_leave_all_or_nothing(small: Rootlay, big_tree: Path, tmp_path: Path) -> None:
    small("create", "--name", "c", "small", "true")
    small("cp", str(big_tree), "c:/big")
    whole = time_of(small, "commit", "c", "whole")
    assert "whole" in small.out("images")
    small("rmi", "whole")
    seen = {True: 0, False: 0}
    for round_ in range(ROUNDS):
        kill_after(small, whole * (0.2 + 0.9 * round_ / ROUNDS), "commit", "c", f"v:{round_}")
        there = str(round_) in tags(small)
        seen[there] += 1
        if there:
            assert small.out("run", "--rm", f"v:{round_}", "cat", "/etc/motd") == "welcome\n"
            small("rmi", f"v:{round_}")
        assert leftovers(small) == []
        assert small.out("images", "-q").split() != [], "the base image is there all along"
    assert seen[False] >= 2, "the kills came too late to mean anything"
    small("commit", "c", "last")
    small("create", "--name", "d", "last", "true")
    small("cp", "d:/big", str(tmp_path / "out"))
    assert not subprocess.run(["diff", "-r", str(big_tree), str(tmp_path / "out")], check=False).returncode


def test_killed_runs_leave_nothing_that_matters(small: Rootlay) -> None:
    for round_ in range(ROUNDS):
        kill_after(
            small, 0.02 + 0.01 * round_, "run", "--rm", "--name", "k", "small", "sh", "-c", "echo x > /f; sleep 5"
        )
        small("rm", "-f", "k")
        assert small.out("ps", "-a", "-q") == ""
    assert small.out("run", "--rm", "--name", "k", "small", "cat", "/etc/motd") == "welcome\n"


def test_two_imports_of_one_layer_at_once_both_succeed(tmp_path: Path, big_tree: Path) -> None:
    rootlay = Rootlay(tmp_path / "store")
    running = [
        subprocess.Popen(
            [sys.executable, "-m", "rootlay.cli.main", "import", str(big_tree), f"big:{i}"],
            env={**os.environ, "ROOTLAY_ROOT": str(rootlay.root)},
            stdout=subprocess.DEVNULL,
        )
        for i in range(4)
    ]
    assert [process.wait(60) for process in running] == [0] * 4
    assert len(list((rootlay.root / "layers").iterdir())) == 1
    assert len(rootlay.out("images").splitlines()) == 5
