"""The source of the rest of a lazy layer: `origin.json` next to its index (docs/format.md §11).

Rules:
1. No secrets: logins are looked up in Docker's config file when they are needed; a proxy with a password is refused.
2. The settings are those of the pull: the settings of another user or directory would not lead there.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rootlay.store.model.digest import Digest
from rootlay.store.model.errors import BadManifest, CorruptStore
from rootlay.store.model.jsonfield import dump, field, optional, parse_object, texts
from rootlay.store.model.manifest import Descriptor
from rootlay.store.model.value import value

ORIGIN_NAME = "origin.json"
_VERSION = 1


@value
class Origin:
    """The blob, its layer's promised diff ID, and how to reach it."""

    repository: str  # HOST/NAME in full
    layer: Descriptor
    diff_id: Digest
    docker_config: str = ""
    ca_file: str = ""
    plain_http: bool = False
    http_proxy: str = ""
    https_proxy: str = ""
    no_proxy: tuple[str, ...] = ()

    def to_bytes(self) -> bytes:
        """Return the stored form."""
        found: dict[str, Any] = {
            "version": _VERSION,
            "repository": self.repository,
            "layer": self.layer.to_json(),
            "diff_id": str(self.diff_id),
            "docker_config": self.docker_config,
            "ca_file": self.ca_file,
            "plain_http": self.plain_http,
            "http_proxy": self.http_proxy,
            "https_proxy": self.https_proxy,
            "no_proxy": list(self.no_proxy),
        }
        return dump(found)

    @classmethod
    def read(cls, directory: Path) -> Origin:
        """Read the origin of the layer in `directory`. Raises FileNotFoundError, CorruptStore."""
        path = directory / ORIGIN_NAME
        what = str(path)
        try:
            source = parse_object(path.read_bytes(), what)
            if field(source, "version", int, what) != _VERSION:
                raise CorruptStore(what, f"its version is not {_VERSION}")
            return cls(
                field(source, "repository", str, what),
                Descriptor.parse(field(source, "layer", dict, what), what),
                Digest.parse(field(source, "diff_id", str, what)),
                optional(source, "docker_config", str, what) or "",
                optional(source, "ca_file", str, what) or "",
                field(source, "plain_http", bool, what),
                optional(source, "http_proxy", str, what) or "",
                optional(source, "https_proxy", str, what) or "",
                texts(source, "no_proxy", what) or (),
            )
        except BadManifest as error:
            raise CorruptStore(what, error.reason) from error
