"""The processes of a container: always read from the kernel, never cached.

1. The engine marks the first program of a session before it runs, and all its descendants inherit the mark
   (`vfs/csrc/trap/process/mark.c`, docs/adr/0013): an otherwise unused hard limit, shown in `/proc/<pid>/limits`,
   which no program inside can change. It stays when a program leaves the engine, its parent and its session, and
   clears its environment.
2. Before that, and if a mark cannot be set (a container inside a container; a user with that limit), a process is
   identified by the engine's own executable and by the launch file in its arguments or its maps.
3. A process may have a child and die between two scans. So a search ends only if no process was born since it began.
4. A process is held by a descriptor before it is checked and gets a signal: its number may belong to another process by
   then.
"""

from __future__ import annotations

import _signal as signal  # type: ignore[import-not-found]  # the C half, as in cli/entry.py
import contextlib
import os
import re
import resource
import time
from collections.abc import Callable, Collection, Iterable, Iterator

from rootlay.store.model.value import value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pathlib import Path

    from rootlay.store.containers.record import ContainerRecord

EXEC_PATIENCE_S = 5.0
"""Timeout for a process of the engine that has no arguments yet."""
MARK_DIGITS = 15
"""Hexadecimal digits of a container's ID that form its mark (RL_MARK_DIGITS)."""
_NO_MARK = -2
_RLIMIT_LOCKS = 10  # no name in `resource`
_READ_BYTES = 1 << 16
_PIECE_BYTES = 4096
_BORN_MAX = 100_000
_ROUNDS_MAX = 200
_NEAR_S = 1.0
_NEAR_MAX = 500
_BIRTH_S = 0.002
"""Time from a new process's number to its visibility."""


@value
class GuestProcess:
    """A process that runs inside. `command` is its argument vector as the kernel shows it."""

    pid: int
    parent: int
    command: tuple[str, ...]


@value
class Moment:
    """A moment: the number of the youngest process then, and the time, s, of the monotonic clock."""

    youngest: int
    at_s: float

    @classmethod
    def now(cls) -> Moment:
        return cls(_last_born(), time.monotonic())

    def is_near(self) -> bool:
        """Return whether few processes were born since, too few for their numbers to have wrapped around."""
        return time.monotonic() - self.at_s < _NEAR_S and 0 < self.youngest <= _last_born() <= self.youngest + _NEAR_MAX


def iter_guests(container_path: str) -> Iterator[int]:
    """Yield the process IDs of the caller's own programs in one container (its directory's real path), in no order.

    A launch file stays until its last program has ended (rootlay.vfs.run.hydrator): if there is none, the machine's
    processes need not be scanned.
    """
    if _may_have_guests(container_path):
        yield from _search(_Container(container_path).has)


def iter_members(container_path: str) -> Iterator[int]:
    """Yield as `iter_guests`, and ended processes that still have their number: ten times as fast."""
    if _may_have_guests(container_path):
        yield from _search(_Container(container_path).owns)


def has_younger_guests(container_path: str, pid: int) -> bool:
    """Return whether programs of a container run that were born after `pid`: the time depends on these alone.

    Use it for the descendants of the first program of a container, which has ended, and for a container made after
    `pid`. A child that is not visible yet has a parent that is: its fork has not returned.
    """
    container, before = _Container(container_path), pid
    while last := _last_born():
        born = _born(before, last)
        if not born:
            return False
        if any(container.has(entry) for entry in born):
            return True
        before = last
    return has_guests(container_path)


def _search(ask: Callable[[str], object]) -> Iterator[int]:
    """Return the processes, by their names in /proc, that pass the test. It returns None for a missing process."""
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
    """A container that can test whether a process belongs to it."""

    def __init__(self, path: str) -> None:
        self._launch = os.fsencode(path) + b"/launch-"
        self._containers = os.path.dirname(path)
        self._mark = mark_for(os.path.basename(path))

    def has(self, entry: str) -> bool | None:
        """Return whether a process, by its name in /proc, is a running one of this container; None if it is missing."""
        owned = self.owns(entry)
        try:
            return owned and _runs(entry)
        except (FileNotFoundError, ProcessLookupError):
            return None
        except OSError:
            return False

    def owns(self, entry: str) -> bool | None:
        """Return the same as `has`, also for an ended process that still has its number."""
        try:
            mark = mark_of(int(entry))
        except (FileNotFoundError, ProcessLookupError):
            return None
        if mark == self._mark:
            return True
        named = _is_engine(entry) and any(self._launch in text for text in _engine_texts(entry))
        # Any program may name a launch file: one that carries the mark of another container is that one's.
        return named and marked_container(self._containers, mark) is None


