"""Containers whose program runs on another machine, in a store that both see."""

from __future__ import annotations

import json
import os

from tests.cli.conftest import Rootlay


def started_on(small: Rootlay, name: str, machine: str) -> None:
    """Make the container, with the state that `machine` leaves while its program runs."""
    identity = small.out("create", "--name", name, "small", "sleep", "9")[:64].strip()
    [container] = [path for path in (small.root / "containers").iterdir() if path.name.startswith(identity)]
    (container / "state.json").write_text(json.dumps({"pid": 1, "started_ns": 1, "machine": machine}))
    (container / "launch-1-abc").write_bytes(b"")


def test_a_program_on_another_machine_is_shown_and_its_container_kept(small: Rootlay) -> None:
    started_on(small, "far", "node7")
    assert " on node7" in small.out("ps")
    [row] = json.loads(small.out("ps", "--json"))
    assert (row["running"], row["machine"]) == (True, "node7")
    assert "runs on node7: stop it there" in small.fails("rm", "far", code=19)
    assert "node7" in small.fails("snapshot", "create", "far", "s", code=19)
    small("prune")
    assert small.out("ps", "-q") != ""
    small("rm", "-f", "far")
    assert small.out("ps", "-a", "-q") == ""


def test_a_program_of_this_machine_that_left_no_exit_code_is_stopped(small: Rootlay) -> None:
    started_on(small, "near", os.uname().nodename)
    assert small.out("ps", "-q") == ""
    small("rm", "near")


def test_the_machine_is_written_down(small: Rootlay) -> None:
    small("run", "--name", "c", "small", "true")
    [state] = [row["state"] for row in json.loads(small.out("inspect", "--json", "c"))]
    assert (state["machine"], state["exit_code"]) == (os.uname().nodename, 0)
    assert small.out("ps", "-q") == ""
