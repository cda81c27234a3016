"""Errors of the API: the status code of each, and Docker's form `{"message": …}`."""

from __future__ import annotations

import contextlib
import os

from rootlay.store.containers.record import ContainerRecord
from rootlay.store.model.containererrors import AmbiguousContainer, BadContainerName, RunsElsewhere
from rootlay.store.model.errors import (
    AmbiguousImage,
    BadManifest,
    BadReference,
    ContainerRunning,
    ForeignPlatform,
    ImageInUse,
    NameInUse,
    RootlayError,
    UnknownContainer,
    UnknownImage,
    WrongPlatform,
)
from rootlay.store.model.oneword import NotOneWord
from rootlay.store.model.reference import Reference
from rootlay.store.networks.networks import UnknownNetwork
from rootlay.store.volumes.volumes import BadVolumeName, UnknownVolume, VolumeInUse
from rootlay.vfs.build.language.errors import BadDockerfile
from rootlay.vfs.build.result.failure import RunFailed
from rootlay.vfs.changes.copyerrors import CopyRefused
from rootlay.vfs.containers.create import NoCommand
from rootlay.vfs.lifecycle.errors import AlreadyPaused, NotPaused, NotRunning
from rootlay.vfs.run.execs import UnknownExec
from rootlay.vfs.run.ports import PortNotFree
from rootlay.vfs.run.program import MissingDirectory, NotStarted
from rootlay.vfs.run.user import UnknownUser
from rootlay.vfs.settings.limits import LimitRefused


class ApiError(RootlayError):
    """An answer other than success. `status` is the HTTP status code."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


def bad_parameter(message: str) -> ApiError:
    """Return the error for a request that cannot be understood."""
    return ApiError(400, message)


def not_found(kind: str, name: str) -> ApiError:
    """Return Docker's error for an unknown object."""
    return ApiError(404, f"No such {kind}: {name}")


def conflict(message: str) -> ApiError:
    """Return the error for a state that forbids the request."""
    return ApiError(409, message)


def not_implemented(reason: str) -> ApiError:
    """Return the error for a part of the API that does not exist here."""
    return ApiError(501, reason)


_ALLOCATED = "driver failed programming external connectivity: Bind for {}:{} failed: port is already allocated ({})"
_STATUS: tuple[tuple[type[Exception], int], ...] = (
    (UnknownContainer, 404),
    (UnknownImage, 404),
    (UnknownExec, 404),
    (UnknownNetwork, 404),
    (UnknownVolume, 404),
    (VolumeInUse, 409),
    (NotRunning, 409),
    (AlreadyPaused, 409),
    (NotPaused, 409),
    (LimitRefused, 400),
    (UnknownUser, 400),
    (BadVolumeName, 400),
    (CopyRefused, 400),
    (BadDockerfile, 400),
    (NoCommand, 400),
    (NotOneWord, 400),
    (FileNotFoundError, 404),
    (NotADirectoryError, 404),
    (WrongPlatform, 404),
    (ForeignPlatform, 400),
    (NameInUse, 409),
    (ImageInUse, 409),
    (RunsElsewhere, 409),
    (ContainerRunning, 409),
    (AmbiguousContainer, 400),
    (AmbiguousImage, 400),
    (BadContainerName, 400),
    (BadManifest, 400),
    (BadReference, 400),
    (PermissionError, 403),
    (ValueError, 400),
)


def _familiar(reference: str) -> str:
    """Return a reference with its tag, as Docker shows it; an ID unchanged."""
    try:
        return Reference.parse(reference).familiar
    except BadReference:
        return reference


_TEXTS = {127: "executable file not found in $PATH", 126: "permission denied"}
"""What clients look for in the message to choose their own exit code."""


def not_started(record: ContainerRecord, program: str, error: NotStarted) -> str:
    """Return Docker's text for a program that did not start."""
    known = _TEXTS.get(error.run_code)
    if error.run_code == 126 and program.startswith("/"):
        from rootlay.vfs.containers.mounted import open_mounted

        with contextlib.suppress(OSError, RootlayError), open_mounted(record) as tree:  # it may be removed already
            if tree.get(os.fsencode(program)).is_dir:
                return f'exec: "{program}": is a directory: unknown: permission denied'
    return f'exec: "{program}": {known}: unknown' if known else f"{error}: unknown"


def unknown_user(error: UnknownUser) -> str:
    """Return Docker's text for a user or group that the image does not have."""
    file = "passwd" if error.kind == "user" else "group"
    return f"unable to find {error.kind} {error.name}: no matching entries in {file} file"


def missing_directory(error: MissingDirectory) -> str:
    """Return Docker's text for a working directory of an exec that does not exist."""
    return (
        "OCI runtime exec failed: exec failed: unable to start container process: chdir to cwd "
        f'("{error.path}") set in config.json failed: no such file or directory: unknown'
    )


def explain(error: Exception) -> tuple[int, str]:
    """Return status code and message of an error. Docker's texts where clients read them."""
    if isinstance(error, ApiError):
        return error.status, str(error)
    if isinstance(error, UnknownContainer):
        return 404, f"No such container: {error.reference}"
    if isinstance(error, UnknownImage):
        return 404, f"No such image: {_familiar(error.reference)}"
    if isinstance(error, NameInUse):
        return 409, (
            f'Conflict. The container name "/{error.name}" is already in use by container "{error.holder}". '
            "You have to remove (or rename) that container to be able to reuse that name."
        )
    if isinstance(error, UnknownUser):
        return 400, unknown_user(error)
    if isinstance(error, NoCommand):
        return 400, "no command specified"
    if isinstance(error, BadDockerfile) and error.line is not None:
        what = "" if error.reason.startswith("unknown instruction") else f"{error.instruction}: "
        return 400, f"dockerfile parse error on line {error.line}: {what}{error.reason}"
    if isinstance(error, RunFailed):
        return 500, f"The command '{' '.join(error.argv)}' returned a non-zero code: {error.status}"
    if isinstance(error, PortNotFree):
        return 500, _ALLOCATED.format(error.port.address or "0.0.0.0", error.port.outside, error.reason)
    status = next((code for kind, code in _STATUS if isinstance(error, kind)), 500)
    if isinstance(error, OSError) and not isinstance(error, RootlayError):
        return status, f"{error.filename}: {error.strerror}" if error.filename else str(error.strerror or error)
    return status, str(error) or type(error).__name__
