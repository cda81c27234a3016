"""The URL of a registry, and the URLs that an answer may redirect to.

Rules:
1. Plain HTTP is used only if a flag allows it, or to localhost.
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
# The part of a URL before its host may be a secret.
_USER = re.compile(r"//[^/]*@")
_URL_CHARACTERS_MAX = 16 << 10
_NEXT = re.compile(r"<([^<>]*)>[^<>]*;\s*rel=\"?next\b", re.IGNORECASE)


@value
class Origin:
    """The target of a credential: scheme, host and port of a URL."""

    scheme: str
    host: str
    port: int

    @property
    def endpoint(self) -> str:
        """The connection's target, `host:port`."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @classmethod
    def of(cls, url: str) -> Origin:
        """Parse a URL. Raises BadRegistryAnswer for one that is not http or https.

        Forms that parsers of URLs treat differently (user names, backslashes, white space) are refused: the checked
        host must be the connected host.
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
    """Return the URL that an answer of `base` points to. Raises BadRegistryAnswer if rule 2 forbids it."""
    here = Origin.of(base)
    if not location:
        raise BadRegistryAnswer(here.host, "its answer has no Location")
    if not location.isprintable():  # urljoin would drop some of it
        raise BadRegistryAnswer(here.host, "malformed Location")
    try:
        target = urljoin(base, location)
    except ValueError as error:
        raise BadRegistryAnswer(here.host, "malformed Location") from error
    there = Origin.of(target)
    if here.scheme == "https" and there.scheme != "https":
        raise BadRegistryAnswer(here.host, f"it redirects from https to {there.scheme} ({there.host}): refused")
    return target


def next_page(base: str, link: str | None) -> str | None:
    """Return the URL of the next page of a list, from its Link header (RFC 8288); None if there is none.

    Raises BadRegistryAnswer if it is on another server.
    """
    found = _NEXT.search(link or "")
    if found is None:
        return None
    target = follow(base, found[1])
    if Origin.of(target) != Origin.of(base):
        raise BadRegistryAnswer(Origin.of(base).host, f"the next page is elsewhere ({Origin.of(target).host}): refused")
    return target


def is_loopback(host: str) -> bool:
    """Return whether a host name or address means this machine."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def registry_authority(domain: str) -> str:
    """Return host and port of a registry by the domain of a reference; those of Docker Hub differ from its domain."""
    return _DOCKER_HUB if domain == DEFAULT_DOMAIN else domain


def host_of(authority: str) -> str:
    """Return the host without its port."""
    return urlsplit(f"//{authority}").hostname or authority
