"""`/events`: the store's log of events (rootlay.store.disk.eventlog), those of the past and those that follow."""

from __future__ import annotations

import time
from typing import Any

from rootlay.cli.api.call import Call
from rootlay.cli.api.errors import bad_parameter
from rootlay.cli.api.filters import has_labels, parse_filters
from rootlay.store.disk.eventlog import EventReader
from rootlay.vfs.docker.times import parse_moment
from rootlay.vfs.run.watching import Watch

_FILTERS = frozenset(
    "config container daemon event image label network node plugin scope secret service type volume".split()
)


def stream_events(call: Call) -> None:
    """GET /events"""
    filters = parse_filters(call.query["filters"], _FILTERS)
    try:
        since, until = parse_moment(call.text("since")), parse_moment(call.text("until"))
    except ValueError:
        raise bad_parameter("since and until are times") from None
    reader = EventReader(call.root, at_end=not since)
    client = call.exchange.connection.client.fileno()
    try:
        with Watch([call.root]) as watch, call.exchange.stream() as body:
            while True:
                now = time.time_ns()
                for event in reader.read():
                    if since <= event["timeNano"] <= (until or event["timeNano"]) and _fits(event, filters):
                        body.send(_shown(event))
                if until and now >= until:
                    return
                left = None if not until else max(0.0, (until - time.time_ns()) / 1e9)
                ready = watch.wait(1.0 if left is None else min(left, 1.0), also=[client])
                if ready and call.exchange.client_left():
                    return
    finally:
        reader.close()


def _shown(event: dict[str, Any]) -> dict[str, Any]:
    """Return an event with the members of older versions of the API."""
    if event["Type"] not in ("container", "image"):
        return event
    actor = event["Actor"]
    old = {"status": event["Action"], "id": actor["ID"]}
    return {**old, **({"from": actor["Attributes"].get("image", "")} if event["Type"] == "container" else {}), **event}


def _fits(event: dict[str, Any], filters: dict[str, list[str]]) -> bool:
    kind, actor = event["Type"], event["Actor"]
    attributes: dict[str, str] = actor["Attributes"]
    if "type" in filters and kind not in filters["type"]:
        return False
    if "event" in filters and not any(
        event["Action"] == text or event["Action"].startswith(f"{text}:") for text in filters["event"]
    ):
        return False
    if "scope" in filters and "local" not in filters["scope"]:
        return False
    if "label" in filters and not has_labels(attributes, filters["label"]):
        return False
    image = attributes.get("name" if kind == "image" else "image", "")
    if "image" in filters and not any(image.startswith(text) for text in filters["image"]):
        return False
    for name in ("container", "volume", "network"):
        wanted = filters.get(name)
        if wanted and not (kind == name and any(_names(actor, text) for text in wanted)):
            return False
    return True


def _names(actor: dict[str, Any], text: str) -> bool:
    return bool(actor["ID"] == text or actor["ID"].startswith(text) or actor["Attributes"].get("name") == text)
