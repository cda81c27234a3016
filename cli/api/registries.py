"""`/auth`, `/distribution` and `/images/search`: questions that a registry answers."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlencode

from rootlay.cli.api.call import Call, Reply
from rootlay.cli.api.errors import ApiError, bad_parameter
from rootlay.cli.api.filters import parse_filters
from rootlay.cli.api.shapes import LOGIN
from rootlay.cli.api.transfer import settings_of
from rootlay.cli.registryoptions import default_settings
from rootlay.store.model.imageconfig import ImageConfig
from rootlay.store.model.manifest import Index, Manifest
from rootlay.store.model.reference import Reference
from rootlay.store.registry.credential import Credential
from rootlay.store.registry.errors import AccessDenied, NotInRegistry
from rootlay.store.registry.login import parse_domain
from rootlay.store.registry.repository import Repository
from rootlay.store.registry.session import Call as RegistryCall
from rootlay.store.registry.session import Session


def log_in(call: Call) -> Reply:
    """POST /auth: the login is tested, and nothing is kept: the client keeps it."""
    body = call.exchange.json(LOGIN)
    domain = parse_domain(str(body.get("serveraddress") or "") or None)
    credential = Credential(
        str(body.get("username") or ""), str(body.get("password") or ""), str(body.get("identitytoken") or "")
    )
    settings = default_settings(call.context)
    try:
        with Session(settings, domain, credential=lambda: credential) as session:
            session.call(RegistryCall("GET", "/v2/", domain)).close()
    except AccessDenied as error:
        raise ApiError(401, f"unauthorized: {error}") from None
    return Reply(200, {"Status": "Login Succeeded", "IdentityToken": ""})


def inspect_distribution(call: Call) -> dict[str, Any]:
    """GET /distribution/{name}/json"""
    name = Reference.parse(call.names["name"])
    with settings_of(call, name.domain) as settings, Session(settings, name.domain) as session:
        repository = Repository(session, name)
        target = str(name.digest) if name.digest is not None else str(name.tag)
        try:
            top = repository.get_manifest(target, name.familiar)
        except NotInRegistry as error:
            raise ApiError(404, str(error)) from None
        except AccessDenied as error:
            raise ApiError(401, str(error)) from None
        platforms: list[dict[str, Any]]
        if top.is_index:
            found = [each.platform for each in Index.parse(top.data, name.familiar).manifests]
            platforms = [platform.to_json() for platform in found if platform is not None and platform.os]
        else:
            manifest = Manifest.parse(top.data, name.familiar)
            config = repository.read_blob(manifest.config, f"{name.familiar}: config")
            platforms = [ImageConfig.parse(config, name.familiar).platform.to_json()]
    descriptor = top.descriptor
    return {
        "Descriptor": {
            "mediaType": descriptor.media_type, "digest": str(descriptor.digest), "size": len(top.data),
        },
        "Platforms": platforms,
    }  # fmt: skip


def search(call: Call) -> list[dict[str, Any]]:
    """GET /images/search: Docker Hub's, or that of the registry that the term begins with."""
    import urllib3

    term = call.text("term")
    filters = parse_filters(call.query["filters"], frozenset({"is-official", "is-automated", "stars"}))
    limit = call.query["limit"] or 25
    if not term or not 1 <= limit <= 100:
        raise bad_parameter("term is needed, and limit is a number from 1 to 100")
    host, _, rest = term.partition("/")
    private = bool(rest) and ("." in host or ":" in host or host == "localhost")
    scheme = "http" if private and host.split(":")[0] in ("localhost", "127.0.0.1") else "https"
    base = f"{scheme}://{host if private else 'index.docker.io'}/v1/search?"
    try:
        answer = urllib3.PoolManager(retries=False, timeout=20).request(
            "GET", base + urlencode({"q": rest if private else term, "n": limit})
        )
        found = json.loads(answer.data)["results"] if answer.status == 200 else None
    except (urllib3.exceptions.HTTPError, ValueError, KeyError) as error:
        raise ApiError(500, f"search: {host if private else 'docker.io'}: {error}") from None
    if found is None:
        raise ApiError(500, f"search: {host if private else 'docker.io'} answers {answer.status}")
    stars = max((int(text) for text in filters.get("stars", []) if text.isdigit()), default=0)
    official = filters.get("is-official")
    return [
        each
        for each in found
        if each.get("star_count", 0) >= stars
        and (not official or bool(each.get("is_official")) == (official[0].lower() in ("1", "true")))
    ]
