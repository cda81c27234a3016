"""Builds that are interrupted or killed at any moment: one line, no process, container or image; the next one works."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from rootlay.store.containers.containers import Containers
from rootlay.vfs.build.cache.gcroots import needed
from tests.vfs.build.conftest import Yard

pytestmark = [pytest.mark.long_form, pytest.mark.once]

TEXT = """\
FROM base AS a
RUN echo {number} > /a; for i in 1 2 3; do echo $i; done
COPY many /many
RUN sleep 0.1; rm -r /many
FROM base AS b
RUN sleep 0.1; echo {number} > /b
WORKDIR /w
FROM base
COPY --from=a / /a
COPY --from=b /b /b
RUN sleep 0.1; echo end
"""
ROUNDS = 12 if os.environ.get("ROOTLAY_TEST_LONG") else 4
LONGEST_S = 1.5


def strays(root: Path) -> list[str]:
    """Processes, other than this one, that have something of a store open or in their arguments."""
    until = time.monotonic() + 20  # what is buried in the background takes a moment
    while found := [told for pid in os.listdir("/proc") if pid.isdigit() and (told := _uses(int(pid), root))]:
        if time.monotonic() > until:
            break
        time.sleep(0.05)
    return found


def _uses(pid: int, root: Path) -> str:
    if pid == os.getpid():
        return ""
    try:
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
        maps = Path(f"/proc/{pid}/maps").read_bytes()
    except OSError:
        return ""
    return f"{pid} {command!r}" if os.fsencode(root) in command + maps else ""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_at_any_moment(yard: Yard, tmp_path: Path, number: signal.Signals) -> None:
    for name in range(200):
        yard.write(f"many/f{name}", "x" * 1000)
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    chance = random.Random(number)
    for turn in range(ROUNDS):
        yard.write("Dockerfile", TEXT.format(number=f"{number} {turn} {os.getpid()}"))
        process = subprocess.Popen(
            [sys.executable, "-m", "rootlay.cli.main", "--root", str(yard.store.root), "build", "-t", "never", "."],
            cwd=yard.context,
            env={**os.environ, "TMPDIR": str(scratch)},
            stderr=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stderr is not None
        first = process.stderr.readline()  # it is under way
        time.sleep(LONGEST_S * (turn + chance.random()) / ROUNDS)
        process.send_signal(number)
        _, err = process.communicate(timeout=60)
        finished = process.returncode == 0
        assert finished or process.returncode in (130, -number), first + err
        ended = finished or err.endswith("tagged never:latest\n")  # the signal came when the build was done
        if number is not signal.SIGKILL and not ended:
            assert err.splitlines()[-1] == "rootlay: the build was cancelled"
            assert sum(line.startswith("rootlay:") for line in err.splitlines()) == 1
            assert not list(scratch.iterdir())
        if number is signal.SIGKILL:
            yard.build("FROM base\nRUN true\n")  # the next build clears up
        assert not strays(yard.store.root)
        assert not list(Containers(yard.store.root).iter_all())
        named = "never:latest" in {record.reference for record in yard.store.images()}
        assert named or not ended
        if named:  # at the very end; then it is whole
            tree = yard.trees.open(yard.store.image("never").diff_ids)
            assert tree.find(b"/a/a") is not None
            assert tree.find(b"/b") is not None
            yard.store.remove("never", in_use=lambda: needed(yard.store))
    built = yard.build(TEXT.format(number=f"{number} {ROUNDS - 1} {os.getpid()}"))
    assert built.read("/b") == f"{number} {ROUNDS - 1} {os.getpid()}\n"
