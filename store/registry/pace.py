"""The lowest speed of a transfer: it does not wait indefinitely for a slow sender (as curl's --speed-limit).

Only the time spent waiting for the network counts: a slow disk, or a pause of the program, is not counted.
"""

from __future__ import annotations


class Pace:
    """The speed of one transfer, over periods of `time_s` seconds of waiting."""

    def __init__(self, limit_bytes: int, time_s: float) -> None:
        """Measure a transfer.

        Args:
            limit_bytes: the lowest number of bytes a second; 0: any speed.
            time_s: the period of the measurement, in seconds.
        """
        self._limit_bytes = limit_bytes
        self._time_s = time_s
        self._waited_s = 0.0
        self._bytes = 0

    def took(self, waited_s: float, count: int) -> str:
        """Note `count` bytes and the time that they took; return what is wrong with the speed, or an empty text."""
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
