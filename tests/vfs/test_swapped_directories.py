"""A program that gets round the engine replaces directories of its upper by links while somebody works on it outside.

At each path that an operation makes of the upper in turn, the swap happens between the making and the system call. The
operation may fail; outside nothing may be read or changed. ROOTLAY_TEST_LONG swaps some more names.
"""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import itertools
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from rootlay.vfs.changes.diff import iter_layer, iter_tree
from rootlay.vfs.changes.transfer import copy_in, copy_out
from rootlay.vfs.merge import longpath
from rootlay.vfs.merge.content import real_path
from rootlay.vfs.merge.lookup import Found
from rootlay.vfs.merge.stack import DirLayer, Stack
from rootlay.vfs.overlay import open as opening
from rootlay.vfs.overlay.overlay import Overlay
from tests.support.oracles.oracle import iter_changes
from tests.vfs.conftest import StackBuilder

pytestmark = [pytest.mark.slow, pytest.mark.long_form]

CANARY = b"canary"
SWAPS = ("d", "d/f", "d/sub", "d/low", "d/low-sub") if os.environ.get("ROOTLAY_TEST_LONG") else ("d", "d/f", "d/sub")


def create(overlay: Overlay, path: str) -> None:
    os.close(overlay.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))


def append(overlay: Overlay, path: str) -> None:
    fd = overlay.open(path, os.O_WRONLY | os.O_APPEND)
    os.write(fd, b"more")
    os.close(fd)


def read(overlay: Overlay, path: str) -> bytes:
    with overlay.open_content(path) as stream:
        return stream.read()


def unnamed(overlay: Overlay, path: str) -> None:
    os.close(overlay.open(path, os.O_WRONLY | os.O_TMPFILE, 0o600))


def walk(overlay: Overlay) -> list[object]:
    return [
        item[2].read() if isinstance(item, tuple) and item[2] is not None else item
        for each in (iter_changes, iter_layer, iter_tree)
        for item in each(overlay)
    ]


def out(overlay: Overlay, path: str, base: Path) -> list[bytes]:
    copy_out(overlay, path.encode(), os.fsencode(base / "copied"))
    files = [Path(top, name) for top, _, names in os.walk(base / "copied") for name in names]
    links_apart = [path for path in files if not path.is_symlink() and not (base / "copied").is_symlink()]
    return [path.read_bytes() for path in links_apart if path.is_file()]


OPERATIONS: dict[str, Callable[[Overlay, Path], object]] = {
    "read": lambda o, _: read(o, "/d/f"),
    "read below": lambda o, _: read(o, "/d/sub/g"),
    "read lower": lambda o, _: read(o, "/d/low"),
    "stat": lambda o, _: o.stat("/d/sub/g"),
    "list": lambda o, _: (o.listdir("/d"), o.listdir("/d/sub")),
    "readlink": lambda o, _: o.readlink("/d/link"),
    "attributes": lambda o, _: [o.getxattr("/d/f", name) for name in o.listxattr("/d/f")],
    "create": lambda o, _: create(o, "/d/new"),
    "create in lower": lambda o, _: create(o, "/d/low-sub/new"),
    "append": lambda o, _: append(o, "/d/f"),
    "append lower": lambda o, _: append(o, "/d/low"),
    "truncate": lambda o, _: o.truncate("/d/f", 1),
    "truncate lower": lambda o, _: o.truncate("/d/low", 1),
    "unnamed": lambda o, _: unnamed(o, "/d/sub"),
    "mkdir": lambda o, _: o.mkdir("/d/made"),
    "mkdir over lower": lambda o, _: (o.unlink("/d/low"), o.mkdir("/d/low")),
    "mknod": lambda o, _: o.mknod("/d/fifo", 0o010600),
    "symlink": lambda o, _: o.symlink("x", "/d/sub/made"),
    "link": lambda o, _: o.link("/d/f", "/d/sub/second"),
    "link lower": lambda o, _: o.link("/d/low", "/d/sub/second"),
    "unlink": lambda o, _: o.unlink("/d/f"),
    "unlink lower": lambda o, _: o.unlink("/d/low"),
    "rmdir": lambda o, _: (o.unlink("/d/sub/g"), o.rmdir("/d/sub")),
    "rename": lambda o, _: o.rename("/d/f", "/d/sub/f"),
    "rename over": lambda o, _: o.rename("/d/f", "/d/sub/g"),
    "rename lower": lambda o, _: o.rename("/d/low-sub", "/d/sub/moved"),
    "exchange": lambda o, _: o.rename("/d/f", "/d/sub/g", 2),
    "chmod": lambda o, _: o.chmod("/d/f", 0o777),
    "chmod directory": lambda o, _: o.chmod("/d/sub", 0o777),
    "chmod lower": lambda o, _: o.chmod("/d/low", 0o777),
    "chown": lambda o, _: o.chown("/d/f", 7, 7),
    "chown of hard links": lambda o, _: o.chown("/d/h1", 7, 7),
    "utimens": lambda o, _: o.utimens("/d/f", (5, 5)),
    "setxattr": lambda o, _: o.setxattr("/d/f", b"user.a", b"b"),
    "removexattr": lambda o, _: o.removexattr("/d/f", b"user.x"),
    "copy out": lambda o, base: out(o, "/d", base),
    "copy file out": lambda o, base: out(o, "/d/f", base),
    "copy in": lambda o, base: copy_in(o, os.fsencode(base / "given"), b"/d"),
    "copy file in": lambda o, base: copy_in(o, os.fsencode(base / "given" / "f"), b"/d/f"),
    "commit": lambda o, _: walk(o),
}


