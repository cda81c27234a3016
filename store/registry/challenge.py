"""`WWW-Authenticate` headers (RFC 9110, 11.6.1): the authorization that a registry requires."""

from __future__ import annotations

import re
from collections.abc import Mapping

from rootlay.store.model.value import value

_TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_PARAMETER = re.compile(rf'\s*({_TOKEN})\s*=\s*(?:"((?:[^"\\]|\\.)*)"|({_TOKEN}|[^\s,"]+))\s*')
_SCHEME = re.compile(rf"\s*({_TOKEN})(?=\s|,|\Z)\s*")


@value
class Challenge:
    """One challenge; the scheme and the parameters' names are in lower case."""

    scheme: str
    parameters: Mapping[str, str]


def parse_challenges(header: str) -> list[Challenge]:
    """Return all challenges of a header, in order, up to the first malformed one."""
    found: list[Challenge] = []
    position = 0
    while position < len(header):
        if header[position] in ", \t":
            position += 1
            continue
        parameter = _PARAMETER.match(header, position)
        if parameter is not None and found:
            name, quoted, plain = parameter.groups()
            text = re.sub(r"\\(.)", r"\1", quoted) if quoted is not None else plain
            found[-1] = Challenge(found[-1].scheme, {**found[-1].parameters, name.lower(): text})
            position = parameter.end()
            continue
        scheme = _SCHEME.match(header, position)
        if scheme is None:
            break
        found.append(Challenge(scheme[1].lower(), {}))
        position = scheme.end()
    return found
