"""Translation of errno to PyFilesystem2's errors: its own table, and the errors missing there.

A change of a read-only view is `ResourceReadOnly`; an exhausted quota is `InsufficientStorage`.
"""

from __future__ import annotations

import errno
from types import TracebackType
from typing import Any

from rootlay.vfs.pyfs.importfs import import_pyfs

import_pyfs()

from fs import errors  # noqa: E402
from fs.error_tools import convert_os_errors  # noqa: E402

_OWN = {errno.EROFS: errors.ResourceReadOnly, errno.EDQUOT: errors.InsufficientStorage}
_FILE: dict[int, Any] = {**convert_os_errors.FILE_ERRORS, **_OWN}
_DIRECTORY: dict[int, Any] = {**convert_os_errors.DIR_ERRORS, **_OWN}


class Converted:
    """A context manager, `with Converted(path):`, that raises an OSError as the FSError of its errno and `path`."""

    __slots__ = ("_directory", "_path")

    def __init__(self, path: str, *, directory: bool = False) -> None:
        self._path = path
        self._directory = directory

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, OSError):
            table = _DIRECTORY if self._directory else _FILE
            code = error.errno if error.errno is not None else 0
            raise table.get(code, errors.OperationFailed)(self._path, exc=error) from error
