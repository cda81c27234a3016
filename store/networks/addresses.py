"""Addresses of containers in 127.64.0.0/10, one for each container in a user-defined network (docs/format.md §14).

Rules:
1. A store takes its addresses from blocks of 256. A symbolic link `.rl-127.A.B` in /tmp, which leads to the store,
   reserves a block for it on this machine; `networks/blocks` lists the blocks. The first choice is a hash of the user
   and the store, so that the links matter only if two hashes are equal.
2. The file `networks/addresses/ADDRESS` gives an address to the container whose ID it has. It also has the table by
   which engines find the ports of each other's containers. An address is free if there is no file, or no container of
   that ID.
3. `address` in a container's directory names the address of its running programs; after them it is `address.left`.
4. If programs ran before the container got its address, the file of the address is a hard link of the container's
   `lock`: their confinement allows that file. `address.late` says so.
5. All changes are made under `networks/lock`.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from rootlay.store.containers.record import ContainerRecord
from rootlay.store.disk.durable import replace_file
from rootlay.store.disk.lock import FileLock, acquire
from rootlay.store.disk.smallfile import read_small
from rootlay.store.networks.networks import NetworkRefused, networks_directory

ADDRESS_FILE = "address"
LEFT_FILE = "address.left"
LATE_FILE = "address.late"
MAGIC = b"RLADDR01"
ID_OFFSET = 64
TABLE_OFFSET = 4096
TABLE_BYTES = 2 * 65536 * 12
_PLACES = ("/tmp", "/dev/shm")
_BLOCKS = 64 * 256
_FIRST, _LAST = 2, 254  # of a block: 1 is the gateway


def locked(root: Path) -> FileLock:
    """Wait for the lock of all addresses and names of a store."""
    networks_directory(root).mkdir(mode=0o700, exist_ok=True)
    return acquire(networks_directory(root) / "lock")


def addresses_directory(root: Path) -> Path:
    """Return the directory of the files of addresses."""
    return networks_directory(root) / "addresses"


def gateway_of(address: str) -> str:
    """Return the address by which the programs of a container with `address` reach the machine's 127.0.0.1."""
    return address.rpartition(".")[0] + ".1"


def parse_address(text: str) -> str:
    """Check an address that a user chooses for a container. Raises NetworkRefused."""
    parts = text.split(".")
    numbers = [int(part) for part in parts if part.isdecimal() and part.isascii() and len(part) <= 3]
    if len(parts) != 4 or len(numbers) != 4 or max(numbers) > 255:
        raise NetworkRefused(text, f"invalid IPv4 address: {text}")
    if numbers[0] != 127 or not 64 <= numbers[1] <= 127 or not _FIRST <= numbers[3] <= _LAST:
        raise NetworkRefused(
            text,
            f"invalid address {text}: containers have addresses in 127.64.0.0/10 (last number {_FIRST} to {_LAST}), "
            "the only ones that a user without privileges can add; leave it out, and use names",
        )
    return ".".join(map(str, numbers))


def take_address(record: ContainerRecord, wanted: str, *, fresh: bool) -> str:
    """Give the container an address, write its `address` file, and return it. The caller holds the lock. Idempotent.

    Args:
        wanted: the address; empty: the one it had before, or any.
        fresh: no program of the container runs: the table starts empty.

    Raises:
        NetworkRefused: another container has the wanted address, or there is no free one.
    """
    directory = addresses_directory(record.root)
    directory.mkdir(mode=0o700, exist_ok=True)
    if wanted and not _is_free(record, wanted):
        raise NetworkRefused(wanted, f"address {wanted} is already in use by another container")
    address = wanted or _former(record) or _choose(record)
    if fresh or _owner(directory / address) != record.id:
        _write_table(directory / address, record.id)
    if fresh:
        (record.path / LATE_FILE).unlink(missing_ok=True)
    replace_file(record.path / ADDRESS_FILE, address.encode())
    return address


