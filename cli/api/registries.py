"""`/auth`, `/distribution` and `/images/search`: questions that a registry answers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from rootlay.cli.api.call import Call, Reply
from rootlay.cli.api.errors import ApiError, bad_parameter
from rootlay.cli.api.filters import parse_filters
from rootlay.cli.api.shapes import LOGIN
from rootlay.cli.api.transfer import settings_of
from rootlay.cli.registryoptions import default_settings
from rootlay.store.model.errors import BadManifest
from rootlay.store.model.imageconfig import ImageConfig
from rootlay.store.model.jsonfield import DOCUMENT_BYTES_MAX, objects, optional, parse_object
from rootlay.store.model.manifest import Index, Manifest
from rootlay.store.model.reference import Reference
from rootlay.store.registry.credential import Credential
from rootlay.store.registry.errors import AccessDenied, BadRegistryAnswer, NotInRegistry
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
    term = call.text("term")
    filters = parse_filters(call.query["filters"], frozenset({"is-official", "is-automated", "stars"}))
    limit = call.query["limit"] or 25
    if not term or not 1 <= limit <= 100:
        raise bad_parameter("term is needed, and limit is a number from 1 to 100")
    host, _, rest = term.partition("/")
    private = bool(rest) and ("." in host or ":" in host or host == "localhost")
    domain = host if private else "index.docker.io"
    query = urlencode({"q": rest if private else term, "n": limit})
    with Session(default_settings(call.context), domain) as session:
        request = RegistryCall("GET", f"/v1/search?{query}", f"search in {domain}")
        data, _ = session.document(request, DOCUMENT_BYTES_MAX)
    try:
        found = [_result(each) for each in objects(parse_object(data, "search"), "results", "search")]
    except BadManifest as error:
        raise BadRegistryAnswer(domain, f"its answer to the search is not valid: {error.reason}") from None
    stars = max((int(text) for text in filters.get("stars", []) if text.isdigit()), default=0)
    official = filters.get("is-official")
    return [
        each
        for each in found
        if each["star_count"] >= stars
        and (not official or each["is_official"] == (official[0].lower() in ("1", "true")))
    ]


def _result(each: Mapping[str, Any]) -> dict[str, Any]:
    """Return one result in Docker's form. Raises BadManifest for a member of a wrong type."""
    return {
        "name": optional(each, "name", str, "search") or "",
        "description": optional(each, "description", str, "search") or "",
        "star_count": optional(each, "star_count", int, "search") or 0,
        "is_official": optional(each, "is_official", bool, "search") or False,
        "is_automated": optional(each, "is_automated", bool, "search") or False,
    }
