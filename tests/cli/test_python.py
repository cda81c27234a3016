"""`rootlay python`: a script of this machine, with an image as its file system, in every thread."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.cli.conftest import Rootlay


def script(tmp_path: Path, text: str) -> str:
    directory = tmp_path / "project" / "of" / "mine"
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "helper.py").write_text("def read(path):\n    return open(path).read()\n")
    (directory / "script.py").write_text(text)
    return str(directory / "script.py")


def test_a_script_sees_the_image_in_all_its_threads(small: Rootlay, tmp_path: Path) -> None:
    text = """
import helper, os, subprocess, sys, threading
found = [helper.read("/etc/motd")]
thread = threading.Thread(target=lambda: found.append(helper.read("/etc/motd")))
thread.start()
thread.join()
print(found, sys.argv[1:], os.getcwd(), __name__, os.path.basename(__file__), os.path.exists("ELSEWHERE"))
print(subprocess.run(["cat", "/etc/motd"], capture_output=True).stdout)
open("/made", "w").write("x")
"""
    (tmp_path / "elsewhere").mkdir()  # not on the way to anything that is shown
    text = text.replace("ELSEWHERE", str(tmp_path / "elsewhere"))
    lines = small.out("python", "small", script(tmp_path, text), "-v", "a").splitlines()
    assert lines == [f"{['welcome' + chr(10)] * 2} ['-v', 'a'] / __main__ script.py False", "b'welcome\\n'"]
    assert small.out("ps", "-a", "-q") == ""


def test_a_named_container_stays(small: Rootlay) -> None:
    code = "import os; open('here', 'w').write(os.environ['GREETING'] + os.getcwd())"
    small("python", "--name", "kept", "-w", "/tmp", "-e", "GREETING=hi ", "small", "-c", code)
    assert small.out("exec", "kept", "cat", "/tmp/here") == "hi /tmp"
    small("rm", "kept")


def test_modules_and_binds(small: Rootlay, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("import sys; print(sys.argv, open('/work/mine.py').read()[:6])")
    out = small.out("python", "-v", f"{tmp_path}:/work:ro", "-w", "/work", "small", "-m", "mine", "x")
    assert out == "['/work/mine.py', 'x'] import\n"


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("import sys; sys.exit(7)", 7),
        ("raise ValueError('mine')", 1),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", 137),
        ("import os; os._exit(3)", 3),
    ],
)
def test_exit_codes(small: Rootlay, code: str, status: int) -> None:
    small("python", "small", "-c", code, code=status)
    assert small.out("ps", "-a", "-q") == ""


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["small"], "a script is needed"),
        (["small", "/no/script.py"], "/no/script.py: no such script"),
        (["small", "-m"], "-m needs a module"),
        (["nothing", "-c", "pass"], "nothing"),
        (["-u", "stranger", "small", "-c", "pass"], "stranger"),
    ],
)
def test_bad_use(small: Rootlay, words: list[str], message: str) -> None:
    done = small("python", *words, code=125)
    assert message in done.stderr.decode()
    assert "Traceback" not in done.stderr.decode()
    assert small.out("ps", "-a", "-q") == ""


def test_signals_reach_the_script(small: Rootlay, tmp_path: Path) -> None:
    text = """
import os, signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: (os.write(1, b"told\\n"), sys.exit(5)))
os.write(1, b"ready\\n")  # not print: the signal may come before it has returned, and may not call it again
time.sleep(60)
"""
    command = [sys.executable, "-m", "rootlay.cli.main", "--root", str(small.root), "python", "small"]
    with subprocess.Popen([*command, script(tmp_path, text)], stdout=subprocess.PIPE) as process:
        assert process.stdout
        assert process.stdout.readline() == b"ready\n"
        process.send_signal(signal.SIGTERM)
        assert process.stdout.read() == b"told\n"
        assert process.wait() == 5
    for _ in range(100):
        if small.out("ps", "-a", "-q") == "":
            return
        time.sleep(0.1)
    raise AssertionError("the container is left")