def take_address_late(record: ContainerRecord, wanted: str, ports: Mapping[int, bytes]) -> str:
    """Give a container whose programs run an address, write its files, and return it. The caller holds the lock.

    Args:
        wanted: the address; empty: the one it had before, or any.
        ports: entries of the table by their offset in it: the ports that programs have bound already.

    Raises:
        NetworkRefused: another container has the wanted address, or there is no free one.
        OSError: no hard link is possible.
    """
    directory = addresses_directory(record.root)
    directory.mkdir(mode=0o700, exist_ok=True)
    if wanted and not _is_free(record, wanted):
        raise NetworkRefused(wanted, f"address {wanted} is already in use by another container")
    address = wanted or _former(record) or _choose(record)
    fd = os.open(record.lock, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        os.ftruncate(fd, 0)
        _fill_table(fd, record.id)
        for offset, entry in ports.items():
            os.pwrite(fd, entry, TABLE_OFFSET + offset)
    finally:
        os.close(fd)
    temporary = directory / _temporary_name(address)
    os.link(record.lock, temporary)
    os.rename(temporary, directory / address)
    temporary.unlink(missing_ok=True)  # if the address has this file already, the kernel renames nothing
    (record.path / LATE_FILE).touch(0o600)
    replace_file(record.path / ADDRESS_FILE, address.encode())
    return address


def is_late(record: ContainerRecord) -> bool:
    """Return whether programs of a container, or of the one whose network it uses, ran before it got its address."""
    return (record.path.parent / record.network_owner / LATE_FILE).exists()


def _former(record: ContainerRecord) -> str:
    for name in (ADDRESS_FILE, LEFT_FILE):
        with contextlib.suppress(FileNotFoundError):
            address = read_small(record.path / name).decode()
            if _owner(addresses_directory(record.root) / address) == record.id:
                return address
    return ""


def leave_address(record: ContainerRecord) -> None:
    """Note that no program of the container uses its address any more. It keeps it. Idempotent."""
    with contextlib.suppress(FileNotFoundError):
        os.replace(record.path / ADDRESS_FILE, record.path / LEFT_FILE)
    (record.path / LATE_FILE).unlink(missing_ok=True)


def free_address(record: ContainerRecord) -> None:
    """Give back the address of a container that is removed, and the blocks with the last one. Idempotent."""
    directory = addresses_directory(record.root)
    address = _former(record)
    if address:
        (directory / address).unlink(missing_ok=True)
    with contextlib.suppress(FileNotFoundError):
        # The directory stays: the confinement of running programs names it.
        if not any(not name.startswith(".") for name in os.listdir(directory)):
            for block in blocks_of(record.root):
                _unreserve(record.root, block)
            (networks_directory(record.root) / "blocks").unlink(missing_ok=True)


def _write_table(path: Path, identity: str) -> None:
    """Make the file of an address, with an empty table: a sparse file."""
    temporary = path.with_name(_temporary_name(path.name))
    fd = os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600)
    try:
        _fill_table(fd, identity)
    finally:
        os.close(fd)
    os.replace(temporary, path)


def _temporary_name(address: str) -> str:
    return f".{address}.{os.getpid()}.{os.urandom(4).hex()}"


def _fill_table(fd: int, identity: str) -> None:
    os.write(fd, MAGIC.ljust(ID_OFFSET, b"\0") + identity.encode())
    os.ftruncate(fd, TABLE_OFFSET + TABLE_BYTES)


def address_owners(root: Path) -> set[str]:
    """Return the IDs of the containers that have addresses, running or not."""
    directory = addresses_directory(root)
    with contextlib.suppress(FileNotFoundError):
        return {_owner(directory / name) for name in os.listdir(directory) if not name.startswith(".")}
    return set()


def _owner(path: Path) -> str:
    """Return the ID of the container that has an address; empty if no file says so."""
    try:
        with open(path, "rb", buffering=0) as file:
            head = file.read(ID_OFFSET + 64)
    except (FileNotFoundError, NotADirectoryError):
        return ""
    return head[ID_OFFSET:].decode("ascii", "replace") if head.startswith(MAGIC) else ""


def _is_free(record: ContainerRecord, address: str) -> bool:
    owner = _owner(addresses_directory(record.root) / address)
    return owner in ("", record.id) or not (record.path.parent / owner / "config.json").exists()


def _choose(record: ContainerRecord) -> str:
    for block in _usable_blocks(record.root):
        for number in range(_FIRST, _LAST + 1):
            address = f"127.{block}.{number}"
            if _is_free(record, address):
                return address
    raise NetworkRefused("", "no free address in 127.64.0.0/10 for another container")


# ---- blocks: `A.B` of 127.A.B.0/24 -------------------------------------------------------------------


def blocks_of(root: Path) -> list[str]:
    """Return the blocks that the store has reserved."""
    try:
        return read_small(networks_directory(root) / "blocks").decode().split()
    except FileNotFoundError:
        return []


def _usable_blocks(root: Path) -> Iterator[str]:
    """Yield the blocks of the store; then new ones, which are recorded."""
    known = blocks_of(root)
    yield from (block for block in known if _reserve(root, block))
    for attempt in range(_BLOCKS):
        seed = f"{os.geteuid()} {os.path.realpath(root)} {attempt}".encode()
        number = int.from_bytes(hashlib.sha256(seed).digest()[:4], "big") % _BLOCKS
        block = f"{64 + number // 256}.{number % 256}"
        if block not in known and _reserve(root, block):
            known.append(block)
            replace_file(networks_directory(root) / "blocks", "\n".join(known).encode())
            yield block


def _links(block: str) -> Iterator[Path]:
    for place in _PLACES:
        if os.access(place, os.W_OK):
            yield Path(place, f".rl-127.{block}")


def _reserve(root: Path, block: str) -> bool:
    """Return whether the block is this store's. Without any place for links the hash alone decides."""
    target = os.path.realpath(root)
    for link in _links(block):
        with contextlib.suppress(OSError):
            if link.lstat().st_uid == os.geteuid() and not os.path.isdir(os.readlink(link)):
                link.unlink()  # of a store that was deleted
        with contextlib.suppress(FileExistsError):
            os.symlink(target, link)
        try:
            return link.lstat().st_uid == os.geteuid() and os.readlink(link) == target
        except OSError:
            return False
    return True


def _unreserve(root: Path, block: str) -> None:
    target = os.path.realpath(root)
    for link in _links(block):
        with contextlib.suppress(OSError):
            if link.lstat().st_uid == os.geteuid() and os.readlink(link) == target:
                link.unlink()
