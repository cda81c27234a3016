"""Errors of the API: the status code of each, and Docker's form `{"message": …}`."""

from __future__ import annotations

from rootlay.store.model.containererrors import AmbiguousContainer, BadContainerName, RunsElsewhere
from rootlay.store.model.errors import (
    AmbiguousImage,
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


class ApiError(Exception):
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


_STATUS: tuple[tuple[type[Exception], int], ...] = (
    (UnknownContainer, 404),
    (UnknownImage, 404),
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
    (BadReference, 400),
    (PermissionError, 403),
    (ValueError, 400),
)


def explain(error: Exception) -> tuple[int, str]:
    """Return status code and message of an error. Docker's texts where clients read them."""
    if isinstance(error, ApiError):
        return error.status, str(error)
    if isinstance(error, UnknownContainer):
        return 404, f"No such container: {error.reference}"
    if isinstance(error, UnknownImage):
        return 404, f"No such image: {error.reference}"
    if isinstance(error, NameInUse):
        return 409, (
            f'Conflict. The container name "/{error.name}" is already in use by container "{error.holder}". '
            "You have to remove (or rename) that container to be able to reuse that name."
        )
    status = next((code for kind, code in _STATUS if isinstance(error, kind)), 500)
    if isinstance(error, OSError) and not isinstance(error, RootlayError):
        return status, f"{error.filename}: {error.strerror}" if error.filename else str(error.strerror or error)
    return status, str(error) or type(error).__name__
