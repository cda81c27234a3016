"""Checks of uppers (docs/format.md §6, §7) that the store cannot do itself: marks, records, filters."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from rootlay.store.check.containers import bloom_trouble, is_unchanged
from rootlay.store.check.finding import Finding, Fix, Quarantine, Status
from rootlay.store.check.run import check_store
from rootlay.store.check.scope import Scope
from rootlay.store.containers.record import ContainerRecord
from rootlay.store.disk.removetree import remove_tree
from rootlay.store.model.errors import printable
from rootlay.vfs.merge import filerecord, longpath
from rootlay.vfs.merge.bloom import RECORD, SHARED, Bloom
from rootlay.vfs.merge.record import Record
from rootlay.vfs.merge.upperkeys import Key, Seen, keys_in, list_seen
from rootlay.vfs.merge.whiteout import Mark, linked_path, long_whiteout_target, parse_mark
from rootlay.vfs.run.processes import has_guests

__all__ = ["check_store", "check_uppers"]

_NEEDED = {stat.S_IFDIR: 0o700, stat.S_IFREG: 0o400}


def check_uppers(scope: Scope) -> Iterator[Finding]:
    """Check every upper of a container, each once."""
    seen: set[Path] = set()
    for record in scope.counted("uppers", list(scope.containers())):
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            stack = record.stack()
            places = [(record.upper_of(stack), record.bloom_of(stack), True)]
            root = scope.layout.containers
            places += [(frozen.upper(root), frozen.bloom(root), False) for frozen in stack.frozen]
            for upper, bloom, writable in places:
                if upper not in seen and upper.is_dir() and not bloom_trouble(bloom):
                    seen.add(upper)
                    for finding in _UpperCheck(scope, record, upper, bloom, writable).run():
                        if not is_unchanged(record, stack):  # it was removed meanwhile
                            break
                        yield finding


class _UpperCheck:
    """The check of one upper. Programs may be working in it: their unfinished changes are not reported."""

    def __init__(self, scope: Scope, record: ContainerRecord, upper: Path, bloom: Path, writable: bool) -> None:
        self._scope = scope
        self._record = record
        self._upper = os.fsencode(upper)
        self._bloom = bloom
        self._busy = writable and (has_guests(record.real_path) or _runs_elsewhere(record))
        self._denied: list[Key] = []

    def run(self) -> Iterator[Finding]:
        with Bloom(self._bloom, changes=False) as bloom:
            waiting = [b""]
            yield from longpath.scoped(self._held(b""))
            while waiting:
                directory = waiting.pop()
                try:
                    with longpath.operation():
                        found = list_seen(longpath.pinned(self._upper, directory))
                except OSError as error:
                    if not self._busy:
                        yield self._mode(directory, f"cannot be listed: {error.strerror}", 0o700)
                    continue
                keys = longpath.scoped(keys_in(directory, found, self._real))
                self._denied += (key for key in keys if not _allowed(bloom, key))
                for name in sorted(found):
                    yield from longpath.scoped(self._check(directory, name, found[name]))
                    if stat.S_ISDIR(found[name].mode) and parse_mark(name) is None:
                        waiting.append(directory + b"/" + name)
        if self._denied:
            yield self._denial()

    def _check(self, directory: bytes, name: bytes, seen: Seen) -> Iterator[Finding]:
        path = directory + b"/" + name
        mark = parse_mark(name)
        if mark is None:
            need = _NEEDED.get(stat.S_IFMT(seen.mode), 0o600)
            if not stat.S_ISLNK(seen.mode) and seen.mode & need != need:
                yield self._mode(path, f"mode {stat.S_IMODE(seen.mode):o} lacks {need:o}", need)
            if stat.S_ISREG(seen.mode) or stat.S_ISDIR(seen.mode):
                yield from self._held(path)
            return
        if mark.kind == "temporary":
            if not self._busy:
                yield self._left(path)
            return
        text = self._mark_trouble(mark, path, seen)
        if text:
            real = Path(os.fsdecode(self._upper + path))
            fix: Fix | None = None
            if real.is_relative_to(self._scope.layout.root):

                def fix(quarantine: Quarantine) -> Status:
                    with longpath.operation():
                        return quarantine.take("mark-damaged", real, text, longpath.guarded(self._upper, path))

            yield Finding("mark-damaged", self._place(path), text, fix)

    def _held(self, path: bytes) -> Iterator[Finding]:
        """Check the record in a file or directory."""
        real = self._real(path)
        try:
            filerecord.find_record(real)
            return
        except ValueError as error:
            text = f"a record in it that cannot be read: {error}"

        def fix(quarantine: Quarantine) -> Status:
            with longpath.operation():
                os.removexattr(self._real(path), filerecord.NAME, follow_symlinks=False)
            return "removed"

        yield Finding("mark-damaged", self._place(path), text, fix)

    def _mark_trouble(self, mark: Mark, path: bytes, seen: Seen) -> str:
        """Return the problem of a mark; empty: none."""
        link = os.readlink(self._real(path)) if stat.S_ISLNK(seen.mode) else None
        if mark.kind in ("record", "linked"):
            return _record_trouble(link) or self._link_trouble(mark, link)
        if mark.kind == "whiteout" and mark.name is None:
            fits = link is not None and long_whiteout_target(path.rpartition(b"/")[2], link) is not None
            return "" if fits else "not the whiteout of a long name"
        return "" if stat.S_ISREG(seen.mode) and seen.is_empty else "not an empty file"

    def _link_trouble(self, mark: Mark, link: bytes | None) -> str:
        """Return the problem of a linked record."""
        number = Record.parse(link).linked if link is not None else None
        if number is None or mark.kind == "linked" or self._busy or os.path.lexists(self._real(linked_path(number))):
            return ""
        return "a record that leads to none"

    def _denial(self) -> Finding:
        denied = list(self._denied)

        def fix(quarantine: Quarantine) -> Status:
            with Bloom(self._bloom) as bloom:
                for path, kind in denied:
                    bloom.add(path, kind)
            return "rebuilt"

        first = printable(denied[0][0] or b"/")
        text = f"it denies {len(denied)} things that are there, {first} first"
        return Finding("bloom-damaged", self._scope.place(self._bloom), text, fix)

    def _mode(self, path: bytes, text: str, need: int) -> Finding:
        def fix(quarantine: Quarantine) -> Status:
            with longpath.operation():
                real = longpath.pinned(self._upper, path)
                os.chmod(real, os.stat(real).st_mode & 0o1777 | need)
            return "rebuilt"

        return Finding("upper-mode", self._place(path), text, fix)

    def _real(self, path: bytes) -> bytes:
        return longpath.guarded(self._upper, path)

    def _left(self, path: bytes) -> Finding:
        def fix(quarantine: Quarantine) -> Status:
            with longpath.operation():
                real = self._real(path)
                try:
                    remove_tree(real)
                except NotADirectoryError:
                    with contextlib.suppress(FileNotFoundError):
                        os.unlink(real)
            return "removed"

        return Finding("leftover", self._place(path), "unfinished, and its process has ended", fix, leftover=True)

    def _place(self, path: bytes) -> str:
        real = Path(os.fsdecode(self._upper + path))
        inside = real.is_relative_to(self._scope.layout.root)
        return self._scope.place(real) if inside else printable(os.fsencode(real))


def _allowed(bloom: Bloom, key: Key) -> bool:
    """Return whether a filter knows a key. The records of files with several names have one for all together."""
    return bloom.may_have(*key) or (key[1] == RECORD and bloom.may_have(b"", SHARED))


def _record_trouble(link: bytes | None) -> str:
    """Return the problem of a record that is a link to `link`; empty: none."""
    if link is None:
        return "a record that is no symbolic link"
    try:
        record = Record.parse(link)
    except ValueError as error:
        return f"a record that cannot be read: {error}"
    if record.redirect is not None and not record.redirect.startswith(b"/"):
        return "a redirect to a path that is not absolute"
    return ""


def _runs_elsewhere(record: ContainerRecord) -> bool:
    with contextlib.suppress(ValueError, TypeError):  # a damaged state is another finding
        return bool(record.state().elsewhere)
    return False
