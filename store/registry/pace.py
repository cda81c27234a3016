"""How slow a transfer may be: what sends a byte now and then is not waited for for ever (as curl's --speed-limit).

Only the time that is spent waiting for the network counts: a disk that is slow, or a pause of the program, is not the
registry's.
"""

from __future__ import annotations


class Pace:
    """The speed of one transfer, over stretches of `time_s` seconds of waiting."""

    def __init__(self, limit_bytes: int, time_s: float) -> None:
        """Args:
        limit_bytes: bytes a second that must come; 0: no matter how slow.
        time_s: over how many seconds that is counted.
        """
        self._limit_bytes = limit_bytes
        self._time_s = time_s
        self._waited_s = 0.0
        self._bytes = 0

    def took(self, waited_s: float, count: int) -> str:
        """Note `count` bytes and the time that they took; what is wrong with the speed, or empty."""
        self._waited_s += waited_s
        self._bytes += count
        if self._waited_s < self._time_s:
            return ""
        waited_s, count = self._waited_s, self._bytes
        self._waited_s, self._bytes = 0.0, 0
        if count >= self._limit_bytes * waited_s:
            return ""
        return (
            f"only {count} bytes in {waited_s:.0f} s (ROOTLAY_SPEED_LIMIT and ROOTLAY_SPEED_TIME say what is too slow)"
        )
