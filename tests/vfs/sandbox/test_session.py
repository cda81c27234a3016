"""A session continues where the last step ended; snapshots, forks and rollbacks are of its files."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from rootlay.vfs import Image, Limits, Sandbox, SandboxSession, Store
from tests.support.rootfs import build_rootfs, copy_program


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Image:
    base = tmp_path_factory.mktemp("session")
    tree = base / "tree"
    tree.mkdir()
    build_rootfs(tree)
    copy_program(Path("/usr/bin/sleep"), tree, tree / "bin/sleep")
    return Store.open(base / "store").import_rootfs(tree, "small")


@pytest.fixture(scope="module")
def sandbox(image: Image) -> Iterator[Sandbox]:
    with Sandbox(image, confine="auto", pool=0, limits=Limits(wall=20, output=10_000)) as made:
        yield made


@pytest.fixture
def session(sandbox: Sandbox) -> Iterator[SandboxSession]:
    with sandbox.session() as made:
        yield made


def test_a_shell_keeps_variables_functions_and_directory(session: SandboxSession) -> None:
    assert session.run("cd /etc; A=1; f() { echo f$A; }").ok
    result = session.run("f; pwd; echo oops >&2; (exit 3)")
    assert (result.exit, result.stdout, result.stderr) == (3, "f1\n/etc\n", "oops\n")
    assert session.run("printf 'no newline'").stdout == "no newline"
    assert session.run("cat").stdout == "", "a step has no input"
    assert session.run('echo \'it\'"\'"\'s\'; x="a\nb"; echo "$x"').stdout == "it's\na\nb\n"


def test_a_step_that_lasts_too_long_ends_the_shell_and_keeps_the_files(session: SandboxSession) -> None:
    session.run("A=1; echo x > /kept")
    began = time.monotonic()
    result = session.run("echo part; sleep 60 & sleep 60", timeout=0.4)
    assert time.monotonic() - began < 15
    assert (result.exceeded, result.stdout) == ("wall", "part\n")
    assert session.run("cat /kept; echo A=$A").stdout == "x\nA=\n"


def test_the_shell_may_exit(session: SandboxSession) -> None:
    assert session.run("echo bye; exit 4").exit == 4
    assert session.run("echo again").stdout == "again\n"


def test_output_of_a_step_is_cut(session: SandboxSession) -> None:
    result = session.run("i=0; while [ $i -lt 3000 ]; do echo 0123456789; i=$((i+1)); done")
    assert (result.exit, len(result.stdout), result.truncated) == (0, 10_000, True)


def test_snapshots_forks_and_rollbacks(session: SandboxSession) -> None:
    session.run("cd /tmp; export B=2; echo one > /tmp/file")
    before = session.snapshot()
    assert session.run("pwd; echo $B").stdout == "/tmp\n2\n"
    session.run("echo two > /tmp/file")
    with session.fork() as other:
        assert other.run("cat file; echo $B").stdout == "two\n2\n"
        other.write("/only/here", "x")
    with session.fork(before) as other:
        assert other.read("/tmp/file") == b"one\n"
    assert [str(change) for change in session.diff(before)] == ["C /tmp", "C /tmp/file"]
    session.rollback(before)
    assert session.run("cat /tmp/file; ls /only").stdout == "one\n"
    assert [str(change) for change in session.diff()] == ["C /tmp", "A /tmp/file"]


def test_files_are_read_and_written(session: SandboxSession) -> None:
    session.write("/new/dir/file", "é")
    assert session.read("/new/dir/file") == "é".encode()
    assert session.run("cat /new/dir/file").stdout == "é"
    assert session.read("/new/dir/file", 1) == "é".encode()[:1]
    with pytest.raises(FileNotFoundError):
        session.read("/missing")


def test_an_unknown_interpreter_is_refused(sandbox: Sandbox) -> None:
    with pytest.raises(ValueError, match="shell or python"):
        sandbox.session("perl")
    with sandbox.session("python") as session, pytest.raises(FileNotFoundError):
        session.run("1")
