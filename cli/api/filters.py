"""The parameter `filters`: `{"name": ["a", "b"]}`, or the older `{"name": {"a": true}}`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rootlay.cli.api.errors import bad_parameter


def parse_filters(given: Any, known: frozenset[str]) -> dict[str, list[str]]:
    """Return the values of each filter. Raises ApiError for an unknown one."""
    if given in (None, "", [], {}):
        return {}
    if not isinstance(given, dict):
        raise bad_parameter("invalid filters: an object is expected")
    found: dict[str, list[str]] = {}
    for name, values in given.items():
        if name not in known:
            raise bad_parameter(f"invalid filter '{name}'")
        items = [key for key, on in values.items() if on] if isinstance(values, dict) else values
        if not isinstance(items, list):
            raise bad_parameter(f"invalid filter '{name}'")
        found[name] = [str(item) for item in items]
    return found


def has_labels(labels: Mapping[str, str], wanted: list[str]) -> bool:
    """Return whether an object has all labels: `KEY` or `KEY=VALUE`."""
    for text in wanted:
        key, sign, item = text.partition("=")
        if key not in labels or (sign and labels[key] != item):
            return False
    return True


def fits_labels(labels: Mapping[str, str], filters: Mapping[str, list[str]]) -> bool:
    """Return whether an object has all labels of `label`, and none of `label!`."""
    if not has_labels(labels, filters.get("label", [])):
        return False
    return not any(has_labels(labels, [text]) for text in filters.get("label!", []))


def truth(filters: Mapping[str, list[str]], name: str, *, default: bool) -> bool:
    """Return the value of a filter that is true or false. Raises ApiError if it is neither, or both."""
    if name not in filters:
        return default
    given = set(filters[name])
    is_true, is_false = not given.isdisjoint(("1", "true")), not given.isdisjoint(("0", "false"))
    if is_true == is_false:
        raise bad_parameter(f"invalid filter '{name}=[{' '.join(filters[name])}]'")
    return is_true
