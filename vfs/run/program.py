"""The program to start: argument vector, environment, directory and user, from the container record and the options."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping, Sequence

from rootlay.store.containers.record import ContainerRecord
from rootlay.store.containers.upperstack import UpperForm
from rootlay.store.model.cstring import is_c_string
from rootlay.store.model.errors import RootlayError, printable_text
from rootlay.store.model.value import value
from rootlay.vfs.run.user import Identity, Reader, add_groups, check_groups, find_identity

TYPE_CHECKING = False
if TYPE_CHECKING:
    from rootlay.vfs.overlay.overlay import Overlay

ENGINE_TROUBLE = 125
DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class ImpossibleProgram(RootlayError, ValueError):
    """An image or a caller has a text for an argument, a variable or a path that no system call accepts: with a NUL, or
    with half of a pair of surrogates, which has no bytes.

    A ValueError too, as `subprocess.run` raises it.
    """

    fault = "caller"

    def __init__(self, text: str) -> None:
        what = "a null byte" if "\0" in text else "half of a pair of surrogates"
        super().__init__(f"{what} in the command, its environment or directory: {printable_text(text[:100])}")
        self.text = text


class NotStarted(RootlayError):
    """A program did not start. `run_code`: 127: not found, 126: it cannot be executed, 125: another reason."""

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.run_code = code


class MissingDirectory(RootlayError):
    """The working directory of a program that joins a container is not there."""

    run_code = 126

    def __init__(self, path: str) -> None:
        super().__init__(f"working directory {printable_text(path)}: No such file or directory")
        self.path = path


@value
class Program:
    """One program to be started inside."""

    argv: tuple[str, ...]
    env: dict[str, str]
    cwd: str
    identity: Identity


def container_reader(record: ContainerRecord) -> Reader:
    """Return a reader of small files inside the container, for user names. It opens the overlay at its first use."""
    opened: list[Overlay] = []

    def read(path: bytes) -> bytes | None:
        from rootlay.vfs.overlay.containerstack import open_overlay, read_small_file

        if not opened:
            opened.append(open_overlay(record))
        return read_small_file(opened[0], path)

    return read


def set_default_owner(record: ContainerRecord) -> None:
    """Let the objects of a new container belong to its user, so that what its programs make needs no record.

    A user that is not known, or a damaged file, is an error of the start alone.
    """
    user, upper = record.config.user, record.upper
    if user.partition(":")[0] in ("", "0", "root") or os.listdir(upper):
        return
    from rootlay.vfs.overlay.containerstack import open_overlay, read_small_file

    with contextlib.suppress(RootlayError, OSError), open_overlay(record) as overlay:
        identity = find_identity(user, lambda path: read_small_file(overlay, path))
        UpperForm(True, (identity.uid, identity.gid)).store(upper)


def make_program(
    record: ContainerRecord,
    read: Reader,
    *,
    argv: Sequence[str] | None = None,
    env: Mapping[str, str] | None = None,
    cwd: str | None = None,
    user: str | None = None,
    tty: bool = False,
) -> Program:
    """Fill in the caller's missing options from the container. The order of precedence is Docker's.

    Raises:
        UnknownUser: see find_identity and check_groups.
        ImpossibleProgram: a text that no system call accepts.
    """
    config = record.config
    identity = find_identity(config.user if user is None else user, read)
    if "groups" in config.extra:
        identity = add_groups(identity, config.settings.groups, read)
    check_groups(identity)
    merged = {
        "PATH": DEFAULT_PATH,
        "HOSTNAME": config.hostname or os.uname().nodename,
        **({"TERM": "xterm"} if tty else {}),
        "HOME": identity.home,
    }
    merged |= dict(_pairs(config.env))
    merged |= env or {}
    directory = cwd if cwd is not None else config.working_dir or "/"
    if not directory.startswith("/"):
        directory = os.path.join(config.working_dir or "/", directory)
    program = Program(tuple(argv if argv else config.argv), merged, directory, identity)
    for text in (*program.argv, directory, *merged, *merged.values()):
        if not is_c_string(text):
            raise ImpossibleProgram(text)
    return program


def _pairs(entries: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Return the variables of an image. A text without a name, or without `=` after it, is not a variable."""
    for entry in entries:
        name, sign, text = entry.partition("=")
        if name and sign:
            yield name, text


def merge_env(base: Sequence[str], extra: Sequence[str], environ: Mapping[str, str]) -> tuple[str, ...]:
    """Apply Docker's `-e`: `NAME=value`, or `NAME` alone for the caller's own value (nothing if it has none)."""
    merged = dict(_pairs(base))
    for entry in extra:
        name, sign, value = entry.partition("=")
        if sign:
            merged[name] = value
        elif name in environ:
            merged[name] = environ[name]
        else:
            merged.pop(name, None)
    return tuple(f"{name}={value}" for name, value in merged.items())


def result_of(said: bytes) -> int:
    """Return the pid from the monitor's text, which has it, or an exit code and a message. Raises NotStarted."""
    first, _, message = said.partition(b"\n")
    if not message and first.isdigit():
        return int(first)
    code, text = (int(first), message.decode("utf-8", "replace")) if first.isdigit() else (ENGINE_TROUBLE, "")
    raise NotStarted(text.removeprefix("rootlay: ").strip() or "the program cannot be started", code)
