"""The owner of an ephemeral container: a process, named so that no other one, now or later, is mistaken for it.

The name is `<machine>/<boot id>/<process ID name space>/<process ID>/<start time>`. Process IDs are reused, so the name
includes the start time (clock ticks since the boot, field 22 of proc_pid_stat(5)). The start time is valid within one
boot, and the process ID within one name space.
"""

from __future__ import annotations

import functools
import os

from rootlay.store.disk.bootid import boot_id


def own_name() -> str:
    """Return the name of this process; empty if /proc does not report it: then its end cannot be detected later."""
    return _name_of(os.getpid())


def is_gone(owner: str) -> bool:
    """Return whether the process of this name has certainly ended. False if that cannot be determined from here."""
    machine, boot, space, pid, start = (*owner.split("/"), "", "", "", "", "")[:5]
    if not owner or machine != os.uname().nodename:
        return False
    if boot != boot_id().hex():
        return True
    return space == _space() and start != _start_of(pid)


@functools.lru_cache(maxsize=2)
def _name_of(pid: int) -> str:
    start, space = _start_of(str(pid)), _space()
    return f"{os.uname().nodename}/{boot_id().hex()}/{space}/{pid}/{start}" if start and space else ""


def _space() -> str:
    try:
        return os.readlink("/proc/self/ns/pid").removeprefix("pid:").strip("[]")
    except OSError:
        return ""


def _start_of(pid: str) -> str:
    """Return the start time of a process; empty: it does not exist, or is a zombie."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as stat:
            fields = stat.read().rpartition(b")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] in (b"Z", b"X") else fields[19].decode()