def fill(path: Path, word: str) -> None:
    (path / "d/sub").mkdir(parents=True)
    for name in ("f", "sub/g", "h1"):
        (path / "d" / name).write_text(word)
    os.link(path / "d/h1", path / "d/h2")
    (path / "d/link").symlink_to(word)
    with contextlib.suppress(OSError):
        os.setxattr(path / "d/f", "user.x", word.encode())


def fill_lower(path: Path) -> None:
    (path / "d/low-sub").mkdir(parents=True)
    (path / "d/low").write_text("lower")
    (path / "d/low-sub/deep").write_text("lower")


def shape(path: Path) -> list[tuple[object, ...]]:
    rows: list[tuple[object, ...]] = []
    for found in sorted([path, *path.rglob("*")]):
        status = found.lstat()
        content = found.read_bytes() if found.is_file() and not found.is_symlink() else b""
        rows.append((found, status.st_mode, status.st_uid, status.st_nlink, status.st_mtime_ns, content))
        with contextlib.suppress(OSError):
            rows.append(tuple((name, os.getxattr(found, name, follow_symlinks=False))
                              for name in os.listxattr(found, follow_symlinks=False)))  # fmt: skip
    return rows


@dataclasses.dataclass
class Attacker:
    """Swaps a name of the upper for a link outside after the n-th path that was made."""

    upper: Path
    outside: Path
    name: str
    at: int
    made: int = 0

    def after(self) -> None:
        self.made += 1
        if self.made == self.at:
            path = self.upper / self.name
            with contextlib.suppress(FileNotFoundError):
                path.rename(self.upper / "away")
            with contextlib.suppress(FileNotFoundError):
                path.symlink_to(self.outside / self.name)


@pytest.fixture
def attack(monkeypatch: pytest.MonkeyPatch) -> Callable[[Attacker], None]:
    attackers: list[Attacker] = []

    def watch(function: str) -> None:
        def made(top: bytes, path: bytes) -> object:
            found = getattr(longpath, f"_{function}")(top, path)
            if attackers and top == os.fsencode(attackers[-1].upper):
                attackers[-1].after()
            return found

        monkeypatch.setattr(longpath, f"_{function}", getattr(longpath, function), raising=False)
        monkeypatch.setattr(longpath, function, made)

    for function in ("place", "guarded", "pinned"):
        watch(function)
    return attackers.append


@pytest.fixture
def trusting(monkeypatch: pytest.MonkeyPatch, attack: object) -> None:
    """Paths of names, as nobody may use them."""
    monkeypatch.setattr(longpath, "_place", lambda top, path: (None, top + path))
    for function in ("_guarded", "_pinned"):
        monkeypatch.setattr(longpath, function, lambda top, path: top + path)


