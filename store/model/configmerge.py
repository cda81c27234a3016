"""One config of a container over another one, as Docker merges them: what is not given comes from below."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rootlay.store.model.imageconfig import RunConfig


def merge_config(over: RunConfig, under: RunConfig) -> RunConfig:
    """Return `over`, completed by `under`. A command belongs to its entrypoint: none comes from below for a new one."""
    names = {entry.partition("=")[0] for entry in over.env}
    own_command = over.entrypoint or over.cmd
    health = {**_health_of(under), **_given(_health_of(over))}
    return RunConfig(
        user=over.user or under.user,
        env=(*over.env, *(entry for entry in under.env if entry.partition("=")[0] not in names)),
        entrypoint=over.entrypoint or under.entrypoint,
        cmd=over.cmd if own_command else under.cmd,
        working_dir=over.working_dir or under.working_dir,
        labels={**under.labels, **over.labels},
        exposed_ports=tuple(dict.fromkeys((*under.exposed_ports, *over.exposed_ports))),
        volumes=tuple(dict.fromkeys((*under.volumes, *over.volumes))),
        stop_signal=over.stop_signal or under.stop_signal,
        shell=over.shell or under.shell,
        extra={**under.extra, **_given(over.extra), **({"Healthcheck": health} if health else {})},
    )


def _health_of(config: RunConfig) -> Mapping[str, Any]:
    """Return the health check; an image may have anything there."""
    found = config.extra.get("Healthcheck")
    return found if isinstance(found, Mapping) else {}


def _given(members: Mapping[str, Any]) -> dict[str, Any]:
    return {name: member for name, member in members.items() if member}
