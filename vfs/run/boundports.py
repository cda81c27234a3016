"""The ports that processes have bound, as the kernel lists them: TCP sockets that listen, and UDP sockets."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator

from rootlay.store.model.value import value

_TABLES = (("tcp", "tcp", b"0A"), ("tcp6", "tcp", b"0A"), ("udp", "udp", b"07"), ("udp6", "udp", b"07"))
_MAPPED = bytes(10) + b"\xff\xff"


@value
class Bound:
    """A bound port. `address` has 4 or 16 bytes; an IPv4 address in IPv6 counts as IPv4."""

    protocol: str
    address: bytes
    port: int


def iter_bound(pids: Iterable[int]) -> Iterator[Bound]:
    """Yield the ports that processes have bound, in the order of the kernel's tables (proc_net_tcp.rst)."""
    sockets = {inode for pid in pids for inode in _sockets(pid)}
    for name, protocol, state in _TABLES:
        with contextlib.suppress(FileNotFoundError), open(f"/proc/net/{name}", "rb") as table:
            for line in table:
                words = line.split()
                if len(words) > 9 and words[3] == state and words[9] in sockets:
                    address, _, port = words[1].partition(b":")
                    yield Bound(protocol, _address(bytes.fromhex(address.decode())), int(port, 16))


def _sockets(pid: int) -> Iterator[bytes]:
    """Yield the inodes of the sockets of a process, in decimal."""
    directory = f"/proc/{pid}/fd"
    with contextlib.suppress(OSError):  # it has ended, or cannot be seen
        for fd in os.listdir(directory):
            with contextlib.suppress(OSError):
                target = os.readlink(os.fsencode(f"{directory}/{fd}"))
                if target.startswith(b"socket:["):
                    yield target[8:-1]


def _address(words: bytes) -> bytes:
    """Return the bytes of an address that the kernel prints in words of its own byte order (little-endian)."""
    found = b"".join(words[at : at + 4][::-1] for at in range(0, len(words), 4))
    return found[12:] if found.startswith(_MAPPED) else found