@contextlib.contextmanager
def opened(build: StackBuilder, lower: DirLayer) -> Iterator[Overlay]:
    stack = build.stack(lower)
    with Overlay(Stack(stack.dirs, None, None, stack.ownership, stack.lock)) as overlay:
        yield overlay


@dataclasses.dataclass
class Arena:
    """An upper and a lower to work on, what must stay as it is beside them, and who swaps."""

    build: StackBuilder
    lower: DirLayer
    base: Path
    attack: Callable[[Attacker], None]

    def __post_init__(self) -> None:
        self.outside = self.base / "outside"
        fill(self.outside, CANARY.decode())
        (self.outside / "d/low").write_bytes(CANARY)
        (self.outside / "d/low-sub").mkdir()
        self.before = shape(self.outside)

    def run(self, operation: str, name: str, at: int) -> tuple[bool, bytes]:
        """Do it with a swap of `name` at the `at`-th path. Whether there was one, and all that was read."""
        for path in (self.build.upper, self.base / "copied", self.base / "given", self.base / "bloom"):
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            path.unlink(missing_ok=True)
        self.build.upper.mkdir()
        fill(self.build.upper, "inside")
        (self.base / "given").mkdir()
        (self.base / "given" / "f").write_text("given")
        attacker = Attacker(self.build.upper, self.outside, name, at)
        answer: object = None
        with opened(self.build, self.lower) as overlay:
            overlay._upper.announce_all()  # type: ignore[union-attr]
            self.attack(attacker)
            with contextlib.suppress(OSError):
                answer = OPERATIONS[operation](overlay, self.base)
            with longpath.operation():
                pass
            assert longpath.held() == 0, "a descriptor is left"
        self.attack(Attacker(self.build.upper, self.outside, name, 0))
        return attacker.made >= at, repr(answer).encode()


@pytest.fixture
def arena(build: StackBuilder, tmp_path: Path, attack: Callable[[Attacker], None]) -> Arena:
    return Arena(build, build.lower("lower", fill_lower), tmp_path, attack)


@pytest.mark.parametrize("operation", OPERATIONS)
def test_a_swap_leads_nowhere(arena: Arena, operation: str) -> None:
    for name in SWAPS:
        for at in itertools.count(1):
            swapped, answer = arena.run(operation, name, at)
            assert shape(arena.outside) == arena.before, f"{name} swapped after {at}"
            assert CANARY not in answer, f"{name} swapped after {at}"
            if not swapped:
                break
        assert at > 1


@pytest.mark.usefixtures("trusting")
def test_a_swap_is_seen_where_somebody_trusts_names(arena: Arena) -> None:
    assert any(CANARY in arena.run("read", "d", at)[1] for at in range(1, 20))


def test_a_file_that_has_become_a_fifo_is_not_waited_for(arena: Arena) -> None:
    arena.build.upper.mkdir(exist_ok=True)
    fill(arena.build.upper, "inside")
    with opened(arena.build, arena.lower) as overlay:
        found = overlay.get("/d/f")
        (arena.build.upper / "d/f").unlink()
        os.mkfifo(arena.build.upper / "d/f")
        with pytest.raises(OSError, match="Stale") as caught:
            overlay.open_found(found)
        assert caught.value.errno == errno.ESTALE


@pytest.mark.timeout(60)
@pytest.mark.parametrize("flags", [os.O_RDONLY, os.O_WRONLY, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, os.O_RDWR])
def test_a_fifo_that_was_swapped_in_is_not_waited_for(
    arena: Arena, monkeypatch: pytest.MonkeyPatch, flags: int
) -> None:
    """Between the look-up and the open."""
    arena.build.upper.mkdir(exist_ok=True)
    fill(arena.build.upper, "inside")

    def swapped(stack: Stack, found: Found) -> bytes:
        (arena.build.upper / "d/f").unlink()
        os.mkfifo(arena.build.upper / "d/f")
        return real_path(stack, found)

    with opened(arena.build, arena.lower) as overlay:
        overlay._upper.announce_all()  # type: ignore[union-attr]
        monkeypatch.setattr(opening, "real_path", swapped)
        with pytest.raises(OSError, match="Stale"):
            os.close(overlay.open("/d/f", flags))
