"""A parsed Dockerfile: its stages, and the settings for all of it."""

from __future__ import annotations

from rootlay.store.model.value import value
from rootlay.vfs.build.language.instruction import Arg, From, Instruction


@value
class Stage:
    """One FROM and the instructions after it.

    Args:
        index: from 0, as in `--from=0`.
        instructions: without the FROM itself.
    """

    index: int
    base: From
    instructions: tuple[Instruction, ...]

    @property
    def name(self) -> str | None:
        """The name after AS, in lower case."""
        return self.base.name


@value
class Dockerfile:
    """A whole file: the parser's result.

    Args:
        file: as in Source.
        args: the ARGs before the first FROM, in order: the global scope.
        stages: at least one.
        directives: parser directives by lower-case name ("syntax", "escape", "check"), as written.
    """

    file: str
    args: tuple[Arg, ...]
    stages: tuple[Stage, ...]
    directives: dict[str, str]

    def find_stage(self, name: str, before: int | None = None) -> Stage | None:
        """Return the stage of a name (any case; the last one if several have it) or of a number; None if there is none.

        Args:
            before: search only the stages before this index, which FROM and --from in stage `before` may name.
        """
        wanted = name.lower()
        stages = self.stages[:before]
        for stage in reversed(stages):
            if stage.name == wanted:
                return stage
        if wanted.isascii() and wanted.isdigit() and int(wanted) < len(stages):
            return stages[int(wanted)]
        return None
