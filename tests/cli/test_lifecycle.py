"""The life of containers in the background: ends, restarts, health, pauses, attachment."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Rootlay


def eventually(ask: Callable[[], Any], timeout_s: float = 20) -> Any:
    """What `ask` says, as soon as it is true."""
    deadline = time.monotonic() + timeout_s
    while not (found := ask()) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert found
    return found


def directory(store: Rootlay, name: str) -> Path:
    return (store.root / "containers/names" / name).resolve()


def state(store: Rootlay, name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((directory(store, name) / "state.json").read_text())
    return found


def health(store: Rootlay, name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((directory(store, name) / "health.json").read_text())
    return found


def test_on_failure_starts_it_again_so_many_times(small: Rootlay) -> None:
    small("run", "-d", "--name", "c", "--restart", "on-failure:2", "small", "sh", "-c", "echo run; exit 3")
    assert small.out("wait", "c") == "3\n"
    assert small.out("logs", "c") == "run\nrun\nrun\n"
    assert (state(small, "c")["restarts"], state(small, "c")["restarting"]) == (2, False)
    small("run", "-d", "--name", "d", "--restart", "on-failure", "small", "sh", "-c", "echo run")
    assert small.out("wait", "d") == "0\n"
    assert small.out("logs", "d") == "run\n"


def test_always_starts_it_again_until_it_is_stopped(small: Rootlay) -> None:
    small("run", "-d", "--name", "c", "--restart", "always", "small", "sh", "-c", "echo run; sleep 0.1")
    eventually(lambda: state(small, "c")["restarts"] >= 2)
    small("stop", "-t", "1", "c")
    before = small.out("logs", "c")
    time.sleep(1)
    assert small.out("logs", "c") == before
    assert small.out("ps", "-q") == ""
    small("start", "c")
    eventually(lambda: small.out("logs", "c") != before)
    small("rm", "-f", "c")
    assert not list((small.root / "containers").glob("?" * 64))


def test_update_changes_the_policy_of_a_running_container(small: Rootlay) -> None:
    small("run", "-d", "--name", "c", "small", "sh", "-c", "echo run; while test ! -e /go; do sleep 0.05; done")
    assert small.out("update", "--restart", "always", "c") == "c\n"
    small("exec", "c", "touch", "/go")
    eventually(lambda: small.out("logs", "c").count("run") >= 2)
    assert "one or more flags" in small.fails("update", "c", code=2)


def test_health_is_starting_then_unhealthy_then_healthy(small: Rootlay) -> None:
    check = ("--health-cmd", "echo checked; test -e /well", "--health-interval", "100ms", "--health-retries", "2")
    small("run", "-d", "--name", "c", *check, "small", "sleep", "60")
    eventually(lambda: health(small, "c")["Status"] == "unhealthy")
    last = health(small, "c")["Log"][-1]
    assert (last["ExitCode"], last["Output"]) == (1, "checked\n")
    assert last["Start"] < last["End"]
    small("exec", "c", "touch", "/well")
    eventually(lambda: health(small, "c")["Status"] == "healthy")
    assert health(small, "c")["FailingStreak"] == 0
    eventually(lambda: len(health(small, "c")["Log"]) == 5)
    small("kill", "c")


def test_failures_in_the_start_period_do_not_count_and_a_slow_check_is_killed(small: Rootlay) -> None:
    check = ("--health-cmd", "sleep 30", "--health-interval", "50ms", "--health-timeout", "100ms")
    start = ("--health-start-period", "60s", "--health-start-interval", "50ms", "--health-retries", "1")
    small("run", "-d", "--name", "c", *check, *start, "small", "sleep", "60")
    eventually(lambda: len(health(small, "c")["Log"]) >= 2)
    found = health(small, "c")
    assert (found["Status"], found["FailingStreak"]) == ("starting", 0)
    assert found["Log"][0]["ExitCode"] == -1
    assert found["Log"][0]["Output"] == "Health check exceeded timeout (0.1s)"
    small("rm", "-f", "c")


def test_the_images_check_is_used_and_can_be_disabled(small: Rootlay) -> None:
    text = "FROM small\nHEALTHCHECK --interval=100ms --retries=1 CMD test -e /well\n"
    small("build", "-t", "checked", "-", input=text.encode())
    small("run", "-d", "--name", "c", "checked", "sleep", "60")
    eventually(lambda: health(small, "c")["Status"] == "unhealthy")
    small("run", "-d", "--name", "d", "--no-healthcheck", "checked", "sleep", "60")
    assert not (directory(small, "d") / "health.json").exists()
    small("rm", "-f", "c", "d")


def test_stop_sends_the_containers_own_signal_and_waits_as_long_as_it_says(small: Rootlay) -> None:
    script = "trap 'echo usr1; exit 9' USR1; trap 'echo term' TERM; echo ready; while :; do sleep 0.05; done"
    options = ("--stop-signal", "SIGUSR1", "--stop-timeout", "30")
    small("run", "-d", "--name", "c", *options, "small", "sh", "-c", script)
    eventually(lambda: small.out("logs", "c") == "ready\n")
    small("stop", "c")
    assert small.out("logs", "c") == "ready\nusr1\n"
    assert state(small, "c")["exit_code"] == 9
    small("start", "c")
    eventually(lambda: small.out("logs", "c").endswith("ready\n"))
    small("stop", "-s", "TERM", "-t", "1", "c")
    assert small.out("logs", "c").endswith("term\n")
    assert state(small, "c")["exit_code"] == 137


def test_kill_sends_any_signal_and_says_what_is_wrong(small: Rootlay) -> None:
    script = "trap 'echo hup' HUP; echo ready; while :; do sleep 0.05; done"
    small("run", "-d", "--name", "c", "small", "sh", "-c", script)
    eventually(lambda: small.out("logs", "c") == "ready\n")
    assert small.out("kill", "-s", "hup", "c") == "c\n"
    eventually(lambda: small.out("logs", "c") == "ready\nhup\n")
    small("kill", "c")
    assert small.out("wait", "c") == "137\n"
    assert "not running" in small.fails("kill", "c", code=75)
    assert "invalid signal: nope" in small.fails("kill", "-s", "nope", "c", code=73)


def test_pause_stops_every_program_and_unpause_continues_them(small: Rootlay) -> None:
    script = "(while :; do echo x >> /count; sleep 0.02; done) & wait"
    small("run", "-d", "--name", "c", "small", "sh", "-c", script)
    count = directory(small, "c") / "upper/count"
    eventually(count.exists)
    small("pause", "c")
    before = count.stat().st_size
    time.sleep(0.5)
    assert count.stat().st_size == before
    assert "paused" in small.fails("pause", "c", code=76)
    assert "paused" in small.fails("start", "c", code=125)
    small("unpause", "c")
    eventually(lambda: count.stat().st_size > before)
    assert "not paused" in small.fails("unpause", "c", code=77)
    small("pause", "c")
    small("stop", "-t", "5", "c")
    assert state(small, "c")["finished_ns"]


def test_start_of_a_running_container_does_nothing(small: Rootlay) -> None:
    wait = "echo begun; while [ ! -e /end ]; do sleep 0.05; done; exit 3"
    small("run", "-d", "--name", "c", "small", "sh", "-c", wait)
    assert small.out("start", "c") == "c\n"
    assert small.out("top", "c", "-eo", "pid,args").count("while") == 1
    words = [sys.executable, "-m", "rootlay.cli.main", "--root", str(small.root), "start", "-a", "c"]
    started = subprocess.Popen(words, stdout=subprocess.PIPE)
    time.sleep(0.3)
    small("exec", "c", "touch", "/end")
    started.communicate(timeout=30)
    assert started.returncode == 3
    assert small.out("logs", "c") == "begun\n"


def test_restart_starts_a_new_program(small: Rootlay) -> None:
    small("run", "-d", "--name", "c", "small", "sleep", "60")
    first = state(small, "c")["pid"]
    assert small.out("restart", "-t", "0", "c") == "c\n"
    assert state(small, "c")["pid"] != first
    small("kill", "c")
    small("restart", "c")
    assert small.out("ps", "-q")
    small("kill", "c")


def test_wait_waits_and_several_names_are_waited_for(small: Rootlay) -> None:
    small("run", "-d", "--name", "c", "small", "sh", "-c", "sleep 0.5; exit 3")
    small("run", "-d", "--name", "d", "small", "sh", "-c", "sleep 0.2; exit 4")
    assert small.out("wait", "c", "d") == "3\n4\n"


def test_attach_passes_input_output_and_the_exit_code_on(small: Rootlay) -> None:
    script = "while read x; do echo got $x; echo err >&2; test $x = end && exit 6; done"
    small("run", "-d", "-i", "--name", "c", "small", "sh", "-c", script)
    done = small("attach", "c", input=b"a\nend\n", code=6)
    assert (done.stdout, done.stderr) == (b"got a\ngot end\n", b"err\nerr\n")
    assert "not running" in small.fails("attach", "c", code=75)


def catches(pid: int, number: int) -> bool:
    """Return whether a process has a handler of a signal."""
    status = Path(f"/proc/{pid}/status").read_text()
    mask = next(line.split()[1] for line in status.splitlines() if line.startswith("SigCgt:"))
    return bool(int(mask, 16) >> (number - 1) & 1)


def test_attach_passes_signals_on_unless_it_is_told_not_to(small: Rootlay) -> None:
    script = "trap 'echo usr1; exit 7' USR1; echo ready; while :; do sleep 0.05; done"
    small("run", "-d", "--name", "c", "small", "sh", "-c", script)
    environ = {**os.environ, "ROOTLAY_ROOT": str(small.root)}
    for proxy, code in (("false", -signal.SIGUSR1), ("true", 7)):
        words = [sys.executable, "-m", "rootlay.cli.main", "attach", f"--sig-proxy={proxy}", "c"]
        with subprocess.Popen(words, env=environ, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) as client:
            eventually(lambda: list(directory(small, "c").glob("wait-*")))
            if proxy == "true":
                eventually(partial(catches, client.pid, signal.SIGUSR1))
            client.send_signal(signal.SIGUSR1)
            assert client.wait(20) == code


def test_run_through_a_monitor_is_as_run(small: Rootlay) -> None:
    script = "cat; echo err >&2; exit 5"
    done = small("run", "-i", "--rm", "--sig-proxy=false", "small", "sh", "-c", script, input=b"in\n", code=5)
    assert (done.stdout, done.stderr) == (b"in\n", b"err\n")
    done = small("run", "--rm", "-a", "stderr", "small", "sh", "-c", "echo out; echo err >&2")
    assert (done.stdout, done.stderr) == (b"", b"err\n")
    assert not list((small.root / "containers").glob("?" * 64))


def _on_terminal(small: Rootlay, *words: str, keys: bytes) -> bytes:
    """Run a command on a terminal of 30 rows until it is ready, type a word, type the keys, and return the output."""
    import pty

    environ = {**os.environ, "ROOTLAY_ROOT": str(small.root)}
    main, terminal = pty.openpty()
    termios.tcsetwinsize(main, (30, 100))
    with subprocess.Popen(
        [sys.executable, "-m", "rootlay.cli.main", *words],
        env=environ,
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
    ) as client:
        os.close(terminal)
        said = b""
        while b"ready" not in said:
            said += os.read(main, 4096)
        termios.tcsetwinsize(main, (40, 100))
        client.send_signal(signal.SIGWINCH)  # the kernel sends it only to processes of this terminal
        os.write(main, b"word\r")
        while b"got word" not in said:
            said += os.read(main, 4096)
        os.write(main, keys)
        assert client.wait(20) == 0
    os.close(main)
    return said


@pytest.mark.parametrize(("options", "keys"), [((), b"\x10\x11"), (("--detach-keys", "ctrl-x,q"), b"\x18q")])
def test_detach_keys_leave_a_program_that_goes_on(small: Rootlay, options: tuple[str, ...], keys: bytes) -> None:
    script = "stty size; echo ready; read x; stty size; echo got $x; sleep 60"
    stty = f"{shutil.which('stty')}:/bin/stty"
    said = _on_terminal(
        small, "run", "-it", "--name", "c", "-v", stty, *options, "small", "sh", "-c", script, keys=keys
    )
    assert b"30 100" in said
    assert b"40 100" in said
    assert small.out("ps", "-q")
    said = _on_terminal(small, "exec", "-it", *options, "c", "sh", "-c", script, keys=keys)
    assert b"30 100" in said
    assert b"40 100" in said
    assert "sleep 60" in small.out("top", "c")
    small("kill", "c")
    small("wait", "c")
    _on_terminal(small, "start", "-ai", *options, "c", keys=keys)
    assert small.out("ps", "-q")
    small("kill", "c")
    assert "--detach-keys nonsense" in small.fails("attach", "--detach-keys", "nonsense", "c", code=2)


def test_logs_have_streams_times_and_a_beginning_and_an_end(small: Rootlay) -> None:
    small("run", "-d", "--name", "c", "small", "sh", "-c", "echo one; sleep 0.3; echo two >&2; sleep 0.3; echo three")
    small("wait", "c")
    done = small("logs", "c")
    assert (done.stdout, done.stderr) == (b"one\nthree\n", b"two\n")
    stamped = small.out("logs", "-t", "c").splitlines()
    first, last = (line.split()[0] for line in stamped)
    assert first < last
    assert small.out("logs", "--since", last, "c") == "three\n"
    assert small.out("logs", "--until", first, "c") == "one\n"
    assert small.out("logs", "-n", "1", "c") == "three\n"
    assert small.out("logs", "--tail", "all", "c") == "one\nthree\n"
    for bad in (("--since", "yesterday"), ("--tail", "some")):
        small.fails("logs", *bad, "c", code=2)


def test_no_log_with_the_driver_none(small: Rootlay) -> None:
    small("run", "-d", "--name", "c", "--log-driver", "none", "small", "echo", "hi")
    small("wait", "c")
    assert small.out("logs", "c") == ""
    assert "json-file or none" in small.fails("run", "--log-driver", "syslog", "small", "true", code=125)


def test_ports_are_listed_as_docker_does(small: Rootlay) -> None:
    small("create", "--name", "c", "-p", "8081:81", "-p", "127.0.0.1:8080:80", "-p", "9000:90/udp", "small", "true")
    assert small.out("port", "c") == "80/tcp -> 127.0.0.1:8080\n81/tcp -> 0.0.0.0:8081\n90/udp -> 0.0.0.0:9000\n"
    assert small.out("port", "c", "90/udp") == "0.0.0.0:9000\n"
    assert "no public port '99/tcp' published for c" in small.fails("port", "c", "99", code=1)
    small("create", "--name", "d", "-P", "--expose", "70-71", "small", "true")
    assert [line.split()[0] for line in small.out("port", "d").splitlines()] == ["70/tcp", "71/tcp"]


def test_filters_of_ports_choose(small: Rootlay) -> None:
    small("create", "--name", "p", "-p", "127.0.0.1:45123:80", "--expose", "99/udp", "small", "true")
    small("create", "--name", "n", "small", "true")
    for text, names in {
        "publish=80": "p\n", "publish=79-81/tcp": "p\n", "publish=80/udp": "", "publish=45123": "",
        "expose=80": "p\n", "expose=99/udp": "p\n", "publish=99/udp": "", "expose=99": "",
        "is-task=true": "", "is-task=false": "n\np\n",
        "isolation=default": "n\np\n", "isolation=hyperv": "",
    }.items():  # fmt: skip
        assert small.out("ps", "-a", "--format", "{{.Names}}", "--filter", text) == names, text
    small.fails("ps", "-a", "--filter", "publish=http", code=1)


def test_top_and_stats_show_the_programs(small: Rootlay) -> None:
    small("run", "-d", "--name", "c", "small", "sh", "-c", "sleep 61 & sleep 62; wait")
    eventually(lambda: small.out("top", "c").count("sleep 6") >= 3)
    assert small.out("top", "c", "-o", "pid,args").splitlines()[0].split() == ["PID", "COMMAND"]
    (row,) = [json.loads(line) for line in small.out("stats", "--no-stream", "--format", "json").splitlines()]
    assert (row["Name"], row["PIDs"]) == ("c", "3")
    assert small.out("stats", "--no-stream", "c").splitlines()[0].split()[:3] == ["CONTAINER", "ID", "NAME"]
    shown = small.out("stats", "--no-stream", "--format", r"table {{.Name}}\t{{.PIDs}}").splitlines()
    assert [line.split() for line in shown] == [["NAME", "PIDS"], ["c", "3"]]
    given = small.out("stats", "--no-stream", "--format", "{{.Container}} {{.ID}} {{.NetIO}}", "c")
    assert given == f"c {small.out('ps', '-q').strip()} 0B / 0B\n"
    assert "can't evaluate field Foo" in small.fails("stats", "--no-stream", "--format", "{{.Foo}}", code=2)
    small("kill", "c")
    assert "not running" in small.fails("top", "c", code=75)


@pytest.mark.parametrize("victim", ["monitor and heir", "program"])
def test_a_kill_leaves_a_container_that_starts_again(small: Rootlay, victim: str) -> None:
    """A monitor alone is killed in test_monitors.py: its heir continues."""
    small("run", "-d", "--name", "c", "small", "sh", "-c", "while :; do echo x; sleep 0.02; done")
    found = state(small, "c")
    victims = [found["pid"]]
    if victim != "program":
        with open(f"/proc/{found['monitor']}/stat") as stat:
            heir = int(stat.read().rpartition(")")[2].split()[1])
        victims = [heir, found["monitor"]]
    for number in (signal.SIGSTOP, signal.SIGKILL):  # neither may see the other's end
        for pid in victims:
            os.kill(pid, number)
    eventually(lambda: small.out("ps", "-q") == "")
    assert small.out("wait", "c") == "137\n"
    small("start", "c")
    assert small.out("ps", "-q")
    small("stop", "-t", "0", "c")
    assert small("fsck").stdout.endswith(b"nothing wrong was found\n")


def test_health_is_checked_in_the_foreground_too(small: Rootlay) -> None:
    check = ("--health-cmd", "exit 1", "--health-interval", "50ms", "--health-retries", "1")
    small("run", "--name", "c", *check, "small", "sleep", "1")
    assert health(small, "c")["Status"] == "unhealthy"


def test_a_container_between_two_starts_is_in_use(small: Rootlay) -> None:
    small("run", "-d", "--name", "c", "--restart", "always", "small", "false")
    eventually(lambda: state(small, "c")["restarts"] >= 4)  # then it waits for 1.6 s and longer
    eventually(lambda: state(small, "c")["restarting"])
    small.fails("rm", "c", code=17)
    small("prune")
    assert small.out("ps", "-aq")
    small("stop", "c")
    small("rm", "c")
