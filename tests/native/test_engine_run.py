"""`engine --run`: exit codes, messages, working directory, scripts, what passes through."""

from __future__ import annotations

import os
import struct
import subprocess
from pathlib import Path

import pytest

from tests.native.guest import Guest, make_guest


@pytest.fixture(autouse=True)
def _needs_busybox(programs: Path) -> None:
    if not (programs / "bin" / "busybox").exists():
        pytest.skip("busybox (static) is not installed")


def script(guest: Guest, name: str, text: str, mode: int = 0o755) -> None:
    path = guest.upper / "s"
    path.mkdir(exist_ok=True)
    (path / name).write_text(text)
    (path / name).chmod(mode)
    (guest.upper.parent / "bloom").write_bytes((guest.upper.parent / "bloom").read_bytes()[:64] + b"\xff" * (1 << 20))


def test_runs_a_static_program_and_passes_standard_input(guest: Guest) -> None:
    done = guest.run("cat", stdin=b"through\n")
    assert (done.returncode, done.stdout, done.stderr) == (0, b"through\n", b"")


@pytest.mark.parametrize("code", [0, 1, 77, 255])
def test_exit_code_is_the_programs(guest: Guest, code: int) -> None:
    assert guest.run("sh", "-c", f"exit {code}").returncode == code


def test_death_by_a_signal_is_the_programs(guest: Guest) -> None:
    done = guest.run("sh", "-c", "kill -TERM $$")
    assert done.returncode in (-15, 143)  # 143: bwrap's way of saying it


def test_unknown_program_is_127(guest: Guest) -> None:
    done = guest.run("nonesuch")
    assert (done.returncode, done.stderr) == (127, b"rootlay: nonesuch: not found in the image\n")


def test_program_that_is_a_directory_is_126(guest: Guest) -> None:
    done = guest.run("/etc")
    assert (done.returncode, done.stderr) == (126, b"rootlay: /etc: Permission denied\n")


def test_program_without_execute_permission_is_126(guest: Guest) -> None:
    done = guest.run("/etc/passwd", state="5:5:022:")
    assert (done.returncode, done.stderr) == (126, b"rootlay: /etc/passwd: Permission denied\n")


def test_program_for_another_machine_is_126_and_says_which(guest: Guest) -> None:
    head = b"\x7fELF\x02\x01\x01" + bytes(9) + struct.pack("<HHI", 2, 243, 1) + bytes(100)
    script(guest, "riscv", "")
    (guest.upper / "s" / "riscv").write_bytes(head)
    done = guest.run("/s/riscv")
    here = os.uname().machine
    assert done.returncode == 126
    assert done.stderr == f"rootlay: /s/riscv: cannot run on this {here} machine: built for riscv\n".encode()


def test_bad_launch_file_is_125(guest: Guest, tmp_path: Path) -> None:
    bad = tmp_path / "bad"
    bad.write_bytes(b"nonsense" * 100)
    for launch in (bad, tmp_path / "missing"):
        done = subprocess.run(
            [guest.engine, "--run", launch, "0:0:022:", "/", "true"], capture_output=True, check=False
        )
        assert done.returncode == 125
        assert done.stderr.startswith(b"rootlay: ")


@pytest.mark.parametrize("state", ["", "0", "0:0", "x:0:022:", "0:0:9:", "0:0:022:x"])
def test_bad_identity_is_125(guest: Guest, state: str) -> None:
    assert guest.run("true", state=state).returncode == 125


def test_missing_working_directory_is_made(guest: Guest) -> None:
    done = guest.run("pwd", cwd="/srv/a/b")
    assert (done.returncode, done.stdout) == (0, b"/srv/a/b\n")
    assert (guest.upper / "srv" / "a" / "b").is_dir()


def test_identity_and_umask(guest: Guest) -> None:
    done = guest.run("sh", "-c", "id -u; id -g; id -G; umask", state="33:44:027:44,55")
    assert done.stdout.split() == [b"33", b"44", b"44", b"55", b"0027"]
    inner = guest.run("sh", "-c", "sh -c 'id -u; id -g; id -G; umask'", state="33:44:027:44,55")
    assert inner.stdout == done.stdout


