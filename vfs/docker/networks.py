"""Networks and endpoints in Docker's JSON: Network and EndpointSettings of the Engine API 1.47."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rootlay.store.containers.record import ContainerRecord
from rootlay.store.networks.addresses import blocks_of, gateway_of
from rootlay.store.networks.members import LOOPBACK, iter_members, names_of
from rootlay.store.networks.networks import PREDEFINED, Network
from rootlay.vfs.docker.times import rfc3339_nano

_WHOLE = "127.64.0.0/10"


def network_json(network: Network, root: Path, *, members: bool = False) -> dict[str, Any]:
    """Return Docker's form of a network; with `members` the running containers in it, too."""
    ipam = network.settings.get("IPAM") or {}
    return {
        "Name": network.name,
        "Id": network.id,
        "Created": rfc3339_nano(network.created_ns),
        "Scope": "local",
        "Driver": network.driver,
        "EnableIPv4": True,
        "EnableIPv6": bool(network.settings.get("EnableIPv6")),
        "IPAM": {
            "Driver": ipam.get("Driver") or "default",
            "Options": ipam.get("Options"),
            "Config": ipam.get("Config") or _subnets(network, root),
        },
        "Internal": network.internal,
        "Attachable": bool(network.settings.get("Attachable")),
        "Ingress": False,
        "ConfigFrom": {"Network": ""},
        "ConfigOnly": False,
        "Containers": _members_json(root, network) if members else {},
        "Options": dict(network.settings.get("Options") or {}),
        "Labels": dict(network.labels),
    }


def _subnets(network: Network, root: Path) -> list[dict[str, str]]:
    """Return the addresses of a network's containers: those of the store."""
    if network.predefined:
        return []
    blocks = blocks_of(root)
    if not blocks:
        return [{"Subnet": _WHOLE}]
    return [{"Subnet": f"127.{block}.0/24", "Gateway": f"127.{block}.1"} for block in blocks]


def endpoint_json(
    record: ContainerRecord, network: Network, endpoint: Mapping[str, Any], running: bool
) -> dict[str, Any]:
    """Return Docker's EndpointSettings of a container in a network."""
    named = network.name not in PREDEFINED
    digest = hashlib.sha256(f"{record.id} {network.id}".encode()).hexdigest()
    there = running and network.name not in ("host", "none")
    address = (record.address if named else "") or LOOPBACK
    return {
        "IPAMConfig": endpoint.get("IPAMConfig"),
        "Links": endpoint.get("Links"),
        "Aliases": endpoint.get("Aliases"),
        "MacAddress": endpoint.get("MacAddress") or "",
        "DriverOpts": endpoint.get("DriverOpts"),
        "NetworkID": network.id,
        "EndpointID": digest if running else "",
        "Gateway": (LOOPBACK if address == LOOPBACK else gateway_of(address)) if there else "",
        "IPAddress": address if there else "",
        "IPPrefixLen": _prefix_of(address) if there else 0,
        "IPv6Gateway": "",
        "GlobalIPv6Address": "",
        "GlobalIPv6PrefixLen": 0,
        "DNSNames": sorted(names_of(record, endpoint)) if named else None,
    }


def _prefix_of(address: str) -> int:
    return 8 if address == LOOPBACK else 24


def _members_json(root: Path, network: Network) -> dict[str, Any]:
    from rootlay.vfs.run.status import is_running

    found = {}
    for record, _ in iter_members(root, network):
        if is_running(record):
            address = (record.address if not network.predefined else "") or LOOPBACK
            found[record.id] = {
                "Name": record.name,
                "EndpointID": hashlib.sha256(f"{record.id} {network.id}".encode()).hexdigest(),
                "MacAddress": "",
                "IPv4Address": f"{address}/{_prefix_of(address)}",
                "IPv6Address": "",
            }
    return found
