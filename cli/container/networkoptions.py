"""The options that put a new container into networks: --network, --network-alias, --ip, --link."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rootlay.cli.spec import UsageError, Values
from rootlay.store.containers.containers import Containers
from rootlay.store.networks.members import wanted_address
from rootlay.store.networks.networks import PREDEFINED, NetworkRefused, find_network

_LONG = "name=NETWORK[,alias=NAME][,ip=ADDRESS]"


def networks_of(values: Values, root: Path) -> tuple[str, dict[str, dict[str, Any]]]:
    """Return the network of the container record, and Docker's endpoints by the names of networks.

    Raises:
        UsageError: options that conflict, or a malformed one.
        UnknownNetwork, UnknownContainer: a network, or the other container, does not exist.
    """
    found: dict[str, dict[str, Any]] = {}
    mode = ""
    for text in values.many("network"):
        name, endpoint = _parse(text)
        if name in ("host", "none") or name.startswith("container:"):
            mode = name
        else:
            name = find_network(root, name).name
        if name in found:
            raise UsageError(f"--network {name}: given twice")
        found[name] = endpoint
    if mode and len(found) > 1:
        raise UsageError(f"--network {mode} conflicts with further networks: name it alone")
    _add_own(values, found, root)
    if mode:
        if any(found.values()):
            raise UsageError(f"--network {mode} takes no addresses, names and links: name a user-defined network")
        return _mode(values, mode, root), {mode: {}} if mode == "host" else {}
    try:
        wanted_address(found)
    except NetworkRefused as error:
        raise UsageError(f"--ip: {error}") from None
    return "host", found if any(found.values()) or any(name not in PREDEFINED for name in found) else {}


def _mode(values: Values, mode: str, root: Path) -> str:
    if not mode.startswith("container:"):
        return mode
    if values.many("publish"):
        raise UsageError("-p conflicts with --network=container:…: publish the ports of that container")
    return f"container:{Containers(root).find(mode.partition(':')[2]).id}"


def _parse(text: str) -> tuple[str, dict[str, Any]]:
    """Parse NETWORK or name=NETWORK,… into a name and an endpoint. Raises UsageError."""
    if "=" not in text:
        return ("bridge" if text == "default" else text), {}
    name, endpoint = "", dict[str, Any]()
    for part in text.split(","):
        key, _, item = part.partition("=")
        if key == "name":
            name = item
        elif key == "alias":
            endpoint.setdefault("Aliases", []).append(item)
        elif key == "ip":
            endpoint["IPAMConfig"] = {"IPv4Address": item}
        elif key == "driver-opt":
            endpoint.setdefault("DriverOpts", {}).update([item.partition("=")[::2]])
        else:
            raise UsageError(f"--network {text[:80]}: {key}: expected {_LONG}")
    if not name:
        raise UsageError(f"--network {text[:80]}: no name: expected {_LONG}")
    return name, endpoint


def _add_own(values: Values, found: dict[str, dict[str, Any]], root: Path) -> None:
    """Add the options that apply to the first network."""
    if not values.has("link"):
        return
    aliases, links, address = values.many("network_alias"), values.many("link"), values.text("ip")
    first = next(iter(found), "bridge")
    for option, given in (("--network-alias", aliases), ("--ip", address)):
        if given and first in PREDEFINED:
            raise UsageError(f"{option} needs a user-defined network: rootlay network create, and --network NAME")
    for link in links:
        Containers(root).find(link.partition(":")[0])
    for key, items in (("Aliases", aliases), ("Links", links)):
        if items:
            found.setdefault(first, {}).setdefault(key, []).extend(items)
    if address:
        found[first]["IPAMConfig"] = {"IPv4Address": address}