def test_host_name(guest: Guest, engine: Path, programs: Path, tmp_path: Path) -> None:
    named = make_guest(engine, programs, tmp_path / "named", hostname=b"inside")
    assert named.run("hostname").stdout == b"inside\n"


def test_own_executable_is_the_virtual_one(guest: Guest) -> None:
    done = guest.run("/bin/busybox", "readlink", "/proc/self/exe")
    assert done.stdout == b"/bin/busybox\n"
    assert guest.run("/proc/self/exe", "x").returncode in (126, 127)


def test_own_arguments_are_the_programs(guest: Guest) -> None:
    assert guest.run("cat", "/proc/self/cmdline").stdout == b"cat\0/proc/self/cmdline\0"
    inner = guest.run("sh", "-c", "cat /proc/self/cmdline; true")
    assert inner.stdout == b"cat\0/proc/self/cmdline\0"


def test_scripts(guest: Guest) -> None:
    script(guest, "plain", "#!/bin/sh\necho $0 $#: $1\n")
    script(guest, "arg", "#! /bin/sh   -e  \nfalse\necho not reached\n")
    script(guest, "chain", "#!/s/plain extra words \n")
    script(guest, "nothing", "#!\n")
    script(guest, "lost", "#!/bin/nonesuch\n")
    script(guest, "loop", "#!/s/loop\n")
    assert guest.run("/s/plain", "x y").stdout == b"/s/plain 1: x y\n"
    assert guest.run("sh", "-c", "/s/plain 'x y'").stdout == b"/s/plain 1: x y\n"
    assert guest.run("/s/arg").returncode == 1
    assert guest.run("/s/chain", "z").stdout == b"/s/plain 3: extra words\n"
    assert guest.run("/s/nothing").returncode == 126
    assert guest.run("/s/lost").stderr == b"rootlay: /s/lost: its interpreter is not in the image\n"
    assert guest.run("/s/loop").returncode == 126


def test_descriptors_pass_through(guest: Guest) -> None:
    read, write = os.pipe()
    try:
        command = [
            str(guest.engine),
            "--run",
            str(guest.launch),
            "0:0:022:",
            "/",
            "/bin/sh",
            "-c",
            f"echo hi >&{write}",
        ]
        subprocess.run(command, env={}, pass_fds=[write], check=True)
        assert os.read(read, 10) == b"hi\n"
    finally:
        os.close(read)
        os.close(write)


def test_pipelines_and_background_jobs(guest: Guest) -> None:
    out = guest.sh("for i in 1 2 3; do (sleep 0.$i; echo $i) & done; wait; echo end | cat | cat")
    assert out.split() == ["1", "2", "3", "end"]


def test_nothing_reaches_the_host(guest: Guest, tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    canary.write_text("alive")
    script = f"""
        for p in {canary} /proc/self/root{canary} ../../../..{canary}; do
            cat $p && exit 9
            echo dead > $p && exit 9
        done
        true
    """
    done = guest.run("sh", "-c", script)
    assert done.returncode == 0, done.stdout
    assert canary.read_text() == "alive"


def test_a_file_open_for_writing_cannot_be_executed(guest: Guest, tmp_path: Path) -> None:
    release = tuple(int(part) for part in os.uname().release.split(".")[:2])
    if release < (6, 14):
        pytest.skip("Linux before 6.14 has no AT_EXECVE_CHECK")
    lines = "exec 3>>{0}; {0}; echo $?; exec 3>&-; {0}; echo $?\n"
    place = tmp_path / "plain"
    place.mkdir()
    outside = "".join(
        f"cp /bin/busybox {place}/true; printf '#!/bin/sh\\n' >{place}/script; chmod 755 {place}/script\n"
        + lines.format(f"{place}/{name}")
        for name in ("true", "script")
    )
    expected = subprocess.run(["/bin/sh", "-c", outside], capture_output=True, check=False).stdout
    inside = guest.run("sh", "-c", outside.replace(str(place), "/tmp"))
    assert (inside.stdout, inside.returncode) == (expected, 0)
    assert expected == b"126\n0\n126\n0\n"
