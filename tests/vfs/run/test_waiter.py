"""The program that waits in a hydrator's place (`vfs/csrc/monitor/await.c`): no Python starts before a request."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from rootlay.vfs import Container, Image, Store
from rootlay.vfs.run.livesession import LiveSession

OWNER = """
import sys
from rootlay.vfs import Store
c = Store.open(sys.argv[1]).container("kept")
c.popen(["sh", "-c", sys.argv[2]])
print(c._served._hydrator.pid, flush=True)
sys.stdin.read()
"""


DAEMON = "mkfifo /pipe; read line < /pipe; cat /usr/share/doc/two/readme > /read; read line < /pipe"


def _waiter(container: Container) -> int:
    """Return the process that waits, or that hydrates."""
    served = container._served
    assert isinstance(served, LiveSession)
    return served._hydrator.pid


def _program(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[0].decode().rpartition("/")[2]
    except OSError:
        return ""


def _eventually(check: Callable[[], bool]) -> None:
    until = time.monotonic() + 20
    while not check() and time.monotonic() < until:
        time.sleep(0.01)
    assert check()


def _prepare(store: Store, image: Image) -> None:
    """Hydrate the programs, but not the file that they read."""
    with image.container() as c:
        c.run(["sh", "-c", "mkfifo /pipe; cat /etc/motd > /read"], check=True)
        hydrator = _waiter(c)
        assert _program(hydrator).startswith("python")  # nothing was there yet: it would be asked at once
    _eventually(lambda: not _program(hydrator))  # until then its readahead can make the file again
    for found in (store.root / "layers").glob("*/tree/usr/share/doc/two/readme"):
        found.unlink()


def _own(store: Store, script: str) -> tuple[subprocess.Popen[str], int]:
    """Start a process that runs a script inside. Returns it, and the one that waits for requests."""
    words = [sys.executable, "-c", OWNER, str(store.root), script]
    owner = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert owner.stdout
    waiter = int(owner.stdout.readline())
    assert _program(waiter) == "monitor"
    return owner, waiter


def test_python_hydrates_only_after_a_request(store: Store, image: Image) -> None:
    _prepare(store, image)
    with image.container() as c:
        c.run(["cat", "/etc/motd"], check=True, capture_output=True)
        waiter = _waiter(c)
        assert _program(waiter) == "monitor"
        done = c.run(["cat", "/usr/share/doc/two/readme"], capture_output=True, text=True, check=True)
        assert done.stdout == "two\n"
        assert _program(waiter).startswith("python")
        assert _waiter(c) == waiter
    _eventually(lambda: not _program(waiter))
    assert store.containers() == []


def test_a_daemon_is_served_after_its_owner_was_killed(store: Store, image: Image) -> None:
    _prepare(store, image)
    kept = image.container("kept")
    owner, waiter = _own(store, DAEMON)
    _eventually((kept.record.upper / "pipe").exists)
    with owner:
        owner.kill()
    assert _program(waiter) == "monitor"
    (kept.record.upper / "pipe").write_text("go\n")
    _eventually(lambda: kept.fs.exists("/read") and kept.fs.readtext("/read") == "two\n")
    assert _program(waiter).startswith("python")
    (kept.record.upper / "pipe").write_text("end\n")
    _eventually(lambda: not _session_files(kept) and not _program(waiter))
    kept.remove()


def test_the_files_of_a_killed_owner_without_programs_are_removed(store: Store, image: Image) -> None:
    _prepare(store, image)
    kept = image.container("kept")
    owner, waiter = _own(store, ":")
    assert _session_files(kept)
    with owner:
        owner.kill()
    _eventually(lambda: not _session_files(kept) and not _program(waiter))
    kept.remove()


def _session_files(container: Container) -> list[str]:
    return [name for name in os.listdir(container.record.path) if name.startswith(("launch-", "hydrate-"))]
