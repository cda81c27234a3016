"""Start of detached programs by the native monitor: the same as by Python, which starts those that need more."""

from __future__ import annotations

import contextlib
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
from tests.cli.test_monitors import COUNT, eventually, family, lines, parent, state

SECRET = "a-password-that-nobody-may-see"


@pytest.fixture
def warm(small: Rootlay) -> Rootlay:
    """A store whose image has hydrated files: a start has nothing to hydrate ahead."""
    small("run", "--rm", "small", "sh", "-c", ":")
    return small


def words(pid: int) -> list[bytes]:
    return Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")


def is_native(store: Rootlay, name: str) -> bool:
    return words(state(store, name)["monitor"])[1:] == [b"launch", b""]


def events(store: Rootlay, identity: str) -> list[tuple[str, str]]:
    found = [json.loads(line) for line in (store.root / "events.log").read_bytes().splitlines()]
    mine = [each for each in found if identity in (each["Actor"]["ID"], each["Actor"]["Attributes"].get("container"))]
    assert all(abs(time.time_ns() - each["timeNano"]) < 600e9 for each in mine)
    return [(each["Type"], each["Action"]) for each in mine]


def test_what_a_program_gets_and_what_is_recorded(warm: Rootlay) -> None:
    program = "cat; cat /etc/motd; echo $SECRET; echo err >&2; echo /proc/self/fd/*; read x < /end; exit 7"
    made = ("--name", "c", "-e", f"SECRET={SECRET}", "-v", "data:/data", "small", "sh", "-c", f"mkfifo /end; {program}")
    identity = warm.out("run", "-d", *made).strip()
    assert is_native(warm, "c")
    found = state(warm, "c")
    both = family(found)
    assert len(both) == 2
    assert parent(found["pid"]) == found["monitor"] == both[0]
    assert not any(SECRET.encode() in word for pid in both for word in words(pid))
    assert os.getsid(found["pid"]) == found["pid"]
    assert os.getsid(found["monitor"]) not in (os.getsid(0), found["pid"])
    assert warm.out("ps", "--format", "{{.Status}}").startswith("Up ")
    eventually(lambda: "fd/" in warm.out("logs", "c"), "no output")
    warm("exec", "c", "sh", "-c", "echo go > /end")
    assert warm.out("wait", "c") == "7\n"
    done = warm("logs", "c")
    assert done.stderr == b"err\n"
    shown = "/proc/self/fd/0 /proc/self/fd/1 /proc/self/fd/2"
    assert done.stdout.decode().splitlines()[:2] == ["welcome", SECRET]
    assert done.stdout.decode().splitlines()[2].startswith(shown)
    after = state(warm, "c")
    assert after["started_ns"] == found["started_ns"] < after["finished_ns"]
    assert [each for each in events(warm, identity) if each[1] not in ("create", "exec_create", "exec_start")] == [
        ("network", "connect"), ("volume", "mount"), ("container", "start"),
        ("network", "disconnect"), ("volume", "unmount"), ("container", "die"),
    ]  # fmt: skip
    eventually(lambda: not any(os.path.exists(f"/proc/{pid}") for pid in both), "they stay")
    assert not [*(warm.root / "containers" / identity).glob("launch-*")]


@pytest.mark.parametrize("who", ["monitor", "heir"])
def test_a_kill_of_one_of_them_loses_nothing(warm: Rootlay, who: str) -> None:
    warm("run", "-d", "--name", "c", "small", "sh", "-c", COUNT.format(40))
    assert is_native(warm, "c")
    os.kill(family(state(warm, "c"))[who == "heir"], signal.SIGKILL)
    assert warm.out("wait", "c") == "7\n"
    done = warm("logs", "c")
    assert (done.stdout.decode(), done.stderr.decode()) == (lines(40, "line"), lines(40, "err"))


def test_a_program_that_does_not_start_is_the_same_error(small: Rootlay) -> None:
    def failure(name: str) -> tuple[str, int, list[tuple[str, str]], bytes]:
        text = small.fails("run", "-d", "--name", name, "small", "/etc/motd", code=126)
        identity = os.path.basename(os.readlink(small.root / "containers/names" / name))
        place = small.root / "containers" / identity
        eventually(lambda: not [*place.glob("launch-*"), *place.glob("hydrate-*")], "files are left")
        return text, state(small, name)["exit_code"], events(small, identity), small("logs", name).stdout

    cold = failure("first")  # by Python: no file is there yet
    small("run", "--rm", "small", "sh", "-c", ":")
    assert failure("second") == cold
    small.fails("run", "-d", "small", "nothing", code=127)


def test_arguments_that_are_too_long_are_the_same_error(warm: Rootlay, tmp_path: Path) -> None:
    (tmp_path / "env").write_text("LONG=" + "x" * (200 << 10))
    text = warm.fails("run", "-d", "--env-file", str(tmp_path / "env"), "small", "true", code=125)
    assert "Argument list too long" in text


def test_a_file_that_the_start_needs_is_hydrated(warm: Rootlay) -> None:
    warm("run", "-d", "--name", "c", "small", "cat", "/usr/share/doc/one/readme")
    assert warm.out("wait", "c") == "0\n"
    assert warm.out("logs", "c") == "one\n"


@pytest.mark.parametrize("options", [["-i"], ["-t"], ["--rm"], ["--restart", "always"], ["--memory", "1g"]])
def test_what_needs_python_is_started_by_it(warm: Rootlay, options: list[str]) -> None:
    warm("run", "-d", *options, "--name", "c", "small", "sleep", "60")
    assert not is_native(warm, "c")
    warm("rm", "-f", "c")


@pytest.mark.long_form
def test_kills_while_a_program_is_started(warm: Rootlay) -> None:
    """The command says that it failed, or the program runs, and its end is recorded."""
    rounds = 300 if os.environ.get("ROOTLAY_TEST_LONG") else 6
    environ = {**os.environ, "ROOTLAY_ROOT": str(warm.root)}
    for seed in range(rounds):
        chosen, name = random.Random(seed), f"c{seed}"
        warm("create", "--name", name, "small", "sh", "-c", "echo begun; exit 7")
        with subprocess.Popen([sys.executable, "-m", "rootlay.cli.main", "start", name], env=environ) as command:
            deadline = time.monotonic() + 10
            while command.poll() is None and time.monotonic() < deadline:
                for pid in filter(str.isdigit, os.listdir("/proc")):
                    with contextlib.suppress(OSError):
                        store = f"ROOTLAY_ROOT={warm.root}".encode()
                        is_mine = store in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
                        if is_mine and words(int(pid))[1:2] in ([b"launch"], [b"heir"]):
                            time.sleep(chosen.uniform(0, 0.004))
                            os.kill(int(pid), signal.SIGKILL)
                            deadline = 0
                            break
            code = command.wait(60)
        ended = warm.out("wait", name)
        assert ended in (("7\n",) if code == 0 else ("7\n", "0\n", "125\n", "137\n")), (seed, code, ended)
        warm("rm", "-f", name)
    warm("fsck")
