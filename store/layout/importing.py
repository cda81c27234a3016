"""The import of an image: what it stores stays, or is removed if the import fails."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from rootlay.store.layout.layout import Layout


@contextmanager
def importing(layout: Layout, keep: Callable[[BaseException], bool] = lambda error: False) -> Iterator[None]:
    """Hold a lease on imported and tested objects until the end; if the block fails, remove the new ones.

    May be nested: the outermost one counts. Leftovers of a crash are garbage for `prune`, and so are objects that stay
    after an error for which `keep` returns true.
    """
    if layout.current is not None:
        yield
        return
    published: list[Path] = []
    try:
        with layout.leasing() as current:
            published = current.published
            yield
    except BaseException as error:
        # The lease is released here: a remover tests for objects, too, and must not wait for itself.
        if not keep(error):
            from rootlay.store.layout.removal import discard

            discard(layout, published)
        raise
