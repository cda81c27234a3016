"""Errors about the state that a container must have for an operation."""

from __future__ import annotations

from rootlay.store.model.errors import RootlayError


class NotRunning(RootlayError):
    """The main program of the container does not run."""

    exit_code = 75

    def __init__(self, container: str) -> None:
        super().__init__(f"container {container} is not running; start it with `rootlay start {container}`")
        self.container = container


class AlreadyPaused(RootlayError):
    """The container is paused."""

    exit_code = 76

    def __init__(self, container: str) -> None:
        super().__init__(f"container {container} is paused; continue it with `rootlay unpause {container}`")
        self.container = container


class NotPaused(RootlayError):
    """The container is not paused."""

    exit_code = 77

    def __init__(self, container: str) -> None:
        super().__init__(f"container {container} is not paused")
        self.container = container
