"""Errors of a running build: the instruction, the reason, and advice."""

from __future__ import annotations

from rootlay.store.model.errors import RootlayError
from rootlay.vfs.build.language.syntax import Source


class BuildFailed(RootlayError):
    """An instruction that cannot be carried out.

    Args:
        source: its place; None for an error of the whole build.
        reason: what is wrong, and what to do if that is known.
    """

    fault = "caller"
    exit_code = 62

    def __init__(self, source: Source | None, reason: str) -> None:
        super().__init__(reason if source is None else f"{source}: {shorten(source.text)}: {reason}")
        self.source = source
        self.reason = reason


class RunFailed(BuildFailed):
    """The command of a RUN ended with an error.

    Args:
        status: the command's exit code; 128 + n when signal n ended it.
        container: the name of the container that was kept for inspection, empty for none.
        argv: the command.
    """

    exit_code = 61

    def __init__(self, source: Source, status: int, container: str = "", argv: tuple[str, ...] = ()) -> None:
        hint = "use --keep-failed to look into its container"
        if container:
            hint = f"look into it: rootlay exec -it {container} sh; afterwards: rootlay rm {container}"
        super().__init__(source, f"the command ended with exit code {status} ({hint})")
        self.status = status
        self.container = container
        self.argv = argv


class BuildCancelled(BuildFailed):
    """The build was stopped from outside (Ctrl-C), or because another stage failed."""

    exit_code = 130

    def __init__(self) -> None:
        super().__init__(None, "the build was cancelled")


SHOWN_CHARACTERS = 120


def shorten(text: str) -> str:
    """Return an instruction in one line of limited length."""
    line = " ".join(text.split())
    return line if len(line) <= SHOWN_CHARACTERS else line[: SHOWN_CHARACTERS - 1] + "…"
