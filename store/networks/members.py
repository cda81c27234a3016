"""The containers of networks, and their names in each other's `hosts` files.

Rules:
1. Which containers are in a network is in their own records (rootlay.store.containers.request): the two never
   contradict.
2. A container with an address (rootlay.store.networks.addresses) is reached there; another running one, which uses the
   network of the machine, at the gateway.
3. The part of a `hosts` file between two marks is ours; programs and users may change the rest. The file is
   rewritten in place, by one write: programs may only open the file that was there when they started (Landlock).
4. `refresh_names` computes all names of a store under its lock: a start or an end that comes later is seen by that
   process itself.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from rootlay.store.containers.containers import Containers
from rootlay.store.containers.record import ContainerRecord
from rootlay.store.containers.request import Request, networks_of, read_request, write_request
from rootlay.store.disk.durable import rewrite_file
from rootlay.store.model.errors import RootlayError
from rootlay.store.model.oneword import check_word
from rootlay.store.model.value import replace, value
from rootlay.store.networks.addresses import (
    address_owners,
    addresses_directory,
    free_address,
    gateway_of,
    leave_address,
    locked,
    parse_address,
    take_address,
)
from rootlay.store.networks.networks import (
    PREDEFINED,
    Network,
    NetworkRefused,
    find_network,
    note_network,
)

LOOPBACK = "127.0.0.1"
_BEGIN, _END = b"# rootlay: names of the networks\n", b"# rootlay: end\n"


def user_networks(request: Request) -> list[str]:
    """Return the names of the user-defined networks of a container."""
    return [name for name in request.networks if name not in PREDEFINED]


def links_of(request: Request) -> list[tuple[str, str]]:
    """Return the links of a container: (container, alias)."""
    texts = list(request.host.get("Links") or ())
    for endpoint in request.networks.values():
        texts += (endpoint or {}).get("Links") or ()
    return [(text.partition(":")[0].lstrip("/"), (text.partition(":")[2] or text).lstrip("/")) for text in texts]


def iter_members(root: Path, network: Network) -> Iterator[tuple[ContainerRecord, dict[str, Any]]]:
    """Yield the containers of a network, with their settings in it."""
    for record in Containers(root).iter_all():
        for name, endpoint in read_request(record).networks.items():
            if name in (network.name, network.id):
                yield record, endpoint or {}


def connect(root: Path, record: ContainerRecord, network: Network, endpoint: Mapping[str, Any]) -> None:
    """Put a container into a network. Its running programs get no address by that (rootlay.vfs.lifecycle.connecting).

    Raises:
        NetworkRefused: it is in it already, cannot be in it, or the address is not possible.
        NotOneWord: an alias has a space or a line end.
    """
    check_endpoint(endpoint)
    request = read_request(record)
    if network.name in request.networks:
        raise NetworkRefused(network.name, f"endpoint with name {record.name} already exists in network {network.name}")
    if network.name in ("host", "none") or record.config.network != "host":
        raise NetworkRefused(
            network.name,
            f"container {record.name} cannot be connected to network {network.name}: the networks host and none, and "
            "the network of another container, are chosen when a container is made",
        )
    wanted_address({network.name: endpoint})
    write_request(record, replace(request, networks={**request.networks, network.name: dict(endpoint)}))
    refresh_names(root)
    note_network(root, network, "connect", container=record.id)


def disconnect(root: Path, record: ContainerRecord, network: Network) -> None:
    """Take a container out of a network. Raises NetworkRefused: it is not in it."""
    request = read_request(record)
    left = {name: found for name, found in request.networks.items() if name not in (network.name, network.id)}
    if len(left) == len(request.networks):
        raise NetworkRefused(network.name, f"container {record.id} is not connected to network {network.name}")
    write_request(record, replace(request, networks=left))
    refresh_names(root)
    note_network(root, network, "disconnect", container=record.id)


def wanted_address(endpoints: Mapping[str, Any]) -> str:
    """Return the address that a user has chosen for a container; empty without. Raises NetworkRefused."""
    for endpoint in endpoints.values():
        if text := ((endpoint or {}).get("IPAMConfig") or {}).get("IPv4Address"):
            return parse_address(text)
    return ""


def check_endpoint(endpoint: Mapping[str, Any]) -> None:
    """Check the names that an endpoint puts into `hosts` files. Raises NotOneWord."""
    for name in (endpoint or {}).get("Aliases") or ():
        check_word("network alias", name)
    for link in (endpoint or {}).get("Links") or ():
        check_word("link", link)


def enter(record: ContainerRecord, *, fresh: bool) -> None:
    """Give a container that is about to start its address, if it is in a user-defined network. See `take_address`.

    Raises:
        UnknownNetwork: a network was removed.
        NetworkRefused: its address is taken.
    """
    request = read_request(record)
    names = user_networks(request)
    for name in names:
        find_network(record.root, name)
    with locked(record.root):
        addresses_directory(record.root).mkdir(mode=0o700, exist_ok=True)  # programs may read it from the start
        if not names:
            if fresh:
                leave_address(record)
            return
        take_address(record, wanted_address(request.networks), fresh=fresh)


def networks_told(record: ContainerRecord) -> list[Network]:
    """Return the networks of a container whose events tell its start and end; without those that were removed."""
    found = []
    for name in networks_of(record, read_request(record)):
        with contextlib.suppress(RootlayError):
            found.append(find_network(record.root, name))
    return found


def is_internal(record: ContainerRecord) -> bool:
    """Return whether all user-defined networks of a container are internal ones."""
    found = []
    owner = Containers(record.root).find(record.network_owner)
    for name in user_networks(read_request(owner)):
        with contextlib.suppress(RootlayError):
            found.append(find_network(record.root, name).internal)
    return bool(found) and all(found)


def leave(record: ContainerRecord, *, removed: bool = False) -> None:
    """Take the names of a container whose programs have ended out of all `hosts` files; with `removed`, free its
    address, too. Idempotent."""
    with locked(record.root):
        if removed:
            free_address(record)
        leave_address(record)
        _write_all(record.root, without=record.id)


def rename_container(record: ContainerRecord, name: str) -> None:
    """Rename a container, also in the `hosts` files. Raises NameInUse, BadContainerName."""
    Containers(record.root).rename(record, name)
    if user_networks(read_request(record)):
        refresh_names(record.root)


def refresh_names(root: Path, starting: str = "") -> None:
    """Write all names of a store. `starting`: the ID of a container that counts as running."""
    with locked(root):
        _write_all(root, starting)


# ---- names ---------------------------------------------------------------------------------------------


@value
class _Member:
    """A container that has names or resolves some. `address` is empty if it uses the machine's."""

    record: ContainerRecord
    request: Request
    address: str


