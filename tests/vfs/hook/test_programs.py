"""Programs that are started inside an activation run in the container."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from rootlay.vfs import Container
from rootlay.vfs.hook.interpreter import _of_interpreter, _reduced


def test_subprocesses_see_what_this_process_sees(container: Container) -> None:
    with container.activate(cwd="/usr/share"):
        Path("/etc/motd").write_text("from python\n")
        assert subprocess.run(["cat", "/etc/motd"], capture_output=True, check=True).stdout == b"from python\n"
        subprocess.run(["sh", "-c", "echo from sh > /made; pwd > /where"], check=True)
        assert Path("/made").read_text() == "from sh\n"
        assert Path("/where").read_text() == "/usr/share\n"
        assert subprocess.run(["pwd"], cwd="/etc", capture_output=True, check=True).stdout == b"/etc\n"
        assert subprocess.run(["pwd"], cwd="doc/one", capture_output=True).stdout == b"/usr/share/doc/one\n"
        assert os.getcwd() == "/usr/share"
        done = subprocess.run("cat < /etc/motd | wc -c", shell=True, capture_output=True, text=True)
        assert done.stdout.strip() == "12"
    assert not os.path.exists("/made")


def test_errors_of_exec_are_those_of_exec(container: Container) -> None:
    with container.activate():
        with pytest.raises(FileNotFoundError) as caught:
            subprocess.run(["/bin/no-such-program"])
        assert caught.value.filename == "/bin/no-such-program"
        with pytest.raises(PermissionError):
            subprocess.run(["/etc/motd"])
        Path("/noise").write_text("no program\n")
        os.chmod("/noise", 0o755)
        with pytest.raises(OSError, match="Exec format"):
            subprocess.run(["/noise"])
        with pytest.raises(FileNotFoundError):
            subprocess.run(["true"], cwd="/missing")
        assert subprocess.run(["/script", "a"], capture_output=True).stdout == b"script /script a\n"
        assert subprocess.run(["sh", "-c", "exit 3"]).returncode == 3
        assert subprocess.run(["sh", "-c", "kill -TERM $$"]).returncode == -15


def test_every_way_to_start_a_program(container: Container, tmp_path: Path) -> None:
    with container.activate(cwd="/etc"):
        assert os.system(f"test -f motd && test ! -e {tmp_path} && exit 7") == 7 << 8
        with os.popen("cat motd") as output:
            assert output.read() == "welcome\n"
        pid = os.fork()
        if pid == 0:
            try:
                os.chdir("/usr")
                Path("/by-the-child").write_text("x")
                os.execv("/bin/sh", ["sh", "-c", "pwd > /where"])
            finally:
                os._exit(9)
        assert os.waitpid(pid, 0)[1] == 0
        assert Path("/where").read_text() == "/usr\n"
        assert Path("/by-the-child").read_text() == "x"
        assert os.getcwd() == "/etc"
        opened = [(os.POSIX_SPAWN_OPEN, 1, "/spawned", os.O_WRONLY | os.O_CREAT, 0o600)]
        pid = os.posix_spawnp("cat", ["cat", "motd"], {"PATH": "/bin"}, file_actions=opened)
        assert os.waitpid(pid, 0)[1] == 0
        assert Path("/spawned").read_text() == "welcome\n"
        with pytest.raises(FileNotFoundError):
            os.posix_spawn("/bin/none", ["none"], {})
        assert asyncio.run(_by_asyncio()) == b"welcome\n"


async def _by_asyncio() -> bytes:
    process = await asyncio.create_subprocess_exec("cat", "/etc/motd", stdout=subprocess.PIPE)
    return (await process.communicate())[0]


def test_a_program_has_the_name_it_was_given_and_the_descriptors(container: Container) -> None:
    with container.activate():
        read, write = os.pipe()
        command = ["other name", "-c", f"echo $0 > /proc/self/fd/{write}"]
        subprocess.run(command, executable="/bin/sh", pass_fds=(write,), check=True)
        os.close(write)
        with open(read) as file:
            assert file.read() == "other name\n"


def test_users_and_the_umask_go_with_it(container: Container) -> None:
    with container.activate(user="user"):
        assert subprocess.run(["id", "-u"], capture_output=True).stdout == b"1234\n"
        before = os.umask(0o077)
        try:
            subprocess.run(["touch", "/tmp/private"], check=True)
        finally:
            os.umask(before)
        assert os.stat("/tmp/private").st_mode & 0o777 == 0o600


def test_popen_takes_users_and_groups_of_the_container(container: Container) -> None:
    def who(**options: Any) -> str:
        done = subprocess.run(
            ["sh", "-c", "id -u; id -g; id -G"], capture_output=True, text=True, check=True, **options
        )
        return " ".join(done.stdout.split())

    with container.activate():
        assert who(user="user").split()[0] == "1234"
        assert who(user=77, group=78, extra_groups=[79]) == "77 78 78 79"
        assert who().split()[0] == "0"  # the child alone
        Path("/tmp/mine").touch()
        assert os.stat("/tmp/mine").st_uid == 0
    with container.activate(user="user"):
        assert who(user=1234).split()[0] == "1234"
        for options in ({"user": 0}, {"group": 0}, {"extra_groups": [0]}):
            with pytest.raises(PermissionError):
                who(**options)
    assert container.run(["id", "-u"], user=5, capture_output=True).stdout == b"5\n"


def test_a_child_keeps_its_effective_user_and_group(container: Container) -> None:
    """`setregid` and `setreuid` before exec, as in a program that gives up rights for a while."""

    def lower() -> None:
        os.setregid(5, 6)
        os.setreuid(7, 8)

    with container.activate():
        shown = subprocess.run(["id"], preexec_fn=lower, capture_output=True, text=True, check=True).stdout
    words = {word.partition("(")[0] for word in shown.split()}
    assert {"uid=7", "euid=8", "gid=5", "egid=6"} <= words


def test_a_hundred_streams_of_popen_are_open_at_once(container: Container) -> None:
    """`pclose` waits for each shell and returns its status; both are called as by a library in C."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.popen.restype = ctypes.c_void_p
    libc.pclose.argtypes = [ctypes.c_void_p]
    with container.activate():
        streams = [libc.popen(b"exit %d" % number, b"r") for number in range(100)]
        assert all(streams)
        assert [libc.pclose(stream) >> 8 for stream in streams] == list(range(100))
    assert [name for name in map(_child_of_ours, os.listdir("/proc")) if name] == []  # and not one is left


