"""Amounts as Docker's options write them: bytes (`512m`), durations (`1m30s`), processors (`1.5`)."""

from __future__ import annotations

import re
from decimal import Decimal

from rootlay.cli.spec import UsageError

_BYTES = re.compile(r"(\d+(?:\.\d+)?)\s?([kmgtp]?)(?:i?b)?", re.IGNORECASE)
_DURATION = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|μs|ms|s|m|h)")
_NS = {"ns": 1, "us": 10**3, "µs": 10**3, "μs": 10**3, "ms": 10**6, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9}
NS_MAX = (1 << 63) - 1


def parse_bytes(option: str, text: str) -> int:
    """Parse a number of bytes, with a unit of 1,024 bytes and its powers. Raises UsageError."""
    found = _BYTES.fullmatch(text.strip())
    size = int(Decimal(found[1]) * 1024 ** " kmgtp".index(found[2].lower() or " ")) if found else -1
    if not 0 <= size <= NS_MAX:
        raise UsageError(f"{option}={text[:40]}: expected a number of bytes, such as 1073741824, 512m or 2g")
    return size


def parse_duration(option: str, text: str, least_ns: int = 0) -> int:
    """Parse one of Go's durations, ns; `0` needs no unit. Raises UsageError, also for one below `least_ns` except 0."""
    if text in ("0", "+0", "-0"):
        return 0
    parts = _DURATION.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text.removeprefix("+"):
        raise UsageError(f"{option}={text[:40]}: expected a duration, such as 500ms, 30s or 1m30s")
    total = sum(int(Decimal(number) * _NS[unit]) for number, unit in parts)
    if total > NS_MAX or 0 < total < least_ns:
        raise UsageError(f"{option}={text[:40]}: a duration is at least 1ms, or 0 for the default")
    return total


def parse_cpus(option: str, text: str) -> int:
    """Parse a number of processors, 10^-9 of one. Raises UsageError."""
    if not re.fullmatch(r"\d+(\.\d{1,9})?|\.\d{1,9}", text):
        raise UsageError(f"{option}={text[:40]}: expected a number of processors, such as 1.5")
    return int(Decimal(text) * 10**9)
