"""The settings of a container that an image may give: stop signal, health check, exposed ports."""

from __future__ import annotations

from collections.abc import Sequence

from rootlay.store.containers.health import merge_health, parse_health
from rootlay.store.containers.settings import Settings
from rootlay.store.model.imageconfig import RunConfig
from rootlay.store.model.value import replace


def merge_settings(given: Settings, image: RunConfig, ports: Sequence[str]) -> tuple[Settings, tuple[str, ...]]:
    """Return the caller's settings, completed by the image's; and the ports that `--publish-all` adds.

    Args:
        ports: those that are published already: `[ADDR:]HOST:CTR/PROTOCOL`.
    """
    exposed = dict.fromkeys(port if "/" in port else f"{port}/tcp" for port in (*image.exposed_ports, *given.exposed))
    merged = replace(
        given,
        stop_signal=given.stop_signal or image.stop_signal,
        health=merge_health(given.health, parse_health(image.extra.get("Healthcheck"))),
        exposed=tuple(exposed),
    )
    taken = {text.rpartition(":")[2] for text in ports}
    return merged, tuple(port for port in exposed if given.publish_all and port not in taken)
