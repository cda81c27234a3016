"""Errors about container names, besides those of rootlay.store.errors."""

from __future__ import annotations

from rootlay.store.errors import StoreError


class AmbiguousContainer(StoreError):
    """An ID prefix that fits more than one container."""

    def __init__(self, reference: str, candidates: tuple[str, ...]) -> None:
        super().__init__(
            f"container ID {reference} is ambiguous: it fits {', '.join(c[:12] for c in sorted(candidates))}"
        )
        self.reference = reference
        self.candidates = candidates


class BadContainerName(StoreError):
    """Not a container name."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"invalid container name {name!r}: letters, digits, '_', '.' and '-' are allowed, a letter or digit first"
        )
        self.name = name
