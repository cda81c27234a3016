"""Checks of container records, names, stacks and snapshots (docs/format.md §9).

Other processes go on meanwhile. What they remove, they first take out of the record, the stack or the snapshot that
names it: a finding counts if those are still the same after it.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path

from rootlay.store.check.finding import Finding, Fix, Quarantine, Status, remove_file
from rootlay.store.check.scope import Scope, process_lives
from rootlay.store.containers.bloom import FILE_BYTES, HEADER_BYTES, create_full_bloom, header_fits
from rootlay.store.containers.containers import LAUNCHED
from rootlay.store.containers.names import ContainerNames
from rootlay.store.containers.record import ContainerRecord, is_container_id, read_record
from rootlay.store.containers.upperstack import (
    SNAPSHOTS,
    Snapshot,
    UpperStack,
    bloom_name,
    read_stack,
    references_of,
)
from rootlay.store.model.errors import RootlayError, printable

RECORD_FILE = "config.json"
# The table of docs/format.md §9, and `config.json`.
_KNOWN = re.compile(
    r"(config|state|stack|manifest|image|docker)\.json|lock|log|log\.index|attach|exec-[0-9a-f]{64}\.json"
    r"|resolv\.conf|hosts|hostname|address(\.left)?"
    r"|health\.json|stopped|mounts|snapshots|ways|(upper|bloom|removed)(-[0-9a-f]+)?"
    r"|(launch|hydrate|trouble|wait)-\d+-[0-9a-f]+|core-\d+-[0-9a-f]+\.so|tmp[a-z0-9_]{8}|\..+\.\d+\.[0-9a-f]+"
)
_BROKEN = (OSError, ValueError, KeyError, TypeError, RootlayError)


def check_containers(scope: Scope) -> Iterator[Finding]:
    """Check that each container is readable and complete, and that each name leads to its container."""
    root = scope.layout.containers
    for name in scope.counted(
        "containers", [name for name in sorted(os.listdir(root)) if name not in ("names", "lock", LAUNCHED)]
    ):
        path = root / name
        if not is_container_id(name):
            text = "not a container"
            yield Finding("unknown-file", scope.place(path), text, _aside("unknown-file", path, text))
        else:
            yield from _check_container(scope, path)
    yield from _check_names(scope)


def _aside(code: str, path: Path, text: str) -> Fix:
    return lambda quarantine: quarantine.take(code, path, text)


def _check_container(scope: Scope, path: Path) -> Iterator[Finding]:
    try:
        record = scope.container(path.name)
        if record.config.id != path.name:
            raise ValueError(f"the record is that of container {record.config.id[:12]}")
        stack = read_stack(path)
    except (FileNotFoundError, NotADirectoryError):
        return  # being made, left by a crash (`prune` removes it), or kept for a frozen upper
    except _BROKEN as error:
        yield _damaged(scope, path, f"{type(error).__name__}: {error}")
        return
    found: list[Finding] = []
    with contextlib.suppress(FileNotFoundError):  # of a container that is removed meanwhile
        for check in (_check_state(scope, record), _check_snapshots(scope, path), _check_uppers(scope, record, stack)):
            found += check
        found += _check_files(scope, path)
    if is_unchanged(record, stack):
        yield from found
    else:
        yield from _check_container(scope, path)


def is_unchanged(record: ContainerRecord, stack: UpperStack) -> bool:
    """Return whether a container is still there, with the same uppers."""
    return (record.path / RECORD_FILE).exists() and read_stack(record.path) == stack


def _damaged(scope: Scope, path: Path, text: str) -> Finding:
    """Report an unreadable container; the repair quarantines all of it, except uppers that other containers use."""

    def fix(quarantine: Quarantine) -> Status:
        wanted = _places_of_others(scope, path)
        kept = {name for name in os.listdir(path) if f"{path.name}/{name}" in wanted}
        if not kept:
            return quarantine.take("container-damaged", path, text)
        kept |= {bloom_name(name) for name in kept}
        for name in sorted(set(os.listdir(path)) - kept):
            quarantine.take("container-damaged", path / name, text)
        return "quarantined"

    return Finding("container-damaged", scope.place(path), text, fix)


def _places_of_others(scope: Scope, path: Path) -> set[str]:
    found: set[str] = set()
    for other in scope.layout.containers.glob(f"*/{RECORD_FILE}"):
        if other.parent != path:
            with contextlib.suppress(*_BROKEN):
                found |= references_of(other.parent)
    return found


def _check_state(scope: Scope, record: ContainerRecord) -> Iterator[Finding]:
    try:
        record.state()
    except _BROKEN as error:
        path = record.path / "state.json"
        yield Finding("state-damaged", scope.place(path), str(error), _aside("state-damaged", path, str(error)))


def _check_snapshots(scope: Scope, container: Path) -> Iterator[Finding]:
    directory = container / SNAPSHOTS
    for path in sorted(directory.glob("*.json")) if directory.is_dir() else ():
        if path.name.startswith("."):
            continue
        try:
            snapshot = Snapshot.from_json(json.loads(path.read_bytes()))
            missing = [f.place for f in snapshot.frozen if not f.upper(scope.layout.containers).is_dir()]
            text = f"{missing[0]} is gone" if missing else ""
            if f"{snapshot.name}.json" != path.name:
                text = f"it is named {snapshot.name}"
        except _BROKEN as error:
            text = f"{type(error).__name__}: {error}"
        if text and os.path.lexists(path):
            yield Finding("snapshot-damaged", scope.place(path), text, _aside("snapshot-damaged", path, text))


def _check_uppers(scope: Scope, record: ContainerRecord, stack: UpperStack) -> Iterator[Finding]:
    containers = scope.layout.containers
    mine = (record.upper_of(stack), record.bloom_of(stack))
    below = [(frozen.upper(containers), frozen.bloom(containers)) for frozen in stack.frozen]
    for upper, bloom in (mine, *below):
        if not upper.is_dir():
            text = f"container {record.name} stands on it"
            yield Finding("upper-lost", _place(scope, upper), text)
            continue
        text = bloom_trouble(bloom)
        if text:
            yield Finding("bloom-damaged", scope.place(bloom), text, _fill_bloom(bloom, text))


def _place(scope: Scope, path: Path) -> str:
    """Return the display form of a path that may be outside the store (`--upper`)."""
    return scope.place(path) if path.is_relative_to(scope.layout.root) else printable(os.fsencode(path))


def bloom_trouble(path: Path) -> str:
    """Return what is wrong with a filter's header and size; empty: nothing."""
    try:
        with open(path, "rb") as stream:
            header, size = stream.read(HEADER_BYTES), os.fstat(stream.fileno()).st_size
    except OSError as error:
        return (error.strerror or str(error)).lower()
    return "" if size == FILE_BYTES and header_fits(header) else "not a filter of this version"


