"""The targets of bake files: merged, inherited, with variables, and as command lines of `build`."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from rootlay.cli.bake.hcl import Text, Variable, parse_hcl
from rootlay.cli.parse import TRUTH
from rootlay.cli.spec import UsageError
from rootlay.store.model.cstring import is_c_string
from rootlay.vfs.build.language.lexer import LONGEST_VARIABLE

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
_OTHER_LISTS = ("platforms", "inherits")
_OTHER_TEXTS = ("context", "dockerfile-inline", "description", "name")
_KNOWN = (*_MAPS, *_LISTS, *_TEXTS, *_FLAGS, *_OTHER_LISTS, *_OTHER_TEXTS, "matrix")
_LONGEST_TARGET = 4 << 20


class Bake:
    """What some files say. Later files and later values win."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self._variables: dict[str, Any] = {}
        self._values: dict[str, Any] = {}
        self._paths: dict[str, Path] = {}
        self._done: dict[str, dict[str, Any]] = {}
        self.targets: dict[str, dict[str, Any]] = {}
        self.groups: dict[str, list[str]] = {}

    def read(self, path: Path) -> None:
        """Add a file. Raises UsageError, OSError."""
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            raise UsageError(f"{path}: not UTF-8 text") from None
        if path.suffix == ".hcl" or not text.lstrip().startswith("{"):
            blocks: list[tuple[str, str, dict[str, Any]]] = [
                (block.kind, block.label, block.values) for block in parse_hcl(text, str(path))
            ]
        else:
            try:
                found = json.loads(text)
            except ValueError as error:
                raise UsageError(f"{path}: not JSON: {error}") from None
            except RecursionError:
                raise UsageError(f"{path}: lists and maps are nested too deeply") from None
            for kind, labelled in found.items():
                if not isinstance(labelled, dict) or not all(isinstance(values, dict) for values in labelled.values()):
                    raise UsageError(f"{path}: {kind}: expected an object of objects, by name")
            blocks = [(kind, label, values) for kind in found for label, values in found[kind].items()]
        self._values.clear()
        for kind, label, values in blocks:
            self._add(kind, label, values, path)

    def _add(self, kind: str, label: str, values: dict[str, Any], path: Path) -> None:
        if kind == "variable":
            self._variables[label] = values.get("default")
        elif kind == "group":
            targets = self._resolved(values.get("targets", []), f"{path}: group {label}")
            if not isinstance(targets, list) or not all(isinstance(name, str) for name in targets):
                raise UsageError(f"{path}: group {label}: targets: expected a list of names")
            self.groups[label] = targets
        elif kind == "target":
            for name in values:
                if name not in _KNOWN:
                    raise UsageError(f"{path}: target {label}: unknown attribute {name}")
            if values.get("matrix"):
                raise UsageError(f"{path}: target {label}: a matrix is not supported; write the targets one by one")
            self.targets.setdefault(label, {}).update(values)
            self._paths[label] = path
        else:
            raise UsageError(f"{path}: {kind}: not supported; expected target, group or variable")

    def _resolved(self, item: Any, where: str, seen: tuple[str, ...] = ()) -> Any:
        """Return a value with its variables replaced; `seen` are those that it is part of. Raises UsageError."""
        if isinstance(item, Variable):
            return self._value(item.name, where, seen)
        if isinstance(item, Text):
            parts = [self._resolved(part, where, seen) for part in item.parts]
            if _is_larger(parts, LONGEST_VARIABLE):
                raise UsageError(f"{where}: a text is longer than {LONGEST_VARIABLE} characters with its variables")
            return "".join(map(str, parts))
        if isinstance(item, dict):
            return {name: self._resolved(part, where, seen) for name, part in item.items()}
        return [self._resolved(part, where, seen) for part in item] if isinstance(item, list) else item

    def _value(self, name: str, where: str, seen: tuple[str, ...]) -> Any:
        """Return the value of a variable. Raises UsageError."""
        if name in self._environ:
            return self._environ[name]
        if name not in self._variables:
            raise UsageError(f"{where}: there is no variable {name}")
        if name in seen:
            raise UsageError(f"{where}: variables contain each other in a loop: {' -> '.join((*seen, name))}")
        if name not in self._values:
            try:
                found = self._resolved(self._variables[name], where, (*seen, name))
            except RecursionError:
                raise UsageError(f"{where}: variable {name}: lists and variables are nested too deeply") from None
            if _is_larger(found, LONGEST_VARIABLE):
                raise UsageError(f"{where}: variable {name} is longer than {LONGEST_VARIABLE} characters")
            self._values[name] = found
        return self._values[name]

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
        if name in self._done:
            return self._done[name]
        if name in seen:
            raise UsageError(f"bake: target {name} inherits from itself")
        if name not in self.targets:
            raise UsageError(f"bake: failed to find target {name}")
        where = f"{self._paths[name]}: target {name}"
        try:
            own = self._resolved(self.targets[name], where)
            if _is_larger(own, _LONGEST_TARGET):
                raise UsageError(f"{where}: longer than {_LONGEST_TARGET} characters with its variables")
            check_values(own, where)
            found: dict[str, Any] = {}
            for parent in own.get("inherits") or ():
                _merge(found, self.target(parent, (*seen, name)))
        except RecursionError:
            raise UsageError(f"{where}: lists, maps or inherits are nested too deeply") from None
        _merge(found, {key: item for key, item in own.items() if key != "inherits"})
        self._done[name] = found
        return found