def mark_for(identity: str) -> int:
    """Return the mark of a container; for a directory whose name is not an ID, a value that no process has."""
    digits = identity[:MARK_DIGITS]
    return int(digits, 16) if len(digits) == MARK_DIGITS and not digits.strip("0123456789abcdef") else _NO_MARK


def marked_container(containers: str | Path, mark: int) -> ContainerRecord | None:
    """Return the container of a store that has a mark; None if there is none."""
    if mark <= 0:
        return None
    from pathlib import Path  # here, not above: see the tests of what a start imports

    from rootlay.store.containers.record import container_ids, read_record

    for name in container_ids(Path(containers)):
        if mark_for(name) == mark:
            with contextlib.suppress(OSError, ValueError, TypeError, KeyError):  # a damaged record
                return read_record(Path(containers, name))
    return None


def mark_of(pid: int) -> int:
    """Return the hard limit of locks of one of the user's own processes; -1 for none.

    The call takes a tenth of the time of the file, but also requires the caller's own groups, and no filter around it.
    """
    try:
        return resource.prlimit(pid, _RLIMIT_LOCKS)[1]
    except ProcessLookupError:
        raise
    except OSError:
        with contextlib.suppress(PermissionError):
            # The owner of /proc/<pid> is not reliable: root owns the directory of a process that cannot be dumped.
            os.kill(pid, 0)
            words = _read_once(f"/proc/{pid}/limits").partition(b"Max file locks")[2].split(None, 2)
            return int(words[1]) if words and words[1].isdigit() else -1
    return -1


def _is_engine(entry: str) -> bool:
    """Return whether a process executes the engine. Asked of each process of the machine without our mark."""
    try:
        return os.readlink(f"/proc/{entry}/exe").endswith("/engine")
    except OSError:  # ended, or another user's
        return False


def _engine_texts(entry: str) -> Iterator[bytes]:
    """Return the texts in which a process of the engine names its launch file. If it is in neither, read in this order,
    the process is not ours."""
    with contextlib.suppress(OSError):  # ended, or another user's
        yield _arguments(entry)
        yield _read(f"/proc/{entry}/maps")


def _runs(entry: str) -> bool:
    """Return whether a process still runs, unlike an uncollected exit status. Its first thread may have ended alone."""
    words = _read_once(f"/proc/{entry}/stat").rsplit(b")", 1)[1].split()
    return words[0] not in (b"Z", b"X") or int(words[17]) > 1


def _last_born() -> int:
    """Return the number of the youngest process or thread; 0 if the kernel does not show it."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        return int(_read_once("/proc/loadavg").split()[4])
    return 0


def _born(before: int, last: int) -> list[str]:
    """Return the processes that were born since `before` was the youngest."""
    if before <= last <= before + _BORN_MAX:
        return [str(number) for number in range(before + 1, last + 1)]
    return [entry for entry in os.listdir("/proc") if entry.isdigit()]  # the numbers have wrapped around


def _read(path: str) -> bytes:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        found = os.read(descriptor, _READ_BYTES)
        while more := os.read(descriptor, _READ_BYTES):
            found += more
        return found
    finally:
        os.close(descriptor)


def _read_once(path: str) -> bytes:
    """Return the content of a file of /proc that the kernel writes as one piece."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.read(descriptor, _PIECE_BYTES)
    finally:
        os.close(descriptor)


def _arguments(entry: str) -> bytes:
    """Return the argument vector of a process. Wait while the kernel loads its program: during an exec a process
    already has its new executable, but no arguments, and only the executable in its maps. Its parent may know by then
    that the exec has succeeded."""
    deadline = time.monotonic() + EXEC_PATIENCE_S
    while not (found := _read(f"/proc/{entry}/cmdline")) and time.monotonic() < deadline:
        os.readlink(f"/proc/{entry}/exe")  # raises if the process has died
        time.sleep(0.001)
    return found


