"""The proxy of a request. The rules of Go's net/http (httpproxy), as in docker and skopeo."""

from __future__ import annotations

from collections.abc import Mapping

from rootlay.store.model.value import value
from rootlay.store.registry.address import Origin, is_loopback


@value
class Proxies:
    """Proxy URLs by the scheme of the target (empty: none), and the hosts that are reached without."""

    http: str = ""
    https: str = ""
    exceptions: tuple[str, ...] = ()

    @classmethod
    def parse(cls, variables: Mapping[str, str]) -> Proxies:
        """Parse variables named as in an environment; lower case has priority, as in curl."""

        def find(name: str) -> str:
            return variables.get(name) or variables.get(name.upper()) or ""

        http, https = (
            f"http://{url}" if url and "://" not in url else url for url in (find("http_proxy"), find("https_proxy"))
        )
        words = (word.strip().lower() for word in find("no_proxy").split(","))
        return cls(http, https, tuple(word for word in words if word))

    def find(self, target: Origin) -> str | None:
        """Return the URL of the proxy for a target, or None."""
        proxy = self.https if target.scheme == "https" else self.http
        if not proxy or is_loopback(target.host) or any(_excepts(word, target) for word in self.exceptions):
            return None
        return proxy


def _excepts(word: str, target: Origin) -> bool:
    """Match `*`, `host`, `.domain`, `domain` (with all below it), `host:port`, an address, or a CIDR network."""
    if word == "*":
        return True
    host, colon, port = word.rpartition(":")
    if colon and port.isdigit() and ":" not in host:
        if int(port) != target.port:
            return False
        word = host
    import ipaddress  # a build makes settings, and asks no registry

    try:
        return ipaddress.ip_address(target.host) in ipaddress.ip_network(word, strict=False)
    except ValueError:
        domain = word.removeprefix("*").removeprefix(".")
        return target.host == domain or target.host.endswith(f".{domain}")
