"""`rootlay prune`: what goes, what stays, and what `--dry-run` says."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys

from tests.cli.conftest import Rootlay


def names(rootlay: Rootlay) -> set[str]:
    return {row["name"] for row in json.loads(rootlay.out("ps", "-a", "--json"))}


def test_stopped_containers_go_and_others_stay(small: Rootlay) -> None:
    small("run", "--name", "stopped", "small", "true")
    small("create", "--name", "new", "small", "true")
    small("run", "-d", "--name", "running", "small", "sleep", "60")
    said = small.out("prune", "--dry-run")
    assert "container stopped\n" in said
    assert names(small) == {"stopped", "new", "running"}
    done = json.loads(small.out("prune", "--json"))
    assert done["containers"] == ["stopped"]
    assert done["freed_bytes"] > 0
    assert names(small) == {"new", "running"}
    assert small.out("exec", "running", "cat", "/etc/motd") == "welcome\n"
    assert small.out("start", "-a", "new") == ""


def test_a_dry_run_lists_files_and_removes_none(small: Rootlay) -> None:
    small("run", "--name", "c", "small", "sh", "-c", "echo x > /f")
    small("commit", "c", "next")
    small("rm", "c")
    small("tag", "small", "next")  # the layer of the commit has no name any more
    said = small.out("prune", "--dry-run")
    places = re.findall(r"^file (.*)$", said, re.MULTILINE)
    assert any(place.startswith("layers/") for place in places)
    assert any(place.startswith("blobs/sha256/") for place in places)
    assert all((small.root / place).exists() for place in places)
    small("prune")
    assert not any((small.root / place).exists() for place in places)
    assert small.out("fsck", "--deep") == "nothing wrong was found\n"
    assert small.out("run", "--rm", "small", "cat", "/etc/motd") == "welcome\n"


def test_a_container_whose_runner_was_killed_counts_as_stopped(small: Rootlay) -> None:
    small("run", "--name", "c", "small", "true")
    state = next((small.root / "containers").glob("*/state.json"))
    killed = {**json.loads(state.read_bytes()), "finished_ns": 0, "exit_code": None}
    state.write_text(json.dumps(killed))
    assert json.loads(small.out("prune", "--json"))["containers"] == ["c"]
    assert os.listdir(small.root / "containers" / "names") == []


def test_what_a_killed_run_made_and_never_started_goes_after_an_hour(small: Rootlay) -> None:
    small("create", "--name", "mine", "small", "true")
    small("create", "--rm", "--name", "old", "small", "true")
    small("create", "--rm", "--name", "young", "small", "true")
    [record] = [path for path in (small.root / "containers").glob("*/config.json") if '"old"' in path.read_text()]
    record.write_text(json.dumps({**json.loads(record.read_text()), "created_ns": 1}))
    small("prune")
    assert {row["name"] for row in json.loads(small.out("ps", "-a", "--json"))} == {"mine", "young"}


def on_a_terminal(rootlay: Rootlay, answer: bytes, *words: str) -> str:
    """Run a command with a terminal for its input, and return what it prints."""
    outer, inner = os.openpty()
    try:
        os.write(outer, answer)
        done = subprocess.run(
            [sys.executable, "-m", "rootlay.cli.main", *words],
            stdin=inner,
            capture_output=True,
            env={**os.environ, "ROOTLAY_ROOT": str(rootlay.root)},
            timeout=60,
            check=True,
        )
        return done.stdout.decode()
    finally:
        os.close(outer)
        os.close(inner)


def test_it_asks_on_a_terminal(small: Rootlay) -> None:
    small("run", "--name", "c", "small", "true")
    assert "all stopped containers" in on_a_terminal(small, b"n\n", "prune")
    assert names(small) == {"c"}
    assert "[y/N]" in on_a_terminal(small, b"\n", "builder", "prune")
    assert "[y/N]" not in on_a_terminal(small, b"", "prune", "--dry-run")
    assert "[y/N]" not in on_a_terminal(small, b"", "builder", "prune", "-f")
    assert "container c" in on_a_terminal(small, b"y\n", "prune")
    assert names(small) == set()
    small("run", "--name", "c", "small", "true")
    assert "[y/N]" not in on_a_terminal(small, b"", "prune", "-f")
    assert names(small) == set()
