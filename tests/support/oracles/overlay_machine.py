"""Random operations, each done on an overlay and on a plain directory: a machine for Hypothesis.

Its subclasses look at the overlay in other ways, or make it otherwise.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from rootlay.store.containers.upperstack import FORM
from rootlay.store.model.value import replace
from rootlay.vfs.changes.diff import iter_layer
from rootlay.vfs.changes.flatten import flatten
from rootlay.vfs.merge.attributes import Attributes
from rootlay.vfs.merge.bloom import Bloom
from rootlay.vfs.merge.stack import DirLayer, LowerHydrator, LowerView, Ownership, Stack
from rootlay.vfs.overlay.overlay import Overlay
from rootlay.vfs.overlay.renameat import RENAME_EXCHANGE, RENAME_NOREPLACE, renameat2
from tests.support.oracles.memory_view import LayerEntry, MemoryHydrator, MemoryView, directory, file, symlink, whiteout
from tests.support.oracles.oracle import (
    Shape,
    attributes_of,
    check_changes,
    check_order,
    iter_changes,
    layer_of,
    outcome,
    shape_of_directory,
    shape_of_overlay,
)
from tests.support.oracles.paths import LONG, Pick, contents, file_modes, loose_paths, modes, owners, paths, targets

BASE = [
    directory(b"", 0o755),
    directory(b"a"),
    file(b"a/a", b"view a/a"),
    file(b"a/b", b"view a/b", 0o600),
    directory(b"a/c", 0o700),
    file(b"a/c/a", b"deep"),
    file(b"a/c/" + LONG, b"long name"),
    directory(b"b"),
    directory(b"b/a"),
    file(b"b/a/d", b"b/a/d"),
    symlink(b"c", b"a"),
    symlink(b"b/c", b"a"),
    file(b"d", b"plain d", 0o755),
]
SECOND = [whiteout(b"b/a"), file(b"b/b", b"second"), directory(b"a/c", 0o755), file(b"a/c/b", b"second a/c/b")]


REALTIME_COARSE = 5  # <linux/time.h>: the clock of files' times


def fill_plain(path: Path) -> None:
    """A plain lower that covers part of the view: a directory on a directory, a file on a directory, a new name."""
    (path / "a" / "c").mkdir(parents=True)
    (path / "a" / "c" / "d").write_bytes(b"plain a/c/d")
    (path / "a" / "a").write_bytes(b"plain a/a")
    (path / "b").write_bytes(b"a file hides a directory")
    (path / "a" / "d").symlink_to("c")


class OverlayMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.base = Path(tempfile.mkdtemp(prefix="rootlay-test-"))
        self.plain = self.base / "plain"
        self.frozen: list[DirLayer] = []
        self.lowers: list[DirLayer] = []
        self.view: LowerView | None = None
        self.count = 0
        self.hydrated = 0
        self.shapes: dict[bytes, Shape] = {}  # of the plain directory, after the last step
        self.umask = os.umask(0o022)
        self.odd = 0  # every second upper has its records next to the names

    @initialize(with_view=st.booleans(), with_plain=st.booleans(), odd=st.booleans())
    def start(self, with_view: bool, with_plain: bool, odd: bool) -> None:
        self.odd = int(odd)
        self.open_lowers(with_view, with_plain)
        self.plain.mkdir()
        self.copy_merged(b"", self.plain)

    def open_lowers(self, with_view: bool, with_plain: bool) -> None:
        """The lowers that are wanted, and the first upper on them."""
        if with_view:
            self.view = self.make_view(BASE, SECOND)
        if with_plain:
            fill_plain(self.base / "lower")
            self.lowers = [DirLayer.at(self.base / "lower")]
        self.open_upper()

    def open_upper(self) -> None:
        self.count += 1
        path = self.base / f"upper{self.count}"
        path.mkdir()
        if self.count % 2 == self.odd:  # as on a file system without attributes
            os.setxattr(path, FORM, b"0")
        bloom = self.base / f"bloom{self.count}"
        Bloom.create(bloom).close()
        stack = Stack(
            (DirLayer.at(path, writable=True, bloom=bloom), *self.frozen, *self.lowers),
            self.view,
            self.make_hydrator(),
            Ownership(os.geteuid(), os.getegid()),
            self.base / "lock",
        )
        self.overlay = self.make_overlay(stack)
        self.overlay.adopt_root()

    def make_overlay(self, stack: Stack) -> Overlay:
        return Overlay(stack)

    def make_view(self, *layers: list[LayerEntry]) -> LowerView:
        """An image of these layers."""
        return MemoryView(*layers)

    def make_hydrator(self) -> LowerHydrator | None:
        """The content of the image."""
        if not isinstance(self.view, MemoryView):
            return None
        hydrated = self.base / f"hydrated{self.hydrated}"
        hydrated.mkdir(exist_ok=True)
        return MemoryHydrator(self.view, hydrated)

    def copy_merged(self, path: bytes, target: Path) -> None:
        for entry in self.overlay.scandir(path or b"/"):
            source, copy = path + b"/" + entry.name, target / os.fsdecode(entry.name)
            mode = self.overlay.lstat(source).mode & 0o7777
            if entry.is_dir:
                copy.mkdir()
                self.copy_merged(source, copy)
                copy.chmod(mode)
            elif self.overlay.lstat(source).mode & 0o170000 == 0o120000:
                copy.symlink_to(os.fsdecode(self.overlay.readlink(source)))
            else:
                with self.overlay.open_content(source) as stream:
                    copy.write_bytes(stream.read())
                copy.chmod(mode)
        self.plain.chmod(self.overlay.stat("/").mode & 0o7777)

    def real(self, path: bytes) -> bytes:
        # "/." is the root of the test as the kernel sees its own "/": a last component without a name.
        return os.fsencode(self.plain) + (b"/." if path == b"/" else path)

    def path(self, pick: Pick) -> bytes:
        """The path that a pick stands for now. Never deeper than three names."""
        shapes = self.shapes
        directories = [
            path for path, shape in shapes.items() if path.count(b"/") < 3 and shape.mode & 0o170000 == 0o040000
        ]
        choice = {
            "existing": sorted(shapes),
            "directory": directories,
            "beside": [path + b"/" + pick.parts[0] for path in directories],
            "random": [b"/" + b"/".join(pick.parts)],
        }[pick.kind]
        return (choice[pick.number % len(choice)] + pick.tail) or b"/"

    # ---- rules

    @rule(path=loose_paths, mode=modes)
    def mkdir(self, path: Pick, mode: int) -> None:
        path_ = self.path(path)
        self.same(lambda: self.overlay.mkdir(path_, mode), lambda: os.mkdir(self.real(path_), mode))

    @rule(path=loose_paths, content=contents, mode=file_modes)
    def write(self, path: Pick, content: bytes, mode: int) -> None:
        path_ = self.path(path)
        self.write_with(path_, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, content, mode)

    @rule(path=paths, content=contents)
    def append(self, path: Pick, content: bytes) -> None:
        path_ = self.path(path)
        self.write_with(path_, os.O_WRONLY | os.O_APPEND, content, 0)

    @rule(path=loose_paths, content=contents, mode=file_modes)
    def create_exclusively(self, path: Pick, content: bytes, mode: int) -> None:
        path_ = self.path(path)
        self.write_with(path_, os.O_RDWR | os.O_CREAT | os.O_EXCL, content, mode)

    @rule(
        path=loose_paths,
        flags=st.sampled_from(
            [os.O_RDONLY, os.O_RDWR, os.O_DIRECTORY, os.O_NOFOLLOW, os.O_RDONLY | os.O_TRUNC, os.O_CREAT, os.O_PATH]
        ),
    )
    def open_and_close(self, path: Pick, flags: int) -> None:
        path_ = self.path(path)
        self.write_with(path_, flags, None, 0o644)

    def write_with(self, path: bytes, flags: int, content: bytes | None, mode: int) -> None:
        def use(descriptor: int) -> None:
            if content is not None:
                os.write(descriptor, content)
            os.close(descriptor)

        self.same(lambda: use(self.overlay.open(path, flags, mode)), lambda: use(os.open(self.real(path), flags, mode)))

    @rule(path=loose_paths)
    def unlink(self, path: Pick) -> None:
        path_ = self.path(path)
        self.same(lambda: self.overlay.unlink(path_), lambda: os.unlink(self.real(path_)))

    @rule(path=loose_paths)
    def rmdir(self, path: Pick) -> None:
        path_ = self.path(path)
        if path_.rstrip(b"/."):  # rmdir("/") is EBUSY here, and harmful there
            self.same(lambda: self.overlay.rmdir(path_), lambda: os.rmdir(self.real(path_)))

    @rule(path=paths)
    def remove_tree(self, path: Pick) -> None:
        path_ = self.path(path)
        info = outcome(lambda: self.overlay.lstat(path_).is_dir)
        if info is True and path_ != b"/":
            shutil.rmtree(self.real(path_))
            self.remove_overlay_tree(path_)

    def remove_overlay_tree(self, path: bytes) -> None:
        for entry in self.overlay.scandir(path):
            if entry.is_dir:
                self.remove_overlay_tree(path + b"/" + entry.name)
            else:
                self.overlay.unlink(path + b"/" + entry.name)
        self.overlay.rmdir(path)

    @rule(old=loose_paths, new=loose_paths)
    def rename(self, old: Pick, new: Pick) -> None:
        old_ = self.path(old)
        new_ = self.path(new)
        if old_.rstrip(b"/.") and new_.rstrip(b"/."):
            self.same(lambda: self.overlay.rename(old_, new_), lambda: os.rename(self.real(old_), self.real(new_)))

    @rule(old=paths, new=paths, flags=st.sampled_from([RENAME_NOREPLACE, RENAME_EXCHANGE]))
    def rename_with_flags(self, old: Pick, new: Pick, flags: int) -> None:
        old_ = self.path(old)
        new_ = self.path(new)
        self.same(
            lambda: self.overlay.rename(old_, new_, flags), lambda: renameat2(self.real(old_), self.real(new_), flags)
        )

    @rule(old=loose_paths, new=loose_paths)
    def link(self, old: Pick, new: Pick) -> None:
        old_ = self.path(old)
        new_ = self.path(new)
        self.same(
            lambda: self.overlay.link(old_, new_),
            lambda: os.link(self.real(old_), self.real(new_), follow_symlinks=False),
        )

    @rule(text=targets, path=loose_paths)
    def symlink(self, text: bytes, path: Pick) -> None:
        path_ = self.path(path)
        self.same(lambda: self.overlay.symlink(text, path_), lambda: os.symlink(text, self.real(path_)))

    @rule(path=loose_paths, mode=modes)
    def chmod(self, path: Pick, mode: int) -> None:
        path_ = self.path(path)
        self.same(lambda: self.overlay.chmod(path_, mode), lambda: os.chmod(self.real(path_), mode))

    @rule(path=loose_paths, uid=owners, gid=owners, follow=st.booleans())
    def chown(self, path: Pick, uid: int, gid: int, follow: bool) -> None:
        """Only root could do it to the plain directory: what stat shows is the oracle."""
        path_ = self.path(path)
        before = outcome(lambda: self.overlay.stat(path_, follow=follow))
        began = time.clock_gettime_ns(REALTIME_COARSE)
        result = outcome(lambda: self.overlay.chown(path_, uid, gid, follow=follow))
        if isinstance(before, Attributes):
            after = self.overlay.stat(path_, follow=follow)
            owner = (before.uid if uid == -1 else uid, before.gid if gid == -1 else gid)
            assert (after.uid, after.gid, after.mode, after.mtime_ns) == (*owner, before.mode, before.mtime_ns)
            assert after.ctime_ns >= began
        else:
            assert result == before

    @rule(path=paths, name=st.sampled_from([b"user.a", b"trusted.b", b"security.c"]), value=contents)
    def setxattr(self, path: Pick, name: bytes, value: bytes) -> None:
        path_ = self.path(path)
        began = time.clock_gettime_ns(REALTIME_COARSE)
        had = outcome(lambda: self.overlay.getxattr(path_, name))
        if isinstance(outcome(lambda: self.overlay.setxattr(path_, name, value[:100])), str):
            return
        assert self.overlay.getxattr(path_, name) == value[:100]
        assert name in self.overlay.listxattr(path_)
        # A real attribute that has this value already is no change to some file systems.
        assert self.overlay.stat(path_).ctime_ns >= began or (name == b"user.a" and had == value[:100])

    @rule(path=loose_paths, size=st.sampled_from([0, 1, 9000]))
    def truncate(self, path: Pick, size: int) -> None:
        path_ = self.path(path)
        self.same(lambda: self.overlay.truncate(path_, size), lambda: os.truncate(self.real(path_), size))

    @rule(path=loose_paths, seconds=st.integers(0, 2**31))
    def utimens(self, path: Pick, seconds: int) -> None:
        path_ = self.path(path)
        ns = (seconds * 10**9, seconds * 10**9 + 5)
        self.same(lambda: self.overlay.utimens(path_, ns), lambda: os.utime(self.real(path_), ns=ns))
        self.same(lambda: self.overlay.stat(path_).mtime_ns, lambda: os.stat(self.real(path_)).st_mtime_ns)

    @rule(path=loose_paths)
    def look(self, path: Pick) -> None:
        path_ = self.path(path)
        self.same(lambda: self.overlay.stat(path_).mode, lambda: os.stat(self.real(path_)).st_mode)
        self.same(lambda: self.overlay.lstat(path_).mode, lambda: os.lstat(self.real(path_)).st_mode)
        self.same(lambda: self.overlay.readlink(path_), lambda: os.readlink(self.real(path_)))
        self.same(lambda: self.overlay.listdir(path_), lambda: sorted(os.listdir(self.real(path_))))

    @rule()
    def freeze(self) -> None:
        """The upper becomes a read-only layer under a new one: redirects are now looked up below it."""
        if len(self.frozen) < 4 and not self.has_hard_links():
            upper = self.overlay.stack.upper
            self.overlay.close()
            self.frozen.insert(0, DirLayer.at(os.fsdecode(upper.path), marks=True, bloom=upper.bloom))
            self.open_upper()

    @rule(top=st.booleans())
    def merge_frozen(self, top: bool) -> None:
        """Two or more frozen uppers as one show the same over whatever is below."""
        if len(self.frozen) < 2:
            return
        self.count += 1
        target, bloom = self.base / f"merged{self.count}", self.base / f"bloom{self.count}"
        target.mkdir()
        Bloom.create(bloom).close()
        before = attributes_of(self.overlay)
        merged, kept = (self.frozen[:2], self.frozen[2:]) if top else (self.frozen, [])
        flatten(merged, target, bloom)
        self.frozen = [DirLayer.at(target, marks=True, bloom=bloom), *kept]
        stack = self.overlay.stack
        self.overlay.rebind(replace(stack, dirs=(stack.upper, *self.frozen, *self.lowers)))
        assert attributes_of(self.overlay) == before

    @rule()
    def commit(self) -> None:
        """The upper becomes an image layer; it and what was below must show the same tree again."""
        base: list[LayerEntry] = []
        if self.has_lower():
            stack = self.overlay.stack
            with Overlay(Stack(stack.dirs[1:], stack.view, stack.hydrator)) as lower:
                base = layer_of(lower)
        before = attributes_of(self.overlay)
        layer = [
            (path, entry, content.read() if content is not None else None)
            for path, entry, content in iter_layer(self.overlay)
        ]
        check_order(layer)
        hard_links, shapes = self.has_hard_links(), shape_of_overlay(self.overlay)
        kept = self.overlay, self.view, self.frozen, self.lowers
        self.view = self.make_view(base, layer)
        self.frozen, self.lowers = [], []
        self.hydrated += 1
        self.open_upper()
        assert attributes_of(self.overlay) == before
        assert shape_of_overlay(self.overlay) == shapes
        if hard_links:
            self.overlay.close()
            self.overlay, self.view, self.frozen, self.lowers = kept
        else:
            kept[0].close()

    def has_hard_links(self) -> bool:
        """A copy-up parts a file from its other names, as on overlayfs: keep them out of the lower layers."""
        return any(shape.nlink > 1 for shape in shape_of_overlay(self.overlay).values())

    def has_lower(self) -> bool:
        return len(self.overlay.stack.dirs) > 1 or self.overlay.stack.view is not None

    @rule()
    def diff(self) -> None:
        """What the diff says is what two walks of the whole trees find, apart from copies without a change."""
        changes = {change.path.raw: change.kind for change in iter_changes(self.overlay)}
        after = shape_of_overlay(self.overlay)
        before: dict[bytes, Shape] = {}
        if self.has_lower():
            stack = self.overlay.stack
            with Overlay(Stack(stack.dirs[1:], stack.view, stack.hydrator)) as lower:
                before = shape_of_overlay(lower)
        check_changes(changes, before, after)

    # ----

    def same(self, ours: Callable[[], object], theirs: Callable[[], object]) -> None:
        assert outcome(ours) == outcome(theirs)

    @invariant()
    def trees_agree(self) -> None:
        if self.count:
            self.shapes = shape_of_directory(self.plain)
            assert shape_of_overlay(self.overlay) == self.shapes
            self.names_agree()

    def names_agree(self) -> None:
        """What the names of one file show is one."""
        shown: dict[int, Attributes] = {}
        for path, shape in self.shapes.items():
            if shape.nlink > 1:
                found = self.overlay.lstat(path)
                assert shown.setdefault(found.ino, found) == found, path

    def teardown(self) -> None:
        os.umask(self.umask)
        if self.count:
            self.overlay.close()
        shutil.rmtree(self.base)
