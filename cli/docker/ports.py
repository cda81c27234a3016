"""The ports of a container in one cell, neighbours as ranges (docker/cli formatter DisplayablePorts)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any


def show_ports(ports: Iterable[Mapping[str, Any]]) -> str:
    """Return `0.0.0.0:8080->80/tcp, 9000-9002/tcp`."""
    groups: dict[str, tuple[int, int]] = {}
    shown: list[str] = []
    mapped: list[str] = []
    for port in sorted(ports, key=_order):
        inside, kind, address = port["PrivatePort"], port["Type"], port.get("IP") or ""
        if address and port.get("PublicPort") != inside:
            mapped.append(f"{_joined(address, str(port.get('PublicPort', 0)))}->{inside}/{kind}")
            continue
        key = f"{address}/{kind}"
        first, last = groups.get(key, (inside, inside - 1))
        if inside != last + 1:
            shown.append(_group(key, first, last))
            first = inside
        groups[key] = (first, inside)
    return ", ".join([*shown, *(_group(key, *group) for key, group in groups.items()), *mapped])


def _order(port: Mapping[str, Any]) -> tuple[int, str, int, str]:
    return port["PrivatePort"], port.get("IP") or "", port.get("PublicPort") or 0, port["Type"]


def _group(key: str, first: int, last: int) -> str:
    address, _, kind = key.rpartition("/")
    span = str(first) if first == last else f"{first}-{last}"
    return f"{_joined(address, span)}->{span}/{kind}" if address else f"{span}/{kind}"


def _joined(address: str, port: str) -> str:
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