def _may_have_guests(container_path: str) -> bool:
    try:
        return any(name.startswith("launch-") for name in os.listdir(container_path))
    except FileNotFoundError:  # being removed, or removed by a process that did not ask
        return True


def running_containers(containers_path: str, launched: Collection[str]) -> set[str]:
    """Return the containers of a store that have running programs: one scan of the machine's processes for all.

    Args:
        containers_path: the real path of `containers/`.
        launched: the IDs of those with a launch file; the others are not checked.
    """
    if not launched:
        return set()
    launch = re.compile(re.escape(os.fsencode(containers_path)) + rb"/([0-9a-f]{64})/launch-")
    marks = {mark_for(identity): identity for identity in launched}
    found: set[str] = set()

    def ask(entry: str) -> bool | None:
        try:
            marked = marks.get(mark_of(int(entry)))
            if marked:
                if marked not in found and _runs(entry):
                    found.add(marked)
            elif _is_engine(entry):
                named = next(filter(None, map(launch.findall, _engine_texts(entry))), [])
                found.update(map(bytes.decode, named))
        except (FileNotFoundError, ProcessLookupError):
            return None
        return False

    for _ in _search(ask):
        pass
    return found.intersection(launched)


def has_guests(container_path: str, made: Moment | None = None) -> bool:
    """Return whether programs run in a container.

    Args:
        made: a moment before the container was made: soon after it, few processes have to be asked.
    """
    if made is not None and made.is_near():
        return _may_have_guests(container_path) and has_younger_guests(container_path, made.youngest)
    return next(iter_guests(container_path), None) is not None


def is_guest(container_path: str, pid: int) -> bool:
    return pid > 0 and bool(_Container(container_path).has(str(pid)))


def list_guests(container_path: str) -> list[GuestProcess]:
    """Return the programs with their command lines, by process ID."""
    found = []
    for pid in sorted(set(iter_guests(container_path))):
        with contextlib.suppress(OSError):
            with open(f"/proc/{pid}/stat", "rb") as stat:
                parent = int(stat.read().rsplit(b")", 1)[1].split()[1])
            with open(f"/proc/{pid}/cmdline", "rb") as cmdline:
                command = tuple(os.fsdecode(part) for part in cmdline.read().rstrip(b"\0").split(b"\0"))
            found.append(GuestProcess(pid, parent, command))
    return found


def list_members(container_path: str) -> set[int]:
    """Return the processes of a container, those included that have ended but still have their number, by one look at
    the machine's processes. Those that were born meanwhile may be missing."""
    container = _Container(container_path)
    return {int(entry) for entry in filter(str.isdigit, os.listdir("/proc")) if container.owns(entry)}


def groups_of(members: Collection[int]) -> dict[int, set[int]]:
    """Return the process groups that have only these processes, with them: the kernel signals these at once."""
    groups: dict[int, set[int]] = {}
    others = {0, os.getpgrp()}
    for entry in filter(str.isdigit, os.listdir("/proc")) if members else ():
        with contextlib.suppress(OSError):  # ended
            group = os.getpgid(int(entry))
            if int(entry) in members:
                groups.setdefault(group, set()).add(int(entry))
            else:
                others.add(group)
    return {group: found for group, found in groups.items() if group not in others}


def signal_guest(container_path: str, pid: int, number: int) -> bool:
    """Send a signal to a process if it is a program of the container. Return whether it was."""
    return _to_guest(container_path, pid, number, ())


def still_guest(container_path: str, pid: int, *, yields: bool) -> bool:
    """Stop a program, and prevent all its forks from now on. Return whether it was one.

    Args:
        yields: from now on it gets a processor only if no other process needs it.
    """
    return _to_guest(container_path, pid, signal.SIGSTOP, (_bar_forks, *((_yield,) if yields else ())))


def _bar_forks(pid: int) -> None:
    """Forbid a process to fork. The limit has no effect for root."""
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
            with contextlib.suppress(OSError):  # not permitted: then the signal must be enough
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
