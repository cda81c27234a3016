"""The settings for registries from the environment and from flags, as one value."""

from __future__ import annotations

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
