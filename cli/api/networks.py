"""`/networks`: records of networks (rootlay.store.networks.networks)."""

from __future__ import annotations

from typing import Any

from rootlay.cli.api.call import NO_CONTENT, Call, Reply
from rootlay.cli.api.errors import ApiError, bad_parameter
from rootlay.cli.api.filters import fits_labels, parse_filters, truth
from rootlay.cli.api.shapes import CONNECT, NETWORK
from rootlay.store.containers.containers import Containers
from rootlay.store.containers.request import read_request
from rootlay.store.networks.members import disconnect as disconnect_container
from rootlay.store.networks.members import iter_members
from rootlay.store.networks.networks import (
    PREDEFINED,
    Network,
    NetworkRefused,
    UnknownNetwork,
    create_network,
    find_network,
    iter_networks,
)
from rootlay.vfs.docker.networks import network_json
from rootlay.vfs.docker.times import parse_moment
from rootlay.vfs.lifecycle.connecting import connect as connect_container
from rootlay.vfs.lifecycle.networkremoval import remove_network, users_of

_FILTERS = frozenset("dangling driver id label label! name scope type".split())
_DRIVERS = ("bridge", "default", "")


def _network(call: Call) -> Network:
    try:
        return find_network(call.root, call.names["id"])
    except UnknownNetwork as error:
        raise ApiError(404, str(error)) from None


def list_networks(call: Call) -> list[dict[str, Any]]:
    """GET /networks"""
    filters = parse_filters(call.query["filters"], _FILTERS)
    return [network_json(network, call.root) for network in iter_networks(call.root) if _fits(call, network, filters)]


def _fits(call: Call, network: Network, filters: dict[str, list[str]]) -> bool:
    wanted = filters.get
    if wanted("name") and not any(text in network.name for text in filters["name"]):
        return False
    if wanted("id") and not any(network.id.startswith(text) for text in filters["id"]):
        return False
    if wanted("driver") and network.driver not in filters["driver"]:
        return False
    if wanted("scope") and "local" not in filters["scope"]:
        return False
    if wanted("type") and ("builtin" if network.predefined else "custom") not in filters["type"]:
        return False
    if wanted("dangling"):
        unused = not network.predefined and not any(iter_members(call.root, network))
        if unused != truth(filters, "dangling", default=False):
            return False
    return fits_labels(network.labels, filters)


def create(call: Call) -> Reply:
    """POST /networks/create"""
    body = call.exchange.json(NETWORK)
    name, driver = body.get("Name"), str(body.get("Driver") or "")
    if name in PREDEFINED:
        raise ApiError(403, f"operation is not permitted on predefined {name} network")
    if not isinstance(name, str) or not name:
        raise bad_parameter("invalid network name: it is empty")
    if driver not in _DRIVERS:
        raise ApiError(404, f'could not find a network driver "{driver}": rootlay has networks of the kind bridge only')
    settings = {key: body[key] for key in ("IPAM", "EnableIPv6", "Internal", "Attachable", "Options") if body.get(key)}
    try:
        network = create_network(call.root, name, "bridge", body.get("Labels") or {}, settings)
    except NetworkRefused as error:
        raise ApiError(409 if "already exists" in error.reason else 400, error.reason) from None
    return Reply(201, {"Id": network.id, "Warning": ""})


def inspect(call: Call) -> dict[str, Any]:
    """GET /networks/{id}"""
    return network_json(_network(call), call.root, members=True)


def remove(call: Call) -> Reply:
    """DELETE /networks/{id}"""
    try:
        remove_network(call.root, _network(call))
    except NetworkRefused as error:
        raise ApiError(403, error.reason) from None
    return NO_CONTENT


def connect(call: Call) -> Reply:
    """POST /networks/{id}/connect"""
    body = call.exchange.json(CONNECT)
    record = Containers(call.root).find(str(body.get("Container") or ""))
    network = _network(call)
    if record.config.network == "none":
        raise ApiError(
            403, "container cannot be connected to multiple networks with one of the networks in private (none) mode"
        )
    try:
        connect_container(call.root, record, network, body.get("EndpointConfig") or {})
    except NetworkRefused as error:
        raise ApiError(403, error.reason) from None
    return Reply(200)


def disconnect(call: Call) -> Reply:
    """POST /networks/{id}/disconnect"""
    body = call.exchange.json(CONNECT)
    record = Containers(call.root).find(str(body.get("Container") or ""))
    try:
        network = _network(call)
    except ApiError:
        if call.names["id"] not in read_request(record).networks:
            raise
        network = Network("", call.names["id"], "bridge")  # it was removed: the container can leave it
    try:
        disconnect_container(call.root, record, network)
    except NetworkRefused as error:
        raise ApiError(403, error.reason) from None
    return Reply(200)


def prune(call: Call) -> dict[str, Any]:
    """POST /networks/prune"""
    filters = parse_filters(call.query["filters"], frozenset({"until", "label", "label!"}))
    until = min((parse_moment(text) for text in filters.get("until", [])), default=0)
    removed = []
    for network in list(iter_networks(call.root)):
        if network.predefined or not fits_labels(network.labels, filters):
            continue
        if (until and network.created_ns > until) or users_of(call.root, network):
            continue
        remove_network(call.root, network)
        removed.append(network.name)
    return {"NetworksDeleted": removed or None}
