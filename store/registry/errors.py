"""Errors between rootlay and a registry."""

from __future__ import annotations

from rootlay.store.model.errors import InputError, RootlayError


class RegistryUnreachable(RootlayError):
    """No connection, no valid certificate, an interruption, or an answer that means "later" (429, 5xx), after all
    retries.

    `passing`: a retry may help; `retry_after_s`: the time that the registry stated; `slow`: too few bytes arrived.
    """

    fault = "network"
    exit_code = 40

    def __init__(
        self, host: str, reason: str, *, passing: bool = True, retry_after_s: float | None = None, slow: bool = False
    ) -> None:
        super().__init__(f"{host}: {reason}")
        self.host = host
        self.reason = reason
        self.passing = passing
        self.retry_after_s = retry_after_s
        self.slow = slow


class AccessDenied(RootlayError):
    """The registry requires other credentials, or no credentials are sufficient."""

    exit_code = 41

    def __init__(self, host: str, what: str, reason: str, *, had_credential: bool) -> None:
        hint = (
            "wrong user name or password, or insufficient rights" if had_credential else f"log in: rootlay login {host}"
        )
        super().__init__(f"{what}: access denied: {reason} ({hint})")
        self.host = host
        self.what = what
        self.reason = reason
        self.had_credential = had_credential


class NotInRegistry(InputError):
    """The registry has no such repository, tag, manifest or blob."""

    fault = "caller"
    exit_code = 42
    usual = "not found in the registry"


class RegistryRefused(RootlayError):
    """The registry rejects a request: a quota, a read-only repository, an immutable tag, …"""

    exit_code = 43

    def __init__(self, what: str, status: int, reason: str) -> None:
        super().__init__(f"{what}: the registry returned {status}: {reason}")
        self.what = what
        self.status = status
        self.reason = reason


class BadRegistryAnswer(RootlayError):
    """An answer that violates the specification, or that is not safe to follow."""

    fault = "network"
    exit_code = 44

    def __init__(self, host: str, reason: str) -> None:
        super().__init__(f"{host}: {reason}")
        self.host = host
        self.reason = reason


class CredentialStoreFailed(InputError):
    """Docker's config file or a credential helper fails."""

    fault = "caller"
    exit_code = 45
