"""The names of containers.

A name is a symbolic link `containers/names/<name>` -> `../<id>`: creating it is the atomic test for uniqueness. A
rename that is killed leaves two names; the one that is not in the record is free again after a minute. A container
that was not given a name gets one of two words, a familiar form.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import time
from pathlib import Path

from rootlay.store.containers.record import read_record

NAME_PATTERN = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]*")
RENAME_PATIENCE_S = 60
_FIRST = (
    "amber brave brisk calm clear clever cosy crisp daring deft eager early fair fleet fond frank gentle glad golden "
    "grand happy hardy honest humble jolly keen kind lively loyal lucid lucky mellow merry mild modest neat nimble "
    "noble patient placid plucky polite prompt proud quick quiet ready robust serene sharp silent sincere smart snug "
    "sober sound steady still sturdy subtle sunny sure swift tidy trusty upbeat vivid warm wise witty zesty"
).split()
_SECOND = (
    "alder ash aspen badger beech birch bison bramble brook cedar clover comet coral cricket curlew cypress dahlia "
    "delta dune egret elm ember falcon fern finch fjord fox gale garnet glacier grove harbor hare hawk hazel heron "
    "hickory iris ivy jay juniper kestrel lagoon lark larch laurel lichen linden lotus lynx magpie maple marten meadow "
    "moss oak opal orchid osprey otter owl pebble pine plover poplar quail quartz raven reed ridge robin rowan sage "
    "sequoia sparrow spruce stork swallow swan teal thistle thrush tundra vale walnut willow wren yarrow yew"
).split()


def random_name() -> str:
    """Return a name like `quiet_heron` with four hex digits: there are about 400 million of them."""
    chosen = int.from_bytes(os.urandom(8), "little")
    first, second = _FIRST[chosen % len(_FIRST)], _SECOND[(chosen >> 16) % len(_SECOND)]
    return f"{first}_{second}_{chosen >> 48:04x}"


def check_name(name: str) -> None:
    """Raise BadContainerName unless a container may have the name."""
    if not NAME_PATTERN.fullmatch(name):
        from rootlay.store.model.containererrors import BadContainerName

        raise BadContainerName(name)


class ContainerNames:
    """The names of the containers in a directory."""

    __slots__ = ("_containers", "directory")

    def __init__(self, containers: Path) -> None:
        self._containers = containers
        self.directory = containers / "names"

    def claim(self, name: str, identity: str) -> str | None:
        """Take a name. Returns the ID of the container that has it, or None if it is ours now."""
        link = self.directory / name
        try:
            os.symlink(f"../{identity}", link)
        except FileExistsError:
            holder = os.path.basename(os.readlink(link))
            if holder == identity or (self.lives(holder) and not self.is_stale(link)):
                return holder
            link.unlink(missing_ok=True)
            return self.claim(name, identity)
        return None

    def release(self, name: str) -> None:
        """Make a name free. Idempotent."""
        (self.directory / name).unlink(missing_ok=True)

    def holder(self, name: str) -> str:
        """Return the ID of the container that has the name; empty if there is none."""
        try:
            return os.path.basename(os.readlink(self.directory / name))
        except OSError:
            return ""

    def lives(self, identity: str) -> bool:
        """Return whether a container has its record, or is being made at this moment."""
        config = self._containers / identity / "config.json"
        if config.exists():
            return True
        try:
            lock = os.open(self._containers / identity / "lock", os.O_RDWR | os.O_CLOEXEC)
        except OSError:
            return False
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(lock)
        return config.exists()

    def is_stale(self, link: Path) -> bool:
        """Return whether a name leads to a container of another name that is not being renamed at this moment."""
        with contextlib.suppress(OSError, ValueError, TypeError, KeyError):  # a damaged record is handled elsewhere
            if time.time() - link.lstat().st_mtime > RENAME_PATIENCE_S:
                record = read_record(self._containers / os.path.basename(os.readlink(link)))
                return record is not None and record.name != link.name
        return False

    def sweep(self, limit: float) -> int:
        """Remove stale names, and names without a target that are older than `limit`. Returns how many."""
        swept = 0
        for link in self.directory.iterdir() if self.directory.is_dir() else ():
            with contextlib.suppress(FileNotFoundError):
                if self.is_stale(link) or (not link.exists() and link.lstat().st_mtime < limit):
                    link.unlink()
                    swept += 1
        return swept
