"""Networks as records: `networks/<id>.json` in the store (docs/format.md §9). Naming, not isolation.

Rules:
1. `bridge`, `host` and `none` exist without a record. All containers share the network of the machine.
2. Which containers are in a network is in their own records (rootlay.vfs.docker.request): the two never contradict.
3. The names of a network's running containers, and their aliases, are in the `hosts` files of its members.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from rootlay.store.containers.containers import Containers
from rootlay.store.containers.record import ContainerRecord
from rootlay.store.disk.durable import replace_file
from rootlay.store.disk.eventlog import append_event
from rootlay.store.disk.smallfile import read_small
from rootlay.store.model.errors import RootlayError
from rootlay.store.model.value import field, replace, value
from rootlay.vfs.docker.request import Request, read_request, write_request
from rootlay.vfs.docker.times import rfc3339_nano

_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]*")
_ID = re.compile(r"[0-9a-f]{64}")
ADDRESS = "127.0.0.1"
_BEGIN, _END = b"# rootlay: names of the networks\n", b"# rootlay: end\n"


class UnknownNetwork(RootlayError):
    """No network of that name or ID."""

    def __init__(self, name: str) -> None:
        super().__init__(f"network {name} not found")
        self.name = name


class NetworkRefused(RootlayError):
    """A change of a network that is not possible."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(reason)
        self.name = name
        self.reason = reason


@value
class Network:
    """A network. `settings` are the rest of what the client gave, in Docker's form (IPAM, Options, Internal, …)."""

    id: str
    name: str
    driver: str
    created_ns: int = 0
    labels: Mapping[str, str] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)

    @property
    def predefined(self) -> bool:
        return self.name in PREDEFINED

    def to_json(self, root: Path | None = None) -> dict[str, Any]:
        """Return Docker's form; with the running containers in it if the store's `root` is given."""
        ipam = self.settings.get("IPAM") or {}
        return {
            "Name": self.name,
            "Id": self.id,
            "Created": rfc3339_nano(self.created_ns),
            "Scope": "local",
            "Driver": self.driver,
            "EnableIPv4": True,
            "EnableIPv6": bool(self.settings.get("EnableIPv6")),
            "IPAM": {
                "Driver": ipam.get("Driver") or "default",
                "Options": ipam.get("Options"),
                "Config": ipam.get("Config") or [],
            },
            "Internal": bool(self.settings.get("Internal")),
            "Attachable": bool(self.settings.get("Attachable")),
            "Ingress": False,
            "ConfigFrom": {"Network": ""},
            "ConfigOnly": False,
            "Containers": _members_json(root, self) if root is not None else {},
            "Options": dict(self.settings.get("Options") or {}),
            "Labels": dict(self.labels),
        }


def _predefined(name: str, driver: str) -> Network:
    return Network(hashlib.sha256(f"rootlay network {name}".encode()).hexdigest(), name, driver)


PREDEFINED = {
    "bridge": _predefined("bridge", "bridge"),
    "host": _predefined("host", "host"),
    "none": _predefined("none", "null"),
}


def _directory(root: Path) -> Path:
    return root / "networks"


def iter_networks(root: Path) -> Iterator[Network]:
    """Yield all networks, the predefined ones first."""
    yield from PREDEFINED.values()
    with contextlib.suppress(FileNotFoundError):
        for name in sorted(os.listdir(_directory(root))):
            with contextlib.suppress(FileNotFoundError):
                if name.endswith(".json"):
                    yield Network(**json.loads(read_small(_directory(root) / name)))


def find_network(root: Path, reference: str) -> Network:
    """Return a network by ID, name or beginning of an ID. Raises UnknownNetwork."""
    reference = "bridge" if reference == "default" else reference
    found = list(iter_networks(root))
    for matches in (
        [each for each in found if each.id == reference],
        [each for each in found if each.name == reference],
        [each for each in found if reference and each.id.startswith(reference)],
    ):
        if len(matches) == 1:
            return matches[0]
        if matches:
            raise NetworkRefused(reference, f"network {reference} is ambiguous ({len(matches)} matches found)")
    raise UnknownNetwork(reference)


def create_network(
    root: Path, name: str, driver: str, labels: Mapping[str, str], settings: Mapping[str, Any]
) -> Network:
    """Record a network. Raises NetworkRefused: the name is taken or invalid."""
    if not _NAME.fullmatch(name):
        raise NetworkRefused(name, f"invalid network name {name!r}: letters, digits, '_', '.' and '-'")
    if any(each.name == name for each in iter_networks(root)):
        raise NetworkRefused(name, f"network with name {name} already exists")
    network = Network(os.urandom(32).hex(), name, driver or "bridge", time.time_ns(), dict(labels), dict(settings))
    _directory(root).mkdir(mode=0o700, exist_ok=True)
    data = {each: getattr(network, each) for each in ("id", "name", "driver", "created_ns", "labels", "settings")}
    replace_file(_directory(root) / f"{network.id}.json", json.dumps(data).encode(), durable=True)
    _note(root, network, "create")
    return network


def remove_network(root: Path, network: Network) -> None:
    """Remove a network. Raises NetworkRefused: it is predefined, or containers use it."""
    if network.predefined:
        raise NetworkRefused(network.name, f"{network.name} is a pre-defined network and cannot be removed")
    if users := [record.name for record, _ in iter_members(root, network)]:
        raise NetworkRefused(
            network.name, f"error while removing network: network {network.name} id {network.id} has active endpoints: "
            f"{', '.join(users)}",
        )  # fmt: skip
    (_directory(root) / f"{network.id}.json").unlink(missing_ok=True)
    _note(root, network, "destroy")


