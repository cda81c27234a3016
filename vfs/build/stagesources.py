"""The meaning of names inside a stage: `--from` of COPY, `from=` of a mount."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from rootlay.store.model.digest import Digest, chain_id
from rootlay.vfs.build.context.source import OverlayTree, SourceTree
from rootlay.vfs.build.copy.contentdigest import plan_digest
from rootlay.vfs.build.copy.copy import Copier
from rootlay.vfs.build.copy.layerplan import LayerPlan
from rootlay.vfs.build.copy.options import CopyOptions
from rootlay.vfs.build.language.dockerfile import Dockerfile
from rootlay.vfs.build.language.instruction import Instruction
from rootlay.vfs.build.result.state import ImageState
from rootlay.vfs.build.session import BuildSession


class StageSources:
    """The trees that one stage can copy from.

    Args:
        states: the finished stages, by index.
    """

    def __init__(self, session: BuildSession, dockerfile: Dockerfile, states: Mapping[int, ImageState]) -> None:
        self._session = session
        self._dockerfile = dockerfile
        self._states = states

    def tree(self, name: str | None, instruction: Instruction) -> SourceTree:
        """Return a context, a stage or an image; None is the main context. Raises as `BuildSession.image`."""
        if name is None:
            return self._session.context
        if name.lower() in self._session.options.contexts:
            return self._session.options.contexts[name.lower()]
        return OverlayTree(self._session.trees.open(self._layers(name, instruction)))

    def digest(self, name: str | None, path: bytes, instruction: Instruction, staging: Path) -> str:
        """Return the digest of a path in such a tree, for a cache key: layers determine it. `staging`: as for COPY."""
        if name is not None and name.lower() not in self._session.options.contexts:
            return f"{chain_id(self._layers(name, instruction))} {os.fsdecode(path)}"
        with LayerPlan(None, 0, staging) as plan:
            Copier(plan, "/mount/", CopyOptions(), staging).bring(self.tree(name, instruction), path)
            return plan_digest(plan.iter_entries(), self._session.digests)

    def _layers(self, name: str, instruction: Instruction) -> tuple[Digest, ...]:
        """Return the layers of a stage or an image."""
        image = self._session.options.images.get(name.lower())
        stage = None if image else self._dockerfile.find_stage(name)
        if stage is not None:
            return self._states[stage.index].diff_ids
        return self._session.image(image or name, None, instruction.source).diff_ids
