"""The user's identity for a registry. Secrets never appear in a `repr`, and so in no traceback or log."""

from __future__ import annotations

import base64
import binascii

from rootlay.store.model.value import field, value


@value
class Credential:
    """A user with a password, or an identity token (OAuth2 refresh token) that replaces both."""

    username: str
    password: str = field(repr=False, default="")
    identity_token: str = field(repr=False, default="")

    @property
    def basic(self) -> str:
        """The value of an Authorization header (RFC 7617)."""
        return "Basic " + self.packed

    @property
    def packed(self) -> str:
        """Base64 of `user:password`, as Docker's config file stores it."""
        return base64.b64encode(f"{self.username}:{self.password}".encode()).decode("ascii")

    @classmethod
    def unpack(cls, text: str) -> Credential:
        """Parse the form of `packed`. Raises ValueError."""
        try:
            user, colon, password = base64.b64decode(text, validate=True).decode("utf-8").partition(":")
        except (binascii.Error, UnicodeDecodeError) as error:
            raise ValueError("not base64 of user:password") from error
        if not colon:
            raise ValueError("not base64 of user:password")
        return cls(user, password.strip("\0"))
