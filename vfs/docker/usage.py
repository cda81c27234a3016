"""Resources that the processes of a container use, in Docker's JSON; all of it is read from /proc."""

from __future__ import annotations

import contextlib
import os
import subprocess
import time
from collections.abc import Iterable, Mapping
from typing import Any

from rootlay.store.containers.record import ContainerRecord
from rootlay.store.model.errors import RootlayError
from rootlay.vfs.docker.times import NEVER, rfc3339_nano
from rootlay.vfs.run.processes import list_guests

_TICK_NS = 10**9 // os.sysconf("SC_CLK_TCK")
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


class BadTopOptions(RootlayError, ValueError):
    """Options of ps that it refuses, or that hide the process IDs."""


def process_table(pids: Iterable[int], options: str) -> tuple[list[str], list[list[str]]]:
    """Return titles and rows of `ps OPTIONS`, with only the rows of these processes.

    Raises BadTopOptions.
    """
    try:
        done = subprocess.run(["ps", *options.split()], capture_output=True, text=True, timeout=20, check=False)
    except OSError as error:
        raise BadTopOptions(f"ps: {error.strerror}; install procps") from None
    if done.returncode:
        raise BadTopOptions(f"ps: {done.stderr.strip()}")
    lines = done.stdout.splitlines()
    titles = lines[0].split() if lines else []
    if "PID" not in titles:
        raise BadTopOptions("Couldn't find PID field in ps output")
    at, wanted = titles.index("PID"), {str(pid) for pid in pids}
    rows = [line.split(maxsplit=len(titles) - 1) for line in lines[1:]]
    return titles, [row for row in rows if len(row) > at and row[at] in wanted]


def usage_json(record: ContainerRecord, before: Mapping[str, Any]) -> dict[str, Any]:
    """Return one entry of `docker stats`. `before`: the last one, for the differences."""
    guests = list_guests(record.real_path)
    cpu_ns, user_ns, memory, read, written = 0, 0, 0, 0, 0
    for guest in guests:
        with contextlib.suppress(OSError, ValueError, IndexError):
            words = _read(f"/proc/{guest.pid}/stat").rpartition(")")[2].split()
            user, system = int(words[11]) * _TICK_NS, int(words[12]) * _TICK_NS
            user_ns, cpu_ns = user_ns + user, cpu_ns + user + system
            resident, shared = map(int, _read(f"/proc/{guest.pid}/statm").split()[1:3])
            memory += (resident - shared) * _PAGE_BYTES
            counts = dict(line.split(": ") for line in _read(f"/proc/{guest.pid}/io").splitlines())
            read, written = read + int(counts["read_bytes"]), written + int(counts["write_bytes"])
    count = len(os.sched_getaffinity(0))
    system_ns = sum(int(each) for each in _read("/proc/stat").split("\n", 1)[0].split()[1:8]) * _TICK_NS
    cpu = {
        "cpu_usage": {"total_usage": cpu_ns, "usage_in_kernelmode": cpu_ns - user_ns, "usage_in_usermode": user_ns},
        "system_cpu_usage": system_ns,
        "online_cpus": count,
        "throttling_data": {"periods": 0, "throttled_periods": 0, "throttled_time": 0},
    }
    limit = record.config.settings.limits
    total = os.sysconf("SC_PHYS_PAGES") * _PAGE_BYTES
    return {
        "name": f"/{record.name}",
        "id": record.id,
        "read": rfc3339_nano(time.time_ns()),
        "preread": before.get("read", NEVER),
        "num_procs": 0,
        "pids_stats": {"current": len(guests), "limit": limit.pids if limit else 0},
        "blkio_stats": {
            "io_service_bytes_recursive": [
                {"major": 0, "minor": 0, "op": "read", "value": read},
                {"major": 0, "minor": 0, "op": "write", "value": written},
            ]
        },
        "storage_stats": {},
        "cpu_stats": cpu,
        "precpu_stats": before.get("cpu_stats") or {
            "cpu_usage": {"total_usage": 0, "usage_in_kernelmode": 0, "usage_in_usermode": 0},
            "throttling_data": {"periods": 0, "throttled_periods": 0, "throttled_time": 0},
        },
        "memory_stats": {
            "usage": memory, "limit": limit.memory_bytes or total if limit else total, "stats": {}, "max_usage": memory,
        },
        "networks": {},
    }  # fmt: skip


def _read(path: str) -> str:
    with open(path, encoding="utf-8", errors="replace") as file:
        return file.read()
