"""Children that end by themselves are collected once, by whichever thread."""

from __future__ import annotations

import os
import subprocess

import pytest

from rootlay.vfs.run import zombies
from rootlay.vfs.run.zombies import leave, reap_hydrators


def test_another_thread_may_collect_a_child_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """Containers that nobody uses any more are closed in threads, two at once."""
    child = subprocess.Popen(["true"], stdin=subprocess.DEVNULL)
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    child.returncode = 0
    leave(child.pid)
    collect = os.waitpid

    def after_the_other_thread(pid: int, options: int) -> tuple[int, int]:
        monkeypatch.setattr(os, "waitpid", collect)
        reap_hydrators()
        return collect(pid, options)

    monkeypatch.setattr(os, "waitpid", after_the_other_thread)
    reap_hydrators()
    assert child.pid not in zombies._LEFT