def _child_of_ours(entry: str) -> str:
    """The process, if it is a shell of ours: the container's hydrator is a child, too."""
    with contextlib.suppress(OSError):
        name, _, words = Path(f"/proc/{entry}/stat").read_text().partition(" (")[2].rpartition(") ")
        return entry if name == "sh" and int(words.split()[1]) == os.getpid() else ""
    return ""


def test_this_interpreter_runs_inside(container: Container, tmp_path: Path) -> None:
    code = (
        "import json, os, sys; print(json.dumps([open('/etc/motd').read(), os.getcwd(), os.path.exists(sys.argv[1])]))"
    )
    with container.activate(cwd="/etc"):
        done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ('["welcome\\n", "/etc", false]\n', "")


def test_snapshots_and_programs_from_inside(container: Container) -> None:
    with container.activate():
        Path("/one").write_text("1")
        snapshot = container.snapshot()
        Path("/two").write_text("2")
        assert container.run(["cat", "/two"], capture_output=True).stdout == b"2"
        container.rollback(snapshot)
        assert Path("/one").exists()
        assert not Path("/two").exists()
        Path("/three").write_text("3")
        assert [str(change) for change in container.diff(snapshot)] == ["A /three"]


def test_every_link_on_the_way_to_the_interpreter_is_inside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`venv/bin/python` leads to `/usr/bin/python3`, that to `python3.13`: without the one between nothing is found."""
    for name, target in (("bin/python", "python3"), ("bin/python3", "../usr/python3"), ("usr/python3", "python3.13")):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).symlink_to(target)
    (tmp_path / "usr/python3.13").touch()
    monkeypatch.setattr(sys, "executable", str(tmp_path / "bin/python"))
    found = _reduced(tuple(_of_interpreter()), ())
    for name in ("bin/python", "bin/python3", "usr/python3", "usr/python3.13"):
        assert str(tmp_path / name) in found