def _note(root: Path, network: Network, action: str, **more: str) -> None:
    append_event(root, "network", action, network.id, {"name": network.name, "type": network.driver, **more})


def iter_members(root: Path, network: Network) -> Iterator[tuple[ContainerRecord, dict[str, Any]]]:
    """Yield the containers of a network, with their settings in it."""
    for record in Containers(root).iter_all():
        for name, endpoint in read_request(record).networks.items():
            if name in (network.name, network.id):
                yield record, endpoint or {}


def connect(root: Path, record: ContainerRecord, network: Network, endpoint: Mapping[str, Any]) -> None:
    """Put a container into a network. Raises NetworkRefused: it is in it already."""
    request = read_request(record)
    if network.name in request.networks:
        raise NetworkRefused(network.name, f"endpoint with name {record.name} already exists in network {network.name}")
    write_request(record, replace(request, networks={**request.networks, network.name: dict(endpoint)}))
    name_members(root, network)
    _note(root, network, "connect", container=record.id)


def disconnect(root: Path, record: ContainerRecord, network: Network) -> None:
    """Take a container out of a network. Raises NetworkRefused: it is not in it."""
    request = read_request(record)
    left = {name: found for name, found in request.networks.items() if name not in (network.name, network.id)}
    if len(left) == len(request.networks):
        raise NetworkRefused(network.name, f"container {record.id} is not connected to network {network.name}")
    write_request(record, replace(request, networks=left))
    name_members(root, network)
    write_names(root, record)
    _note(root, network, "disconnect", container=record.id)


def name_members(root: Path, network: Network) -> None:
    """Write the names of a network's containers to the `hosts` files of all of them, by rule 3."""
    for record, _ in iter_members(root, network):
        write_names(root, record)


def write_names(root: Path, record: ContainerRecord) -> None:
    """Write the names that a container can resolve to its `hosts` file, if it has one already."""
    path = record.path / "hosts"
    try:
        before = path.read_bytes()
    except FileNotFoundError:
        return
    names = sorted(_names_for(root, record))
    head, _, rest = before.partition(_BEGIN)
    tail = rest.partition(_END)[2]
    block = _BEGIN + b"".join(f"{ADDRESS}\t{name}\n".encode() for name in names) + _END if names else b""
    if (after := head + block + tail) != before:
        replace_file(path, after, 0o644)


def _names_for(root: Path, record: ContainerRecord) -> set[str]:
    found: set[str] = set()
    request = read_request(record)
    own = {name for name in request.networks if name not in ("host", "none")}
    for entry in request.host.get("ExtraHosts") or ():
        name, _, address = entry.partition(":") if "=" not in entry else entry.partition("=")
        if address == "host-gateway":
            found.add(name)
    for other in Containers(root).iter_all():
        for name, endpoint in read_request(other).networks.items():
            if name in own and name != "bridge":
                found |= names_of(other, endpoint or {})
    return found


def names_of(record: ContainerRecord, endpoint: Mapping[str, Any]) -> set[str]:
    """Return the names that a container has in a network: its name, its aliases, its short ID, its host name."""
    names = {record.name, record.id[:12], *(endpoint.get("Aliases") or ())}
    return {name for name in (*names, record.config.hostname) if name and not any(c.isspace() for c in name)}


def endpoint_json(
    record: ContainerRecord, network: Network, endpoint: Mapping[str, Any], running: bool
) -> dict[str, Any]:
    """Return Docker's EndpointSettings of a container in a network."""
    named = network.name not in PREDEFINED
    digest = hashlib.sha256(f"{record.id} {network.id}".encode()).hexdigest()
    there = running and network.name not in ("host", "none")
    return {
        "IPAMConfig": endpoint.get("IPAMConfig"),
        "Links": endpoint.get("Links"),
        "Aliases": endpoint.get("Aliases"),
        "MacAddress": endpoint.get("MacAddress") or "",
        "DriverOpts": endpoint.get("DriverOpts"),
        "NetworkID": network.id,
        "EndpointID": digest if running else "",
        "Gateway": ADDRESS if there else "",
        "IPAddress": ADDRESS if there else "",
        "IPPrefixLen": 8 if there else 0,
        "IPv6Gateway": "",
        "GlobalIPv6Address": "",
        "GlobalIPv6PrefixLen": 0,
        "DNSNames": sorted(names_of(record, endpoint)) if named else None,
    }


def _members_json(root: Path, network: Network) -> dict[str, Any]:
    from rootlay.vfs.run.status import is_running

    return {
        record.id: {
            "Name": record.name,
            "EndpointID": hashlib.sha256(f"{record.id} {network.id}".encode()).hexdigest(),
            "MacAddress": "",
            "IPv4Address": f"{ADDRESS}/8",
            "IPv6Address": "",
        }
        for record, _ in iter_members(root, network)
        if is_running(record)
    }


def networks_of(record: ContainerRecord, request: Request) -> dict[str, Any]:
    """Return the endpoints of a container by network: those of its request, or of its network mode."""
    if request.networks:
        return request.networks
    return {"none": {}} if record.config.network == "none" else {"bridge": {}}
