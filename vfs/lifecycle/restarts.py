"""Restart policies: when the program of a container is started again after its end.

Rules (Docker's):
1. `always` and `unless-stopped` start it after every end, `on-failure[:N]` after an exit code other than 0, N times.
2. A container that the user has stopped or killed (`ContainerRecord.stop_mark`) is not started again.
3. The wait before a start doubles from 100 ms to a minute. After a run of 10 s it, and the count of N, begin again.
There is no process that starts containers after a boot: `unless-stopped` is `always`.
"""

from __future__ import annotations

FIRST_WAIT_S = 0.1
LAST_WAIT_S = 60.0
SETTLED_NS = 10 * 10**9


class RestartPolicy:
    """The policy of one monitor, with the history of its program."""

    def __init__(self, policy: str) -> None:
        name, _, count = policy.partition(":")
        self._name = name
        self._limit = int(count) if count else 0
        self._wait_s = FIRST_WAIT_S
        self._failures = 0

    def change(self, policy: str) -> None:
        """Use another policy from now on; the history stays."""
        name, _, count = policy.partition(":")
        self._name, self._limit = name, int(count) if count else 0

    def wait_before_restart(self, code: int, ran_ns: int) -> float | None:
        """Return the seconds to wait before the next start; None: it is not started again.

        Args:
            code: the program's exit code.
            ran_ns: how long it ran, ns.
        """
        if ran_ns >= SETTLED_NS:
            self._wait_s, self._failures = FIRST_WAIT_S, 0
        if self._name == "no" or (self._name == "on-failure" and code == 0):
            return None
        self._failures += 1
        if self._name == "on-failure" and self._limit and self._failures > self._limit:
            return None
        wait, self._wait_s = self._wait_s, min(self._wait_s * 2, LAST_WAIT_S)
        return wait
