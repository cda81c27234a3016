"""`--confine` from the command line: on by default, what stays possible under it, what it says where it cannot be."""

from __future__ import annotations

import contextlib
import ctypes
import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import Rootlay
from tests.cli.test_run import wait_for

SOURCE = Path(__file__).parents[1] / "native" / "hostile.c"
HELD, REACHED = "memfd-program held 13\n", "memfd-program reached\n"
ABI = ctypes.CDLL(None).syscall(444, None, 0, 1)
needs_landlock = pytest.mark.skipif(ABI < 2, reason=f"Landlock ABI 2 is needed, this kernel has {max(0, ABI)}")
WITHOUT_LANDLOCK = """
import os, sys
sys.path.insert(0, sys.argv.pop(1))
from tests.cli import docker_seccomp as d
d.install(d.only([name for name in d.numbers() if not name.startswith("landlock")]))
os.execvp(sys.argv[1], sys.argv[1:])
"""


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with a program that opens a file through the engine's gate: `/h/hostile again FILE`."""
    if not shutil.which("cc"):
        pytest.skip("needs a C compiler (cc)")
    folder = tmp_path_factory.mktemp("hostile")
    subprocess.run(["cc", "-static", "-O1", "-o", str(folder / "hostile"), str(SOURCE)], check=True)
    return folder


@pytest.fixture
def canary(tmp_path: Path) -> str:
    (tmp_path / "canary").write_text("canary\n")
    return str(tmp_path / "canary")


@needs_landlock
@pytest.mark.parametrize("options", [[], ["--confine=auto"], ["--confine=require"]])
def test_confined_by_default(small: Rootlay, hostile: Path, canary: str, options: list[str]) -> None:
    words = ["-v", f"{hostile}:/h:ro", "small", "/h/hostile", "again", canary]
    assert small.out("run", "--rm", *options, *words) == HELD


def test_off_is_off(small: Rootlay, hostile: Path, canary: str) -> None:
    words = ["--confine=off", "-v", f"{hostile}:/h:ro", "small", "/h/hostile", "again", canary]
    assert small.out("run", "--rm", *words) == REACHED


@needs_landlock
def test_a_container_remembers_its_mode_and_exec_may_change_it(small: Rootlay, hostile: Path, canary: str) -> None:
    small("create", "--name", "c", "--confine=require", "-v", f"{hostile}:/h:ro", "small", "true")
    words = ["/h/hostile", "again", canary]
    assert small.out("exec", "c", *words) == HELD
    assert small.out("exec", "--confine=off", "c", *words) == REACHED
    small("start", "-a", "--confine=auto", "c")


@needs_landlock
def test_the_host_is_readable_but_not_the_users_to_change(rootlay: Rootlay, tmp_path: Path, hostile: Path) -> None:
    canary = tmp_path / "canary"
    canary.write_text("canary\n")
    script = f"{hostile}/hostile again {canary}; echo broken > {canary}; cat {canary}"
    assert rootlay.out("run", "--rm", "host", "--", "sh", "-c", script) == REACHED + "broken\n"
    assert canary.read_text() == "canary\n"


@pytest.mark.parametrize("verb", ["run", "create"])
def test_a_mode_that_is_none_is_refused(small: Rootlay, verb: str) -> None:
    assert "--confine" in small.fails(verb, "--confine=maybe", "small", "true", code=125)


@pytest.mark.parametrize(("mode", "code"), [("auto", 0), ("require", 125)])
def test_a_kernel_without_landlock(small: Rootlay, mode: str, code: int) -> None:
    command = [sys.executable, "-c", WITHOUT_LANDLOCK, str(Path(__file__).parents[2]), sys.executable, "-m"]
    command += ["rootlay.cli.main", "run", "--rm", f"--confine={mode}", "small", "true"]
    environ = {**os.environ, "ROOTLAY_ROOT": str(small.root)}
    done = subprocess.run(command, capture_output=True, env=environ, timeout=60, check=False)
    assert done.returncode == code, done
    assert done.stderr.count(b"\n") == (1 if code else 0)
    assert not code or done.stderr.startswith(b"rootlay: --confine=require: ")


def test_what_the_caller_redirected_can_be_opened_by_name(small: Rootlay, tmp_path: Path) -> None:
    (tmp_path / "in").write_text("in\n")
    with (tmp_path / "in").open() as source, (tmp_path / "out").open("w") as target:
        done = subprocess.run(
            [sys.executable, "-m", "rootlay.cli.main", "run", "-i", "--rm", "small", "sh", "-c",
             "cat /dev/stdin; echo out >> /dev/stdout; echo err > /dev/stderr"],
            stdin=source, stdout=target, stderr=subprocess.PIPE, check=False, timeout=60,
            env={**os.environ, "ROOTLAY_ROOT": str(small.root)},
        )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, b"err\n")
    assert (tmp_path / "out").read_text() == "in\nout\n"


