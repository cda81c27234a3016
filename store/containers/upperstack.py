"""The uppers that a container uses: `stack.json` and `snapshots/` of its directory (docs/format.md §9).

Rules:
1. A frozen upper never moves and never changes: it stays where it was written, `<container id>/upper…`, with its Bloom
   filter next to it, and is named by that place. So freezing is one atomic replacement of `stack.json`, and no program
   loses a path that it was started with.
2. A frozen upper lives as long as some container's stack or snapshot names it, also after the removal of its own
   container: then the container's directory stays without a record, for the upper alone.
3. A process that makes a reference (snapshot, fork, rollback) holds the reference lock shared from reading the old to
   writing the new; a process that removes uppers holds it exclusively, and reads all containers first. There are no
   counters, so none can be wrong: after a crash the next collection finds all unreferenced uppers.
4. On the path of every `rootlay run`: no heavy imports.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from rootlay.store.containers.bloom import removed_name
from rootlay.store.disk.durable import replace_file
from rootlay.store.disk.lock import UseLock
from rootlay.store.model.value import as_dict, value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

VERSION = 1
STACK_FILE = "stack.json"
SNAPSHOTS = "snapshots"
REFERENCE_LOCK = "lock"
FIRST_UPPER = "upper"
FORM = "user.rootlay.form"


def bloom_name(upper: str) -> str:
    """Return the name of an upper's Bloom filter, which is next to it: `bloom-3f` for `upper-3f`."""
    return "bloom" + upper.removeprefix("upper")


@value
class FrozenUpper:
    """A frozen upper. `place` is `<container id>/<name>` below `containers/`; `weight` the number of frozen uppers
    merged into it; `redirects` whether a record in it redirects a directory (None: not known yet)."""

    place: str
    weight: int = 1
    redirects: bool | None = None

    @property
    def owner(self) -> str:
        return self.place.partition("/")[0]

    def upper(self, containers: Path) -> Path:
        return containers / self.place

    def bloom(self, containers: Path) -> Path:
        owner, _, name = self.place.partition("/")
        return containers / owner / bloom_name(name)


@value
class UpperStack:
    """The uppers of a container. `upper` is the name of the writable one in the container's directory; `frozen` those
    below, top first."""

    upper: str = FIRST_UPPER
    frozen: tuple[FrozenUpper, ...] = ()

    def to_json(self) -> dict[str, Any]:
        return {"version": VERSION, "upper": self.upper, "frozen": [as_dict(frozen) for frozen in self.frozen]}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> UpperStack:
        return cls(str(data["upper"]), frozen_from_json(data["frozen"]))


@value
class Snapshot:
    """A saved state of a container's file system. Times are ns since the epoch."""

    container: str
    name: str
    created_ns: int
    frozen: tuple[FrozenUpper, ...]

    def to_json(self) -> dict[str, Any]:
        """Return the stored form."""
        return {"version": VERSION, **as_dict(self), "frozen": [as_dict(frozen) for frozen in self.frozen]}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Snapshot:
        """Parse the stored form."""
        return cls(data["container"], data["name"], data["created_ns"], frozen_from_json(data["frozen"]))


def frozen_from_json(rows: list[dict[str, Any]]) -> tuple[FrozenUpper, ...]:
    return tuple(FrozenUpper(row["place"], row["weight"], row["redirects"]) for row in rows)


@value
class UpperForm:
    """The form of an upper's records (docs/format.md §6), an attribute of its root.

    `in_files`: records of regular files and directories are attributes. `owner` is the user and group of objects
    without a record; None: those of every container.
    """

    in_files: bool = False
    owner: tuple[int, int] | None = None

    @classmethod
    def of(cls, upper: str | bytes | Path, *, decide: bool = False) -> UpperForm:
        """Read the form of an upper. A directory that is no upper has none.

        Args:
            decide: it is the writable upper. The first use chooses attributes if the file system has them.
        """
        try:
            words = os.getxattr(upper, FORM).split()
        except OSError as error:
            return cls().store(upper) if decide and error.errno == errno.ENODATA else cls()
        owner = (int(words[1]), int(words[2])) if len(words) == 3 and all(map(bytes.isdigit, words)) else None
        return cls(words[:1] == [b"1"], owner)

    def store(self, upper: str | bytes | Path) -> UpperForm:
        """Write the form with attributes on the root of an upper. Return the form that it has now."""
        try:
            os.setxattr(upper, FORM, b"1" if self.owner is None else b"1 %d %d" % self.owner)
        except OSError:  # no such attributes, no room, or no permission
            return UpperForm()
        return UpperForm(True, self.owner)


