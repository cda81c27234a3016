"""`login` and `logout`: a login is tested at the registry before it is kept."""

from __future__ import annotations

from rootlay.store.model.errors import BadReference
from rootlay.store.model.reference import DEFAULT_DOMAIN, Reference
from rootlay.store.registry.credential import Credential
from rootlay.store.registry.dockerconfig import DockerConfig
from rootlay.store.registry.session import Call, Session
from rootlay.store.registry.settings import Settings


def parse_domain(text: str | None) -> str:
    """Return the registry that a user means: `ghcr.io`, `localhost:5000`, a URL, or nothing for Docker Hub.

    Raises BadReference.
    """
    if not text:
        return DEFAULT_DOMAIN
    host = (text.partition("://")[2] or text).partition("/")[0]
    if host in (DEFAULT_DOMAIN, "index.docker.io", "registry-1.docker.io"):
        return DEFAULT_DOMAIN
    found = Reference.parse(f"{host}/x").domain
    if found != host:
        raise BadReference(text, "not the host name of a registry")
    return found


def login(domain: str, credential: Credential, settings: Settings) -> str:
    """Test a login and keep it; return its place, for a message.

    Raises AccessDenied, RegistryUnreachable, BadRegistryAnswer, RegistryRefused, CredentialStoreFailed.
    """
    with Session(settings, domain, credential=lambda: credential) as session:
        session.call(Call("GET", "/v2/", domain)).close()
    return DockerConfig(settings.docker_config).save(domain, credential)


def logout(domain: str, settings: Settings) -> bool:
    """Remove a login; return whether there was one. Raises CredentialStoreFailed."""
    return DockerConfig(settings.docker_config).forget(domain)
