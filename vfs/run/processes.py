"""Which processes belong to a container: asked of the kernel, never remembered.

Every program inside is loaded by the engine in user space, so `/proc/<pid>/exe` is the engine's own executable, and its
maps show the launch file of its container. This holds for orphans and daemons, whoever started them, and it survives
the death of any process of ours.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import time
from collections.abc import Collection, Iterator

from rootlay.store.value import value

EXEC_PATIENCE_S = 5.0
"""How long a process of the engine is waited for that has no arguments yet."""


@value
class GuestProcess:
    """A process that runs inside. `command` is its argument vector as it shows itself."""

    pid: int
    parent: int
    command: tuple[str, ...]


def iter_guests(container_path: str) -> Iterator[int]:
    """Process IDs of the caller's own guests of one container (its directory's real path), in no order.

    Between its exec and the mapping of its launch file a process shows that file in its arguments instead; afterwards
    those are the program's own. A launch file stays until its last program is gone (rootlay.vfs.run.hydrator): where
    there is none, nobody needs to look through the machine's processes.
    """
    if not _may_have_guests(container_path):
        return
    mark = os.fsencode(container_path) + b"/launch-"
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        try:
            if os.path.basename(os.readlink(f"/proc/{entry}/exe")) != "engine":
                continue
            # In this order: what is in neither belongs to nobody of ours.
            if mark in _arguments(entry) or mark in _read(f"/proc/{entry}/maps"):
                yield int(entry)
        except OSError:  # gone, or another user's
            continue


def _read(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read()


def _arguments(entry: str) -> bytes:
    """The argument vector of a process, waited for while the kernel loads its program: in the midst of an exec a
    process has its new executable already, and neither arguments nor more than that in its maps. Whoever started it
    may know by then that the exec has succeeded."""
    deadline = time.monotonic() + EXEC_PATIENCE_S
    while not (found := _read(f"/proc/{entry}/cmdline")) and time.monotonic() < deadline:
        os.readlink(f"/proc/{entry}/exe")  # raises where the process has died
        time.sleep(0.001)
    return found


def _may_have_guests(container_path: str) -> bool:
    try:
        return any(name.startswith("launch-") for name in os.listdir(container_path))
    except FileNotFoundError:  # being removed, or removed by somebody who did not ask
        return True


def running_containers(containers_path: str, launched: Collection[str]) -> set[str]:
    """Which of a store's containers have guests: one look through the machine's processes for all of them.

    Args:
        containers_path: the real path of `containers/`.
        launched: the IDs of those with a launch file; where there is none nobody looks.
    """
    if not launched:
        return set()
    mark = re.compile(re.escape(os.fsencode(containers_path)) + rb"/([0-9a-f]{64})/launch-")
    found: set[str] = set()
    for entry in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError):  # gone, or another user's
            if os.path.basename(os.readlink(f"/proc/{entry}/exe")) == "engine":
                named = mark.findall(_arguments(entry)) or mark.findall(_read(f"/proc/{entry}/maps"))
                found.update(map(bytes.decode, named))
    return found.intersection(launched)


def has_guests(container_path: str) -> bool:
    return next(iter_guests(container_path), None) is not None


def list_guests(container_path: str) -> list[GuestProcess]:
    """The guests with their command lines, by process ID."""
    found = []
    for pid in sorted(iter_guests(container_path)):
        with contextlib.suppress(OSError):
            with open(f"/proc/{pid}/stat", "rb") as stat:
                parent = int(stat.read().rsplit(b")", 1)[1].split()[1])
            with open(f"/proc/{pid}/cmdline", "rb") as cmdline:
                command = tuple(os.fsdecode(part) for part in cmdline.read().rstrip(b"\0").split(b"\0"))
            found.append(GuestProcess(pid, parent, command))
    return found


def kill_guests(container_path: str, number: int = signal.SIGKILL, patience_s: float = 5.0) -> bool:
    """Send a signal to every guest until none is left. Returns False when some outlive the patience."""
    deadline = time.monotonic() + patience_s
    while True:
        pids = list(iter_guests(container_path))
        if not pids:
            return True
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
