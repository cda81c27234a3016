"""One call of the API: what a handler gets."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rootlay.cli.api.exchange import Exchange
from rootlay.cli.spec import Context
from rootlay.store.containers.containers import Containers
from rootlay.store.containers.record import ContainerRecord
from rootlay.store.model.value import value


@value
class Call:
    """A call. `names` are those in the path, `query` the parameters of the route, `version` is (1, 47)."""

    context: Context
    exchange: Exchange
    names: dict[str, str]
    query: dict[str, Any]
    version: tuple[int, int]

    @property
    def root(self) -> Path:
        """The store's root."""
        return self.context.root

    def container(self) -> ContainerRecord:
        """Return the container of the path. Raises UnknownContainer, AmbiguousContainer."""
        return Containers(self.root).find(self.names["id"])

    def text(self, name: str, default: str = "") -> str:
        """Return a parameter that is a text."""
        found = self.query[name]
        return default if found is None else str(found)

    def truth(self, name: str, default: bool = False) -> bool:
        """Return a parameter that is a truth value."""
        found = self.query[name]
        return default if found is None else bool(found)


@value
class Reply:
    """An answer: status code, JSON (None: no body) and headers."""

    status: int
    body: Any = None
    headers: dict[str, str] | None = None


NO_CONTENT = Reply(204)
