"""Removal of networks. As in Docker, only containers whose programs run keep one: others do not start without it."""

from __future__ import annotations

from pathlib import Path

from rootlay.store.containers.record import ContainerRecord
from rootlay.store.networks.members import iter_members
from rootlay.store.networks.networks import Network, NetworkRefused, networks_directory, note_network
from rootlay.vfs.run.processes import has_guests
from rootlay.vfs.run.status import is_restarting


def users_of(root: Path, network: Network) -> list[ContainerRecord]:
    """Return the containers that use a network now."""
    return [record for record, _ in iter_members(root, network) if _is_active(record)]


def _is_active(record: ContainerRecord) -> bool:
    state = record.state()
    return bool(state.elsewhere) or is_restarting(record, state) or has_guests(record.real_path)


def remove_network(root: Path, network: Network) -> None:
    """Remove a network. Raises NetworkRefused: it is predefined, or containers use it."""
    if network.predefined:
        raise NetworkRefused(network.name, f"{network.name} is a pre-defined network and cannot be removed")
    if users := users_of(root, network):
        raise NetworkRefused(
            network.name, f"error while removing network: network {network.name} id {network.id} has active endpoints: "
            f"{', '.join(record.name for record in users)}",
        )  # fmt: skip
    (networks_directory(root) / f"{network.id}.json").unlink(missing_ok=True)
    note_network(root, network, "destroy")
