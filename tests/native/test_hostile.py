"""A program that means harm, under `--confine=require`: what it reaches outside is what SECURITY.md says, no more."""

from __future__ import annotations

import contextlib
import ctypes
import os
import pty
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.native.engine_launch import CONFINE, NO_NETWORK, REQUIRE
from tests.native.guest import Guest, make_guest

#: SECURITY.md, "What no Landlock holds back": the kernel has no means (yet), whatever the launch file says.
METADATA = {"gate-stat", "gate-chmod", "gate-utimes", "gate-setxattr", "gate-inotify"}
NOT_PROMISED = METADATA | {"named-socket"}
#: Held back from ABI 6 on.
SCOPED = {"outside-kill", "outside-tgkill", "outside-pidfd-signal", "kill-everybody", "abstract-socket"}
#: What accomplices.c reaches without confinement.
OPEN_DOORS = {
    "middle-of-the-gate", "gate/proc/self/root", "gate-reopen-path", "gate-reopen-path-write",
    "gate-chdir-open", "gate-fifo", "gate-bind", "passed-descriptor-reopen", "sibling",
}  # fmt: skip
WRITING_DOORS = {"gate-reopen-path-write", "gate-fifo", "gate-bind"}
MIN_ABI = 2
SCOPE_ABI = 6


def landlock_abi() -> int:
    return max(0, int(ctypes.CDLL(None).syscall(444, None, 0, 1)))


@dataclass(frozen=True, slots=True)
class Outside:
    """The world that the program is not to reach."""

    canary: Path
    spare: Path
    pid: int
    abstract: str
    named: Path


