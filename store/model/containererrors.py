"""Errors about container names, in addition to those of rootlay.store.model.errors."""

from __future__ import annotations

from rootlay.store.model.errors import ContainerRunning, RootlayError


class AmbiguousContainer(RootlayError):
    """An ID prefix that fits more than one container."""

    exit_code = 15

    def __init__(self, reference: str, candidates: tuple[str, ...]) -> None:
        super().__init__(
            f"container ID {reference} is ambiguous: it fits "
            f"{', '.join(c[:12] for c in sorted(candidates))}; give more digits"
        )
        self.reference = reference
        self.candidates = candidates


class BadContainerName(RootlayError):
    """A name that is not valid for a container, or for a snapshot (`kind`)."""

    exit_code = 18

    def __init__(self, name: str, kind: str = "container") -> None:
        super().__init__(
            f"invalid {kind} name {name!r}: letters, digits, '_', '.' and '-' are allowed, a letter or digit first"
        )
        self.name = name


class RunsElsewhere(ContainerRunning):
    """The container's main program was started on another machine, and nothing shows that it has ended.

    Processes of other machines are not visible. If that machine crashed, the state stays unchanged.
    """

    exit_code = 19

    def __init__(self, container: str, machine: str) -> None:
        RootlayError.__init__(
            self, f"container {container} runs on {machine}: stop it there, or use --force if that machine crashed"
        )
        self.container = container
        self.machine = machine


class SnapshotExists(RootlayError):
    """A snapshot name that the container already uses."""

    exit_code = 51

    def __init__(self, container: str, name: str) -> None:
        super().__init__(f"container {container} already has a snapshot {name}: remove it, or choose another name")
        self.container = container
        self.name = name


class UnknownSnapshot(RootlayError):
    """The container has no snapshot of that name (or none at all, if the name is empty)."""

    exit_code = 50

    def __init__(self, container: str, name: str) -> None:
        super().__init__(
            f"container {container} has no snapshot"
            + (f" {name}" if name else "s")
            + " (`rootlay snapshot ls` lists them)"
        )
        self.container = container
        self.name = name


class UpperKeptElsewhere(RootlayError):
    """The container's upper is a directory of the user (`--upper`), which rootlay does not take over."""

    exit_code = 52

    def __init__(self, container: str, upper: str) -> None:
        super().__init__(
            f"container {container} keeps its changes in {upper}: a container with --upper has no snapshots"
        )
        self.container = container
        self.upper = upper


class TooManyLayers(RootlayError):
    """The container has so many directory lowers that no room is left for a frozen upper."""

    exit_code = 53

    def __init__(self, container: str, lowers: int) -> None:
        super().__init__(
            f"container {container} has {lowers} lower directories: too many for snapshots, which need room "
            "for one more layer"
        )
        self.container = container
        self.lowers = lowers
