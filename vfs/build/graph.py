"""The stages that a build needs, in an order in which each follows those that it needs.

1. FROM may name an earlier stage; COPY --from and RUN --mount=from may name any other one (BuildKit resolves them when
   all stages are known). A name that is not a stage is an image or a build context.
2. A build context with a stage's name replaces it (`--build-context NAME=…`).
3. Stages that need each other in a cycle are an error that names them.
"""

from __future__ import annotations

from collections.abc import Collection

from rootlay.store.model.value import value
from rootlay.vfs.build.language.dockerfile import Dockerfile, Stage
from rootlay.vfs.build.language.instruction import Add, Copy, From, Instruction, Onbuild, Run
from rootlay.vfs.build.language.mount import parse_mount
from rootlay.vfs.build.language.scope import GlobalScope
from rootlay.vfs.build.language.suggest import near_miss
from rootlay.vfs.build.result.failure import BuildFailed


@value
class StageNode:
    """A required stage.

    Args:
        base: FROM, expanded.
        base_stage: the stage that is its base, None for an image or a context.
        needs: the indexes of all stages that must be built before, in order.
    """

    stage: Stage
    base: From
    base_stage: int | None
    needs: tuple[int, ...]

    @property
    def index(self) -> int:
        return self.stage.index


def find_target(dockerfile: Dockerfile, target: str) -> Stage:
    """Return the stage of --target, the last one for an empty text. Raises BuildFailed: there is none."""
    if not target:
        return dockerfile.stages[-1]
    found = dockerfile.find_stage(target)
    if found is None:
        names = [stage.name for stage in dockerfile.stages if stage.name]
        meant = near_miss(target, names)
        hint = f", did you mean {meant}?" if meant else f": {dockerfile.file} has {', '.join(names) or 'no names'}"
        raise BuildFailed(None, f"there is no stage {target}{hint}")
    return found


def plan_stages(
    dockerfile: Dockerfile, scope: GlobalScope, target: Stage, contexts: Collection[str] = ()
) -> list[StageNode]:
    """Return the stages that `target` needs, itself last.

    Args:
        contexts: the names of --build-context.

    Raises:
        BuildFailed: stages need each other in a cycle.
        BadDockerfile: a FROM that cannot be expanded.
    """
    done: dict[int, StageNode] = {}
    _visit(dockerfile, scope, target, frozenset(contexts), done, [])
    return list(done.values())


def _visit(
    dockerfile: Dockerfile,
    scope: GlobalScope,
    stage: Stage,
    contexts: frozenset[str],
    done: dict[int, StageNode],
    path: list[Stage],
) -> None:
    if stage.index in done:
        return
    if stage in path:
        circle = [*path[path.index(stage) :], stage]
        names = " -> ".join(label_of(member) for member in circle)
        raise BuildFailed(stage.base.source, f"stages depend on each other in a loop: {names}")
    base = scope.expand_from(stage.base)
    below = None if base.image.lower() in contexts else dockerfile.find_stage(base.image, before=stage.index)
    if base.image.isdigit():  # FROM accepts only names; a number is an image's
        below = None
    needed = {} if below is None else {below.index: below}
    for name in iter_sources(stage.instructions):
        found = None if name.lower() in contexts else dockerfile.find_stage(name)
        if found is not None:
            needed[found.index] = found
    for index in sorted(needed):
        _visit(dockerfile, scope, needed[index], contexts, done, [*path, stage])
    done[stage.index] = StageNode(stage, base, None if below is None else below.index, tuple(sorted(needed)))


def iter_sources(instructions: Collection[Instruction]) -> list[str]:
    """Yield the names in --from of COPY and of RUN --mount, in order."""
    found = []
    for instruction in instructions:
        if isinstance(instruction, Onbuild):
            continue
        if isinstance(instruction, Copy) and instruction.from_:
            found.append(instruction.from_)
        if isinstance(instruction, Run):
            mounts = [parse_mount(value) for value in instruction.mounts if "from=" in value]
            found += [mount.from_ for mount in mounts if mount.from_]
    return found


def label_of(stage: Stage) -> str:
    """Return a stage's name for people."""
    return stage.name or f"stage-{stage.index}"


def counts_as_step(instruction: Instruction) -> bool:
    """Return whether an instruction is a step in the progress: one that makes a layer."""
    return isinstance(instruction, (Run, Copy, Add)) or instruction.keyword == "WORKDIR"
