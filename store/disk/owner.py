"""Whose an ephemeral container is: a process, named so that no other one, now or later, can be taken for it.

The name is `<machine>/<boot id>/<process ID name space>/<process ID>/<start time>`. Process numbers are given out
again, so the start time (clock ticks since the boot, field 22 of proc_pid_stat(5)) belongs to it; that counts within
one boot, and the number within one name space.
"""

from __future__ import annotations

import functools
import os

from rootlay.store.disk.bootid import boot_id


def own_name() -> str:
    """The name of this process; empty where /proc does not tell: then nobody can say later that it is gone."""
    return _name_of(os.getpid())


def is_gone(owner: str) -> bool:
    """Whether the process of this name has certainly ended. What cannot be told from here is not gone."""
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
    """The start time of a process; empty: there is none, or only what is left of one."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as stat:
            fields = stat.read().rpartition(b")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] in (b"Z", b"X") else fields[19].decode()
