"""The rules of retries, and the wait before each."""

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
    """Rules of retries. Waits double from `first_wait_s`, up to `longest_wait_s`, with jitter. If a registry requests a
    longer pause than `retry_after_max_s`, its error is raised for the user, who can decide better."""

    attempts: int = 6
    first_wait_s: float = 0.5
    longest_wait_s: float = 20.0
    retry_after_max_s: float = 120.0


class Attempts:
    """The attempts at one operation. `progress` resets the count."""

    def __init__(self, rules: RetryRules, stop: threading.Event) -> None:
        """Start the count. `stop`: if set, waiting ends with an error: other work failed, or the user gave up."""
        self._rules = rules
        self._stop = stop
        self.failed = 0

    def progress(self) -> None:
        """Note that bytes arrived."""
        self.failed = 0

    def after(self, error: RegistryUnreachable) -> None:
        """Wait before the next attempt; raise `error` if there is none."""
        self.failed += 1
        rules = self._rules
        asked = error.retry_after_s
        if not error.passing or self.failed >= rules.attempts or (asked or 0) > rules.retry_after_max_s:
            raise error
        wait_s = min(rules.longest_wait_s, rules.first_wait_s * 2 ** (self.failed - 1)) * random.uniform(0.75, 1.25)
        if self._stop.wait(max(wait_s, asked or 0)):
            raise error


def parse_retry_after(text: str | None, now: datetime | None = None) -> float | None:
    """Return the seconds in a Retry-After header (RFC 9110, 10.2.3): a number or a date."""
    if not text:
        return None
    text = text.strip()
    if _SECONDS.fullmatch(text):
        return float(text)
    from email.utils import parsedate_to_datetime  # here, because the import takes 5 ms

    try:
        then = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    if then.tzinfo is None:
        return None
    return max(0.0, (then - (now or datetime.now(UTC))).total_seconds())
