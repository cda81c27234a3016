"""Docker's schemas (Swagger 2.0), without prose: api-1.47.json. A small validator for answers."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

FILE = Path(__file__).with_name("api-1.47.json")
_KINDS: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,), "number": (int, float), "boolean": (bool,), "array": (list,), "object": (dict,),
}  # fmt: skip


@cache
def specification() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(FILE.read_text(encoding="utf-8"))
    return found


def answer_schema(method: str, path: str, status: int = 200) -> dict[str, Any]:
    """Return the schema of an answer."""
    found: dict[str, Any] = specification()["paths"][path][method.lower()]["responses"][str(status)]["schema"]
    return found


def problems(value: Any, schema: dict[str, Any], where: str = "$") -> list[str]:
    """Return where a value does not fit a schema: another type, a missing required member. null is any type's."""
    if "$ref" in schema:
        schema = specification()["definitions"].get(schema["$ref"].rpartition("/")[2], {})
    if "allOf" in schema:
        return [text for part in schema["allOf"] for text in problems(value, part, where)]
    if value is None:
        return []
    found = []
    kind = schema.get("type")
    if kind in _KINDS and (not isinstance(value, _KINDS[kind]) or (kind != "boolean" and isinstance(value, bool))):
        return [f"{where}: {value!r} is not of type {kind}"]
    if isinstance(value, dict):
        found += [f"{where}.{name}: missing" for name in schema.get("required", []) if name not in value]
        members = schema.get("properties", {})
        rest = schema.get("additionalProperties")
        for name, item in value.items():
            if name in members:
                found += problems(item, members[name], f"{where}.{name}")
            elif isinstance(rest, dict):
                found += problems(item, rest, f"{where}.{name}")
    if isinstance(value, list) and "items" in schema:
        for index, item in enumerate(value):
            found += problems(item, schema["items"], f"{where}[{index}]")
    return found


def missing(value: dict[str, Any], schema: dict[str, Any]) -> set[str]:
    """Return the members of a schema that a value lacks."""
    if "$ref" in schema:
        schema = specification()["definitions"][schema["$ref"].rpartition("/")[2]]
    parts = schema.get("allOf", [schema])
    return {name for part in parts for name in part.get("properties", {})} - value.keys()
