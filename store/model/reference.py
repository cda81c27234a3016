"""Image references in Docker's grammar: `[DOMAIN/]PATH[:TAG][@DIGEST]` (distribution/reference, "reference.go").

`debian` means `docker.io/library/debian:latest`. The index stores, and listings show, the short ("familiar") form;
comparison is always between full forms.
"""

from __future__ import annotations

import re

from rootlay.store.model.digest import Digest, is_hex
from rootlay.store.model.errors import BadManifest, BadReference
from rootlay.store.model.value import replace, value

DEFAULT_DOMAIN = "docker.io"
DEFAULT_TAG = "latest"
_OFFICIAL = "library/"
_NAME_MAX = 255

_DOMAIN_LABEL = r"(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])"
_DOMAIN = rf"(?:{_DOMAIN_LABEL}(?:\.{_DOMAIN_LABEL})*|\[[0-9a-fA-F:]+\])(?::[0-9]+)?\Z"  # compiled when it is needed
_COMPONENT = re.compile(r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*\Z")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}\Z")


@value
class Reference:
    """A full reference: a domain, a path below it, and a tag or a digest or both."""

    domain: str
    path: str
    tag: str | None
    digest: Digest | None

    @classmethod
    def parse(cls, text: str) -> Reference:
        """Parse and complete: default domain, `library/`, and the tag `latest` unless a digest is given.

        Raises BadReference.
        """
        rest, at, digest_text = text.partition("@")
        digest = None
        if at:
            try:
                digest = Digest.parse(digest_text)
            except BadManifest as error:
                raise BadReference(text, "malformed digest") from error
        tag: str | None = None
        colon = rest.rfind(":")
        if colon > rest.rfind("/"):
            rest, tag = rest[:colon], rest[colon + 1 :]
            if not _TAG.match(tag):
                raise BadReference(text, "malformed tag")
        domain, path = _split_domain(rest)
        cls._check(text, domain, path)
        return cls(domain, path, DEFAULT_TAG if tag is None and digest is None else tag, digest)

    @staticmethod
    def _check(text: str, domain: str, path: str) -> None:
        if domain != DEFAULT_DOMAIN and not re.match(_DOMAIN, domain):
            raise BadReference(text, "malformed host name")
        if len(own := path.removeprefix(_OFFICIAL)) == 64 and is_hex(own):
            raise BadReference(text, "a name of 64 hexadecimal digits would be an image ID")
        for component in path.split("/"):
            if not _COMPONENT.match(component):
                reason = "names are lower case" if component.lower() != component else "malformed name"
                raise BadReference(text, reason)
        if len(domain) + 1 + len(path) > _NAME_MAX:
            raise BadReference(text, f"the name is longer than {_NAME_MAX} characters")

    @property
    def name(self) -> str:
        """The full name of the repository: `docker.io/library/debian`."""
        return f"{self.domain}/{self.path}"

    @property
    def familiar_name(self) -> str:
        """The usual short name of the repository: `debian`."""
        if self.domain != DEFAULT_DOMAIN:
            return self.name
        short = self.path.removeprefix(_OFFICIAL)
        short = short if "/" not in short else self.path
        return short if _split_domain(short) == (DEFAULT_DOMAIN, self.path) else self.name

    @property
    def familiar(self) -> str:
        """The usual short form of the whole reference: `debian:latest`."""
        tag = f":{self.tag}" if self.tag is not None else ""
        digest = f"@{self.digest}" if self.digest is not None else ""
        return f"{self.familiar_name}{tag}{digest}"

    def with_default_tag(self) -> Reference:
        """Return the reference with a tag, which a stored name needs; without its digest."""
        return replace(self, tag=self.tag or DEFAULT_TAG, digest=None)

    def __str__(self) -> str:
        """Return the full form: `docker.io/library/debian:latest`."""
        tag = f":{self.tag}" if self.tag is not None else ""
        digest = f"@{self.digest}" if self.digest is not None else ""
        return f"{self.name}{tag}{digest}"


def _split_domain(name: str) -> tuple[str, str]:
    """Return domain and path: the first component is a domain if it has a dot, colon or capital, or is `localhost`."""
    first, slash, rest = name.partition("/")
    if not slash or not ("." in first or ":" in first or first == "localhost" or first.lower() != first):
        domain, path = DEFAULT_DOMAIN, name
    else:
        domain, path = first, rest
    if domain == "index.docker.io":
        domain = DEFAULT_DOMAIN
    if domain == DEFAULT_DOMAIN and "/" not in path:
        path = _OFFICIAL + path
    return domain, path
