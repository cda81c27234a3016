"""The settings of a container that an image may give: stop signal, health check, exposed ports."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rootlay.store.containers.settings import Health, Settings
from rootlay.store.model.imageconfig import RunConfig
from rootlay.store.model.value import replace

_HEALTH = {
    "interval_ns": "Interval",
    "timeout_ns": "Timeout",
    "start_period_ns": "StartPeriod",
    "start_interval_ns": "StartInterval",
    "retries": "Retries",
}


def merge_settings(given: Settings, image: RunConfig, ports: Sequence[str]) -> tuple[Settings, tuple[str, ...]]:
    """Return the caller's settings, completed by the image's; and the ports that `--publish-all` adds.

    Args:
        ports: those that are published already: `[ADDR:]HOST:CTR/PROTOCOL`.
    """
    exposed = dict.fromkeys(port if "/" in port else f"{port}/tcp" for port in (*image.exposed_ports, *given.exposed))
    merged = replace(
        given,
        stop_signal=given.stop_signal or image.stop_signal,
        health=_merge_health(given.health, image.extra.get("Healthcheck")),
        exposed=tuple(exposed),
    )
    taken = {text.rpartition(":")[2] for text in ports}
    return merged, tuple(port for port in exposed if given.publish_all and port not in taken)


def _merge_health(given: Health | None, image: object) -> Health | None:
    """Each member that the caller does not give is the image's."""
    own = parse_health(image)
    if own is None:
        return given
    if given is None or given.test == ("NONE",):
        return given or own
    return Health(given.test or own.test, *(getattr(given, name) or getattr(own, name) for name in _HEALTH))


def parse_health(source: object) -> Health | None:
    """Parse the `Healthcheck` of an image or of the Engine API; None if it is no object.

    An image may say anything: a member of a wrong type, or a negative one, is not given.
    """
    if not isinstance(source, Mapping):
        return None
    test = source.get("Test")
    words = tuple(map(str, test)) if isinstance(test, list) else ()
    return Health(words, **{name: _number(source.get(member)) for name, member in _HEALTH.items()})


def _number(found: object) -> int:
    return found if isinstance(found, int) and 0 <= found < 1 << 63 else 0


def health_json(health: Health) -> dict[str, Any]:
    """Return the `Healthcheck` of the Engine API."""
    numbers = {member: getattr(health, name) for name, member in _HEALTH.items() if getattr(health, name)}
    return {"Test": list(health.test), **numbers}
