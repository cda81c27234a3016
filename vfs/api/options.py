"""The options that methods of the Python API pass on: for type checkers, which then know a misspelt one.

Each class lists the fields of a value class or the arguments of a function; `tests/vfs/test_store_api.py` compares
them.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict

if TYPE_CHECKING:
    from rootlay.store.containers.settings import Settings
    from rootlay.store.model.manifest import Platform
    from rootlay.store.registry.settings import Settings as RegistrySettings
    from rootlay.vfs.build.context.source import SourceTree
    from rootlay.vfs.build.options.cacheplaces import CachePlace
    from rootlay.vfs.build.options.options import Fetch


class ProcessOptions(TypedDict, total=False):
    """Options of subprocess.Popen that a program inside may have."""

    stdin: Any
    stdout: Any
    stderr: Any
    bufsize: int
    errors: str | None
    pass_fds: Collection[int]
    pipesize: int
    process_group: int | None
    restore_signals: bool
    start_new_session: bool
    umask: int


class MadeOptions(TypedDict, total=False):
    """Options of a new container: fields of rootlay.vfs.containers.create.ContainerOptions."""

    argv: Sequence[str]
    entrypoint: str | None
    hostname: str
    labels: dict[str, str]
    lowers: Sequence[str]
    upper: str
    tty: bool
    stdin: bool
    stdin_once: bool
    auto_remove: bool
    confine: str
    network: str
    networks: dict[str, dict[str, Any]]
    ports: Sequence[str]
    make_sources: bool
    to_run: bool
    volumes_from: Sequence[str]
    image_volumes: bool
    settings: Settings | None
    id: str


class BuiltOptions(TypedDict, total=False):
    """Options of a build: fields of rootlay.vfs.build.options.options.BuildOptions."""

    target: str
    build_args: Mapping[str, str]
    labels: Mapping[str, str]
    platform: Platform
    no_cache: bool
    no_cache_stages: frozenset[str]
    annotations: Mapping[str, str]
    pull: bool
    keep_failed: bool
    network: str
    hosts: tuple[tuple[str, str], ...]
    epoch_s: int | None
    secrets: Mapping[str, bytes]
    sockets: Mapping[str, Path]
    environment: Mapping[str, str]
    settings: RegistrySettings
    contexts: Mapping[str, SourceTree]
    images: Mapping[str, str]
    cache_from: tuple[CachePlace, ...]
    cache_to: tuple[CachePlace, ...]
    fetch: Fetch | None
