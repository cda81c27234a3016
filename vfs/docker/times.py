"""Times in Docker's forms."""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime

NEVER = "0001-01-01T00:00:00Z"
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h)")
_UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}


def rfc3339_nano(time_ns: int) -> str:
    """Return a time in ns since the epoch as Go's RFC3339Nano; 0 is Go's zero time."""
    if not time_ns:
        return NEVER
    seconds, rest = divmod(time_ns, 10**9)
    fraction = f".{rest:09d}".rstrip("0").rstrip(".")
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S") + fraction + "Z"


def full_nano(time_ns: int) -> str:
    """Return a time with all nine digits, as in logs with timestamps."""
    seconds, rest = divmod(time_ns, 10**9)
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S") + f".{rest:09d}Z"


def epoch_of(text: str) -> int:
    """Return the whole seconds since the epoch of an RFC 3339 time; 0 if it is none."""
    try:
        return int(datetime.fromisoformat(re.sub(r"(\.\d{6})\d+", r"\1", text)).timestamp()) if text else 0
    except ValueError:
        return 0


def parse_moment(text: str, now_ns: int | None = None) -> int:
    """Return the ns since the epoch of `since` and `until`: a time stamp, RFC 3339, or a duration before now.

    Raises ValueError.
    """
    if not text:
        return 0
    if re.fullmatch(r"-?\d+(\.\d+)?", text):
        seconds, _, fraction = text.partition(".")
        return int(seconds) * 10**9 + int(fraction[:9].ljust(9, "0") or 0)
    parts = _DURATION.findall(text)
    if parts and "".join(number + unit for number, unit in parts) == text:
        now_ns = time.time_ns() if now_ns is None else now_ns
        return now_ns - int(sum(float(number) * _UNITS[unit] for number, unit in parts) * 1e9)
    digits = re.search(r"\.(\d+)", text)
    moment = datetime.fromisoformat(re.sub(r"\.\d+", "", text))
    whole = int((moment if moment.tzinfo else moment.astimezone()).timestamp())
    return whole * 10**9 + int(digits[1][:9].ljust(9, "0") if digits else 0)


def human_duration(seconds: float) -> str:
    """Return a duration as Docker's lists do: `Less than a second`, `5 minutes`, `About an hour`."""
    whole = int(seconds)
    if whole < 1:
        return "Less than a second"
    if whole == 1:
        return "1 second"
    if whole < 60:
        return f"{whole} seconds"
    if (minutes := whole // 60) == 1:
        return "About a minute"
    if minutes < 60:
        return f"{minutes} minutes"
    if (hours := int(seconds / 3600 + 0.5)) == 1:
        return "About an hour"
    if hours < 48:
        return f"{hours} hours"
    for limit, unit in ((24 * 7 * 2, 24), (24 * 30 * 2, 24 * 7), (24 * 365 * 2, 24 * 30)):
        if hours < limit:
            return f"{hours // unit} {({24: 'days', 168: 'weeks', 720: 'months'})[unit]}"
    return f"{int(seconds / 3600 / 24 / 365)} years"
