"""Monitors of detached programs, and their heirs: whichever is killed, nothing of the container is lost."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from tests.cli.conftest import Rootlay

COUNT = "i=0; while [ $i -lt {0} ]; do i=$((i+1)); echo line $i; echo err $i >&2; sleep 0.02; done; exit 7"


def state(small: Rootlay, name: str) -> dict[str, int]:
    identity = os.path.basename(os.readlink(small.root / "containers/names" / name))
    found: dict[str, int] = json.loads((small.root / "containers" / identity / "state.json").read_bytes())
    return found


def parent(pid: int) -> int:
    with open(f"/proc/{pid}/stat") as stat:
        return int(stat.read().rsplit(")", 1)[1].split()[1])


def children(pid: int) -> list[int]:
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def is_ours(pid: int) -> bool:
    with contextlib.suppress(OSError):
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        return words[0].endswith(b"/monitor") or b"rootlay" in b" ".join(words)
    return False


def is_heir(pid: int) -> bool:
    with contextlib.suppress(OSError):
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        return words[0].endswith(b"/monitor") and words[1:2] == [b"heir"]
    return False


def family(found: Mapping[str, int]) -> list[int]:
    """The monitor and the heir of a program with this state, as far as they live and know each other.

    The program is a child of neither after the second kill: the state says which process is the monitor.
    """
    monitor = found["monitor"]
    with contextlib.suppress(OSError):
        if is_ours(monitor) and not is_heir(monitor):
            return [monitor, *filter(is_heir, (parent(monitor), *children(monitor)))]
    return []


def eventually(what: Callable[[], bool], message: str) -> None:
    deadline = time.monotonic() + 20
    while not what():
        assert time.monotonic() < deadline, message
        time.sleep(0.02)


def lines(count: int, word: str) -> str:
    return "".join(f"{word} {number}\n" for number in range(1, count + 1))


@pytest.mark.parametrize("tty", [False, True])
@pytest.mark.parametrize("who", ["monitor", "heir"])
def test_output_and_exit_code_survive_a_kill(small: Rootlay, who: str, tty: bool) -> None:
    small("run", "-d", "--name", "c", *(["-t"] if tty else []), "small", "sh", "-c", COUNT.format(150))
    eventually(lambda: len(family(state(small, "c"))) == 2, "no heir")
    os.kill(family(state(small, "c"))[who == "heir"], signal.SIGKILL)
    assert small.out("wait", "c") == "7\n"
    done = small("logs", "c")
    if tty:
        assert done.stdout.replace(b"\r", b"").decode() == "".join(f"line {n}\nerr {n}\n" for n in range(1, 151))
    else:
        assert (done.stdout.decode(), done.stderr.decode()) == (lines(150, "line"), lines(150, "err"))
    assert small.out("ps", "-a", "--format", "{{.Status}}").startswith("Exited (7)")


def test_each_of_them_is_killed_in_turn_and_followers_miss_nothing(small: Rootlay) -> None:
    small("run", "-d", "--name", "c", "small", "sh", "-c", COUNT.format(250))
    for turn in (0, 1, 1, 0):  # the last one's heir is its child: the program gets a parent that is neither
        eventually(lambda: len(family(state(small, "c"))) == 2, "no partner")
        os.kill(family(state(small, "c"))[turn], signal.SIGKILL)
        time.sleep(0.05)
    assert small.out("logs", "-f", "c") == lines(250, "line")
    assert small.out("wait", "c") in ("7\n", "137\n"), "exact, unless two were killed on an old kernel"
    small("fsck")


def test_a_restart_policy_and_health_checks_survive(small: Rootlay) -> None:
    small("run", "-d", "--name", "r", "--restart", "always", "small", "sh", "-c", "echo up; sleep 2")
    small(
        "run", "-d", "--name", "h", "--health-cmd", "cat /health", "--health-interval", "100ms",
        "--health-retries", "1", "small", "sleep", "60",
    )  # fmt: skip
    for name in ("r", "h"):
        eventually(lambda name=name: len(family(state(small, name))) == 2, "no heir")  # type: ignore[misc]
        os.kill(state(small, name)["monitor"], signal.SIGKILL)
    before = state(small, "r")["restarts"]
    eventually(lambda: state(small, "r")["restarts"] > before + 1, "not started again")
    eventually(lambda: "(unhealthy)" in small.out("ps", "--format", "{{.Status}}", "-f", "name=h"), "not checked")
    small("exec", "h", "sh", "-c", "> /health")
    eventually(lambda: "(healthy)" in small.out("ps", "--format", "{{.Status}}", "-f", "name=h"), "not checked again")
    small("rm", "-f", "r", "h")


def test_a_container_that_is_removed_at_its_end_is_removed_by_the_heir(small: Rootlay) -> None:
    small("run", "-d", "--rm", "--name", "c", "small", "sleep", "2")
    os.kill(state(small, "c")["monitor"], signal.SIGKILL)
    eventually(lambda: small.out("ps", "-aq") == "", "not removed")


def test_the_end_of_the_program_ends_both_and_removes_their_files(small: Rootlay) -> None:
    small("run", "-d", "--name", "c", "small", "sh", "-c", "sleep 6 & exec sleep 4")
    found = state(small, "c")
    eventually(lambda: len(family(found)) == 2, "no heir")
    both = family(found)
    place = next((small.root / "containers").glob("[0-9a-f]*"))
    assert small.out("wait", "c") == "0\n"
    assert list(place.glob("launch-*")), "a program still runs"
    eventually(lambda: not any(map(os.path.exists, (f"/proc/{pid}" for pid in both))), "they stay")
    eventually(lambda: not [*place.glob("launch-*"), *place.glob("hydrate-*")], "files are left")


def test_a_detached_container_costs_less_than_a_megabyte(small: Rootlay) -> None:
    small("run", "-d", "--name", "c", "small", "sleep", "60")
    pid = state(small, "c")["pid"]

    def kilobytes() -> int:
        total = 0
        for process in family(state(small, "c")):
            rollup = Path(f"/proc/{process}/smaps_rollup").read_text()
            total += sum(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:"))
        return total

    def python() -> list[int]:
        return [each for each in children(parent(pid)) if each != pid]

    eventually(lambda: len(family(state(small, "c"))) == 2 and not python(), "the hydrator stays")
    assert 0 < kilobytes() < 1000
    small("exec", "c", "cat", "/etc/motd")
    small("rm", "-f", "c")


@pytest.mark.long_form
def test_random_kills_lose_nothing(small: Rootlay) -> None:
    rounds = 60 if os.environ.get("ROOTLAY_TEST_LONG") else 3
    for seed in range(rounds):
        chosen = random.Random(seed)
        small("run", "-d", "--name", f"c{seed}", "small", "sh", "-c", COUNT.format(150))
        time.sleep(chosen.uniform(0, 0.4))
        with contextlib.suppress(OSError, IndexError):
            os.kill(chosen.choice(family(state(small, f"c{seed}"))), signal.SIGKILL)
        assert small.out("wait", f"c{seed}") == "7\n", seed
        assert small.out("logs", f"c{seed}") == lines(150, "line"), seed
    small("fsck")


def test_a_program_of_a_named_user_is_served(small: Rootlay) -> None:
    """The start looks for the name in the image's files; the monitor closes those before it forks the hydrator."""
    small("run", "-d", "--name", "c", "-u", "1000", "small", "sh", "-c", "cat /etc/motd; id -u")
    assert small.out("wait", "c") == "0\n"
    assert small.out("logs", "c").endswith("1000\n")
