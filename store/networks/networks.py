"""Networks as records: `networks/<id>.json` in the store (docs/format.md §14). Naming, not isolation.

`bridge`, `host` and `none` exist without a record. Containers in these use the network of the machine.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from rootlay.store.containers.record import PREDEFINED_IDS
from rootlay.store.disk.durable import replace_file
from rootlay.store.disk.eventlog import append_event
from rootlay.store.disk.smallfile import read_small
from rootlay.store.model.errors import RootlayError
from rootlay.store.model.value import field, value

_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]*")


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

    @property
    def internal(self) -> bool:
        """Whether loopback in its containers never is the machine's."""
        return bool(self.settings.get("Internal"))


PREDEFINED = {name: Network(identity, name, driver) for name, (identity, driver) in PREDEFINED_IDS.items()}


def networks_directory(root: Path) -> Path:
    """Return the directory of the records, which may be missing."""
    return root / "networks"


def iter_networks(root: Path) -> Iterator[Network]:
    """Yield all networks, the predefined ones first."""
    yield from PREDEFINED.values()
    directory = networks_directory(root)
    with contextlib.suppress(FileNotFoundError):
        for name in sorted(os.listdir(directory)):
            with contextlib.suppress(FileNotFoundError):
                if name.endswith(".json"):
                    yield Network(**json.loads(read_small(directory / name)))


def note_network(root: Path, network: Network, action: str, **more: str) -> None:
    """Add an event of a network to the log."""
    append_event(root, "network", action, network.id, {"name": network.name, "type": network.driver, **more})


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
    networks_directory(root).mkdir(mode=0o700, exist_ok=True)
    data = {each: getattr(network, each) for each in ("id", "name", "driver", "created_ns", "labels", "settings")}
    replace_file(networks_directory(root) / f"{network.id}.json", json.dumps(data).encode(), durable=True)
    note_network(root, network, "create")
    return network
