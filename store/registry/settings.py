"""The settings for registries from the environment and from flags, as one value."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from rootlay.store.model.value import field, value
from rootlay.store.registry.proxies import Proxies
from rootlay.store.registry.retry import RetryRules


@value
class Settings:
    """Settings. The defaults are for a machine without proxies, login and certificates of its own."""

    docker_config: Path | None = None  # config.json of Docker; it might not exist
    proxies: Proxies = field(default_factory=Proxies)
    ca_file: Path | None = None  # PEM; trusted in addition to the system's
    plain_http: bool = False  # plain HTTP to this registry
    parallel: int = 3  # blobs at a time
    retry: RetryRules = field(default_factory=RetryRules)
    connect_timeout_s: float = 20.0
    read_timeout_s: float = 60.0  # without a single byte
    speed_limit_bytes: int = 1024  # a second, at least; 0: any speed
    speed_time_s: float = 60.0  # the period of the measurement
    upload_chunk_bytes: int = 32 << 20

    @classmethod
    def from_environ(
        cls, environ: Mapping[str, str], *, ca_file: Path | None = None, plain_http: bool = False
    ) -> Settings:
        """Return the settings in an environment: those of the command line.

        Args:
            environ: DOCKER_CONFIG, SSL_CERT_FILE, HTTP_PROXY and its like, ROOTLAY_SPEED_LIMIT, ROOTLAY_SPEED_TIME.
            ca_file: replaces SSL_CERT_FILE.

        Raises:
            ValueError: a variable or the CA file cannot be used.
        """
        given = ca_file or (Path(environ["SSL_CERT_FILE"]) if environ.get("SSL_CERT_FILE") else None)
        if given is not None and not os.access(given, os.R_OK):
            raise ValueError(f"{given}: not a readable CA file")
        usual = cls()
        return cls(
            docker_config=docker_config(environ.get("DOCKER_CONFIG")),
            proxies=Proxies.parse(environ),
            ca_file=given,
            plain_http=plain_http,
            speed_limit_bytes=_number(environ, "ROOTLAY_SPEED_LIMIT", usual.speed_limit_bytes),
            speed_time_s=max(1, _number(environ, "ROOTLAY_SPEED_TIME", int(usual.speed_time_s))),
        )


def docker_config(directory: str | None = None) -> Path:
    """Return the path of Docker's configuration file, in `directory` or in the user's home."""
    return Path(directory or os.path.join(os.path.expanduser("~"), ".docker")) / "config.json"


def _number(environ: Mapping[str, str], name: str, usual: int) -> int:
    """Parse a number in the environment. Raises ValueError."""
    text = environ.get(name) or str(usual)
    if not text.isascii() or not text.isdigit() or len(text) > 12:
        raise ValueError(f"{name}={text[:40]}: expected a number")
    return int(text)
