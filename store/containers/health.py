"""Health checks of containers, and their JSON in images and the Engine API (`Healthcheck`)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rootlay.store.model.value import value

MILLISECOND_NS = 1_000_000
"""The least duration that Docker takes."""
_NUMBERS = {
    "interval_ns": "Interval",
    "timeout_ns": "Timeout",
    "start_period_ns": "StartPeriod",
    "start_interval_ns": "StartInterval",
    "retries": "Retries",
}


@value
class Health:
    """A health check, as in an image's `Healthcheck`: durations in ns, 0 for Docker's default.

    `test` is `("NONE",)`, `("CMD", word, …)` or `("CMD-SHELL", line)`; empty: the image's.
    """

    test: tuple[str, ...] = ()
    interval_ns: int = 0
    timeout_ns: int = 0
    start_period_ns: int = 0
    start_interval_ns: int = 0
    retries: int = 0

    @property
    def is_on(self) -> bool:
        """Whether there is a command to run."""
        return bool(self.test) and self.test[0] != "NONE"


def parse_health(source: object) -> Health | None:
    """Parse the `Healthcheck` of an image or of the Engine API; None if it is no object.

    An image may say anything: a member of a wrong type, or a negative one, is not given.
    """
    if not isinstance(source, Mapping):
        return None
    test = source.get("Test")
    words = tuple(map(str, test)) if isinstance(test, list) else ()
    return Health(words, **{name: _number(source.get(member)) for name, member in _NUMBERS.items()})


def _number(found: object) -> int:
    return found if isinstance(found, int) and 0 <= found < 1 << 63 else 0


def health_json(health: Health) -> dict[str, Any]:
    """Return the `Healthcheck` of the Engine API."""
    numbers = {member: getattr(health, name) for name, member in _NUMBERS.items() if getattr(health, name)}
    return {"Test": list(health.test), **numbers}


def merge_health(given: Health | None, image: Health | None) -> Health | None:
    """Return the caller's health check; each member that it does not give is the image's."""
    if given is None or image is None:
        return given or image
    if given.test == ("NONE",):
        return given
    return Health(given.test or image.test, *(getattr(given, name) or getattr(image, name) for name in _NUMBERS))
