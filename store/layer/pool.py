"""Open layers of one stack: a few at a time, because a stack may have more layers than a process has descriptors.

Rules:
1. A layer in use stays open. An unused one stays open until there are more than `limit`.
2. An open layer caches decompressed segments, so that reading neighbours is cheap; `limit` bounds that memory.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Generic, Protocol, TypeVar


class Closable(Protocol):
    """The needs of the pool from a layer."""

    def close(self) -> None:
        """Close it."""


LayerT = TypeVar("LayerT", bound=Closable)


class LayerPool(Generic[LayerT]):
    """Layers by number. Thread safe; close it when none is in use."""

    def __init__(self, open_layer: Callable[[int], LayerT], limit: int = 16) -> None:
        """Use `open_layer` to open a layer of the stack; `pin` and `use` raise its errors."""
        self._open_layer = open_layer
        self._limit = limit
        self._lock = threading.Lock()
        self._layers: OrderedDict[int, LayerT] = OrderedDict()
        self._pins: dict[int, int] = {}

    def pin(self, number: int) -> LayerT:
        """Return the layer, open until as many calls of `unpin`."""
        with self._lock:
            layer = self._layers.get(number)
            if layer is None:
                layer = self._layers[number] = self._open_layer(number)
            self._layers.move_to_end(number)
            self._pins[number] = self._pins.get(number, 0) + 1
            return layer

    def peek(self, number: int) -> LayerT | None:
        """Return the layer if it is open; it may be closed at any time."""
        with self._lock:
            return self._layers.get(number)

    def unpin(self, number: int) -> None:
        """Release one `pin`."""
        with self._lock:
            self._pins[number] -= 1
            if not self._pins[number]:
                del self._pins[number]
            idle = [n for n in self._layers if n not in self._pins]
            for oldest in idle[: max(0, len(self._layers) - self._limit)]:
                self._layers.pop(oldest).close()

    @contextmanager
    def use(self, number: int) -> Iterator[LayerT]:
        """Return the layer, open until the end of the block."""
        layer = self.pin(number)
        try:
            yield layer
        finally:
            self.unpin(number)

    def close(self) -> None:
        """Close every layer. Idempotent."""
        with self._lock:
            while self._layers:
                self._layers.popitem()[1].close()
