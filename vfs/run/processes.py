"""Which processes belong to a container: asked of the kernel, never remembered.

1. The engine marks the first program of a session before it runs, and all that descends from it has the mark
   (`vfs/csrc/trap/mark.c`, docs/adr/0013): a hard limit of nothing, shown in `/proc/<pid>/limits`, which no program
   inside can change. It stays when a program leaves the engine, its parent, its session, and forgets its environment.
2. Before that, and where a mark cannot be set (a container inside a container; a user who has that limit), a process is
   known by the engine's own executable and by the launch file in its arguments or its maps.
3. A process may have a child and die between two looks. So a search ends only when nothing was born since it began.
4. Whoever is sent a signal is held by a descriptor first, and then looked at: a number may have another owner by then.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import time
from collections.abc import Collection, Iterator

from rootlay.store.model.value import value

EXEC_PATIENCE_S = 5.0
"""How long a process of the engine is waited for that has no arguments yet."""
MARK_DIGITS = 15
"""Hexadecimal digits of a container's ID that are its mark (RL_MARK_DIGITS)."""
_MARK = re.compile(rb"^Max file locks +\S+ +(\d+)", re.MULTILINE)
_READ_BYTES = 1 << 16
_BORN_MAX = 100_000
_ROUNDS_MAX = 200
_BIRTH_S = 0.002
"""How long a new process has its number before it can be seen."""
_FREEZES_MAX = 20


@value
class GuestProcess:
    """A process that runs inside. `command` is its argument vector as it shows itself."""

    pid: int
    parent: int
    command: tuple[str, ...]


def iter_guests(container_path: str) -> Iterator[int]:
    """Process IDs of the caller's own guests of one container (its directory's real path), in no order.

    A launch file stays until its last program is gone (rootlay.vfs.run.hydrator): where there is none, nobody needs to
    look through the machine's processes.
    """
    if not _may_have_guests(container_path):
        return
    container = _Container(container_path)
    last = _last_born()
    for entry in os.listdir("/proc"):
        if entry.isdigit() and container.has(entry):
            yield int(entry)
    unseen: list[str] = []
    for _ in range(_ROUNDS_MAX):
        before, last = last, _last_born()
        born = _born(before, last)
        if not born and not unseen:
            return
        if not born:
            time.sleep(_BIRTH_S)
        asked, unseen = [*unseen, *born], []
        for entry in asked:
            has = container.has(entry)
            if has:
                yield int(entry)
            elif has is None and entry in born:
                unseen.append(entry)


class _Container:
    """One container, to be asked whether a process is its own."""

    def __init__(self, path: str) -> None:
        self._launch = os.fsencode(path) + b"/launch-"
        identity = os.path.basename(path)[:MARK_DIGITS]
        self._mark = b"%d" % int(identity, 16) if re.fullmatch(f"[0-9a-f]{{{MARK_DIGITS}}}", identity) else b""

    def has(self, entry: str) -> bool | None:
        """Whether a process, by its name in /proc, is one that runs; None where there is no such process."""
        try:
            # The owner of /proc/<pid> does not tell whose it is: what cannot be dumped belongs to root there.
            os.kill(int(entry), 0)
            if not os.getpgid(int(entry)):  # the kernel's own
                return False
            if self._mark and self._mark in (limits := _read(f"/proc/{entry}/limits")):
                found = _MARK.search(limits)
                if found is not None and found[1] == self._mark:
                    return _runs(entry)
        except (FileNotFoundError, ProcessLookupError):
            return None
        except OSError:
            return False
        with contextlib.suppress(OSError):  # gone, or another user's
            if os.path.basename(os.readlink(f"/proc/{entry}/exe")) == "engine":
                # In this order: what is in neither belongs to nobody of ours.
                return self._launch in _arguments(entry) or self._launch in _read(f"/proc/{entry}/maps")
        return False


def _runs(entry: str) -> bool:
    """Whether a process is more than an exit status that nobody has fetched. Its first thread may have ended alone."""
    words = _read(f"/proc/{entry}/stat").rsplit(b")", 1)[1].split()
    return words[0] not in (b"Z", b"X") or int(words[17]) > 1


def _last_born() -> int:
    """The youngest process or thread, by its number; 0 where the kernel does not tell."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        return int(_read("/proc/loadavg").split()[4])
    return 0


def _born(before: int, last: int) -> list[str]:
    """The processes that have come since `before` was the youngest."""
    if before <= last <= before + _BORN_MAX:
        return [str(number) for number in range(before + 1, last + 1)]
    return [entry for entry in os.listdir("/proc") if entry.isdigit()]  # the numbers began anew


def _read(path: str) -> bytes:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        found = os.read(descriptor, _READ_BYTES)
        while more := os.read(descriptor, _READ_BYTES):
            found += more
        return found
    finally:
        os.close(descriptor)


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
    for pid in sorted(set(iter_guests(container_path))):
        with contextlib.suppress(OSError):
            with open(f"/proc/{pid}/stat", "rb") as stat:
                parent = int(stat.read().rsplit(b")", 1)[1].split()[1])
            with open(f"/proc/{pid}/cmdline", "rb") as cmdline:
                command = tuple(os.fsdecode(part) for part in cmdline.read().rstrip(b"\0").split(b"\0"))
            found.append(GuestProcess(pid, parent, command))
    return found


def signal_guest(container_path: str, pid: int, number: int) -> bool:
    """Send a signal to a process if it is a guest of the container. Whether it was."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return False
    except OSError:  # a thread; or a kernel without them, or a sandbox that refuses them
        descriptor = -1
    try:
        if not _Container(container_path).has(str(pid)):
            return False
        if descriptor >= 0:
            signal.pidfd_send_signal(descriptor, number)
        else:
            os.kill(pid, number)
    except ProcessLookupError:
        return False
    finally:
        if descriptor >= 0:
            os.close(descriptor)
    return True


def kill_guests(container_path: str, patience_s: float = 10.0) -> bool:
    """End every guest. Returns False when some outlive the patience.

    All are stopped before the first is killed: whoever forks, or starts anew what has died, gets no further. A process
    that has a signal pending cannot fork.
    """
    deadline = time.monotonic() + patience_s
    while True:
        if not _freeze(container_path, deadline):
            return True
        for pid in set(iter_guests(container_path)):
            signal_guest(container_path, pid, signal.SIGKILL)
        if time.monotonic() > deadline:
            return False
        time.sleep(0.002)


def _freeze(container_path: str, deadline: float) -> set[int]:
    """Stop all guests, until a look finds none that was not stopped. The guests."""
    stopped: set[int] = set()
    for _ in range(_FREEZES_MAX):
        moving = {pid for pid in iter_guests(container_path) if pid not in stopped}
        stopped |= {pid for pid in moving if signal_guest(container_path, pid, signal.SIGSTOP)}
        if not moving or time.monotonic() > deadline:
            break
    return stopped
