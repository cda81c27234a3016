"""The targets of bake files: merged, inherited, with variables, and as command lines of `build`."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from rootlay.cli.bake.hcl import Text, Variable, parse_hcl
from rootlay.cli.spec import UsageError

DEFAULT_FILES = ("docker-bake.json", "docker-bake.override.json", "docker-bake.hcl", "docker-bake.override.hcl")
_MAPS = {"args": "--build-arg", "labels": "--label", "contexts": "--build-context"}
_LISTS = {
    "tags": "--tag", "cache-from": "--cache-from", "cache-to": "--cache-to", "output": "--output",
    "secret": "--secret", "ssh": "--ssh", "no-cache-filter": "--no-cache-filter",
    "annotations": "--annotation", "attest": "--attest", "ulimits": "--ulimit", "entitlements": "--allow",
}  # fmt: skip
_TEXTS = {
    "dockerfile": "--file", "target": "--target", "network": "--network", "call": "--call", "shm-size": "--shm-size",
}  # fmt: skip
_FLAGS = {"no-cache": "--no-cache", "pull": "--pull"}
_OTHER = ("platforms", "context", "inherits", "dockerfile-inline", "description", "name", "matrix")


class Bake:
    """What some files say. Later files and later values win."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self._variables: dict[str, Any] = {}
        self.targets: dict[str, dict[str, Any]] = {}
        self.groups: dict[str, list[str]] = {}

    def read(self, path: Path) -> None:
        """Add a file. Raises UsageError, OSError."""
        text = path.read_text(encoding="utf-8")
        if path.suffix == ".hcl" or not text.lstrip().startswith("{"):
            blocks: list[tuple[str, str, dict[str, Any]]] = [
                (block.kind, block.label, block.values) for block in parse_hcl(text, str(path))
            ]
        else:
            try:
                found = json.loads(text)
            except ValueError as error:
                raise UsageError(f"{path}: not JSON: {error}") from None
            blocks = [(kind, label, values) for kind in found for label, values in dict(found[kind]).items()]
        for kind, label, values in blocks:
            self._add(kind, label, values, path)

    def _add(self, kind: str, label: str, values: dict[str, Any], path: Path) -> None:
        if kind == "variable":
            self._variables[label] = values.get("default")
        elif kind == "group":
            self.groups[label] = self._resolved(values.get("targets", []))
        elif kind == "target":
            for name in values:
                if name not in (*_MAPS, *_LISTS, *_TEXTS, *_FLAGS, *_OTHER):
                    raise UsageError(f"{path}: target {label}: unknown attribute {name}")
            if values.get("matrix"):
                raise UsageError(f"{path}: target {label}: a matrix is not supported; write the targets one by one")
            self.targets.setdefault(label, {}).update(values)
        else:
            raise UsageError(f"{path}: {kind}: not supported; expected target, group or variable")

    def _resolved(self, item: Any) -> Any:
        """Return a value with its variables replaced. Raises UsageError."""
        if isinstance(item, Variable):
            if item.name not in self._variables:
                raise UsageError(f"bake: there is no variable {item.name}")
            return self._environ.get(item.name, self._resolved(self._variables[item.name]))
        if isinstance(item, Text):
            return "".join(str(self._resolved(part) if isinstance(part, Variable) else part) for part in item.parts)
        if isinstance(item, dict):
            return {name: self._resolved(part) for name, part in item.items()}
        return [self._resolved(part) for part in item] if isinstance(item, list) else item

    def expand(self, names: Iterable[str]) -> list[str]:
        """Return the targets that names of targets and groups mean, each once. Raises UsageError."""
        found: dict[str, None] = {}
        pending = list(names)[::-1]
        seen: set[str] = set()
        while pending:
            name = pending.pop()
            if name in self.groups and name not in seen:
                seen.add(name)
                pending += self.groups[name][::-1]
            elif name in self.targets:
                found[name] = None
            elif name not in seen:
                raise UsageError(f"bake: failed to find target {name}")
        return list(found)

    def target(self, name: str, seen: tuple[str, ...] = ()) -> dict[str, Any]:
        """Return the attributes of a target, inherited ones first. Raises UsageError."""
        if name in seen:
            raise UsageError(f"bake: target {name} inherits from itself")
        if name not in self.targets:
            raise UsageError(f"bake: failed to find target {name}")
        own = self._resolved(self.targets[name])
        found: dict[str, Any] = {}
        for parent in own.get("inherits", []):
            _merge(found, self.target(parent, (*seen, name)))
        _merge(found, {key: item for key, item in own.items() if key != "inherits"})
        return found


def _merge(into: dict[str, Any], values: Mapping[str, Any]) -> None:
    for key, item in values.items():
        both = isinstance(item, dict) and isinstance(into.get(key), dict)
        into[key] = {**into[key], **item} if both else item


def words_of(target: Mapping[str, Any]) -> Iterator[str]:
    """Yield the options of `build` for a target, then its context."""
    for name, flag in _MAPS.items():
        for key, item in target.get(name, {}).items():
            if item is not None:
                yield f"{flag}={key}={item}"
    for name, flag in _LISTS.items():
        for item in target.get(name) or ():
            yield f"{flag}={_csv(item)}"
    if target.get("platforms"):
        yield f"--platform={','.join(target['platforms'])}"
    for name, flag in _TEXTS.items():
        if target.get(name) is not None:
            yield f"{flag}={target[name]}"
    for name, flag in _FLAGS.items():
        if target.get(name):
            yield flag
    yield str(target.get("context", "."))


def _csv(item: Any) -> str:
    return ",".join(f"{key}={text}" for key, text in item.items()) if isinstance(item, dict) else str(item)
