"""Published ports: `-p [ADDR:][HOST]:CTR[/tcp|/udp]`, with ranges, as Docker writes them.

Rules:
1. The user's options are parsed once, when the container is made, into single ports; the record keeps those.
2. A port without HOST, or with 0, gets a port of the machine that is free at that moment; a single one with a range of
   HOST the first of it that is free. It is not reserved until the program binds it.
3. This code runs at every `rootlay run`: heavy modules must not be imported here.
"""

from __future__ import annotations

from _socket import (  # the import of `socket` itself takes 3 ms
    AF_INET,
    AF_INET6,
    SO_REUSEADDR,
    SOCK_DGRAM,
    SOCK_STREAM,
    SOL_SOCKET,
    inet_pton,
    socket,
)
from collections.abc import Iterable, Iterator, Sequence

from rootlay.store.model.errors import RootlayError
from rootlay.store.model.value import value

PROTOCOLS = {"tcp": 6, "udp": 17}
MAX_PORT = 65535


@value
class Port:
    """One port: a program binds `inside` and gets `outside`. `address`: empty for every address."""

    inside: int
    outside: int
    protocol: str = "tcp"
    address: str = ""

    def __str__(self) -> str:
        where = f"[{self.address}]:" if ":" in self.address else f"{self.address}:" if self.address else ""
        return f"{where}{self.outside}:{self.inside}/{self.protocol}"

    def packed_address(self) -> bytes:
        """Return the address in 4 or 16 bytes; empty for every address."""
        if not self.address:
            return b""
        return inet_pton(AF_INET6 if ":" in self.address else AF_INET, self.address)


def parse_ports(texts: Sequence[str]) -> tuple[Port, ...]:
    """Parse all `-p` options of a container.

    Raises:
        ValueError: an option is not of that form, or a port inside is published twice.
    """
    ports = tuple(port for text in texts for port in _parse(text))
    seen = set()
    for port in ports:
        if (port.protocol, port.inside) in seen:
            raise ValueError(f"port {port.inside}/{port.protocol} inside is published twice")
        seen.add((port.protocol, port.inside))
    return ports


def _parse(text: str) -> Iterator[Port]:
    rest, slash, protocol = text.partition("/")
    protocol = protocol if slash else "tcp"
    if protocol not in PROTOCOLS:
        raise ValueError(f"{text}: the protocol must be tcp or udp")
    rest, _, inside_text = rest.rpartition(":")
    if rest.startswith("[") or rest.count(":") <= 1:
        address, _, outside_text = rest.rpartition(":")
    else:
        raise ValueError(f"{text}: expected [ADDR:]HOST:CTR; put an IPv6 address in brackets")
    address = address.removeprefix("[").removesuffix("]")
    inside = _range(inside_text, text)
    outside = _range(outside_text, text) if outside_text not in ("", "0") else None
    choice = outside if outside and len(outside) > 1 == len(inside) else None
    if outside is not None and choice is None and len(outside) != len(inside):
        raise ValueError(f"{text}: the two ranges differ in length")
    address = "" if address in ("0.0.0.0", "::") else address  # both mean every address
    try:
        Port(1, 1, protocol, address).packed_address()
    except (OSError, ValueError):
        raise ValueError(f"{text}: {address} is not an IP address") from None
    for index, port in enumerate(inside):
        fixed = outside[index] if outside and not choice else 0
        found = fixed or _free_port(protocol, address, choice or (0,))
        if not found:
            raise ValueError(f"{text}: no such port of this machine is free")
        yield Port(port, found, protocol, address)


class PortNotFree(RootlayError):
    """A port of the machine that a container publishes cannot be bound."""

    def __init__(self, port: Port, reason: str) -> None:
        super().__init__(f"-p {port}: port {port.outside}/{port.protocol} of this machine: {reason}")
        self.port = port
        self.reason = reason


def require_free(texts: Iterable[str]) -> None:
    """Raise PortNotFree if a published port cannot be bound now: later the program inside could not bind it."""
    for port in parse_ports(tuple(texts)):
        family = AF_INET6 if ":" in port.address else AF_INET
        probe = socket(family, SOCK_STREAM if port.protocol == "tcp" else SOCK_DGRAM)
        try:
            if port.protocol == "tcp":
                probe.setsockopt(SOL_SOCKET, SO_REUSEADDR, 1)  # connections that have ended do not matter
            probe.bind((port.address or "0.0.0.0", port.outside))
        except OSError as error:
            raise PortNotFree(port, (error.strerror or str(error)).lower()) from error
        finally:
            probe.close()


def _range(text: str, whole: str) -> range:
    first, dash, last = text.partition("-")
    last = last if dash else first
    if not (first.isascii() and first.isdigit() and last.isascii() and last.isdigit()):
        raise ValueError(f"{whole}: expected [ADDR:]HOST:CTR[/udp], ports as numbers or ranges")
    if not 1 <= int(first) <= int(last) <= MAX_PORT:
        raise ValueError(f"{whole}: ports are 1 to {MAX_PORT}")
    return range(int(first), int(last) + 1)


def _free_port(protocol: str, address: str, among: Iterable[int]) -> int:
    """Return the first port that can be bound (0: any), or 0 for none."""
    family = AF_INET6 if ":" in address else AF_INET
    for port in among:
        probe = socket(family, SOCK_STREAM if protocol == "tcp" else SOCK_DGRAM)
        try:
            probe.bind((address or "0.0.0.0", port))
            return int(probe.getsockname()[1])
        except OSError:
            continue
        finally:
            probe.close()
    return 0
