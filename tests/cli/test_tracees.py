"""A program that makes its parent its tracer stops at each signal: that is not its end."""

from __future__ import annotations

import subprocess
import sys

import pytest

from rootlay.vfs import Store
from tests.cli.conftest import Rootlay

TRACED = """
import ctypes, os, threading, time
def end():
    time.sleep(0.5)
    os._exit(7)
threading.Thread(target=end).start()
libc = ctypes.CDLL(None)  # its calls let the other thread run
libc.ptrace(0, 0, 0, 0)
getattr(libc, "raise")(19)
"""
WORDS = (sys.executable, "-c", TRACED)


@pytest.mark.parametrize("flags", [(), ("-t",), ("-i",)])
def test_a_stop_of_a_program_that_is_waited_for_is_not_its_end(small: Rootlay, flags: tuple[str, ...]) -> None:
    small("run", "--rm", *flags, "host", "--", *WORDS, code=7)


def test_a_stop_of_a_detached_program_is_not_its_end(small: Rootlay) -> None:
    small("run", "-d", "--name", "c", "host", "--", *WORDS)
    assert small.out("wait", "c") == "7\n"


def test_a_stop_of_the_python_interface_s_program_is_not_its_end(small: Rootlay) -> None:
    small("create", "--name", "c", "host", "--", "true")
    with Store.open(small.root).container("c") as container:
        assert container.run(WORDS, timeout=30).returncode == 7
        with pytest.raises(subprocess.TimeoutExpired):
            container.run([*WORDS[:2], TRACED.replace("0.5", "50")], timeout=1)
