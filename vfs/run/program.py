"""What is started: argument vector, environment, directory and user, from the container record and the options."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

from rootlay.store.containerrecord import ContainerRecord
from rootlay.store.value import value
from rootlay.vfs.run.user import Identity, Reader, find_identity

DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@value
class Program:
    """One program to be started inside."""

    argv: tuple[str, ...]
    env: dict[str, str]
    cwd: str
    identity: Identity


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
    """Fill in from the container what the caller leaves open. The order of precedence is Docker's.

    Raises:
        UnknownUser: see find_identity.
    """
    config = record.config
    identity = find_identity(config.user if user is None else user, read)
    merged = {
        "PATH": DEFAULT_PATH,
        "HOSTNAME": config.hostname or os.uname().nodename,
        **({"TERM": "xterm"} if tty else {}),
        "HOME": identity.home,
    }
    merged |= dict(entry.split("=", 1) for entry in config.env if "=" in entry)
    merged |= env or {}
    directory = cwd if cwd is not None else config.working_dir or "/"
    if not directory.startswith("/"):
        directory = os.path.join(config.working_dir or "/", directory)
    return Program(tuple(argv if argv else config.argv), merged, directory, identity)


def merge_env(base: Sequence[str], extra: Sequence[str], environ: Mapping[str, str]) -> tuple[str, ...]:
    """Docker's `-e`: `NAME=value`, or `NAME` alone to take the caller's own value (nothing when it has none)."""
    merged = dict(entry.split("=", 1) for entry in base if "=" in entry)
    for entry in extra:
        name, sign, value = entry.partition("=")
        if sign:
            merged[name] = value
        elif name in environ:
            merged[name] = environ[name]
        else:
            merged.pop(name, None)
    return tuple(f"{name}={value}" for name, value in merged.items())
