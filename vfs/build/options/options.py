"""The options of a build."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from rootlay.store.model.image import Image
from rootlay.store.model.manifest import Platform
from rootlay.store.model.platform import host_platform
from rootlay.store.model.progress import Progress
from rootlay.store.model.value import field, value
from rootlay.store.registry.settings import Settings
from rootlay.vfs.build.context.source import SourceTree
from rootlay.vfs.build.options.cacheplaces import CachePlace

Fetch = Callable[[str, Platform, Progress], Image]
"""Fetches an image that is not in the store. Raises UnknownImage and registry errors.

The progress raises KeyboardInterrupt when the build was stopped: do not catch it."""


@value
class BuildOptions:
    """The options of one build.

    Args:
        tags: the image's names; empty: it has no name.
        target: the stage to build, by name or number; the last one if empty.
        build_args: values of ARGs.
        labels: added to the image.
        platform: the platform of the image.
        no_cache: make every layer again (and store it in the cache).
        no_cache_stages: names of stages in lower case, whose layers are made again.
        annotations: of the image's manifest.
        pull: query the registry also for base images that are in the store.
        keep_failed: keep the container of a failing RUN for the user.
        network: of the RUNs without their own: "host" or "none".
        hosts: more lines of /etc/hosts for RUN: (address, name).
        epoch_s: SOURCE_DATE_EPOCH: the time of the image and its history, and the latest time of its files.
        secrets: those of --mount=type=secret, by id.
        sockets: of ssh agents, by id, for --mount=type=ssh.
        environment: for the git command of ADD.
        settings: for the downloads of ADD.
        contexts: more sources, by name in lower case: `--build-context`.
        images: images that replace a name: `--build-context NAME=docker-image://IMAGE`.
        cache_from, cache_to: more places of the cache, see `rootlay.vfs.build.options.cacheplaces`.
        fetch: see Fetch; None: base images must be in the store.
    """

    tags: tuple[str, ...] = ()
    target: str = ""
    build_args: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    platform: Platform = field(default_factory=host_platform)
    no_cache: bool = False
    no_cache_stages: frozenset[str] = frozenset()
    annotations: Mapping[str, str] = field(default_factory=dict)
    pull: bool = False
    keep_failed: bool = False
    network: str = "host"
    hosts: tuple[tuple[str, str], ...] = ()
    epoch_s: int | None = None
    secrets: Mapping[str, bytes] = field(default_factory=dict)
    sockets: Mapping[str, Path] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    settings: Settings = field(default_factory=Settings)
    contexts: Mapping[str, SourceTree] = field(default_factory=dict)
    images: Mapping[str, str] = field(default_factory=dict)
    cache_from: tuple[CachePlace, ...] = ()
    cache_to: tuple[CachePlace, ...] = ()
    fetch: Fetch | None = None
