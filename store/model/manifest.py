"""Descriptors, manifests and indexes (OCI image specification; Docker image manifest V2, schema 2)."""

from __future__ import annotations

from collections.abc import Mapping

from rootlay.store.model.digest import Digest
from rootlay.store.model.errors import BadManifest, DigestMismatch
from rootlay.store.model.jsonfield import Json, as_object, dump, objects, optional, parse_object, text_map, without
from rootlay.store.model.jsonfield import field as member
from rootlay.store.model.value import field, value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
OCI_LAYER = "application/vnd.oci.image.layer.v1.tar"
OCI_LAYER_GZIP = OCI_LAYER + "+gzip"
OCI_LAYER_ZSTD = OCI_LAYER + "+zstd"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_CONFIG = "application/vnd.docker.container.image.v1+json"
DOCKER_LAYER = "application/vnd.docker.image.rootfs.diff.tar"
DOCKER_LAYER_GZIP = DOCKER_LAYER + ".gzip"

REF_NAME = "org.opencontainers.image.ref.name"
CONTAINERD_NAME = "io.containerd.image.name"

INDEXES = frozenset({OCI_INDEX, DOCKER_LIST})
MANIFESTS = frozenset({OCI_MANIFEST, DOCKER_MANIFEST})
CONFIGS = frozenset({OCI_CONFIG, DOCKER_CONFIG})


@value
class Platform:
    """Operating system, architecture and variant, in Go's names."""

    os: str
    architecture: str
    variant: str = ""
    extra: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def parse(cls, source: Json, what: str) -> Platform:
        """Parse the JSON form. Raises BadManifest."""
        return cls(
            optional(source, "os", str, what) or "",
            optional(source, "architecture", str, what) or "",
            optional(source, "variant", str, what) or "",
            without(source, ("os", "architecture", "variant")),
        )

    def to_json(self) -> dict[str, Any]:
        """Return the stored form."""
        found = {"architecture": self.architecture, "os": self.os}
        return {**found, **({"variant": self.variant} if self.variant else {}), **self.extra}

    def __str__(self) -> str:
        """Return the form `linux/arm64/v8`."""
        return "/".join(part for part in (self.os, self.architecture, self.variant) if part)


@value
class Descriptor:
    """A typed, sized pointer to a blob; `size` in bytes."""

    media_type: str
    digest: Digest
    size: int
    annotations: Mapping[str, str] = field(default_factory=dict)
    platform: Platform | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def parse(cls, source: Json, what: str) -> Descriptor:
        """Parse the JSON form. Raises BadManifest."""
        size = member(source, "size", int, what)
        if size < 0:
            raise BadManifest(what, "negative size")
        platform = optional(source, "platform", dict, what)
        return cls(
            optional(source, "mediaType", str, what) or "",
            Digest.parse(member(source, "digest", str, what)),
            size,
            text_map(source, "annotations", what),
            None if platform is None else Platform.parse(platform, what),
            without(source, ("mediaType", "digest", "size", "annotations", "platform")),
        )

    def check_size(self, data: bytes, what: str) -> None:
        """Raise DigestMismatch if the blob's bytes are more or less than promised."""
        if len(data) != self.size:
            raise DigestMismatch(f"{what}: size", self.size, len(data))

    def to_json(self) -> dict[str, Any]:
        """Return the stored form."""
        found: dict[str, Any] = {"mediaType": self.media_type, "digest": str(self.digest), "size": self.size}
        found.update(self.extra)
        if self.platform is not None:
            found["platform"] = self.platform.to_json()
        if self.annotations:
            found["annotations"] = dict(self.annotations)
        return found

    @property
    def ref_name(self) -> str | None:
        """The name that an index gives the image."""
        return self.annotations.get(REF_NAME)


@value
class Manifest:
    """One image: its config and its layers, base layer first."""

    media_type: str
    config: Descriptor
    layers: tuple[Descriptor, ...]
    annotations: Mapping[str, str] = field(default_factory=dict)
    extra: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def parse(cls, data: bytes, what: str) -> Manifest:
        """Parse the document. Raises BadManifest."""
        source = parse_object(data, what)
        if member(source, "schemaVersion", int, what) != 2:
            raise BadManifest(what, "only manifests of schema version 2 are supported")
        media_type = optional(source, "mediaType", str, what) or OCI_MANIFEST
        if media_type not in MANIFESTS:
            raise BadManifest(what, f"not an image manifest: {media_type}")
        return cls(
            media_type,
            Descriptor.parse(as_object(source.get("config"), f"{what}: config"), f"{what}: config"),
            tuple(Descriptor.parse(layer, f"{what}: layer") for layer in objects(source, "layers", what)),
            text_map(source, "annotations", what),
            without(source, ("schemaVersion", "mediaType", "config", "layers", "annotations")),
        )

    def to_bytes(self) -> bytes:
        """Return the document. A parsed manifest may get other bytes: keep the original ones if digests matter."""
        found: dict[str, Any] = {
            "schemaVersion": 2,
            "mediaType": self.media_type,
            **self.extra,
            "config": self.config.to_json(),
            "layers": [layer.to_json() for layer in self.layers],
        }
        if self.annotations:
            found["annotations"] = dict(self.annotations)
        return dump(found)


@value
class Index:
    """A list of manifests (or of further indexes)."""

    manifests: tuple[Descriptor, ...] = ()
    extra: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def parse(cls, data: bytes, what: str) -> Index:
        """Parse the document. Raises BadManifest."""
        source = parse_object(data, what)
        if member(source, "schemaVersion", int, what) != 2:
            raise BadManifest(what, "only indexes of schema version 2 are supported")
        found = tuple(Descriptor.parse(item, f"{what}: manifest") for item in objects(source, "manifests", what))
        return cls(found, without(source, ("schemaVersion", "manifests")))

    def to_bytes(self) -> bytes:
        """Return the document."""
        return dump(
            {
                "schemaVersion": 2,
                "mediaType": OCI_INDEX,
                **self.extra,
                "manifests": [descriptor.to_json() for descriptor in self.manifests],
            }
        )
