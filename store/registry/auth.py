"""The Authorization header for one registry (distribution, "Token Authentication"; RFC 7617).

Rules:
1. Tokens are kept for each set of scopes until shortly before they expire, and requested again after a 401.
2. A password is sent to the registry itself or to the realm that it names; for a registry with TLS only to a realm with
   TLS.
3. The login is looked up when a registry requires it, not before.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from urllib.parse import urlencode

from rootlay.store.model.errors import BadManifest
from rootlay.store.model.jsonfield import optional, parse_object
from rootlay.store.registry.address import Origin
from rootlay.store.registry.challenge import Challenge, parse_challenges
from rootlay.store.registry.credential import Credential
from rootlay.store.registry.errors import AccessDenied, BadRegistryAnswer, RegistryUnreachable
from rootlay.store.registry.retry import PASSING_STATUSES, Attempts, parse_retry_after
from rootlay.store.registry.transport import Body, Request, Response, Transport

TOKEN_BYTES_MAX = 1 << 20
# The specification's default for a token server that does not state one.
_LIFE_S = 60
_LIFE_S_MAX = 24 * 3600
_CLIENT_ID = "rootlay"

Scopes = tuple[str, ...]


class Authorizer:
    """Authorization for one registry. Thread safe."""

    def __init__(
        self,
        transport: Transport,
        domain: str,
        find_credential: Callable[[], Credential | None],
        attempts: Callable[[], Attempts],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._transport = transport
        self._domain = domain
        self._find_credential = find_credential
        self._attempts = attempts
        self._clock = clock
        self._lock = threading.RLock()
        self._asked = False
        self._credential: Credential | None = None
        self._bearer: Challenge | None = None
        self._basic: str | None = None
        self._origin: Origin | None = None
        self._tokens: dict[Scopes, tuple[str, float]] = {}

    @property
    def credential(self) -> Credential | None:
        """The login, looked up once. Raises CredentialStoreFailed."""
        with self._lock:
            if not self._asked:
                self._credential = self._find_credential()
                self._asked = True
            return self._credential

    def header(self, scopes: Scopes) -> str | None:
        """Return the header that the registry is known to require; None before its first challenge."""
        with self._lock:
            if self._basic is not None:
                return self._basic
            token, until = self._tokens.get(scopes, ("", 0.0))
            if token and self._clock() < until:
                return token
            if self._bearer is None or self._origin is None:
                return None
            return self._new_token(self._bearer, self._origin, scopes)

    def answer(self, response: Response, scopes: Scopes, rejected: str | None, what: str) -> str:
        """Return the header for a retry after the 401 in `response`. Raises AccessDenied, BadRegistryAnswer."""
        with self._lock:
            current = self._basic or self._tokens.get(scopes, (None, 0.0))[0]
            if current is not None and current != rejected:
                return current  # another thread was faster
            for challenge in parse_challenges(response.header("WWW-Authenticate") or ""):
                if challenge.scheme == "bearer" and challenge.parameters.get("realm"):
                    self._bearer, self._origin = challenge, Origin.of(response.url)
                    self._tokens.pop(scopes, None)
                    return self._new_token(challenge, self._origin, scopes)
                if challenge.scheme == "basic":
                    return self._answer_basic(rejected, what)
            raise AccessDenied(
                self._domain, what, "it requires an unknown kind of credentials", had_credential=rejected is not None
            )

    def _answer_basic(self, rejected: str | None, what: str) -> str:
        credential = self.credential
        if credential is None or not credential.username:
            raise AccessDenied(self._domain, what, "a login is needed", had_credential=False)
        if rejected == credential.basic:
            raise AccessDenied(self._domain, what, "the login is not accepted", had_credential=True)
        self._basic = credential.basic
        return self._basic

    def _new_token(self, challenge: Challenge, origin: Origin, scopes: Scopes) -> str:
        attempts = self._attempts()
        while True:
            try:
                token, life_s = self._fetch_token(challenge, origin, scopes)
                break
            except RegistryUnreachable as error:
                attempts.after(error)
        header = f"Bearer {token}"
        self._tokens[scopes] = (header, self._clock() + life_s * 0.9)
        return header

    def _token_request(self, challenge: Challenge, origin: Origin, scopes: Scopes) -> Request:
        realm = challenge.parameters["realm"]
        if Origin.of(realm).scheme != "https" and origin.scheme == "https":
            raise BadRegistryAnswer(self._domain, "its token server has no TLS: refused")
        service = challenge.parameters.get("service", "")
        wanted = scopes or tuple(challenge.parameters.get("scope", "").split())
        credential = self.credential
        if credential is not None and credential.identity_token:
            form = {"grant_type": "refresh_token", "service": service, "client_id": _CLIENT_ID}
            form |= {"scope": " ".join(wanted), "refresh_token": credential.identity_token}
            headers = {"Content-Type": "application/x-www-form-urlencoded"}
            return Request("POST", realm, headers, Body.of(urlencode(form).encode()))
        query = [("service", service)] if service else []
        query += [("scope", scope) for scope in wanted]
        headers = {}
        if credential is not None:
            query.append(("account", credential.username))
            headers["Authorization"] = credential.basic
        url = realm + ("&" if "?" in realm else "?") + urlencode(query) if query else realm
        return Request("GET", url, headers)

    def _fetch_token(self, challenge: Challenge, origin: Origin, scopes: Scopes) -> tuple[str, int]:
        request = self._token_request(challenge, origin, scopes)
        with self._transport.send(request) as response:
            status, host = response.status, response.host
            if status in PASSING_STATUSES:
                wait_s = parse_retry_after(response.header("Retry-After"))
                raise RegistryUnreachable(host, f"the token server returned {status}", retry_after_s=wait_s)
            if status in (400, 401, 403):
                raise AccessDenied(
                    self._domain, host, f"no token ({status})", had_credential=self.credential is not None
                )
            if status != 200:
                raise BadRegistryAnswer(host, f"the token server returned {status}")
            data = response.read(TOKEN_BYTES_MAX, "its token")
        try:
            fields = parse_object(data, "token")
            token = optional(fields, "token", str, "token") or optional(fields, "access_token", str, "token")
            life_s = optional(fields, "expires_in", int, "token") or _LIFE_S
        except BadManifest as error:
            raise BadRegistryAnswer(host, f"its token is not valid: {error.reason}") from error
        if not token or not token.isascii() or not token.isprintable():
            raise BadRegistryAnswer(host, "its token is not valid")
        return token, min(max(life_s, 1), _LIFE_S_MAX)