@pytest.mark.parametrize("options", [["run", "--rm", "small"], ["run", "--rm", "-t", "small"]])
def test_no_stray_descriptor_goes_inside(small: Rootlay, tmp_path: Path, options: list[str]) -> None:
    with (tmp_path / "secret").open("w") as secret:
        os.set_inheritable(secret.fileno(), True)
        done = subprocess.run(
            [sys.executable, "-m", "rootlay.cli.main", *options, "sh", "-c", "ls /proc/$$/fd"],
            capture_output=True, close_fds=False, check=False, timeout=60,
            env={**os.environ, "ROOTLAY_ROOT": str(small.root)},
        )  # fmt: skip
    assert done.stdout.decode().split() == ["0", "1", "2"]


@pytest.mark.parametrize("extra", [[], ["--confine=require"]])
def test_exec_may_signal_the_main_program_unless_required_not_to(small: Rootlay, extra: list[str]) -> None:
    small("run", "-d", "--name", "d", *extra, "small", "sh", "-c", "trap 'exit 7' TERM; while :; do sleep 0.1; done")
    from rootlay.store.containers.containers import Containers

    record = Containers(small.root).find("d")
    pid = record.state().pid
    wait_for(lambda: "sh" in Path(f"/proc/{pid}/cmdline").read_text().split("\0")[0], "the main program started")
    time_out = small("exec", "d", "sh", "-c", f"sleep 0.3; kill -TERM {pid}", code=None)
    if extra and ABI >= 6:
        assert time_out.returncode == 1
        assert b"not permitted" in time_out.stderr
        small("rm", "-f", "d")
    else:
        wait_for(lambda: record.state().exit_code == 7, "the main program ended")
        small("rm", "d")


def test_everyday_changes_work_confined(small: Rootlay) -> None:
    script = """
    mkdir -p /a/b && echo x > /a/b/f && mv /a/b/f /a/g && mv /usr/share/doc /doc && cat /doc/one/readme
    ln /a/g /hard && ln -s /a/g /soft && cat /soft && rm -r /doc && echo more >> /etc/motd && cat /etc/motd
    mkfifo /a/p && (echo through > /a/p &) && cat /a/p
    echo y > /dev/null && head -c 3 /dev/zero | wc -c && echo z > /dev/shm/rootlay-test && rm /dev/shm/rootlay-test
    """
    out = small.out("run", "--rm", *(["--confine=require"] if ABI >= 2 else []), "small", "sh", "-ec", script)
    assert out == "one\nx\nwelcome\nmore\nthrough\n3\n"


def test_no_file_of_a_store_has_set_id_bits(small: Rootlay, tmp_path: Path) -> None:
    """Whoever runs a real file that has them runs it as this user: programs of the image, copies of them, what is made,
    copied in and out, committed, kept in snapshots and built are all without."""
    given = tmp_path / "given"
    given.write_text("x")
    given.chmod(0o6755)
    script = (
        "umask 0; mkdir -m 2777 /d; echo x > /d/made; chmod 6755 /d/made; cp /bin/sh /copied; chmod 4755 /copied;"
        "mkdir /d/below; echo y > /d/below/f; chmod 2755 /d/below/f; ln /d/made /second; chmod 4711 /second"
    )
    small("run", "--name", "c", "small", "sh", "-ec", script)
    small("cp", str(given), "c:/given")
    small("snapshot", "create", "c", "s")
    small("commit", "c", "bits")
    see = "stat -c '%a %n' /d /d/made /copied /d/below /d/below/f /second /given"
    modes = small.out("run", "--rm", "bits", "sh", "-ec", see).split()
    assert modes[::2] == ["2777", "4711", "4755", "2777", "2755", "4711", "6755"]
    small(
        "run",
        "--name",
        "e",
        "bits",
        "sh",
        "-ec",
        "/copied -c :; chmod 4755 /d/made; echo z >> /given; touch /d/below/f",
    )
    small("cp", "e:/d", str(tmp_path / "out"))
    places = [small.root, tmp_path / "out"]
    bits = {}
    for path in (path for place in places for path in place.rglob("*")):
        with contextlib.suppress(FileNotFoundError):  # a hydrator or monitor that ends removes its own
            bits[path] = path.lstat().st_mode
    assert len(bits) > 20
    assert [path for path, mode in bits.items() if not stat.S_ISLNK(mode) and mode & 0o6000] == []
