"""Addresses of containers: blocks of stores, and the addresses in them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from rootlay.store.containers.containers import Containers
from rootlay.store.containers.record import ContainerConfig, ContainerRecord
from rootlay.store.networks import addresses
from rootlay.store.networks.addresses import blocks_of, free_address, leave_address, parse_address, take_address
from rootlay.store.networks.networks import NetworkRefused


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory for the links of blocks, in place of /tmp."""
    links = tmp_path / "links"
    links.mkdir()
    monkeypatch.setattr(addresses, "_PLACES", (str(links),))
    return links


def container(root: Path, name: str = "") -> ContainerRecord:
    (root / "networks").mkdir(parents=True, exist_ok=True)
    return Containers(root).create(ContainerConfig(id="", name=name, created_ns=0))


@pytest.fixture
def record(tmp_path: Path) -> ContainerRecord:
    return container(tmp_path / "store")


def test_an_address_is_kept_until_it_is_freed(record: ContainerRecord) -> None:
    address = take_address(record, "", fresh=True)
    assert record.address == address
    leave_address(record)
    assert record.address == ""
    assert take_address(container(record.root), "", fresh=True) != address
    assert take_address(record, "", fresh=True) == address
    free_address(record)
    assert take_address(container(record.root), "", fresh=True) == address


def test_the_address_of_a_container_that_was_deleted_is_free(record: ContainerRecord) -> None:
    address = take_address(record, "", fresh=True)
    (record.path / "config.json").unlink()
    assert take_address(container(record.root), "", fresh=True) == address


def test_a_table_is_kept_while_programs_run(record: ContainerRecord) -> None:
    path = addresses.addresses_directory(record.root) / take_address(record, "", fresh=True)
    before = path.stat()
    assert before.st_size == addresses.TABLE_OFFSET + addresses.TABLE_BYTES
    assert before.st_blocks * 512 <= 8192
    take_address(record, "", fresh=False)
    assert path.stat().st_ino == before.st_ino
    take_address(record, "", fresh=True)
    assert path.stat().st_ino != before.st_ino


def test_a_block_that_another_store_has_is_not_used(tmp_path: Path, place: Path) -> None:
    first = container(tmp_path / "one")
    take_address(first, "", fresh=True)
    [block] = blocks_of(first.root)
    free_address(first)
    assert list(place.iterdir()) == []
    (tmp_path / "other").mkdir()
    (place / f".rl-127.{block}").symlink_to(tmp_path / "other")
    take_address(first, "", fresh=True)
    assert block not in blocks_of(first.root)
    free_address(first)
    (tmp_path / "other").rmdir()  # the other store was deleted
    take_address(first, "", fresh=True)
    assert blocks_of(first.root) == [block]


def test_a_full_block_is_followed_by_another(record: ContainerRecord) -> None:
    address = take_address(record, "", fresh=True)
    directory = addresses.addresses_directory(record.root)
    for number in range(2, 255):
        other = directory / f"{address.rpartition('.')[0]}.{number}"
        if not other.exists():
            os.link(directory / address, other)
    assert take_address(container(record.root), "", fresh=True).rpartition(".")[0] != address.rpartition(".")[0]
    assert len(blocks_of(record.root)) == 2


@pytest.mark.parametrize(
    "text", ["", "127.1.2.3", "127.64.0.1", "127.64.0.255", "127.128.0.5", "10.0.0.5", "1.2.3", "127.64.0.x"]
)
def test_addresses_that_containers_cannot_have(text: str) -> None:
    with pytest.raises(NetworkRefused):
        parse_address(text)


def test_a_chosen_address_is_had_once(record: ContainerRecord) -> None:
    assert take_address(record, parse_address("127.99.4.5"), fresh=True) == "127.99.4.5"
    with pytest.raises(NetworkRefused, match="already in use"):
        take_address(container(record.root), "127.99.4.5", fresh=True)
