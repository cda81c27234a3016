"""Changes to an image config as Dockerfile instructions: `commit --change` and `import --change`.

Rules: Dockerfile reference, the instructions that change only the config. JSON form or shell form for CMD and
ENTRYPOINT; `NAME=value …` with shell quoting for ENV and LABEL (and the old `ENV NAME value`).
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable, Mapping

from rootlay.store.model.errors import BadManifest
from rootlay.store.model.imageconfig import RunConfig
from rootlay.store.model.value import replace

DEFAULT_SHELL = ("/bin/sh", "-c")


def apply_changes(config: RunConfig, changes: Iterable[str]) -> RunConfig:
    """Apply instructions in order.

    Raises:
        BadManifest: an instruction that is unknown or malformed; the message names it.
    """
    for change in changes:
        config = apply_change(config, change)
    return config


def apply_change(config: RunConfig, change: str) -> RunConfig:
    """Apply one instruction; see apply_changes."""
    word, _, rest = change.strip().partition(" ")
    rest = rest.strip()
    name = word.upper()
    if not rest:
        raise BadManifest(f"change {change!r}", "write an instruction and its argument, such as `CMD bash`")
    try:
        if name == "CMD":
            return replace(config, cmd=_command(rest, config))
        if name == "ENTRYPOINT":
            return replace(config, entrypoint=_command(rest, config), cmd=None)
        if name == "ENV":
            return replace(config, env=merge_env(config.env, _pairs(rest)))
        if name == "LABEL":
            return replace(config, labels={**config.labels, **_pairs(rest)})
        if name == "USER":
            return replace(config, user=rest)
        if name == "WORKDIR":
            return replace(
                config, working_dir=rest if rest.startswith("/") else f"{config.working_dir.rstrip('/')}/{rest}"
            )
        if name == "STOPSIGNAL":
            return replace(config, stop_signal=rest)
        if name == "EXPOSE":
            ports = tuple(port if "/" in port else f"{port}/tcp" for port in rest.split())
            return replace(config, exposed_ports=tuple(dict.fromkeys((*config.exposed_ports, *ports))))
        if name == "VOLUME":
            volumes = _json_list(rest) or tuple(shlex.split(rest))
            return replace(config, volumes=tuple(dict.fromkeys((*config.volumes, *volumes))))
    except ValueError as error:
        raise BadManifest(f"change {change!r}", str(error)) from error
    raise BadManifest(f"change {change!r}", f"{word} changes more than the config, or is unknown")


def _command(rest: str, config: RunConfig) -> tuple[str, ...]:
    words = _json_list(rest)
    return words if words is not None else (*(config.shell or DEFAULT_SHELL), rest)


def _json_list(rest: str) -> tuple[str, ...] | None:
    if not rest.startswith("["):
        return None
    try:
        found = json.loads(rest)
    except ValueError:
        return None
    return tuple(found) if isinstance(found, list) and all(isinstance(word, str) for word in found) else None


def _pairs(rest: str) -> dict[str, str]:
    words = shlex.split(rest)
    if words and "=" not in words[0]:
        return {words[0]: rest.partition(" ")[2].strip()}
    if not all("=" in word for word in words):
        raise ValueError("expected NAME=value")
    return dict(word.split("=", 1) for word in words)


def merge_env(env: Iterable[str], pairs: Mapping[str, str]) -> tuple[str, ...]:
    """Merge `NAME=value` entries: a known name keeps its place, a new one is added at the end."""
    merged = dict(entry.split("=", 1) for entry in env if "=" in entry)
    merged.update(pairs)
    return tuple(f"{name}={value}" for name, value in merged.items())