def read_stack(container: Path) -> UpperStack:
    """Read the stack of a container's directory; without a file, return that of a container that was never frozen."""
    try:
        with open(f"{container}/{STACK_FILE}", "rb", buffering=0) as file:
            data = file.read()
    except (FileNotFoundError, NotADirectoryError):
        return UpperStack()
    return UpperStack.from_json(json.loads(data))


def write_stack(container: Path, stack: UpperStack, *, durable: bool = True) -> None:
    """Replace the stack of a container's directory (atomic).

    Args:
        durable: as `replace_file`: old uppers are found through it. False for a container that need not survive a power
            failure.
    """
    replace_file(container / STACK_FILE, json.dumps(stack.to_json()).encode(), durable=durable)


def iter_snapshots(container: Path) -> Iterator[Snapshot]:
    """Yield the snapshots in a container's directory, oldest first."""
    found = []
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        for name in os.listdir(container / SNAPSHOTS):
            if name.endswith(".json") and not name.startswith("."):
                with contextlib.suppress(FileNotFoundError):
                    found.append(Snapshot.from_json(json.loads((container / SNAPSHOTS / name).read_bytes())))
    yield from sorted(found, key=lambda snapshot: (snapshot.created_ns, snapshot.name))


def write_snapshot(container: Path, snapshot: Snapshot) -> None:
    """Write a snapshot's record (atomic, durable)."""
    (container / SNAPSHOTS).mkdir(exist_ok=True, mode=0o700)
    replace_file(container / SNAPSHOTS / f"{snapshot.name}.json", json.dumps(snapshot.to_json()).encode(), durable=True)


def references_of(container: Path) -> set[str]:
    """Return the places of the frozen uppers that a container's directory names, and of its writable one."""
    stack = read_stack(container)
    found = {f"{container.name}/{stack.upper}", *(frozen.place for frozen in stack.frozen)}
    for snapshot in iter_snapshots(container):
        found.update(frozen.place for frozen in snapshot.frozen)
    return found


def referring(containers: Path) -> UseLock:
    """Hold this lock while making a reference (rule 3). Lock order: this, then the lock of an upper."""
    return UseLock(containers / REFERENCE_LOCK, remover=False)


def changing(containers: Path) -> UseLock:
    """Hold this lock while removing objects that may be referenced (rule 3)."""
    return UseLock(containers / REFERENCE_LOCK, remover=True)


def collect_uppers(containers: Path, owners: Iterable[str], trash: Path) -> None:
    """Move the unreferenced uppers of these containers into `trash`, which the caller removes afterwards.

    A directory without a record and without uppers is moved as a whole. Preconditions: `trash` does not exist, is on
    the same file system, and the containers are not being made at this moment.
    """
    with changing(containers):
        named: set[str] = set()
        for name in os.listdir(containers):
            if (containers / name / "config.json").exists():
                named |= references_of(containers / name)
        for owner in sorted(set(owners)):
            _collect(containers / owner, named, trash / owner)


def _collect(container: Path, named: set[str], trash: Path) -> None:
    alive = (container / "config.json").exists()
    try:
        names = os.listdir(container)
    except FileNotFoundError:
        return
    uppers = {name for name in names if name == FIRST_UPPER or name.startswith(f"{FIRST_UPPER}-")}
    kept = {name for name in uppers if f"{container.name}/{name}" in named}
    if not alive and not kept:
        _move(container, trash)
        return
    going = uppers - kept if alive else set(names) - kept - {bloom_name(name) for name in kept}
    for name in sorted(going):
        for victim in {name, bloom_name(name), removed_name(name)} if name in uppers else {name}:
            _move(container / victim, trash / victim)


def _move(source: Path, target: Path) -> None:
    """Move into the trash, which a sweep of `tmp/` may delete at any moment."""
    while os.path.lexists(source):
        with contextlib.suppress(FileNotFoundError):
            target.parent.mkdir(exist_ok=True, parents=True, mode=0o700)
            source.rename(target)
