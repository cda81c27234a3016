"""Limits of each process of a container: `--ulimit NAME=SOFT[:HARD]`, as in setrlimit(2)."""

from __future__ import annotations

import resource
from collections.abc import Iterable

from rootlay.store.model.errors import RootlayError
from rootlay.store.model.value import value

NAMES = {
    "core": resource.RLIMIT_CORE,
    "cpu": resource.RLIMIT_CPU,
    "data": resource.RLIMIT_DATA,
    "fsize": resource.RLIMIT_FSIZE,
    "memlock": resource.RLIMIT_MEMLOCK,
    "msgqueue": resource.RLIMIT_MSGQUEUE,
    "nice": resource.RLIMIT_NICE,
    "nofile": resource.RLIMIT_NOFILE,
    "nproc": resource.RLIMIT_NPROC,
    "rss": resource.RLIMIT_RSS,
    "rtprio": resource.RLIMIT_RTPRIO,
    "rttime": resource.RLIMIT_RTTIME,
    "sigpending": resource.RLIMIT_SIGPENDING,
    "stack": resource.RLIMIT_STACK,
}
"""All limits but `as`, which Docker does not have, and `locks`, which the kernel ignores and rootlay uses as a mark."""


class HardLimitTooLow(RootlayError):
    """An ordinary user cannot raise a hard limit."""

    def __init__(self, ulimit: Ulimit, hard: int) -> None:
        super().__init__(f"--ulimit {ulimit}: the hard limit of this user is {hard}; give at most that, or run as root")
        self.ulimit = ulimit
        self.hard = hard


@value
class Ulimit:
    """One limit; -1 is unlimited."""

    name: str
    soft: int
    hard: int

    def __str__(self) -> str:
        return f"{self.name}={self.soft}:{self.hard}"


def parse_ulimit(text: str) -> Ulimit:
    """Parse `NAME=SOFT[:HARD]`. Raises ValueError."""
    name, sign, rest = text.partition("=")
    soft, colon, hard = rest.partition(":")
    if not sign or not _is_number(soft) or (colon and not _is_number(hard)):
        raise ValueError(f"{text[:80]}: expected NAME=SOFT[:HARD], numbers; -1 is unlimited")
    if name not in NAMES:
        raise ValueError(f"{text[:80]}: unknown limit {name}; known are {', '.join(NAMES)}")
    found = Ulimit(name, int(soft), int(hard) if colon else int(soft))
    if found.hard != -1 and not 0 <= found.soft <= found.hard:
        raise ValueError(f"{text[:80]}: the soft limit is above the hard one")
    return found


def _is_number(text: str) -> bool:
    return text == "-1" or (text.isascii() and text.isdigit() and len(text) < 19)


def check_ulimits(texts: Iterable[str]) -> None:
    """Raise HardLimitTooLow if this process cannot set one of the limits."""
    for ulimit in map(parse_ulimit, texts):
        hard = resource.getrlimit(NAMES[ulimit.name])[1]
        if hard != -1 and (ulimit.hard == -1 or ulimit.hard > hard):
            try:  # as root, or with the capability
                before = resource.getrlimit(NAMES[ulimit.name])
                resource.setrlimit(NAMES[ulimit.name], (before[0], ulimit.hard))
                resource.setrlimit(NAMES[ulimit.name], before)
            except (OSError, ValueError):
                raise HardLimitTooLow(ulimit, hard) from None


def set_ulimits(texts: Iterable[str]) -> None:
    """Set the limits of this process, which its programs inherit. Raises OSError, ValueError."""
    for ulimit in map(parse_ulimit, texts):
        resource.setrlimit(NAMES[ulimit.name], (ulimit.soft, ulimit.hard))
