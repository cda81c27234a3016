"""The image config: the settings of its programs, the diff IDs, the history (OCI specification, config.md)."""

from __future__ import annotations

from collections.abc import Mapping

from rootlay.store.model.digest import Digest
from rootlay.store.model.digest import chain_id as chain_id_of
from rootlay.store.model.errors import BadManifest, WrongPlatform
from rootlay.store.model.jsonfield import (
    Json,
    as_object,
    dump,
    objects,
    optional,
    parse_object,
    text_map,
    texts,
    without,
)
from rootlay.store.model.manifest import Platform
from rootlay.store.model.platform import fits
from rootlay.store.model.value import field, replace, value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


@value
class RunConfig:
    """The `config` member: defaults for running a container. None: not given (an empty list is a value of its own)."""

    user: str = ""
    env: tuple[str, ...] = ()  # NAME=VALUE
    entrypoint: tuple[str, ...] | None = None
    cmd: tuple[str, ...] | None = None
    working_dir: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    exposed_ports: tuple[str, ...] = ()
    volumes: tuple[str, ...] = ()
    stop_signal: str = ""
    shell: tuple[str, ...] | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def parse(cls, source: Json, what: str) -> RunConfig:
        """Parse the JSON form. Raises BadManifest."""
        texts(source, "OnBuild", what)
        return cls(
            optional(source, "User", str, what) or "",
            texts(source, "Env", what) or (),
            texts(source, "Entrypoint", what),
            texts(source, "Cmd", what),
            optional(source, "WorkingDir", str, what) or "",
            text_map(source, "Labels", what),
            tuple(optional(source, "ExposedPorts", dict, what) or ()),
            tuple(optional(source, "Volumes", dict, what) or ()),
            optional(source, "StopSignal", str, what) or "",
            texts(source, "Shell", what),
            without(source, _RUN_MEMBERS),
        )

    def to_json(self) -> dict[str, Any]:
        """Return the stored form."""
        found: dict[str, Any] = {
            "User": self.user,
            "ExposedPorts": {port: {} for port in self.exposed_ports},
            "Env": list(self.env),
            "Volumes": {volume: {} for volume in self.volumes},
            "WorkingDir": self.working_dir,
            "Labels": dict(self.labels),
            "StopSignal": self.stop_signal,
        }
        found = {name: member for name, member in found.items() if member}
        for name, words in (("Entrypoint", self.entrypoint), ("Cmd", self.cmd), ("Shell", self.shell)):
            if words is not None:
                found[name] = list(words)
        return {**found, **self.extra}


_RUN_MEMBERS = (
    "User", "Env", "Entrypoint", "Cmd", "WorkingDir", "Labels", "ExposedPorts", "Volumes", "StopSignal", "Shell",
)  # fmt: skip


@value
class History:
    """One step of the image's history; `created` in RFC 3339."""

    created: str = ""
    created_by: str = ""
    author: str = ""
    comment: str = ""
    empty_layer: bool = False
    extra: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def parse(cls, source: Json, what: str) -> History:
        """Parse the JSON form. Raises BadManifest."""
        names = ("created", "created_by", "author", "comment")
        created, created_by, author, comment = (optional(source, name, str, what) or "" for name in names)
        empty = optional(source, "empty_layer", bool, what) or False
        return cls(created, created_by, author, comment, empty, without(source, (*names, "empty_layer")))

    def to_json(self) -> dict[str, Any]:
        """Return the stored form."""
        names = ("created", "created_by", "author", "comment", "empty_layer")
        found = {name: getattr(self, name) for name in names if getattr(self, name)}
        return {**found, **self.extra}


@value
class ImageConfig:
    """An image config; `created` in RFC 3339, diff IDs base layer first."""

    os: str
    architecture: str
    variant: str = ""
    created: str = ""
    author: str = ""
    config: RunConfig = field(default_factory=RunConfig)
    diff_ids: tuple[Digest, ...] = ()
    history: tuple[History, ...] = ()
    extra: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def parse(cls, data: bytes, what: str) -> ImageConfig:
        """Parse the document. Raises BadManifest."""
        source = parse_object(data, what)
        rootfs = as_object(source.get("rootfs"), f"{what}: rootfs")
        if rootfs.get("type") != "layers":
            raise BadManifest(what, "rootfs is not of type layers")
        run = optional(source, "config", dict, what) or {}
        return cls(
            optional(source, "os", str, what) or "",
            optional(source, "architecture", str, what) or "",
            optional(source, "variant", str, what) or "",
            optional(source, "created", str, what) or "",
            optional(source, "author", str, what) or "",
            RunConfig.parse(run, f"{what}: config"),
            tuple(Digest.parse(text) for text in texts(rootfs, "diff_ids", what) or ()),
            tuple(History.parse(item, f"{what}: history") for item in objects(source, "history", what)),
            without(source, _CONFIG_MEMBERS),
        )

    def to_bytes(self) -> bytes:
        """Return the document. A parsed config may get other bytes: keep the original ones if the ID matters."""
        found: dict[str, Any] = {}
        for name in ("created", "author"):
            if getattr(self, name):
                found[name] = getattr(self, name)
        found.update(self.platform.to_json())
        found.update(self.extra)
        found["config"] = self.config.to_json()
        found["rootfs"] = {"type": "layers", "diff_ids": [str(diff_id) for diff_id in self.diff_ids]}
        found["history"] = [step.to_json() for step in self.history]
        return dump(found)

    @property
    def platform(self) -> Platform:
        """The platform of the image."""
        return Platform(self.os, self.architecture, self.variant)

    @property
    def chain_id(self) -> Digest:
        """The chain ID of all layers."""
        return chain_id_of(self.diff_ids)

    def with_layer(self, diff_id: Digest, history: History) -> ImageConfig:
        """Return the config of an image with one more layer on top."""
        return replace(
            self, created=history.created, diff_ids=(*self.diff_ids, diff_id), history=(*self.history, history)
        )


_CONFIG_MEMBERS = ("os", "architecture", "variant", "created", "author", "config", "rootfs", "history")


def check_platform(config: ImageConfig, wanted: Platform) -> None:
    """Raise WrongPlatform for an image that states another platform."""
    if config.architecture and not fits(wanted, config.platform):
        raise WrongPlatform(str(wanted), (str(config.platform),))
