"""Programs with limits and time-outs end with their whole tree, and their result says why."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from rootlay.vfs import Completed, Container, Image, LimitRefused, Limits
from rootlay.vfs.held.limits import prepare
from rootlay.vfs.held.tree import Tree
from rootlay.vfs.held.watch import Watch
from rootlay.vfs.run.processes import iter_guests
from tests.vfs.busyimage import import_busy

ordinary = pytest.mark.skipif(os.geteuid() == 0, reason="root has no limit of processes without a cgroup")


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Image:
    return import_busy(tmp_path_factory.mktemp("held"))


@pytest.fixture
def c(image: Image) -> Iterator[Container]:
    with image.container() as made:
        yield made


def guests(c: Container) -> list[int]:
    return list(iter_guests(c.record.real_path))


def lasts(work: Callable[[], object]) -> float:
    began = time.monotonic()
    work()
    return time.monotonic() - began


def test_a_missing_program_is_named(c: Container) -> None:
    with pytest.raises(FileNotFoundError) as caught:
        c.run(["no-such-program"])
    assert caught.value.filename == "no-such-program"
    with pytest.raises(FileNotFoundError):
        c.popen(["/bin/no-such-program"], limits=Limits(wall=5))
    with pytest.raises(PermissionError, match="/etc/motd"):
        c.run(["/etc/motd"])


def test_why_no_program_starts_is_not_printed(c: Container, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(FileNotFoundError):
        c.run(["no-such-program"])
    assert capfd.readouterr().err == ""


def test_results_are_those_of_subprocess(c: Container) -> None:
    done = c.run(["sh", "-c", "cat; echo error >&2; exit 3"], input="é\n", capture_output=True, text=True)
    assert (done.stdout, done.stderr, done.returncode) == ("é\n", "error\n", 3)
    assert c.run(["cat"], input=b"\xff" * 300_000, capture_output=True).stdout == b"\xff" * 300_000
    with pytest.raises(subprocess.CalledProcessError) as caught:
        c.run(["sh", "-c", "echo x; exit 4"], capture_output=True, text=True, check=True)
    assert (caught.value.returncode, caught.value.output) == (4, "x\n")
    assert isinstance(done, Completed)
    assert (done.exceeded, done.truncated) == ("", False)


def test_output_is_cut_at_the_limit(c: Container) -> None:
    done = c.run(
        ["sh", "-c", "yes | dd bs=1000 count=500; echo end >&2"], capture_output=True, limits=Limits(output=5000)
    )
    assert len(done.stdout) == 5000
    assert done.truncated
    assert done.returncode == 0, "the program does not notice"
    done = c.run(["yes"], capture_output=True, limits=Limits(output=5000, wall=0.3))
    assert (len(done.stdout), done.exceeded, done.returncode) == (5000, "wall", -signal.SIGKILL)


def test_a_time_out_ends_the_tree_and_reports_the_output(c: Container) -> None:
    def run() -> None:
        with pytest.raises(subprocess.TimeoutExpired) as caught:
            c.run(
                ["sh", "-c", "echo part; sleep 60 & setsid sleep 60 & sleep 60"],
                capture_output=True,
                text=True,
                timeout=0.3,
            )
        assert caught.value.output == "part\n"

    assert lasts(run) < 10
    assert guests(c) == []


def test_other_programs_of_the_container_survive_a_time_out(c: Container) -> None:
    with c.popen(["sleep", "60"]) as other:
        with pytest.raises(subprocess.TimeoutExpired):
            c.run(["sh", "-c", "sleep 60 & sleep 60"], timeout=0.2)
        assert guests(c) == [other.pid]
        other.kill()


def test_a_background_child_with_the_pipe_is_not_waited_for(c: Container) -> None:
    command = ["sh", "-c", "echo now; sleep 5 & exit 0"]
    assert lasts(lambda: c.run(command, capture_output=True)) < 4
    assert c.run(command, capture_output=True, limits=Limits(wall=60)).stdout == b"now\n"
    assert len(guests(c)) == 1, "with limits it ends with the program; without, it goes on"


@pytest.mark.filterwarnings("ignore:.*ResourceWarning", "ignore:unclosed file")  # subprocess.Popen, interrupted
@pytest.mark.parametrize("seconds", [0.3, *(n / 1000 for n in range(1, 40, 3))])
def test_an_interrupt_ends_the_tree(c: Container, seconds: float) -> None:
    """Also one that comes while the program starts."""

    def interrupt(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    def run() -> None:
        signal.setitimer(signal.ITIMER_REAL, seconds)
        c.run(["sh", "-c", "sleep 60 & sleep 60"], capture_output=True)

    c.run(["true"])
    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        with pytest.raises(KeyboardInterrupt):
            run()
    finally:
        signal.signal(signal.SIGALRM, before)
    assert guests(c) == []


@pytest.mark.parametrize(
    ("script", "limits", "exceeded"),
    [
        ("while :; do :; done", Limits(cpu=0.2, wall=20), {"cpu"}),
        ("yes > /dev/null & yes > /dev/null & wait", Limits(cpu=0.3, wall=20), {"cpu"}),
        ("i=0; while :; do i=$((i+1)); dd if=/dev/zero of=/f$i bs=65536 count=8; done", Limits(disk=2 << 20), {"disk"}),
        ("exec dd if=/dev/zero of=/big bs=65536", Limits(disk=1 << 20, wall=20), {"disk"}),
        ("i=0; while :; do i=$((i+1)); : > /e$i; done", Limits(disk=1 << 20, wall=20), {"disk"}),
    ],
    ids=["cpu", "cpu of the tree", "disk", "one file", "empty files"],
)  # fmt: skip
def test_a_limit_ends_the_program(c: Container, script: str, limits: Limits, exceeded: set[str]) -> None:
    done = c.run(["sh", "-c", script], limits=limits, stderr=subprocess.DEVNULL)
    assert done.exceeded in exceeded, (done, done.usage)
    assert guests(c) == []


@pytest.mark.parametrize(
    ("script", "limits", "exceeded"),
    [
        ("sh -c 'while :; do :; done'; exit $?", Limits(cpu=1, wall=20), "cpu"),
        ("dd if=/dev/zero of=/big bs=65536 count=32; true", Limits(disk=1 << 20, wall=20), "disk"),
        ("dd if=/dev/zero of=/big bs=65536 count=32; s=$?; rm /big; exit $s", Limits(disk=1 << 20, wall=20), "disk"),
        ("dd if=/dev/zero of=/big bs=65536 count=8; exit 152", Limits(disk=1 << 20, cpu=9, wall=20), ""),
        ("exit 153", Limits(wall=20), ""),
    ],
    ids=["cpu", "disk", "a file that is removed", "an exit code below the limit", "no such limit"],
)
def test_a_limit_is_named_that_ended_a_child_of_a_shell(
    c: Container, script: str, limits: Limits, exceeded: str
) -> None:
    done = c.run(["sh", "-c", script], limits=limits, stderr=subprocess.DEVNULL)
    assert done.exceeded == exceeded, (done, done.usage)


def test_a_file_of_the_limits_size_from_before_does_not_count(c: Container) -> None:
    limits = Limits(disk=1 << 20, wall=20)
    script = "dd if=/dev/zero of=/big bs=65536 count=32; true"
    assert c.run(["sh", "-c", script], limits=limits, stderr=subprocess.DEVNULL).exceeded == "disk"
    assert c.run(["true"], limits=limits).exceeded == ""


def test_the_kernels_counts_of_a_cgroup_name_the_limit(c: Container, tmp_path: Path) -> None:
    """A directory in the place of a cgroup: none can be delegated on every machine."""
    limits, tree = Limits(memory=1 << 30, pids=5), Tree(c.record.real_path, os.getpid(), whole=True)
    (tmp_path / "memory.events").write_text("low 0\nmax 7\noom_kill 1\n")
    before = Watch(limits, tree, c.record.real_path, tmp_path)
    assert before.last(0) == "", "of an earlier step"
    (tmp_path / "memory.events").write_text("low 0\nmax 7\noom_kill 2\n")
    assert before.last(0) == "memory"
    watch = Watch(limits, tree, c.record.real_path, tmp_path)
    (tmp_path / "pids.events").write_text("max 3\n")
    assert watch.last(0) == "pids"


@ordinary
def test_a_limit_of_processes_ends_a_fork_bomb(c: Container) -> None:
    done = c.run(["sh", "-c", "f() { f | f & }; f; sleep 1"], limits=Limits(pids=20, wall=1), stderr=subprocess.DEVNULL)
    assert done.exceeded in ("pids", "wall", ""), done
    assert guests(c) == []


def test_limits_of_single_processes_are_set_by_the_engine(c: Container) -> None:
    limits = Limits(files=33, memory=1 << 30, disk=1 << 20)
    said = c.run(
        ["sh", "-c", "ulimit -n; ulimit -d; ulimit -f; ulimit -c"], capture_output=True, text=True, limits=limits
    )
    assert said.stdout.split() == ["33", str(1 << 20), "2048", "0"]


def test_each_limit_says_how_it_is_enforced(c: Container) -> None:
    limits = Limits(memory=1 << 30, cpu=1, wall=1, pids=9, output=9, files=9, disk=9)
    assert limits.means().keys() == {"memory", "cpu", "wall", "pids", "output", "files", "disk"}
    assert Limits(files=9).means() == {"files": "RLIMIT_NOFILE of each process"}


def test_a_delegated_cgroup_is_entered_by_the_engine(
    c: Container, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A directory in the place of a cgroup: none can be delegated on every machine."""
    monkeypatch.setattr("rootlay.vfs.held.limits.find_parent", lambda needed: tmp_path)

    def make(parent: Path, token: str, limits: object) -> Path:
        (parent / "made").mkdir()
        (parent / "made" / "cgroup.procs").touch()
        return parent / "made"

    monkeypatch.setattr("rootlay.vfs.held.limits.make_cgroup", make)
    with c.popen(["true"], limits=Limits(memory=1 << 30, pids=5)) as process:
        assert process.wait() == 0
    assert (tmp_path / "made" / "cgroup.procs").read_text() == "0"


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root: for others RLIMIT_NPROC holds")
def test_root_without_a_cgroup_has_no_limit_of_processes() -> None:
    with pytest.raises(LimitRefused, match="pids=5"):
        prepare(Limits(pids=5))


