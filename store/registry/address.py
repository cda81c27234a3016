"""Addresses: which URL a registry has, and which URLs an answer may send us to.

Rules:
1. HTTP in the clear only where it was allowed by flag, or to this machine itself.
2. An answer never leads from https to anything else, nor to a scheme other than http and https.
"""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import urljoin, urlsplit

from rootlay.store.model.reference import DEFAULT_DOMAIN
from rootlay.store.model.value import value
from rootlay.store.registry.errors import BadRegistryAnswer

_PORTS = {"http": 80, "https": 443}
_DOCKER_HUB = "registry-1.docker.io"
# What a URL may say before its host is a secret.
_USER = re.compile(r"//[^/]*@")
_URL_CHARACTERS_MAX = 16 << 10


@value
class Origin:
    """Whom a credential is for: scheme, host and port of a URL."""

    scheme: str
    host: str
    port: int

    @property
    def endpoint(self) -> str:
        """`host:port`: what a connection is made to."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @classmethod
    def of(cls, url: str) -> Origin:
        """Raises BadRegistryAnswer for what is no http or https URL.

        What parsers of URLs differ about (user names, backslashes, white space) is refused: the host that is checked
        must be the host that is connected to.
        """
        shown = _USER.sub("//", url[:100].partition("?")[0])
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError as error:
            raise BadRegistryAnswer(shown, "malformed URL") from error
        odd = "\\" in url or "@" in parts.netloc or not parts.netloc.isascii() or not url.isprintable() or " " in url
        if odd or parts.scheme not in _PORTS or not parts.hostname or len(url) > _URL_CHARACTERS_MAX:
            raise BadRegistryAnswer(shown, "not an http or https URL")
        return cls(parts.scheme, parts.hostname, port or _PORTS[parts.scheme])


def follow(base: str, location: str | None) -> str:
    """The URL that an answer of `base` points to. Raises BadRegistryAnswer where rule 2 forbids it."""
    here = Origin.of(base)
    if not location:
        raise BadRegistryAnswer(here.host, "an answer without the Location that it needs")
    if not location.isprintable():  # urljoin would drop some of it
        raise BadRegistryAnswer(here.host, "malformed Location")
    try:
        target = urljoin(base, location)
    except ValueError as error:
        raise BadRegistryAnswer(here.host, "malformed Location") from error
    there = Origin.of(target)
    if here.scheme == "https" and there.scheme != "https":
        raise BadRegistryAnswer(here.host, f"it sends us from https to {there.scheme} ({there.host}): refused")
    return target


def is_loopback(host: str) -> bool:
    """Whether a host name or address means this machine."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def registry_authority(domain: str) -> str:
    """Host and port of a registry by the domain of a reference; Docker Hub has another one than it says."""
    return _DOCKER_HUB if domain == DEFAULT_DOMAIN else domain


def host_of(authority: str) -> str:
    """The host without its port."""
    return urlsplit(f"//{authority}").hostname or authority