def knows_names(record: ContainerRecord) -> bool:
    """Return whether a container that starts may change the names of others, or has names of others itself."""
    request = read_request(record)
    return bool(user_networks(request) or links_of(request) or record.address or record.network_owner != record.id)


def _write_all(root: Path, starting: str = "", without: str = "") -> None:
    containers = Containers(root)
    known = containers.maybe_running()[0].union(address_owners(root), (starting,)) - {"", without}
    members = [_member(record) for record in containers.iter_of(known)]
    live = [each for each in members if each.address or each.record.id == starting or _has_started(each.record)]
    for member in live:
        _write_names(member, live)


def _member(record: ContainerRecord) -> _Member:
    return _Member(record, read_request(record), record.address)


def _has_started(record: ContainerRecord) -> bool:
    state = record.state()
    return bool(state.started_ns) and not state.finished_ns


def _write_names(member: _Member, live: list[_Member]) -> None:
    """Write the names that a container can resolve to its `hosts` file; one without a network has none."""
    path = member.record.path / "hosts"
    names = sorted(_names_for(member, live))
    try:
        before = path.read_bytes()
    except FileNotFoundError:
        if not (names and member.address):
            return
        before = Path("/etc/hosts").read_bytes() if Path("/etc/hosts").exists() else b""  # of the machine's own root
    head, _, rest = before.partition(_BEGIN)
    tail = rest.partition(_END)[2]
    lines = b"".join(f"{address}\t{name}\n".encode() for name, address in names)
    if (after := head + (_BEGIN + lines + _END if names else b"") + tail) != before:
        with contextlib.suppress(FileNotFoundError):  # the container is being removed
            rewrite_file(path, after, 0o644)


def _names_for(member: _Member, live: list[_Member]) -> set[tuple[str, str]]:
    own = set(user_networks(_request_of_network(member, live)))
    links = links_of(member.request)
    found: set[tuple[str, str]] = set()
    for other in live:
        address = other.address or (gateway_of(member.address) if member.address else LOOPBACK)
        for name in own.intersection(other.request.networks):
            found |= {(each, address) for each in names_of(other.record, other.request.networks[name] or {})}
        for target, alias in links:
            if target == other.record.name or other.record.id.startswith(target):
                found |= {(alias, address), (other.record.name, address)}
    return found


def _request_of_network(member: _Member, live: list[_Member]) -> Request:
    """Return the request of the container whose network this one uses."""
    owner = member.record.network_owner
    return next((each.request for each in live if each.record.id == owner), member.request)


def names_of(record: ContainerRecord, endpoint: Mapping[str, Any]) -> set[str]:
    """Return the names that a container has in a network: its name, its aliases, its short ID, its host name."""
    names = {record.name, record.id[:12], *(endpoint.get("Aliases") or ())}
    return {name for name in (*names, record.config.hostname) if name and not any(c.isspace() for c in name)}
