"""Each piece of code runs in a clean fork, and leaves nothing behind."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from rootlay.vfs import Image, Limits, Sandbox, Store
from rootlay.vfs.doctor.probes import landlock_abi
from rootlay.vfs.run.processes import iter_guests
from tests.vfs.busyimage import import_busy

ordinary = pytest.mark.skipif(os.geteuid() == 0, reason="hostile code runs as the ordinary user only")
CONFINE = "require" if landlock_abi() >= 2 else "auto"


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Image:
    return import_busy(tmp_path_factory.mktemp("sandbox"))


@pytest.fixture(scope="module")
def sandbox(image: Image) -> Iterator[Sandbox]:
    setup = ["sh", "-c", "mkdir /work; echo prepared > /work/state"]
    with Sandbox(image, setup=setup, interpreter=("sh", "-c"), confine=CONFINE, pool=2) as made:
        yield made
    assert leftovers(image) == []


def leftovers(image: Image) -> list[str]:
    """Containers, programs and launch files that are left in the store."""
    containers = image.root / "containers"
    found = [name for name in os.listdir(containers) if len(name) == 64]
    return [*found, *(str(pid) for name in found for pid in iter_guests(str(containers / name)))]


def test_each_run_starts_from_the_prepared_state(sandbox: Sandbox) -> None:
    for _ in range(3):
        result = sandbox.run("cat /work/state; echo x >> /work/state; echo y > /tmp/new; rm /etc/passwd")
        assert (result.ok, result.stdout) == (True, "prepared\n")
        assert [(change.kind, change.path) for change in result.changes] == [
            ("D", "/etc/passwd"), ("A", "/tmp/new"), ("C", "/work/state"),
        ]  # fmt: skip
        assert result.changes[1].text == "y\n"
        assert "+x" in result.changes[2].diff()


def test_files_are_given_and_input_is_read(sandbox: Sandbox) -> None:
    result = sandbox.run("cat /in/a /in/b; cat; echo z > /in/a", files={"/in/a": "1\n", "/in/b": b"2\n"}, input="3\n")
    assert result.stdout == "1\n2\n3\n"
    assert [(change.path, change.before, change.after) for change in result.changes] == [("/in/a", b"1\n", b"z\n")]
    assert sandbox.run(["cat", "/in/a"]).exit == 1


def test_programs_and_errors(sandbox: Sandbox) -> None:
    assert sandbox.run(["sh", "-c", "exit 7"]).exit == 7
    assert sandbox.run("kill -9 $$").exit == -9
    with pytest.raises(FileNotFoundError):
        sandbox.run(["missing"])
    long = sandbox.run(": " + "x" * 200_000 + "\necho end")
    assert long.stdout == "end\n"


def test_the_result_of_many_changes_is_bounded(sandbox: Sandbox) -> None:
    result = sandbox.run("i=0; while [ $i -lt 1100 ]; do i=$((i+1)); : > /tmp/$i; done")
    assert len(result.changes) == 1000
    assert result.changes_truncated
    big = sandbox.run("dd if=/dev/zero of=/big bs=1000000 count=3").changes
    assert [(change.size, change.after) for change in big] == [(3_000_000, None)]


def test_many_at_a_time_from_threads_and_from_asyncio(sandbox: Sandbox) -> None:
    with ThreadPoolExecutor(4) as pool:
        results = pool.map(sandbox.run, [f"echo {n}" for n in range(12)])
        assert [result.stdout for result in results] == [f"{n}\n" for n in range(12)]

    async def harness() -> list[str]:
        return [r.stdout for r in await asyncio.gather(*(sandbox.arun(f"echo {n}") for n in range(6)))]

    assert asyncio.run(harness()) == [f"{n}\n" for n in range(6)]


def test_a_cancelled_run_leaves_nothing(sandbox: Sandbox, image: Image) -> None:
    async def main() -> None:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(sandbox.arun("sleep 60 & sleep 60"), 0.3)

    began = time.monotonic()
    asyncio.run(main())
    assert time.monotonic() - began < 10


BOUNDS = Limits(memory=256 << 20, cpu=0.4, wall=0.5, pids=24, output=10_000, files=64, disk=2 << 20)
HOSTILE = (
    ("fork bomb", "f() { f | f & }; f; sleep 2"),
    ("output bomb", "yes"),
    ("error bomb", "yes >&2"),
    ("disk bomb", "i=0; while :; do i=$((i+1)); dd if=/dev/zero of=/tmp/$i bs=65536 count=4; done"),
    ("one file", "exec dd if=/dev/zero of=/big bs=65536"),
    ("shared memory", "i=0; while :; do i=$((i+1)); dd if=/dev/zero of=/dev/shm/$i bs=65536 count=4; done"),
    ("sleep", "sleep 60"),
    ("stopped", "kill -STOP $$"),
    ("leftover", "setsid sleep 60 & exit 0"),
    ("leftover with pipes", "(setsid sh -c 'sleep 60; echo late' &) ; exit 0"),
    ("signals to the parent", "kill -9 $PPID; kill -TERM -1; exit 0"),
    ("signals to the caller", "kill -9 CALLER; exit 0"),
    ("canary", "echo x > CANARY; rm -rf CANARY; exit 0"),
    ("busy", "while :; do :; done"),
    ("traps", "trap '' TERM INT HUP XCPU; while :; do :; done"),
    ("deep directories", "i=0; while [ $i -lt 300 ]; do mkdir d; cd d; i=$((i+1)); done"),
    ("descriptors", "exec 3</etc/motd; sh -c 'yes | sh -c \"sleep 60\"'"),
    ("exit", "exit 255"),
)


@ordinary
@pytest.mark.parametrize("rounds", [1, pytest.param(11, marks=pytest.mark.slow)])
def test_hostile_code_is_contained(sandbox: Sandbox, image: Image, tmp_path: Path, rounds: int) -> None:
    """`slow`: 198 of them, and two of the first kind."""
    canary = tmp_path / "canary"
    canary.write_text("alive")
    codes = [code for _, code in HOSTILE] * rounds + ([HOSTILE[0][1]] * 2 if rounds > 1 else [])

    def attack(code: str) -> tuple[str, float]:
        began = time.monotonic()
        code = code.replace("CALLER", str(os.getpid())).replace("CANARY", str(canary))
        result = sandbox.run(code, limits=BOUNDS)
        assert len(result.stdout) <= 10_000
        assert len(result.stderr) <= 10_000
        return code, time.monotonic() - began

    with ThreadPoolExecutor(2) as pool:
        took = dict(pool.map(attack, codes))
    assert canary.read_text() == "alive"
    slow = {code: seconds for code, seconds in took.items() if seconds > 20}
    assert slow == {}, "a busy machine may need some seconds more than the limit, no more"
    deadline = time.monotonic() + 20
    while (left := processes_inside(image)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert left == []
    assert sandbox.run("echo fine").stdout == "fine\n"


def processes_inside(image: Image) -> list[int]:
    containers = image.root / "containers"
    return [pid for name in os.listdir(containers) if len(name) == 64 for pid in iter_guests(str(containers / name))]


def test_one_text_is_not_taken_for_words(image: Image) -> None:
    """A type checker accepts it: a str is a sequence of strings."""
    with pytest.raises(TypeError, match="Sandbox: setup is a sequence of strings, not str: 'true'"):
        Sandbox(image, setup="true")
    with pytest.raises(TypeError, match="Sandbox: interpreter is a sequence of strings"):
        Sandbox(image, interpreter="sh")


def test_a_sandbox_that_cannot_be_prepared_leaves_nothing(small_tree: Path, tmp_path: Path) -> None:
    import subprocess

    image = Store.open(tmp_path / "store").import_rootfs(small_tree, "small")
    with pytest.raises(subprocess.CalledProcessError):
        Sandbox(image, setup=["sh", "-c", "exit 3"], confine=CONFINE)
    assert leftovers(image) == []
