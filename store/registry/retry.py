"""When to try again, and how long to wait before it."""

from __future__ import annotations

import random
import re
import threading
from datetime import UTC, datetime

from rootlay.store.model.value import value
from rootlay.store.registry.errors import RegistryUnreachable

_SECONDS = re.compile(r"[0-9]+")
PASSING_STATUSES = frozenset({408, 425, 429, 500, 502, 503, 504})


@value
class RetryRules:
    """Waits double from `first_wait_s`, up to `longest_wait_s`, with jitter. A registry that wants a longer pause than
    `retry_after_max_s` gets none: its error goes to the user, who can decide better."""

    attempts: int = 6
    first_wait_s: float = 0.5
    longest_wait_s: float = 20.0
    retry_after_max_s: float = 120.0


class Attempts:
    """The attempts at one thing. `progress` starts the count again."""

    def __init__(self, rules: RetryRules, stop: threading.Event) -> None:
        """`stop`: when set, waiting ends with an error: other work has failed, or the user has had enough."""
        self._rules = rules
        self._stop = stop
        self.failed = 0

    def progress(self) -> None:
        """Something came through."""
        self.failed = 0

    def after(self, error: RegistryUnreachable) -> None:
        """Wait before the next attempt; raises `error` where there is none."""
        self.failed += 1
        rules = self._rules
        asked = error.retry_after_s
        if not error.passing or self.failed >= rules.attempts or (asked or 0) > rules.retry_after_max_s:
            raise error
        wait_s = min(rules.longest_wait_s, rules.first_wait_s * 2 ** (self.failed - 1)) * random.uniform(0.75, 1.25)
        if self._stop.wait(max(wait_s, asked or 0)):
            raise error


def parse_retry_after(text: str | None, now: datetime | None = None) -> float | None:
    """Seconds that a Retry-After header asks for (RFC 9110, 10.2.3): a number or a date."""
    if not text:
        return None
    text = text.strip()
    if _SECONDS.fullmatch(text):
        return float(text)
    from email.utils import parsedate_to_datetime  # here: it takes 5 ms to import

    try:
        then = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    if then.tzinfo is None:
        return None
    return max(0.0, (then - (now or datetime.now(UTC))).total_seconds())
