"""The layer of a COPY or an ADD, as a plan."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

from rootlay.vfs.build.context.ignore import IgnoreRules, parse_excludes
from rootlay.vfs.build.copy.add import Adding
from rootlay.vfs.build.copy.chmodspec import ModeChange
from rootlay.vfs.build.copy.copy import Copier, absolute
from rootlay.vfs.build.copy.layerplan import LayerPlan
from rootlay.vfs.build.copy.options import CopyOptions
from rootlay.vfs.build.copy.owner import find_owner
from rootlay.vfs.build.language.errors import BadValue
from rootlay.vfs.build.language.instruction import Add, Copy
from rootlay.vfs.build.result.failure import BuildFailed
from rootlay.vfs.build.result.state import ImageState
from rootlay.vfs.build.session import BuildSession
from rootlay.vfs.build.stagesources import StageSources
from rootlay.vfs.overlay.overlay import Overlay


@contextlib.contextmanager
def plan_copy(
    session: BuildSession, sources: StageSources, instruction: Copy | Add, state: ImageState, staging: Path
) -> Iterator[LayerPlan]:
    """Return the layer's plan. Fetched and unpacked files for it are in `staging` until it is written.

    Raises BuildFailed, MissingSource, Conflict, BadValue, UnknownUser, OSError, and the errors of ADD's sources.
    """
    below = session.trees.open(state.diff_ids)
    options = _copy_options(session, instruction, below)
    with LayerPlan(None if instruction.link else below, options.made_ns, staging) as plan:
        _fill(plan, options, session, sources, instruction, state, staging)
        yield plan


def _fill(
    plan: LayerPlan,
    options: CopyOptions,
    session: BuildSession,
    sources: StageSources,
    instruction: Copy | Add,
    state: ImageState,
    staging: Path,
) -> None:
    copier = Copier(plan, absolute(instruction.destination, state.config.working_dir), options, staging)
    if isinstance(instruction, Copy):
        tree = sources.tree(instruction.from_, instruction)
        for path in instruction.paths:
            copier.copy(tree, path)
    else:
        adding = Adding(session.options, staging, instruction, session.check)
        for path in instruction.paths:
            copier.copy(*adding.source(path, session.context), unpack=adding.unpacks(path))
    for file in instruction.files:
        copier.write(file.name, file.content.encode("utf-8", "surrogateescape"))
    for pattern in copier.unmatched:
        session.report.note(f"{instruction.source}: nothing matches {pattern}")


def _copy_options(session: BuildSession, instruction: Copy | Add, below: Overlay) -> CopyOptions:
    try:
        excludes = parse_excludes(instruction.exclude)
        mode = None if instruction.chmod is None else ModeChange.parse(instruction.chmod)
    except (ValueError, BadValue) as error:
        raise BuildFailed(instruction.source, str(error)) from None
    return CopyOptions(
        owner=None if instruction.chown is None else find_owner(instruction.chown, below),
        mode=mode,
        excluded=_excluder(excludes) if excludes.rules else None,
        parents=isinstance(instruction, Copy) and instruction.parents,
        made_ns=session.now_ns(),
    )


def _excluder(rules: IgnoreRules) -> Callable[[bytes], bool]:
    return lambda path: rules.excludes(path.decode("utf-8", "surrogateescape"))