@pytest.fixture
def outside(tmp_path: Path) -> Iterator[Outside]:
    """A canary, a process that holds it open as descriptor 3, and two sockets."""
    if landlock_abi() < MIN_ABI:
        pytest.skip(f"Landlock ABI {MIN_ABI} is needed, this kernel has {landlock_abi()}")
    canary, spare = tmp_path / "canary", tmp_path / "spare"
    for file in (canary, spare):
        file.write_text("canary\n")
    name = f"rootlay-test-{os.getpid()}"
    abstract, named = socket.socket(socket.AF_UNIX), socket.socket(socket.AF_UNIX)
    with tempfile.TemporaryDirectory() as short, contextlib.chdir(short), abstract, named:  # a socket's name is short
        abstract.bind("\0" + name)
        named.bind("s")
        for listener in (abstract, named):
            listener.listen(8)
        program = "import os,sys; fd = os.open(sys.argv[1], os.O_RDWR); os.dup2(fd, 3); print(1, flush=True); input()"
        with subprocess.Popen(
            [sys.executable, "-c", program, str(canary)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        ) as holder:
            assert holder.stdin
            assert holder.stdout
            holder.stdout.readline()
            yield Outside(canary, spare, holder.pid, name, Path(short, "s"))
            assert holder.poll() is None, "the process outside was killed"
            holder.stdin.close()


@pytest.fixture
def prison(engine: Path, programs: Path, tmp_path: Path) -> Guest:
    return make_guest(engine, programs, tmp_path / "box", flags=REQUIRE | NO_NETWORK)


def attempts(guest: Guest, outside: Outside, program: str) -> dict[str, str]:
    words = [outside.canary, outside.spare, outside.pid, outside.abstract, outside.named, guest.upper]
    try:
        done = guest.run(program, *map(str, words), timeout=120)
    except subprocess.TimeoutExpired as error:
        pytest.fail(f"it hangs after {(error.stdout or b'')[-300:].decode()!r}")
    assert done.returncode == 0, (done.stdout, done.stderr)
    lines = done.stdout.decode().splitlines()
    assert lines[-1] == "done", lines
    return dict(line.split(" ", 1) for line in lines[:-1])


@pytest.mark.parametrize("libc", ["glibc", "musl"])
def test_accomplices_reach_nothing_outside(prison: Guest, outside: Outside, programs: Path, libc: str) -> None:
    if not (programs / "t" / f"accomplices-{libc}").exists():
        pytest.skip(f"no static {libc} here")
    outcome = attempts(prison, outside, f"/t/accomplices-{libc}")
    assert {name for name, how in outcome.items() if how == "reached"} == set(), outcome
    assert len(outcome) > 30, sorted(outcome)
    assert outside.canary.read_text() == "canary\n"
    assert not list(outside.canary.parent.glob("canary.*"))


@pytest.mark.parametrize("libc", ["glibc", "musl"])
def test_a_hostile_program_reaches_nothing_outside(prison: Guest, outside: Outside, programs: Path, libc: str) -> None:
    if not (programs / "t" / f"hostile-{libc}").exists():
        pytest.skip(f"no static {libc} here")
    outcome = attempts(prison, outside, f"/t/hostile-{libc}")
    expected = NOT_PROMISED if landlock_abi() >= SCOPE_ABI else NOT_PROMISED | SCOPED
    if os.getuid() == 0:  # the host is read-only then, see guest.guard
        expected = {name for name in expected if name not in {"gate-chmod", "gate-utimes", "gate-setxattr"}}
    reached = {name for name, how in outcome.items() if how == "reached"}
    assert reached <= expected, outcome
    assert {"gate-stat", "named-socket"} <= reached, "SECURITY.md says that these are open: is it out of date?"
    assert len(outcome) > 50, sorted(outcome)
    assert outside.canary.read_text() == "canary\n"
    assert not list(outside.canary.parent.glob("canary.*"))


@pytest.mark.parametrize("libc", ["glibc", "musl"])
def test_no_argument_reaches_what_no_right_is_asked_for(
    prison: Guest, outside: Outside, programs: Path, libc: str
) -> None:
    """docs/gate.md: access modes, ioctls and leases on what may be read, set-id bits, limits, families of sockets."""
    if not (programs / "t" / f"arguments-{libc}").exists():
        pytest.skip(f"no static {libc} here")
    layer = prison.lower / "lower"
    layer.write_text("canary\n" * 1000)
    before = layer.stat()
    written = outside.spare.parent / "written"
    written.write_text("canary\n")
    words = map(str, [outside.canary, outside.pid, prison.upper, prison.lower])
    with written.open("a") as errors:
        directory = os.open(outside.canary.parent, os.O_RDONLY)
        names = sorted(path.name for path in outside.canary.parent.iterdir())
        out = prison.output(f"/t/arguments-{libc}", *words, stdin=directory, stderr=errors.fileno())
        os.close(directory)
    lines = [line for line in out.decode().splitlines() if not line.startswith("#")]
    assert lines[-1:] == ["done"], out[-1000:]
    assert [line for line in lines if line.endswith(" reached")] == [], out.decode()
    assert sorted(path.name for path in outside.canary.parent.iterdir()) == names, "a core, or something else"
    assert written.read_text() == "canary\n"
    assert len(lines) > 100
    assert outside.canary.read_text() == "canary\n"
    after = layer.stat()
    assert (after.st_size, after.st_mtime_ns, after.st_ctime_ns) == (
        before.st_size,
        before.st_mtime_ns,
        before.st_ctime_ns,
    )
    assert [path for path in prison.upper.rglob("*") if path.lstat().st_mode & 0o6000] == []


#: SECURITY.md: shared with the user's other processes.
SHARED = {"terminal-write", "shared-memory"}
LEGACY_PUSH = Path("/proc/sys/dev/tty/legacy_tiocsti")


@pytest.mark.parametrize("libc", ["glibc", "musl"])
def test_neighbours_keep_what_is_theirs(prison: Guest, outside: Outside, programs: Path, libc: str) -> None:
    """A terminal outside and a file in /dev/shm are shared, as SECURITY.md says; nothing can be pushed into the former,
    and nothing be learnt of processes outside."""
    if not (programs / "t" / f"neighbours-{libc}").exists():
        pytest.skip(f"no static {libc} here")
    owner, master = pty.fork()
    if owner == 0:
        os.execvp("sleep", ["sleep", "600"])
    terminal = os.readlink(f"/proc/{owner}/fd/0")
    with tempfile.NamedTemporaryFile(dir="/dev/shm") as shared:
        shared.write(b"canary\n")
        shared.flush()
        done = prison.run(f"/t/neighbours-{libc}", str(outside.canary), str(owner), terminal, shared.name)
    os.kill(owner, signal.SIGKILL)
    os.waitpid(owner, 0)
    os.close(master)
    lines = done.stdout.decode().splitlines()
    assert lines[-1:] == ["done"], (lines, done.stderr)
    outcome = dict(line.split(" ", 1) for line in lines[:-1])
    reached = {name for name, how in outcome.items() if how == "reached"}
    if os.getuid() == 0:  # guest.guard gives it devices of its own
        assert reached <= SHARED, outcome
    else:
        assert reached == SHARED, outcome
    assert len(outcome) > 12, sorted(outcome)


def test_without_confinement_the_gate_is_open(engine: Path, programs: Path, tmp_path: Path, outside: Outside) -> None:
    """The tests above would prove nothing if their attempts could not work."""
    guest = make_guest(engine, programs, tmp_path / "box")
    launch = bytearray(guest.launch.read_bytes())
    launch[16:20] = (int.from_bytes(launch[16:20], "little") & ~CONFINE).to_bytes(4, "little")
    guest.launch.write_bytes(launch)
    gone = tmp_path / "gone"
    gone.mkdir()
    shutil.copy(outside.canary, gone / "canary")
    done = guest.run("/t/hostile-glibc", "again", str(gone / "canary"))
    assert done.stdout.splitlines()[-1] == b"memfd-program reached", done
    words = [gone / "canary", outside.spare, outside.pid, "", outside.named, guest.upper]
    done = guest.run("/t/accomplices-glibc", *map(str, words), timeout=30)
    reached = {line.split()[0].decode() for line in done.stdout.splitlines() if line.endswith(b" reached")}
    # The host is read-only for root, see guest.guard.
    assert reached >= OPEN_DOORS - (WRITING_DOORS if os.getuid() == 0 else set()), done
