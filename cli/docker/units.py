"""Sizes and times as Docker's lists show them (docker/go-units; Go's time.Time.String)."""

from __future__ import annotations

import time

from rootlay.vfs.docker.times import human_duration


def human_size(count: float, digits: int = 4) -> str:
    """Return bytes with decimal units: `1.21GB`."""
    return _scaled(count, 1000, ("B", "kB", "MB", "GB", "TB", "PB"), digits)


def binary_size(count: float) -> str:
    """Return bytes with binary units: `1.21GiB`."""
    return _scaled(count, 1024, ("B", "KiB", "MiB", "GiB", "TiB", "PiB"), 4)


def _scaled(count: float, base: int, units: tuple[str, ...], digits: int) -> str:
    number = float(count)
    for unit in units:
        if number < base or unit == units[-1]:
            break
        number /= base
    return f"{number:.{digits}g}{unit}"


def ago(epoch_s: int) -> str:
    """Return how long ago a time was: `3 minutes ago`."""
    return human_duration(max(0.0, time.time() - epoch_s)) + " ago"


def local_time(epoch_s: int) -> str:
    """Return a time in the local zone, as Go prints it: `2026-01-02 15:04:05 +0000 UTC`."""
    moment = time.localtime(epoch_s)
    return f"{moment.tm_year:04d}" + time.strftime("-%m-%d %H:%M:%S %z %Z", moment)


def rfc3339(epoch_s: int) -> str:
    """Return a time in the local zone in RFC 3339."""
    moment = time.localtime(epoch_s)
    text = f"{moment.tm_year:04d}" + time.strftime("-%m-%dT%H:%M:%S%z", moment)
    return text[:-5] + "Z" if text.endswith("+0000") else f"{text[:-2]}:{text[-2:]}"
