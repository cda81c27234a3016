"""Docker's `config.json`: the logins that rootlay shares with docker, podman and skopeo.

Rules:
1. `credHelpers` for the registry has priority over `credsStore`, and that over `auths`, as in Docker's own client.
2. Unknown members are kept. The file is replaced as a whole, with mode 0600 from its first byte.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rootlay.store.disk.durable import replace_file
from rootlay.store.model.errors import BadManifest
from rootlay.store.model.jsonfield import Json, as_object, optional, parse_object
from rootlay.store.model.reference import DEFAULT_DOMAIN
from rootlay.store.registry import credhelper
from rootlay.store.registry.credential import Credential
from rootlay.store.registry.errors import CredentialStoreFailed

# Docker's name of its own registry in this file, since V1.
DOCKER_HUB_KEY = "https://index.docker.io/v1/"
_DOCKER_HUB_HOSTS = frozenset({"docker.io", "index.docker.io", "registry-1.docker.io"})


def config_key(domain: str) -> str:
    """Return the name of a registry in the file."""
    return DOCKER_HUB_KEY if domain in _DOCKER_HUB_HOSTS else domain


def _host(key: str) -> str:
    """Return the registry that a key means: old keys are URLs."""
    host = key.partition("://")[2] or key
    host = host.partition("/")[0]
    return DEFAULT_DOMAIN if host in _DOCKER_HUB_HOSTS else host


class DockerConfig:
    """The file at `path`, read when needed."""

    def __init__(self, path: Path | None) -> None:
        """Use the file at `path`. None: no file, no logins."""
        self.path = path

    def _read(self) -> Json:
        if self.path is None:
            return {}
        try:
            data = self.path.read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return {}
        except OSError as error:
            raise CredentialStoreFailed(str(self.path), (error.strerror or str(error)).lower()) from error
        try:
            return parse_object(data or b"{}", str(self.path))
        except BadManifest as error:
            raise CredentialStoreFailed(str(self.path), error.reason) from error

    def _section(self, source: Json, name: str) -> Json:
        try:
            return as_object(source.get(name) or {}, name)
        except BadManifest as error:
            raise CredentialStoreFailed(str(self.path), f"{name}: {error.reason}") from error

    def _helper(self, source: Json, domain: str) -> str | None:
        """Return the helper that keeps the login of a registry, or None."""
        wanted = _host(config_key(domain))
        for key, helper in self._section(source, "credHelpers").items():
            if _host(key) == wanted and isinstance(helper, str) and helper:
                return helper
        store = source.get("credsStore")
        return store if isinstance(store, str) and store else None

    def find(self, domain: str) -> Credential | None:
        """Return the login for a registry. Raises CredentialStoreFailed."""
        source = self._read()
        helper = self._helper(source, domain)
        if helper is not None:
            return credhelper.get(helper, config_key(domain))
        wanted = _host(config_key(domain))
        for key, item in self._section(source, "auths").items():
            if _host(key) == wanted:
                return self._parse(key, item)
        return None

    def _parse(self, key: str, item: object) -> Credential | None:
        what = f"{self.path}: auths: {key}"
        try:
            fields = as_object(item, what)
            token = optional(fields, "identitytoken", str, what) or ""
            packed = optional(fields, "auth", str, what) or ""
            user, password = (optional(fields, name, str, what) or "" for name in ("username", "password"))
            if packed:
                found = Credential.unpack(packed)
                user, password = found.username, found.password
        except (BadManifest, ValueError) as error:
            raise CredentialStoreFailed(what, "not a login") from error
        return Credential(user, password, token) if token or user else None

    def save(self, domain: str, credential: Credential) -> str:
        """Keep a login; return its place, for a message. Raises CredentialStoreFailed."""
        source = self._read()
        helper = self._helper(source, domain)
        key = config_key(domain)
        if helper is not None:
            credhelper.store(helper, key, credential)
            return f"docker-credential-{helper}"
        auths = {k: v for k, v in self._section(source, "auths").items() if _host(k) != _host(key)}
        login = {"identitytoken": credential.identity_token} if credential.identity_token else {}
        self._write({**source, "auths": {**auths, key: {"auth": credential.packed, **login}}})
        return str(self.path)

    def forget(self, domain: str) -> bool:
        """Remove a login; return whether there was one. Raises CredentialStoreFailed."""
        source = self._read()
        helper = self._helper(source, domain)
        key = config_key(domain)
        known = False
        if helper is not None:
            known = credhelper.get(helper, key) is not None
            if known:
                credhelper.erase(helper, key)
        auths = self._section(source, "auths")
        kept = {k: v for k, v in auths.items() if _host(k) != _host(key)}
        if len(kept) != len(auths):
            known = True
            self._write({**source, "auths": kept})
        return known

    def _write(self, source: Mapping[str, Any]) -> None:
        if self.path is None:
            raise CredentialStoreFailed("login", "there is no config file to store it in")
        final = Path(os.path.realpath(self.path))
        try:
            final.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            replace_file(final, json.dumps(source, indent="\t").encode(), durable=True)
        except OSError as error:
            raise CredentialStoreFailed(str(self.path), (error.strerror or str(error)).lower()) from error
