"""The request that a container was created with: `docker.json` in its directory (docs/format.md §9).

It has the parts of Docker's JSON that the container record does not have, as the client gave them: so they can be
inspected. Where both have a value, the record's is the one that counts.
"""

from __future__ import annotations

import json
from typing import Any

from rootlay.store.containers.record import ContainerRecord
from rootlay.store.disk.durable import replace_file
from rootlay.store.disk.smallfile import read_small
from rootlay.store.model.value import field, value

REQUEST_FILE = "docker.json"


@value
class Request:
    """`config`, `host` and `networks` are Docker's Config, HostConfig and NetworkSettings.Networks."""

    config: dict[str, Any] = field(default_factory=dict)
    host: dict[str, Any] = field(default_factory=dict)
    networks: dict[str, Any] = field(default_factory=dict)


def read_request(record: ContainerRecord) -> Request:
    """Return the request of a container; an empty one if another face made it."""
    try:
        found = json.loads(read_small(record.path / REQUEST_FILE))
    except FileNotFoundError:
        return Request()
    return Request(found.get("Config") or {}, found.get("HostConfig") or {}, found.get("Networks") or {})


def networks_of(record: ContainerRecord, request: Request) -> dict[str, Any]:
    """Return the endpoints of a container by network: those of its request, or of its network mode."""
    if request.networks or not record.own_network:
        return request.networks
    return {record.own_network: {}}


def write_request(record: ContainerRecord, request: Request) -> None:
    """Replace the request of a container. Atomic."""
    data = {"Config": request.config, "HostConfig": request.host, "Networks": request.networks}
    replace_file(record.path / REQUEST_FILE, json.dumps(data).encode())
