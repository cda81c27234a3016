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
import resource
import signal
import time
from collections.abc import Callable, Collection, Iterable, Iterator

from rootlay.store.model.value import value

EXEC_PATIENCE_S = 5.0
"""How long a process of the engine is waited for that has no arguments yet."""
MARK_DIGITS = 15
"""Hexadecimal digits of a container's ID that are its mark (RL_MARK_DIGITS)."""
_MARK = re.compile(rb"^Max file locks +\S+ +(\d+)", re.MULTILINE)
_NO_MARK = -2
_RLIMIT_LOCKS = 10  # no name in `resource`
_READ_BYTES = 1 << 16
_BORN_MAX = 100_000
_ROUNDS_MAX = 200
_BIRTH_S = 0.002
"""How long a new process has its number before it can be seen."""


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
    if _may_have_guests(container_path):
        yield from _search(_Container(container_path).has)


def iter_members(container_path: str) -> Iterator[int]:
    """As `iter_guests`, and those that have ended and have their number still: ten times as fast."""
    if _may_have_guests(container_path):
        yield from _search(_Container(container_path).owns)


def _search(ask: Callable[[str], object]) -> Iterator[int]:
    """The processes, asked by their names in /proc, for which the answer is true. None: there is no such process."""
    last = _last_born()
    for entry in filter(str.isdigit, os.listdir("/proc")):
        if ask(entry):
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
            answer = ask(entry)
            if answer:
                yield int(entry)
            elif answer is None and entry in born:
                unseen.append(entry)


class _Container:
    """One container, to be asked whether a process is its own."""

    def __init__(self, path: str) -> None:
        self._launch = os.fsencode(path) + b"/launch-"
        self._mark = _mark_for(os.path.basename(path))

    def has(self, entry: str) -> bool | None:
        """Whether a process, by its name in /proc, is one that runs; None where there is no such process."""
        owned = self.owns(entry)
        try:
            return owned and _runs(entry)
        except (FileNotFoundError, ProcessLookupError):
            return None
        except OSError:
            return False

    def owns(self, entry: str) -> bool | None:
        """As `has`, and of one that has ended and has its number still."""
        try:
            mark = _mark_of(int(entry))
        except (FileNotFoundError, ProcessLookupError):
            return None
        return mark == self._mark or any(self._launch in text for text in _engine_texts(entry))


def _mark_for(identity: str) -> int:
    """The mark of a container; what no process has for a directory that is named by no ID."""
    digits = identity[:MARK_DIGITS]
    return int(digits, 16) if re.fullmatch(f"[0-9a-f]{{{MARK_DIGITS}}}", digits) else _NO_MARK


def _mark_of(pid: int) -> int:
    """The hard limit of locks of one of the user's own processes; -1 for none.

    The call takes a tenth of the time of the file, but wants the caller's own groups, too, and no filter around it.
    """
    try:
        return resource.prlimit(pid, _RLIMIT_LOCKS)[1]
    except ProcessLookupError:
        raise
    except OSError:
        with contextlib.suppress(PermissionError):
            # The owner of /proc/<pid> does not tell whose it is: what cannot be dumped belongs to root there.
            os.kill(pid, 0)
            found = _MARK.search(_read(f"/proc/{pid}/limits"))
            return int(found[1]) if found else -1
    return -1


def _engine_texts(entry: str) -> Iterator[bytes]:
    """Where a process that runs in the engine names its launch file. What is in neither belongs to nobody of ours, if
    they are read in this order."""
    with contextlib.suppress(OSError):  # gone, or another user's
        if os.path.basename(os.readlink(f"/proc/{entry}/exe")) == "engine":
            yield _arguments(entry)
            yield _read(f"/proc/{entry}/maps")


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
    launch = re.compile(re.escape(os.fsencode(containers_path)) + rb"/([0-9a-f]{64})/launch-")
    marks = {_mark_for(identity): identity for identity in launched}
    found: set[str] = set()

    def ask(entry: str) -> bool | None:
        try:
            marked = marks.get(_mark_of(int(entry)))
            if not marked:
                texts = _engine_texts(entry)
                named = next(filter(None, map(launch.findall, texts)), [])
                found.update(map(bytes.decode, named))
            elif marked not in found and _runs(entry):
                found.add(marked)
        except (FileNotFoundError, ProcessLookupError):
            return None
        return False

    for _ in _search(ask):
        pass
    return found.intersection(launched)


def has_guests(container_path: str) -> bool:
    return next(iter_guests(container_path), None) is not None


def is_guest(container_path: str, pid: int) -> bool:
    return pid > 0 and bool(_Container(container_path).has(str(pid)))


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


def groups_of_guests(container_path: str) -> set[int]:
    """The process groups without any other member than the container's own: the kernel signals these at once."""
    container = _Container(container_path)
    own: set[int] = set()
    others = {os.getpgrp()}
    for entry in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError):  # gone
            group = os.getpgid(int(entry))
            if group not in others:
                (own if container.owns(entry) else others).add(group)
    return own - others - {0}


def signal_guest(container_path: str, pid: int, number: int) -> bool:
    """Send a signal to a process if it is a guest of the container. Whether it was."""
    return _to_guest(container_path, pid, number, ())


def still_guest(container_path: str, pid: int, *, yields: bool) -> bool:
    """Stop a guest, and let it never fork again. Whether it was one.

    Args:
        yields: it gets a processor only where nobody else wants it, for good.
    """
    return _to_guest(container_path, pid, signal.SIGSTOP, (_bar_forks, *((_yield,) if yields else ())))


def _bar_forks(pid: int) -> None:
    """For root the limit means nothing."""
    resource.prlimit(pid, resource.RLIMIT_NPROC, (0, 0))


def _yield(pid: int) -> None:
    os.sched_setscheduler(pid, os.SCHED_IDLE, os.sched_param(0))


def _to_guest(container_path: str, pid: int, number: int, steps: Iterable[Callable[[int], None]]) -> bool:
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return False
    except OSError:  # a thread; or a kernel without them, or a sandbox that refuses them
        descriptor = -1
    try:
        if not _Container(container_path).owns(str(pid)):
            return False
        for step in steps:
            with contextlib.suppress(OSError):  # not permitted: then the signal must do
                step(pid)
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