def test_wrong_limits_are_refused(c: Container) -> None:
    for wrong in (-1, 1 << 63):
        with pytest.raises(ValueError, match="memory"):
            Limits(memory=wrong)
    with pytest.raises(TypeError, match="cpu"):
        Limits(cpu="1")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="output"):
        c.popen(["true"], limits=Limits(output=5))


def test_popen_with_limits_names_the_exceeded_one(c: Container) -> None:
    with c.popen(["sh", "-c", "sleep 60 & sleep 60"], limits=Limits(wall=0.2)) as process:
        assert process.wait(20) == -signal.SIGKILL
    deadline = time.monotonic() + 5
    while guests(c) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert guests(c) == []
    assert getattr(process, "exceeded") == "wall"  # noqa: B009 -- not an attribute of subprocess.Popen


def test_arun_does_not_block_the_loop(c: Container) -> None:
    async def both() -> list[str]:
        runs = (c.arun(["sh", "-c", f"sleep 0.5; echo {n}"], capture_output=True, text=True) for n in range(4))
        return [done.stdout for done in await asyncio.gather(*runs)]

    began = time.monotonic()
    assert asyncio.run(both()) == ["0\n", "1\n", "2\n", "3\n"]
    assert time.monotonic() - began < 1.9


def test_a_cancelled_arun_ends_the_tree(c: Container) -> None:
    async def main() -> None:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(c.arun(["sh", "-c", "sleep 60 & sleep 60"]), 0.3)
        deadline = time.monotonic() + 5  # a killed process is there until the kernel has ended it
        while guests(c) and time.monotonic() < deadline:
            await asyncio.sleep(0.01)
        assert guests(c) == []

    assert lasts(lambda: asyncio.run(main())) < 10


def test_no_descriptor_is_left(c: Container) -> None:
    c.run(["true"])
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(3):
        c.run(["true"], capture_output=True, limits=Limits(wall=5, output=5))
        asyncio.run(c.arun(["true"], capture_output=True))
        with pytest.raises(FileNotFoundError):
            c.run(["missing"], capture_output=True)
    assert len(os.listdir("/proc/self/fd")) == before


def test_threads_start_programs_at_the_same_time(c: Container) -> None:
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(8) as pool:
        runs = pool.map(lambda n: c.run(["echo", str(n)], capture_output=True, text=True).stdout, range(24))
        assert list(runs) == [f"{n}\n" for n in range(24)]
