"""Errors of the store.

Rules:
1. One root, `RootlayError`; every error carries the fields that its message names.
2. One line of message: the input by name, what is wrong with it, and what to do if that is known.
3. `fault` names the cause: the caller, the image, the disk or the network.
4. An error leaves the store as it was.
"""

from __future__ import annotations

import errno
from collections.abc import Iterable
from copyreg import __newobj__  # type: ignore[attr-defined]  # pickle knows it by this name
from pathlib import Path

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import ClassVar, Literal, TypeAlias

Fault: TypeAlias = 'Literal["caller", "image", "disk", "network"]'


def printable(path: bytes) -> str:
    """Return raw path bytes for a message, with everything escaped that is not printable UTF-8."""
    return printable_text(path.decode("utf-8", "backslashreplace"))


def printable_text(text: str) -> str:
    """Return foreign text for a message or a listing, with cursor movements and invalid text escaped."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else _escape(c) for c in text)


def _escape(character: str) -> str:
    """Escape as `\\n`, `\\x9b`, `\\u202e`; restore a byte that is not UTF-8 (PEP 383)."""
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:
        return f"\\x{code - 0xDC00:02x}"
    return character.encode("unicode_escape").decode("ascii")


class CopiedByFields(Exception):
    """An exception that is copied and pickled as it is, without a second call of its constructor.

    Python calls the constructor with `args`, the finished message: for most of these errors that fails, or doubles the
    message, and a worker whose error cannot be unpickled takes its pool with it.
    """

    def __reduce__(self) -> tuple[object, ...]:
        return __newobj__, (type(self), *self.args), vars(self)


class RootlayError(CopiedByFields):
    """The root of all errors that rootlay raises on purpose.

    `exit_code` is the command line's (docs/exit-codes.md); `run_code` that of the verbs that run programs, which leave
    1 … 124 to the program, as Docker does.
    """

    fault: ClassVar[Fault] = "caller"
    exit_code: ClassVar[int] = 1
    run_code: int = 125


class InputError(RootlayError):
    """An input, named by the message, that cannot be used."""

    fault: ClassVar[Fault] = "image"
    usual: ClassVar[str] = ""
    message: ClassVar[str] = "{what}: {reason}"

    def __init__(self, what: str, reason: str = "") -> None:
        self.what = what
        self.reason = reason or self.usual
        super().__init__(self.message.format(what=what, reason=self.reason))


class NotAnArchive(InputError):
    """An input that is not an archive or image of a known kind."""

    exit_code = 20
    usual = "not a tar archive"


class TruncatedArchive(InputError):
    """An input that ends too early: most often an interrupted download or copy."""

    exit_code = 21
    usual = "ends in the middle of an entry"
    message = "{what}: truncated: {reason}; fetch it again"


class DigestMismatch(RootlayError):
    """Content without the digest, the diff ID or the size that its description promises."""

    fault = "image"
    exit_code = 22

    def __init__(self, what: str, expected: object, actual: object) -> None:
        super().__init__(f"{what}: expected {expected}, found {actual}: damaged or changed; fetch it again")
        self.what = what
        self.expected = str(expected)
        self.actual = str(actual)


class UnsafePath(RootlayError):
    """A name in an archive that is outside the archive's root, or that no file system can hold."""

    fault = "image"
    exit_code = 23

    def __init__(self, path: bytes, reason: str) -> None:
        shown = printable(path)
        shown = shown if len(shown) <= 200 else shown[:200] + "…"
        super().__init__(f"unsafe path in the archive: {shown}: {reason}")
        self.path = path
        self.reason = reason


class UnsupportedMedia(InputError):
    """A media type, a compression or an archive feature that is not supported."""

    exit_code = 24


class BadManifest(InputError):
    """A manifest, index or image config that violates its specification."""

    exit_code = 25


class TooLarge(RootlayError):
    """An image that unpacks to more than the limits allow (see `rootlay.store.model.limits`)."""

    fault = "image"
    exit_code = 28

    def __init__(self, what: str, reason: str, flag: str) -> None:
        super().__init__(f"{what}: {reason}; if you trust it, allow more with {flag}")
        self.what = what
        self.reason = reason
        self.flag = flag


class WrongPlatform(RootlayError):
    """A multi-platform image without an image for the wanted platform."""

    fault = "image"
    exit_code = 26

    def __init__(self, wanted: str, found: Iterable[str]) -> None:
        self.wanted = wanted
        self.found = tuple(sorted(found))
        super().__init__(f"there is no image for platform {wanted}; available: {', '.join(self.found) or 'none'}")


class ForeignPlatform(RootlayError):
    """An attempt to run programs of an image for another platform on this machine."""

    exit_code = 34

    def __init__(self, image: str, found: str, here: str) -> None:
        super().__init__(
            f"{image} is for {found}, and this machine, {here}, cannot run its programs (`rootlay create` makes a "
            "container of it, for its files)"
        )
        self.image = image
        self.found = found
        self.here = here


