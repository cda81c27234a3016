"""Errors for the user: one line that names the input and says what to do, and an exit code for each kind.

The codes are those of the classes (`exit_code`), documented in docs/exit-codes.md; a test compares them. Verbs that run
programs (run, start, exec, create, python) use Docker's 125 for every error of rootlay (`run_code`), so that 1 … 124
can be the program's.
"""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from pathlib import Path

from rootlay.cli.printer import ReaderGone
from rootlay.cli.spec import RUNNING_VERBS, UsageError
from rootlay.store.model.errors import (
    FILE_LIMIT,
    DiskFull,
    RootlayError,
    StoreNotWritable,
    UnknownContainer,
    UnknownImage,
)

GENERAL = 1
ENGINE = 125
USAGE = 2


def explain(error: Exception, verb: str, root: Path) -> tuple[str, int]:
    """Return the message and exit code of an error. Raise an unforeseen error again: a traceback is a bug report."""
    if isinstance(error, ReaderGone):
        raise error
    running = verb in RUNNING_VERBS
    if isinstance(error, RootlayError):
        places = "".join(f"{note}: " for note in getattr(error, "__notes__", ()))  # of a Dockerfile
        return f"{places}{_with_image(error)}{_suggestion(error, root)}", error.run_code if running else error.exit_code
    if isinstance(error, UsageError):
        message, code = str(error), USAGE
    elif isinstance(error, OSError):
        message, code = _explain_os(error, root)
    else:
        raise error
    return message, ENGINE if running else code


def _missing(error: RootlayError) -> UnknownContainer | UnknownImage | None:
    """Return the error about an unknown name that an error is, or that was handled when it came: a pull that failed, of
    an image that the store does not have."""
    found: BaseException | None = error
    while found is not None and not isinstance(found, (UnknownContainer, UnknownImage)):
        found = found.__context__
    return found


def _with_image(error: RootlayError) -> str:
    """Return the message; if a registry did not give an image that the store does not have, that comes first."""
    missing = _missing(error)
    if missing is None or missing is error or not type(error).__module__.startswith("rootlay.store.registry."):
        return str(error)
    from rootlay.store.bundle.format import is_bundle

    name = missing.reference
    hint = f"; to run the bundle in this directory write ./{name}" if is_bundle(name) else ""
    return (
        f"image {name} is not in this store (`rootlay images` lists those that are, `rootlay load` reads one from a "
        f"file), and the pull failed: {error}{hint}"
    )


def _suggestion(error: RootlayError, root: Path) -> str:
    """Return the names of the store that are close to the one that does not exist, as an addition to the message."""
    missing = _missing(error)
    if missing is None:
        return ""
    from rootlay.cli.storenames import find_names
    from rootlay.store.model.similar import similar_names

    known = find_names("container" if isinstance(missing, UnknownContainer) else "image", root)
    close = similar_names(missing.reference, known)
    return f"; did you mean {' or '.join(close)}?" if close else ""


def _explain_os(error: OSError, root: Path) -> tuple[str, int]:
    # The second name of a link or a rename is the one that could not be made.
    full = error.errno in (errno.ENOSPC, errno.EDQUOT)
    too_large = error.errno == errno.EFBIG
    given = error.filename2 if full and error.filename2 else error.filename
    name = os.fsdecode(given) if isinstance(given, (str, bytes, os.PathLike)) else ""
    where = name or ("standard input" if error.errno in (errno.EBADF, errno.EISDIR) else root)
    if error.errno == errno.ENOENT and _is_removed_container(name, root):
        return "the container was removed meanwhile", UnknownContainer.exit_code
    in_store = not name or Path(os.path.realpath(root)) in Path(os.path.abspath(name)).parents
    if too_large:
        return f"{where}: {FILE_LIMIT}", DiskFull.exit_code
    if full:
        advice = "free some or choose another store with --root" if in_store else "free some or choose another path"
        return f"{where}: no space left on the device; {advice}", DiskFull.exit_code
    if error.errno == errno.ENOTDIR and in_store and os.path.isfile(root):
        return f"{root}: Not a directory; choose a directory for the store with --root", GENERAL
    if error.errno in (errno.EROFS, errno.EACCES, errno.EPERM):
        if in_store:
            return (
                f"{where}: {error.strerror}; choose a store that you can write to with --root",
                StoreNotWritable.exit_code,
            )
        if error.errno != errno.EROFS and os.path.exists(name) and not os.access(name, os.R_OK):
            return f"{where}: {error.strerror}; you may not read it", GENERAL
        return f"{where}: {error.strerror}; choose another path", StoreNotWritable.exit_code
    return f"{where}: {error.strerror or error}", GENERAL


def _is_removed_container(name: str, root: Path) -> bool:
    """Return whether a missing path was in a container that was removed."""
    with suppress(ValueError):
        parts = Path(name).relative_to(os.path.realpath(root)).parts
        return len(parts) > 1 and parts[0] == "containers" and not Path(root, *parts[:2], "config.json").exists()
    return False
