"""`run`, `create`, `start`, `exec`, `stop`: a real program in a real container, as Docker's users expect it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.cli.conftest import Rootlay
from tests.native.guest import PATIENCE_S


def wait_for(condition: object, what: str, seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


def test_a_program_runs_and_its_output_comes_back(small: Rootlay) -> None:
    assert small.out("run", "--rm", "small", "--", "cat", "/etc/motd") == "welcome\n"
    assert small.out("ps", "-a", "-q") == ""


@pytest.mark.parametrize(
    ("command", "code"),
    [
        (["true"], 0),
        (["sh", "-c", "exit 7"], 7),
        (["sh", "-c", "kill -TERM $$"], 128 + signal.SIGTERM),
        (["sh", "-c", "kill -KILL $$"], 128 + signal.SIGKILL),
        (["no-such-program"], 127),
        (["/no/such"], 127),
        (["/etc/motd"], 126),
        (["/etc"], 126),
    ],
)
def test_exit_codes_are_dockers(small: Rootlay, command: list[str], code: int) -> None:
    small("run", "--rm", "small", *command, code=code)


def test_the_programs_own_view_is_the_virtual_one(small: Rootlay) -> None:
    script = (
        "pwd; readlink /proc/self/exe; readlink /proc/self/cwd; readlink /proc/self/root; cd /usr/share; pwd -P; id -u"
    )
    lines = small.out("run", "--rm", "-w", "/etc", "small", "sh", "-c", script).splitlines()
    assert lines == ["/etc", "/bin/readlink", "/etc", "/", "/usr/share", "0"]


def test_links_that_point_out_of_the_root_stay_inside(small: Rootlay) -> None:
    assert small.out("run", "--rm", "small", "cat", "/etc/out", "/../../etc/motd", "/etc/link") == "welcome\n" * 3


def test_scripts_pipelines_and_background_jobs_run(small: Rootlay) -> None:
    assert small.out("run", "--rm", "small", "/script", "a b", "c") == "script /script a b c\n"
    script = "for i in 3 1 2; do echo $i; done | sort | head -2; sleep 0.1 & wait $!; echo done"
    assert small.out("run", "--rm", "small", "sh", "-c", script) == "1\n2\ndone\n"


def test_standard_input_passes_only_when_asked(small: Rootlay) -> None:
    assert small.out("run", "-i", "--rm", "small", "cat", input=b"in") == "in"
    assert small.out("run", "--rm", "small", "cat", input=b"in") == ""


def test_large_input_and_output_pass_whole(small: Rootlay) -> None:
    data = os.urandom(3 << 20)
    assert small("run", "-i", "--rm", "small", "cat", input=data).stdout == data


def test_environment_directory_user_and_entrypoint(small: Rootlay) -> None:
    out = small.out(
        "run", "--rm", "-e", "A=1 2", "-w", "/new/dir", "-u", "user", "small", "sh", "-c", "echo $A $HOME; pwd; id"
    )
    assert out == "1 2 /home/user\n/new/dir\nuid=1234(user) gid=1235(user) groups=1235(user),77(extra)\n"
    assert small.out("run", "--rm", "--entrypoint", "echo", "small", "x") == "x\n"
    names = {line.partition("=")[0] for line in small.out("run", "--rm", "small", "env").splitlines()}
    assert names == {"PATH", "HOSTNAME", "HOME"}, "nothing of the caller's environment"


def test_a_user_that_is_not_root_is_held_to_the_modes(small: Rootlay) -> None:
    script = "cat /root/x; echo x > /etc/motd; touch /tmp/mine && stat -c %u:%g /tmp/mine"
    done = small("run", "--rm", "-u", "user", "small", "sh", "-c", script)
    assert done.stdout == b"1234:1235\n"
    assert done.stderr.count(b"ermission denied") == 2


def test_changes_stay_in_the_container_and_the_image_is_untouched(small: Rootlay) -> None:
    script = "echo new > /etc/motd; rm -r /usr/share/doc/one; mv /usr/share/doc/two /usr/share/doc/three; mkdir -p /a/b"
    small("run", "--name", "c", "small", "sh", "-c", script)
    assert small.out("diff", "c").splitlines() == [
        "A /a",
        "A /a/b",
        "C /etc",
        "C /etc/motd",
        "C /usr",
        "C /usr/share",
        "C /usr/share/doc",
        "D /usr/share/doc/one",
        "A /usr/share/doc/three",
        "D /usr/share/doc/two",
    ]
    assert small.out("run", "--rm", "small", "cat", "/etc/motd", "/usr/share/doc/two/readme") == "welcome\ntwo\n"
    assert small.out("exec", "c", "cat", "/etc/motd", "/usr/share/doc/three/readme") == "new\ntwo\n"
    small("rm", "c")
    assert "welcome" in small.out("run", "--rm", "small", "cat", "/etc/motd")


def test_owners_modes_and_devices_are_recorded(small: Rootlay) -> None:
    script = "touch /f; chown 5:6 /f; chmod 4711 /f; stat -c '%u:%g %a' /f;"
    script += "ln -s x /l; chown -h 7:8 /l; stat -c %u:%g /l; mkfifo /p; stat -c %F /p"
    assert small.out("run", "--rm", "small", "sh", "-c", script) == "5:6 4711\n7:8\nfifo\n"


def test_binds_are_seen_written_and_read_only_where_asked(small: Rootlay, tmp_path: Path) -> None:
    host = tmp_path / "host"
    host.mkdir()
    (host / "f").write_text("host\n")
    assert (
        small.out(
            "run",
            "--rm",
            "-v",
            f"{host}:/work",
            "small",
            "sh",
            "-c",
            "cat /work/f; echo x > /work/new; chown 9:9 /work/new",
        )
        == "host\n"
    )
    assert (host / "new").read_text() == "x\n"
    assert (host / "new").stat().st_uid == os.geteuid() or os.geteuid() == 0
    done = small("run", "--rm", "-v", f"{host}:/work:ro", "small", "sh", "-c", "echo y > /work/f", code=None)
    assert done.returncode != 0
    assert b"Read-only" in done.stderr
    assert (host / "f").read_text() == "host\n"


def test_host_is_copy_on_write(rootlay: Rootlay, tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    canary.mkdir()
    (canary / "file").write_text("mine")
    script = f"rm -r {canary}/file; echo changed > {canary}/other; ls {canary}"
    assert rootlay.out("run", "--name", "h", "host", "--", "sh", "-c", script) == "other\n"
    assert {f"D {canary}/file", f"A {canary}/other"} <= set(rootlay.out("diff", "h").splitlines())
    assert [path.name for path in canary.iterdir()] == ["file"]


def test_directories_are_layers_topmost_last(small: Rootlay, tmp_path: Path) -> None:
    for name in ("low", "high"):
        (tmp_path / name / "etc").mkdir(parents=True)
        (tmp_path / name / "etc" / "motd").write_text(f"{name}\n")
    (tmp_path / "low" / "etc" / "only-low").touch()
    (tmp_path / "high" / "etc" / ".wh.link").touch()
    upper = tmp_path / "upper"
    words = [
        "--base",
        "small",
        "--lower",
        str(tmp_path / "low"),
        "--lower",
        str(tmp_path / "high"),
        "--upper",
        str(upper),
    ]
    out = small.out("run", "--rm", *words, "--", "sh", "-c", "cat /etc/motd; ls /etc; echo x > /etc/made")
    assert out.splitlines()[0] == "high"
    assert "only-low" in out
    assert "link" not in out.split()
    assert (upper / "etc" / "made").read_text() == "x\n"


def test_create_start_exec_and_rename(small: Rootlay) -> None:
    identity = small.out("create", "--name", "c", "small", "sh", "-c", "echo again >> /log; cat /log").strip()
    assert len(identity) == 64
    assert small.out("start", "-a", "c") == "again\n"
    assert small.out("start", "-a", identity[:12]) == "again\nagain\n"
    small("rename", "c", "d")
    assert small.out("exec", "-e", "X=y", "-w", "/etc", "d", "sh", "-c", "echo $X; pwd") == "y\n/etc\n"
    assert json.loads(small.out("ps", "-a", "--json"))[0]["name"] == "d"


def test_detached_containers_log_stop_and_count_as_running(small: Rootlay) -> None:
    small("run", "-d", "--name", "d", "small", "sh", "-c", "echo started; sleep 60")
    wait_for(lambda: "started" in small.out("logs", "d"), "no log")
    assert json.loads(small.out("ps", "--json"))[0]["running"]
    assert "rootlay: " in small.fails("rm", "d", code=17)
    small("stop", "-t", "5", "d")
    assert small.out("ps", "-q") == ""
    assert json.loads(small.out("inspect", "--json", "d"))[0]["state"]["exit_code"] == 128 + signal.SIGTERM
    small("rm", "d")


def test_a_program_that_outlives_its_command_still_gets_its_files(small: Rootlay, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    late = "while [ ! -e /out/go ]; do sleep 0.05; done; cat /usr/share/doc/one/readme > /out/late"
    script = f"({late}) >/dev/null 2>&1 </dev/null & echo back"
    assert small.out("run", "--name", "o", "-v", f"{out}:/out", "small", "sh", "-c", script) == "back\n"
    (out / "go").touch()  # only now: the command waits for its main program alone
    wait_for(lambda: (out / "late").exists() and (out / "late").read_text() == "one\n", "the file was not hydrated")
    wait_for(lambda: not list(small.root.glob("containers/*/launch-*")), "the session's files stay")


def test_signals_are_passed_on(small: Rootlay) -> None:
    process = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "rootlay.cli.main",
            "run",
            "--rm",
            "small",
            "sh",
            "-c",
            "trap 'echo got; exit 5' TERM; echo ready; while :; do sleep 0.05; done",
        ],
        env={**os.environ, "ROOTLAY_ROOT": str(small.root)},
        stdout=subprocess.PIPE,
    )
    assert process.stdout
    assert process.stdout.readline() == b"ready\n"
    process.terminate()
    assert process.stdout.read() == b"got\n"
    process.stdout.close()
    assert process.wait(20) == 5


def test_a_terminal_is_a_terminal(small: Rootlay) -> None:
    script = "test -t 0 && test -t 1 && echo tty"
    assert small.out("run", "--rm", "-t", "small", "sh", "-c", script) == "tty\r\n"
    assert "not a terminal" in small.fails("run", "--rm", "-it", "small", "true", code=125, input=b"")


def test_twenty_containers_at_once_do_not_meet(small: Rootlay) -> None:
    running = [
        subprocess.Popen(
            [
                sys.executable,
                "-m",
                "rootlay.cli.main",
                "run",
                "--rm",
                "small",
                "sh",
                "-c",
                f"echo {i} > /f; sleep 0.2; cat /f",
            ],
            env={**os.environ, "ROOTLAY_ROOT": str(small.root)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        for i in range(20)
    ]
    done = [process.communicate(timeout=PATIENCE_S) for process in running]
    assert done == [(b"%d\n" % i, b"") for i in range(20)]
    assert not [
        path for path in (small.root / "containers").iterdir() if path.name not in ("names", "lock", "launched")
    ]
