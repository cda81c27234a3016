"""The ports of EXPOSE: `80`, `80/udp`, `8000-8010`, and, as in `docker run -p`, `8080:80` (only the 80 is used).

Source: Dockerfile reference, "EXPOSE"; docker/go-connections nat.ParsePortSpec.
"""

from __future__ import annotations

import re

from rootlay.vfs.build.language.errors import BadValue

_SPEC = re.compile(r"(?:.*:)?([0-9]+)(?:-([0-9]+))?(?:/([a-z]+))?", re.ASCII | re.IGNORECASE)
_PROTOCOLS = ("tcp", "udp", "sctp")
_HIGHEST = 65535


def parse_ports(text: str) -> list[str]:
    """Return each port alone, as `port/protocol`. Raises BadValue."""
    match = _SPEC.fullmatch(text)
    if match is None:
        raise BadValue(f"not a port: {text!r}: write 80, 80/udp or 8000-8010")
    first, last = int(match[1]), int(match[2] or match[1])
    protocol = (match[3] or "tcp").lower()
    if protocol not in _PROTOCOLS:
        raise BadValue(f"unknown protocol in {text!r}: use tcp, udp or sctp")
    if not first <= last <= _HIGHEST:
        raise BadValue(f"not a range of ports: {text!r}")
    return [f"{port}/{protocol}" for port in range(first, last + 1)]
