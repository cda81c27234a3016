"""The values of the flags of COPY and ADD."""

from __future__ import annotations

from collections.abc import Callable

from rootlay.store.model.value import value
from rootlay.vfs.build.copy.chmodspec import ModeChange
from rootlay.vfs.build.copy.owner import Owner

Excluded = Callable[[bytes], bool]
"""Whether a path (`a/b`, relative to the source) is left out."""


@value
class CopyOptions:
    """The values of the flags.

    Args:
        owner, mode: None: those of the source.
        excluded: of --exclude; None: nothing is excluded.
        parents: keep the directories of a source's path.
        made_ns: the time of files without a source, such as heredocs.
    """

    owner: Owner | None = None
    mode: ModeChange | None = None
    excluded: Excluded | None = None
    parents: bool = False
    made_ns: int = 0
