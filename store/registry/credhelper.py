"""Credential helpers: programs `docker-credential-NAME` (docker-credential-helpers, "Development").

The secret is passed only through pipes, never in arguments.
"""

from __future__ import annotations

import json
import re
import subprocess

from rootlay.store.registry.credential import Credential
from rootlay.store.registry.errors import CredentialStoreFailed

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*\Z")
_TIMEOUT_S = 60
_NOT_FOUND = "credentials not found"
_TOKEN_USER = "<token>"


def get(helper: str, key: str) -> Credential | None:
    """Return the login under `key`, or None. Raises CredentialStoreFailed."""
    program = f"docker-credential-{helper}"
    done = _run(helper, "get", key)
    if done.returncode:
        text = (done.stdout or done.stderr).strip()
        if _NOT_FOUND in text.lower():
            return None
        raise CredentialStoreFailed(program, f"get failed: {text[:200] or done.returncode}")
    try:
        fields = json.loads(done.stdout)
        user, secret = fields["Username"], fields["Secret"]
    except (ValueError, KeyError, TypeError) as error:
        raise CredentialStoreFailed(program, "its output is not a login") from error
    if not isinstance(user, str) or not isinstance(secret, str):
        raise CredentialStoreFailed(program, "its output is not a login")
    return Credential("", "", secret) if user == _TOKEN_USER else Credential(user, secret)


def store(helper: str, key: str, credential: Credential) -> None:
    """Keep a login. Raises CredentialStoreFailed."""
    token = credential.identity_token
    user, secret = (_TOKEN_USER, token) if token else (credential.username, credential.password)
    _check(helper, "store", json.dumps({"ServerURL": key, "Username": user, "Secret": secret}))


def erase(helper: str, key: str) -> None:
    """Remove a login. Raises CredentialStoreFailed."""
    _check(helper, "erase", key)


def _check(helper: str, action: str, text: str) -> None:
    done = _run(helper, action, text)
    if done.returncode:
        reason = (done.stdout or done.stderr).strip()[:200]
        raise CredentialStoreFailed(f"docker-credential-{helper}", f"{action} failed: {reason or done.returncode}")


def _run(helper: str, action: str, text: str) -> subprocess.CompletedProcess[str]:
    if not _NAME.match(helper):
        raise CredentialStoreFailed(f"docker-credential-{helper}"[:100], "not the name of a credential helper")
    program = f"docker-credential-{helper}"
    try:
        return subprocess.run(
            [program, action], input=text, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False
        )
    except FileNotFoundError as error:
        raise CredentialStoreFailed(
            program, "not in PATH: install it, or remove it from Docker's config.json"
        ) from error
    except subprocess.TimeoutExpired as error:
        raise CredentialStoreFailed(program, f"no answer in {_TIMEOUT_S} s") from error
    except (OSError, UnicodeDecodeError) as error:
        raise CredentialStoreFailed(program, str(error)) from error
