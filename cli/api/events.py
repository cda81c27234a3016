"""`/events`, derived from the records: no process keeps a list.

Rules:
1. What happened before is what the records still say: creation, the last start and end of each container, and volumes
   and networks. What happens now is the difference of two readings; inotify says when to read.
2. Two changes within one reading are two events if the record shows both (a start and an end), one otherwise.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from typing import Any

from rootlay.cli.api.call import Call
from rootlay.cli.api.errors import bad_parameter
from rootlay.cli.api.filters import has_labels, parse_filters
from rootlay.store.containers.containers import Containers
from rootlay.store.containers.record import ContainerRecord, ContainerState
from rootlay.store.model.value import value
from rootlay.store.networks.networks import iter_networks
from rootlay.store.volumes.volumes import Volumes
from rootlay.vfs.docker.times import parse_moment
from rootlay.vfs.run.watching import Watch

_FILTERS = frozenset(
    "config container daemon event image label network node plugin scope secret service type volume".split()
)


@value
class Seen:
    """What one reading says about a container."""

    name: str
    image: str
    labels: dict[str, str]
    created_ns: int
    state: ContainerState


def stream_events(call: Call) -> None:
    """GET /events"""
    filters = parse_filters(call.query["filters"], _FILTERS)
    try:
        since, until = parse_moment(call.text("since")), parse_moment(call.text("until"))
    except ValueError:
        raise bad_parameter("since and until are times") from None
    containers = Containers(call.root)
    before = {record.id: _seen(record) for record in containers.iter_all()}
    objects = _objects(call)
    client = call.exchange.connection.client.fileno()
    containers.path.mkdir(mode=0o700, exist_ok=True)
    with Watch([containers.path]) as watch, call.exchange.stream() as body:
        watched: set[str] = set()
        _watch_all(watch, containers, watched)
        if since:
            for event in sorted(_past(before), key=lambda event: event["timeNano"]):
                if since <= event["timeNano"] <= (until or time.time_ns()) and _fits(event, filters):
                    body.send(event)
        while not until or time.time_ns() < until:
            left = None if not until else max(0.0, (until - time.time_ns()) / 1e9)
            ready = watch.wait(1.0 if left is None else min(left, 1.0), also=[client])
            if ready and call.exchange.client_left():
                return
            _watch_all(watch, containers, watched)
            after = {record.id: _seen(record) for record in containers.iter_all()}
            others = _objects(call)
            for event in (*_between(before, after), *_object_events(objects, others)):
                if _fits(event, filters):
                    body.send(event)
            before, objects = after, others


def _watch_all(watch: Watch, containers: Containers, watched: set[str]) -> None:
    for name in os.listdir(containers.path):
        if len(name) == 64 and name not in watched:
            watched.add(name)
            watch.add_states(containers.path / name)


def _seen(record: ContainerRecord) -> Seen:
    config = record.config
    return Seen(record.name, config.image, config.labels, config.created_ns, record.state())


def _event(kind: str, action: str, identity: str, attributes: dict[str, str], time_ns: int) -> dict[str, Any]:
    old = {"status": action, "id": identity, "from": attributes.get("image", "")} if kind == "container" else {}
    return {
        **old,
        "Type": kind,
        "Action": action,
        "Actor": {"ID": identity, "Attributes": attributes},
        "scope": "local",
        "time": time_ns // 10**9,
        "timeNano": time_ns,
    }


def _of(identity: str, seen: Seen, action: str, time_ns: int, **more: str) -> dict[str, Any]:
    return _event(
        "container", action, identity, {**seen.labels, "image": seen.image, "name": seen.name, **more}, time_ns
    )


def _past(now: dict[str, Seen]) -> Iterator[dict[str, Any]]:
    for identity, seen in now.items():
        yield _of(identity, seen, "create", seen.created_ns)
        yield from _of_state(identity, seen, ContainerState())


def _of_state(identity: str, seen: Seen, before: ContainerState) -> Iterator[dict[str, Any]]:
    state = seen.state
    if state.started_ns and state.started_ns != before.started_ns:
        yield _of(identity, seen, "start", state.started_ns)
    if state.finished_ns and state.finished_ns != before.finished_ns:
        code = str(state.exit_code or 0)
        lasted = str(max(0, state.finished_ns - state.started_ns) // 10**9)
        yield _of(identity, seen, "die", state.finished_ns, exitCode=code, execDuration=lasted)


def _between(before: dict[str, Seen], after: dict[str, Seen]) -> list[dict[str, Any]]:
    now = time.time_ns()
    found: list[dict[str, Any]] = []
    for identity, seen in after.items():
        earlier = before.get(identity)
        if earlier is None:
            found.append(_of(identity, seen, "create", seen.created_ns))
        elif earlier.name != seen.name:
            found.append(_of(identity, seen, "rename", now, oldName=f"/{earlier.name}"))
        found += _of_state(identity, seen, earlier.state if earlier else ContainerState())
    for identity, seen in before.items():
        if identity not in after:
            if seen.state.started_ns and not seen.state.finished_ns:
                found.append(_of(identity, seen, "die", now, exitCode=str(seen.state.exit_code or 0)))
            found.append(_of(identity, seen, "destroy", now))
    return sorted(found, key=lambda event: int(event["timeNano"]))


def _objects(call: Call) -> dict[tuple[str, str], dict[str, str]]:
    """Return the volumes and networks: (kind, ID) and attributes."""
    found = {("volume", volume.name): {"driver": "local"} for volume in Volumes(call.root).iter_all()}
    for network in iter_networks(call.root):
        found["network", network.id] = {"name": network.name, "type": network.driver}
    return found


def _object_events(
    before: dict[tuple[str, str], dict[str, str]], after: dict[tuple[str, str], dict[str, str]]
) -> Iterator[dict[str, Any]]:
    now = time.time_ns()
    for kind, identity in after.keys() - before.keys():
        yield _event(kind, "create", identity, after[kind, identity], now)
    for kind, identity in before.keys() - after.keys():
        yield _event(kind, "destroy", identity, before[kind, identity], now)


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
    if "image" in filters and not any(attributes.get("image", "").startswith(text) for text in filters["image"]):
        return False
    for name in ("container", "volume", "network"):
        wanted = filters.get(name)
        if wanted and not (kind == name and any(_names(actor, text) for text in wanted)):
            return False
    return True


def _names(actor: dict[str, Any], text: str) -> bool:
    return bool(actor["ID"] == text or actor["ID"].startswith(text) or actor["Attributes"].get("name") == text)