def _fill_bloom(path: Path, text: str) -> Fix:
    def fix(quarantine: Quarantine) -> Status:
        if path.exists():
            quarantine.take("bloom-damaged", path, text)
        create_full_bloom(path)
        return "rebuilt"

    return fix


def _check_files(scope: Scope, container: Path) -> Iterator[Finding]:
    """Check that a container's directory holds no unknown files, and no half-written record of a dead process."""
    for name in sorted(os.listdir(container)):
        if not _KNOWN.fullmatch(name):
            path, text = container / name, "not described in docs/format.md"
            yield Finding("unknown-file", scope.place(path), text, _aside("unknown-file", path, text))
        elif name.startswith("."):
            parts = name.split(".")
            if len(parts) >= 4 and parts[-2].isdigit() and not process_lives(int(parts[-2])):
                path = container / name
                yield Finding("leftover", scope.place(path), "its process has ended", remove_file(path), leftover=True)


def _check_names(scope: Scope) -> Iterator[Finding]:
    names = scope.layout.containers / "names"
    known = ContainerNames(scope.layout.containers)
    own = {record.name: record.id for record in scope.containers()}
    for name in sorted(os.listdir(names)) if names.is_dir() else ():
        link = names / name
        try:
            holder = os.path.basename(os.readlink(link))
        except FileNotFoundError:
            continue
        except OSError:
            text = "not a name"
            yield Finding("unknown-file", scope.place(link), text, _aside("unknown-file", link, text))
            continue
        if own.get(name) == holder:
            continue
        if not known.lives(holder):
            text = "its container was removed"
            yield Finding("leftover", scope.place(link), text, remove_file(link), leftover=True)
        elif known.is_stale(link):
            text = "its container has another name now"
            yield Finding("leftover", scope.place(link), text, remove_file(link), leftover=True)
    for record in scope.containers():
        holder = known.holder(record.name)
        if holder != record.id and _has_name(record):
            yield _broken_name(scope, record, names / record.name, holder)


def _has_name(record: ContainerRecord) -> bool:
    """Return whether a container is still there, and was not renamed."""
    now = read_record(record.path)
    return now is not None and now.name == record.name


def _broken_name(scope: Scope, record: ContainerRecord, link: Path, holder: str) -> Finding:
    if holder:
        text = f"container {record.id[:12]} has it, too: rename one by its ID"
        return Finding("name-broken", scope.place(link), text)

    def fix(quarantine: Quarantine) -> Status:
        link.parent.mkdir(mode=0o700, exist_ok=True)
        link.symlink_to(f"../{record.id}")
        return "rebuilt"

    return Finding("name-broken", scope.place(link), f"container {record.id[:12]} has this name", fix)
