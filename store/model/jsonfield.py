"""Reading the JSON documents of an image, strictly for important members and tolerantly for the others.

Every model keeps unknown members in `extra`, so that a rewrite loses nothing.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping

from rootlay.store.model.errors import BadManifest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, TypeAlias, TypeVar

    T = TypeVar("T")

Json: TypeAlias = "Mapping[str, Any]"

# Larger documents are refused unread: registries limit manifests to 4 MiB.
DOCUMENT_BYTES_MAX = 4 << 20


def parse_object(data: bytes, what: str) -> Json:
    """Parse a JSON object. Raises BadManifest."""
    if len(data) > DOCUMENT_BYTES_MAX:
        raise BadManifest(what, f"longer than {DOCUMENT_BYTES_MAX} bytes")
    try:
        found = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise BadManifest(what, "not JSON") from error
    return as_object(found, what)


def as_object(value: object, what: str) -> Json:
    """Return `value`, which must be an object with text keys. Raises BadManifest."""
    if not isinstance(value, dict):
        raise BadManifest(what, "not a JSON object")
    return value


def field(source: Json, name: str, kind: type[T], what: str) -> T:
    """Return the member `name`, which must be there and of type `kind`. Raises BadManifest."""
    value = source.get(name)
    if not isinstance(value, kind) or isinstance(value, bool) is not (kind is bool):
        raise BadManifest(what, f"{name} is missing or of the wrong type")
    return value


def optional(source: Json, name: str, kind: type[T], what: str) -> T | None:
    """Return the member `name`, or None if it is missing or null. Raises BadManifest."""
    return None if source.get(name) is None else field(source, name, kind, what)


def objects(source: Json, name: str, what: str) -> tuple[Json, ...]:
    """Return the member `name`: a list of objects; empty if it is missing or null. Raises BadManifest."""
    return tuple(as_object(item, f"{what}: {name}") for item in optional(source, name, list, what) or ())


def texts(source: Json, name: str, what: str) -> tuple[str, ...] | None:
    """Return the member `name`: a list of texts, or None if it is missing or null. Raises BadManifest."""
    items = optional(source, name, list, what)
    if items is None:
        return None
    if not all(isinstance(item, str) for item in items):
        raise BadManifest(what, f"{name} is not a list of strings")
    return tuple(items)


def text_map(source: Json, name: str, what: str) -> dict[str, str]:
    """Return the member `name`: an object of texts; empty if it is missing or null. Raises BadManifest."""
    found = optional(source, name, dict, what) or {}
    if not all(isinstance(value, str) for value in found.values()):
        raise BadManifest(what, f"{name} has a value that is not a string")
    return dict(found)


def without(source: Json, known: Iterable[str]) -> dict[str, Any]:
    """Return the members that are not `known`."""
    names = set(known)
    return {key: value for key, value in source.items() if key not in names}


def dump(value: Json) -> bytes:
    """Return the bytes of a document: compact, in the order given."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "surrogatepass")