class BadReference(RootlayError):
    """Not an image reference in Docker's grammar."""

    exit_code = 13

    def __init__(self, reference: str, reason: str) -> None:
        super().__init__(f"invalid image reference {reference!r}: {reason}")
        self.reference = reference
        self.reason = reason


class UnknownImage(RootlayError):
    """No image of that name, digest or ID."""

    exit_code = 10

    def __init__(self, reference: str) -> None:
        super().__init__(f"no such image: {reference} (`rootlay images` lists them)")
        self.reference = reference


class AmbiguousImage(RootlayError):
    """An ID prefix that fits more than one image."""

    exit_code = 11

    def __init__(self, reference: str, candidates: Iterable[str]) -> None:
        self.reference = reference
        self.candidates = tuple(sorted(candidates))
        super().__init__(
            f"image ID {reference} is ambiguous: it fits {', '.join(c[:19] for c in self.candidates)}; give more digits"
        )


class ImageInUse(RootlayError):
    """An attempt to remove, without force, an image that containers still need or that has several names."""

    exit_code = 12

    def __init__(self, reference: str, reason: str) -> None:
        super().__init__(f"image {reference} is in use: {reason}")
        self.reference = reference
        self.reason = reason


class UnknownContainer(RootlayError):
    """No container of that name or ID. `what`: "object", if objects of other kinds were looked for, too."""

    exit_code = 14

    def __init__(self, reference: str, *, what: str = "container") -> None:
        hint = "lists them" if what == "container" else "and `rootlay images` list the most"
        super().__init__(f"no such {what}: {reference} (`rootlay ps -a` {hint})")
        self.reference = reference


class NameInUse(RootlayError):
    """A container name that is taken."""

    exit_code = 16

    def __init__(self, name: str, holder: str) -> None:
        super().__init__(
            f"the name {name} is in use by container {holder}: choose another name, or remove or rename that container"
        )
        self.name = name
        self.holder = holder


class ContainerRunning(RootlayError):
    """An operation on a running container that requires a stopped one."""

    exit_code = 17

    def __init__(self, container: str) -> None:
        super().__init__(f"container {container} is running: stop it first, or use --force")
        self.container = container


class StillRunning(ContainerRunning):
    """A container in which programs start faster than they can be ended."""

    def __init__(self, container: str) -> None:
        super().__init__(container)
        self.args = (f"container {container} still has processes: try again, and limit their number (`ulimit -u`)",)


class NotFetched(RootlayError):
    """A lazily pulled image, where the whole of it is needed."""

    exit_code = 46

    def __init__(self, reference: str) -> None:
        super().__init__(f"image {reference} is incomplete: fetch the rest with `rootlay pull {reference}`")
        self.reference = reference


class StoreNotWritable(RootlayError):
    """A store whose directory cannot be made or written."""

    fault = "disk"
    exit_code = 30

    def __init__(self, path: Path, reason: str = "permission denied") -> None:
        super().__init__(f"store {path} is not writable: {reason} (choose another with --root)")
        self.path = path
        self.reason = reason


class CaseInsensitive(RootlayError):
    """A directory in which `a` and `A` are the same file: files of images would replace each other."""

    fault = "disk"
    exit_code = 37

    def __init__(self, path: Path) -> None:
        super().__init__(f"{path}: names there do not distinguish upper and lower case; choose another directory")
        self.path = path


class DiskFull(RootlayError):
    """No space, no inodes or no quota left on the store's file system."""

    fault = "disk"
    exit_code = 31

    def __init__(self, path: Path, number: int = errno.ENOSPC) -> None:
        super().__init__(
            f"{path}: {FILE_LIMIT}; nothing was changed"
            if number == errno.EFBIG
            else f"no space left for the store at {path}; nothing was changed: free space (`rootlay prune`), or "
            "choose another store with --root"
        )
        self.path = path


class CorruptStore(RootlayError):
    """A missing or damaged file that the store wrote."""

    fault = "disk"
    exit_code = 27

    def __init__(self, what: str, reason: str) -> None:
        super().__init__(f"the store is damaged: {what}: {reason} (`rootlay fsck` checks and repairs it)")
        self.what = what
        self.reason = reason


_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
FILE_LIMIT = "a file is larger than the limit for files (`ulimit -f`), or than its file system allows; raise the limit"
_REFUSED = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})


def from_os_error(error: OSError, path: Path) -> RootlayError | None:
    """Return the typed error for an operating system error while writing below `path`, or None."""
    if error.errno in _FULL:
        return DiskFull(path, error.errno or errno.ENOSPC)
    if error.errno in _REFUSED:
        return StoreNotWritable(path, (error.strerror or "permission denied").lower())
    return None
