"""`network connect` and `disconnect` for a container whose programs run: effective at once.

Rules:
1. The engine maps the launch file of its session, so an address that is written into it holds for all its programs at
   once. What they bind from now on goes there; sockets that they have bound already stay where they are, on the
   machine's network, and are found there by the table of the address.
2. A session that is opened meanwhile reads the address after it has written its launch file (vfs.run.session).
3. A disconnected container keeps its address until its programs have ended: they have bound it. Only the names go.
"""

from __future__ import annotations

import contextlib
import os
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rootlay.store.containers.containers import Containers
from rootlay.store.containers.record import ContainerRecord
from rootlay.store.containers.request import read_request
from rootlay.store.networks import members
from rootlay.store.networks.addresses import locked, take_address_late
from rootlay.store.networks.members import refresh_names, user_networks, wanted_address
from rootlay.store.networks.networks import Network, NetworkRefused
from rootlay.vfs.run.boundports import Bound, iter_bound
from rootlay.vfs.run.containerlaunch import address_in, flags_of_address, gateway_in
from rootlay.vfs.run.launch import write_address
from rootlay.vfs.run.ports import parse_ports
from rootlay.vfs.run.processes import iter_guests

_ENTRY = struct.Struct("<BBHH2x4s")
_PORTS = 65536
_ANY, _LOOPBACK, _DUAL, _PUBLISHED = 1, 2, 4, 0x80  # RL_FORM_*
_MACHINE, _LOOPBACK_SIX = bytes((127, 0, 0, 1)), bytes(15) + b"\1"


def connect(root: Path, record: ContainerRecord, network: Network, endpoint: Mapping[str, Any]) -> None:
    """Put a container into a network: its programs have its address and names at once.

    Raises:
        NetworkRefused: it is in it already, cannot be in it, or the address is not possible.
    """
    wanted = wanted_address({network.name: endpoint})
    if wanted and record.address not in ("", wanted):
        raise NetworkRefused(
            wanted, f"container {record.name} has the address {record.address} while it runs: stop it first, or leave "
            "out --ip",
        )  # fmt: skip
    members.connect(root, record, network, endpoint)
    if record.address or not user_networks(read_request(record)) or not _sessions([record]):
        return
    guests = list(iter_guests(record.real_path))
    if not guests:
        return
    try:
        with locked(root):
            take_address_late(record, wanted, _table(record, guests))
    except NetworkRefused:
        members.disconnect(root, record, network)
        raise
    except OSError:  # no hard links: it has the names now, and the address from its next start on
        return
    _tell_sessions(record)
    refresh_names(root)


def _tell_sessions(record: ContainerRecord) -> None:
    address = address_in(record)
    containers = Containers(record.root)
    running = containers.iter_of(containers.maybe_running()[0])
    guests = [other for other in running if other.id != record.id and other.network_owner == record.id]
    for path in _sessions([record, *guests]):
        with contextlib.suppress(FileNotFoundError):  # it has ended
            fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
            try:
                write_address(fd, address, gateway_in(address), flags_of_address(record))
            finally:
                os.close(fd)


def _sessions(records: list[ContainerRecord]) -> list[Path]:
    return [path for record in records for path in record.path.glob("launch-*")]


# ---- the ports that are bound already ------------------------------------------------------------------


def _table(record: ContainerRecord, guests: list[int]) -> dict[int, bytes]:
    """Return the entries of the ports that programs have bound, by their offsets in the table."""
    published = {(port.protocol, port.outside): port for port in parse_ports(record.config.ports)}
    entries: dict[int, list[Any]] = {}

    def entry(protocol: str, port: int) -> list[Any]:
        offset = (port + (_PORTS if protocol == "udp" else 0)) * _ENTRY.size
        return entries.setdefault(offset, [0, 0, 0, 0, bytes(4)])

    for bound in iter_bound(guests):
        port = published.get((bound.protocol, bound.port))
        found = entry(bound.protocol, port.inside if port else bound.port)
        if not _fill(found, bound, bool(port)):
            continue
        if port and port.inside != bound.port:
            entry(bound.protocol, bound.port)[3] = port.inside
    return {offset: _ENTRY.pack(*found) for offset, found in entries.items()}


def _fill(found: list[Any], bound: Bound, published: bool) -> bool:
    """Fill an entry. Return whether other programs of the container find the port by it."""
    if bound.address == bytes(16):
        found[0] = _DUAL | _PUBLISHED
    elif bound.address == _LOOPBACK_SIX and not published:
        found[1] = _LOOPBACK | _PUBLISHED
    elif bound.address == bytes(4):
        found[0] = _ANY | _PUBLISHED
    elif published and len(bound.address) == 4:
        found[0], found[4] = _ANY | _PUBLISHED, bound.address
    elif bound.address == _MACHINE:
        found[0], found[4] = _LOOPBACK | _PUBLISHED, _MACHINE
    else:
        return False
    found[2] = bound.port
    return True
