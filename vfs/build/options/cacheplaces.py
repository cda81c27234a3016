"""The meaning of `--cache-from` and `--cache-to`.

| Value | |
|---|---|
| `REF`, `type=registry,ref=REF` | a repository and tag of a registry |
| `type=local,src=DIR` (from), `type=local,dest=DIR` (to) | a directory |

With `--cache-to`: `mode=min` (default) keeps the steps whose layers are in the result, `mode=max` all steps of all
stages; `ignore-error=true` lets the build succeed if the cache cannot be written.
"""

from __future__ import annotations

from typing import Literal

from rootlay.store.model.value import value
from rootlay.vfs.build.language.errors import BadValue
from rootlay.vfs.build.options.csvoptions import parse_attributes, truth

_KNOWN = ("type", "ref", "src", "dest", "mode", "ignore-error")


@value
class CachePlace:
    """One place.

    Args:
        kind: a directory, or a registry.
        where: the directory, or the reference.
        all_steps: mode=max.
        may_fail: ignore-error.
    """

    kind: Literal["local", "registry"]
    where: str
    all_steps: bool = False
    may_fail: bool = False


def parse_cache_place(text: str, *, to: bool) -> CachePlace:
    """Parse one value; `to` selects the option. Raises BadValue."""
    if "=" not in text:
        if not text:
            raise BadValue("expected type=registry,ref=NAME or type=local")
        return CachePlace("registry", text)
    found = parse_attributes(text, _KNOWN)
    kind, mode = found.get("type", "registry"), found.get("mode", "min")
    if kind not in ("local", "registry"):
        raise BadValue(f"{text}: expected type=local or type=registry")
    name = "ref" if kind == "registry" else "dest" if to else "src"
    where = found.get(name, "")
    if not where:
        raise BadValue(f"{text}: {name} is missing")
    if mode not in ("min", "max"):
        raise BadValue(f"{text}: mode must be min or max")
    return CachePlace(
        "local" if kind == "local" else "registry",
        where,
        mode == "max",
        truth(text, found.get("ignore-error", "false")),
    )
