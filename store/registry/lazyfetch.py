"""Fetching the rest of a lazy layer from its origin: programs wait for it, so the timeouts are short."""

from __future__ import annotations

from pathlib import Path

from rootlay.store.chunks.fetch import FetchRange
from rootlay.store.chunks.origin import Origin
from rootlay.store.model.reference import Reference
from rootlay.store.registry.proxies import Proxies
from rootlay.store.registry.repository import Repository
from rootlay.store.registry.retry import RetryRules
from rootlay.store.registry.session import Session
from rootlay.store.registry.settings import Settings

_PATIENCE = RetryRules(attempts=4, first_wait_s=0.3, longest_wait_s=2.0, retry_after_max_s=10.0)


def open_fetch(directory: Path) -> FetchRange:
    """Return the fetcher of ranges of the blob of the lazy layer in `directory`. Raises CorruptStore,
    FileNotFoundError.

    Its connections are kept until the process ends.
    """
    origin = Origin.read(directory)
    name = Reference.parse(origin.repository)
    session = Session(settings_of(origin), name.domain)
    repository = Repository(session, name)
    what = f"{name.familiar_name}: layer {origin.layer.digest.short}"
    return lambda start, end: repository.read_range(origin.layer, start, end, what)


def settings_of(origin: Origin) -> Settings:
    """Return the settings of the pull, for reading single chunks."""
    return Settings(
        docker_config=Path(origin.docker_config) if origin.docker_config else None,
        ca_file=Path(origin.ca_file) if origin.ca_file else None,
        plain_http=origin.plain_http,
        proxies=Proxies(origin.http_proxy, origin.https_proxy, origin.no_proxy),
        retry=_PATIENCE,
        connect_timeout_s=10.0,
        read_timeout_s=30.0,
    )


def make_origin(repository: Repository, fields: Origin) -> Origin | None:
    """Return `fields` with the settings of this session; None if they hold a secret (a proxy's password)."""
    settings = repository.session.settings
    if "@" in settings.proxies.http + settings.proxies.https:
        return None
    return Origin(
        fields.repository,
        fields.layer,
        fields.diff_id,
        str(settings.docker_config.absolute()) if settings.docker_config else "",
        str(settings.ca_file.absolute()) if settings.ca_file else "",
        settings.plain_http,
        settings.proxies.http,
        settings.proxies.https,
        settings.proxies.exceptions,
    )