def _is_larger(item: Any, limit: int) -> bool:
    """Return whether a value has more characters, elements and members than `limit`."""
    pending, left = [item], limit
    while pending and left >= 0:
        part = pending.pop()
        left -= len(part) if isinstance(part, (str, list, dict)) else 1
        if isinstance(part, dict):
            left -= sum(map(len, part))
        pending += part.values() if isinstance(part, dict) else part if isinstance(part, list) else ()
    return left < 0


def check_values(target: Mapping[str, Any], where: str) -> None:
    """Raise UsageError for an attribute of a wrong type. `where`: the file and the target."""
    for name, item in target.items():
        if item is None or name == "matrix":
            continue
        if name in _MAPS:
            fits, wanted = _is_map(item), "a map of texts"
        elif name in _LISTS:
            fits = isinstance(item, list) and all(_is_text(part) or _is_map(part) for part in item)
            wanted = "a list of texts"
        elif name in _OTHER_LISTS:
            fits, wanted = isinstance(item, list) and all(isinstance(part, str) for part in item), "a list of texts"
        elif name in _FLAGS:
            fits, wanted = isinstance(item, (bool, str)) and str(item) in TRUTH, "true or false"
        else:
            fits, wanted = _is_text(item), "a text"
        if not fits:
            raise UsageError(f"{where}: {name}: expected {wanted}")


def _is_map(item: Any) -> bool:
    return isinstance(item, dict) and all(
        _is_text(name) and (text is None or _is_text(text)) for name, text in item.items()
    )


def _is_text(item: Any) -> bool:
    """Return whether a value can be a word of a command line. Numbers and truth values become text."""
    return is_c_string(item) if isinstance(item, str) else isinstance(item, (int, float))


def _merge(into: dict[str, Any], values: Mapping[str, Any]) -> None:
    for key, item in values.items():
        both = isinstance(item, dict) and isinstance(into.get(key), dict)
        into[key] = {**into[key], **item} if both else item


def words_of(target: Mapping[str, Any]) -> Iterator[str]:
    """Yield the options of `build` for a target, then its context."""
    for name, flag in _MAPS.items():
        for key, item in (target.get(name) or {}).items():
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
        if str(target.get(name)) in TRUTH and TRUTH[str(target[name])]:
            yield flag
    yield "--"
    yield str(target.get("context") or ".")


def _csv(item: Any) -> str:
    return ",".join(f"{key}={text}" for key, text in item.items()) if isinstance(item, dict) else str(item)
