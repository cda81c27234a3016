"""Requests to one registry: its address, its authorization, redirects, retries, and typed errors.

Rules:
1. The Authorization header is sent only to the registry's own origin: not to targets of its redirects, nor to an upload
   location elsewhere.
2. Only GET and HEAD follow redirects, at most `_REDIRECTS_MAX`, and only to targets that `address.follow` allows.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping

from rootlay.store.model.closing import Closing
from rootlay.store.model.errors import BadManifest
from rootlay.store.model.jsonfield import objects, parse_object
from rootlay.store.model.value import field, value
from rootlay.store.registry.address import Origin, follow, host_of, is_loopback, registry_authority
from rootlay.store.registry.auth import Authorizer, Scopes
from rootlay.store.registry.credential import Credential
from rootlay.store.registry.dockerconfig import DockerConfig
from rootlay.store.registry.errors import (
    AccessDenied,
    BadRegistryAnswer,
    NotInRegistry,
    RegistryRefused,
    RegistryUnreachable,
)
from rootlay.store.registry.retry import PASSING_STATUSES, Attempts, parse_retry_after
from rootlay.store.registry.settings import Settings
from rootlay.store.registry.transport import Body, Request, Response, Transport

_REDIRECTS_MAX = 5
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_ERROR_BYTES_MAX = 64 << 10
_PROBE_TIMEOUT_S = 3.0
# A registry that has never answered is more likely misspelt than busy.
_FIRST_ATTEMPTS = 3


@value
class Call:
    """A request to a registry, and the handling of its answer."""

    method: str
    url: str  # a path of the registry, or a URL that it gave
    what: str  # for messages
    scopes: Scopes = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Body | None = None
    expected: tuple[int, ...] = (200,)
    retry: bool = True


class Session(Closing):
    """One registry. Thread safe; close it."""

    def __init__(
        self,
        settings: Settings,
        domain: str,
        *,
        credential: Callable[[], Credential | None] | None = None,
        stop: threading.Event | None = None,
    ) -> None:
        """Talk to the registry of `domain`, as a reference names it.

        Args:
            credential: the login to use; None: the one in Docker's config file.
            stop: set it to end waiting and transfers with an error.
        """
        self.settings = settings
        self.domain = domain
        self.stop = stop or threading.Event()
        self._transport = Transport(settings)
        find = credential or (lambda: DockerConfig(settings.docker_config).find(domain))
        self._auth = Authorizer(self._transport, domain, find, self.attempts)
        self._lock = threading.Lock()
        self._base: str | None = None
        self._reached = False

    def attempts(self) -> Attempts:
        """Start a new count of attempts."""
        return Attempts(self.settings.retry, self.stop)

    @property
    def base(self) -> str:
        """The registry's URL, without a slash at its end. The first use may query the registry: see `_find_base`."""
        with self._lock:
            if self._base is None:
                self._base = self._find_base()
            return self._base

    def _find_base(self) -> str:
        """Return https, or http if it is allowed. For localhost https is tried first: most registries there have no
        TLS, but those that have it may require passwords."""
        authority = registry_authority(self.domain)
        if self.settings.plain_http:
            return f"http://{authority}"
        secure = f"https://{authority}"
        if is_loopback(host_of(authority)):
            try:
                self._transport.send(Request("GET", f"{secure}/v2/"), read_timeout_s=_PROBE_TIMEOUT_S).close()
            except RegistryUnreachable as error:
                if "certificate" not in error.reason:
                    return f"http://{authority}"
        return secure

    def call(self, call: Call) -> Response:
        """Make a request, and retry it if that may help; the answer has an expected status, and the caller closes it.

        Raises RegistryUnreachable, AccessDenied, NotInRegistry, RegistryRefused, BadRegistryAnswer,
        CredentialStoreFailed.
        """
        attempts = self.attempts()
        while True:
            try:
                return self._authorized(call)
            except RegistryUnreachable as error:
                if not call.retry or (not self._reached and attempts.failed + 1 >= _FIRST_ATTEMPTS):
                    raise
                attempts.after(error)

    def document(self, call: Call, limit_bytes: int) -> tuple[bytes, Response]:
        """Return a small body with its (closed) response; retry after an interruption, too. Raises as `call`."""
        attempts = self.attempts()
        while True:
            response = self.call(call)
            try:
                return response.read(limit_bytes, call.what), response
            except RegistryUnreachable as error:
                attempts.after(error)

    def _authorized(self, call: Call) -> Response:
        header = self._auth.header(call.scopes)
        response = self._redirected(call, header)
        if response.status == 401 and Origin.of(response.url) == Origin.of(self.base):  # nobody else's challenge
            response.close()
            header = self._auth.answer(response, call.scopes, header, call.what)
            response = self._redirected(call, header)
        if response.status in call.expected:
            return response
        raise self._error(call, response, had_credential=header is not None)

    def _redirected(self, call: Call, header: str | None) -> Response:
        url = follow(self.base + "/", call.url)
        home = Origin.of(self.base)
        for _ in range(_REDIRECTS_MAX + 1):
            headers = dict(call.headers)
            if header is not None and Origin.of(url) == home:
                headers["Authorization"] = header
            response = self._transport.send(Request(call.method, url, headers, call.body))
            self._reached = True
            if response.status not in _REDIRECTS or response.status in call.expected:
                return response
            response.close()
            if call.method not in ("GET", "HEAD"):
                raise BadRegistryAnswer(response.host, f"it redirects a {call.method} request: refused")
            url = follow(url, response.header("Location"))
        raise BadRegistryAnswer(self.domain, f"more than {_REDIRECTS_MAX} redirects")

    def _error(self, call: Call, response: Response, *, had_credential: bool) -> Exception:
        """Return the error for an unexpected status. Closes the response."""
        status = response.status
        reason = _message(response) if call.method != "HEAD" else ""
        response.close()
        if status in PASSING_STATUSES:
            wait_s = parse_retry_after(response.header("Retry-After"))
            text = f"it answers {status}" + (f": {reason}" if reason else "")
            if wait_s:
                text += f" (try again in {wait_s:.0f} s)"
            return RegistryUnreachable(response.host, text, retry_after_s=wait_s)
        if status in (401, 403):
            return AccessDenied(self.domain, call.what, reason or f"it answers {status}", had_credential=had_credential)
        if status == 404:
            return NotInRegistry(call.what)
        return RegistryRefused(call.what, status, reason or "no reason given")

    def close(self) -> None:
        """Close the connections. Idempotent."""
        self._transport.close()


def _message(response: Response) -> str:
    """Return the registry's message (distribution specification, "Error Codes") in one printable line, or ""."""
    try:
        data = response.read(_ERROR_BYTES_MAX, "its error")
        first = objects(parse_object(data, "error"), "errors", "error")[0]
    except (BadRegistryAnswer, RegistryUnreachable, BadManifest, IndexError):
        return ""
    text = str(first.get("message") or first.get("code") or "")
    return "".join(c if c.isprintable() else " " for c in text)[:200]
