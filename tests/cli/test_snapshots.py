"""`snapshot`, `rollback`, `fork` and `diff` between states, as a user types them."""

from __future__ import annotations

import json
from pathlib import Path

from tests.cli.conftest import Rootlay


def test_snapshot_rollback_fork_and_diff(small: Rootlay, tmp_path: Path) -> None:
    small("run", "--name", "c1", "small", "sh", "-c", "echo one > /etc/motd")
    assert small.out("snapshot", "create", "c1", "before") == "before\n"
    small("exec", "c1", "sh", "-c", "echo two > /etc/motd; echo x > /new")
    assert small.out("snapshot", "create", "c1") == "s2\n"
    assert [row["name"] for row in json.loads(small.out("snapshot", "ls", "c1", "--json"))] == ["before", "s2"]
    assert small.out("diff", "c1@before", "c1") == "C /etc\nC /etc/motd\nA /new\n"
    assert small.out("diff", "c1@before") == "C /etc\nC /etc/motd\n"
    assert small.out("diff", "small", "c1@before") == "C /etc\nC /etc/motd\n"
    assert len(small.out("fork", "c1@before", "--name", "c2").strip()) == 64
    assert small.out("exec", "c2", "cat", "/etc/motd") == "one\n"
    assert small.out("exec", "c1", "cat", "/etc/motd") == "two\n"
    small("rollback", "c1", "before")
    assert small.out("exec", "c1", "cat", "/etc/motd") == "one\n"
    (tmp_path / "kept" / "etc").mkdir(parents=True)
    small("diff", "c1@before", "c1@s2", "--apply", str(tmp_path / "kept"))
    assert (tmp_path / "kept" / "etc" / "motd").read_text() == "two\n"
    assert (tmp_path / "kept" / "new").read_text() == "x\n"
    small("snapshot", "rm", "c1", "before", "s2")
    small("rm", "c1")
    small("prune")
    small("commit", "c2", "second")
    assert small.out("run", "--rm", "second", "cat", "/etc/motd") == "one\n"


def test_mistakes_have_codes_of_their_own(small: Rootlay) -> None:
    small("create", "--name", "c1", "small", "true")
    small("snapshot", "create", "c1", "one")
    small.fails("snapshot", "create", "c1", "one", code=51)
    small.fails("rollback", "c1", "two", code=50)
    small.fails("fork", "c1@two", code=50)
    small.fails("snapshot", "make", "c1", code=2)
    small.fails("fork", "nobody", code=14)
