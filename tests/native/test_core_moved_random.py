"""Random operations by descriptors whose directories, and those above them, are renamed and removed meanwhile: results,
listings, attributes and names are those of a plain directory, whatever the stack of layers is."""

from __future__ import annotations

import ctypes
import errno
import os
import random
import stat
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.native.test_core_moved import name_of, names
from tests.native.test_core_random import NAMES, STACKS, TREE
from tests.support.boxes import box as box_module
from tests.support.boxes.box import Box
from tests.support.boxes.corelib import AT_FDCWD, NOFOLLOW, REMOVEDIR, Core
from tests.support.boxes.plain import LIBC
from tests.support.boxes.trees import put


@dataclass
class Sides:
    """The same operations in a container and in a plain directory, by descriptors of the same directories."""

    core: Core
    root: bytes
    fds: dict[int, int]  # ours, and the plain directory's

    def both(self, ours: Callable[[], object], plain: Callable[[], object]) -> tuple[object, object]:
        return tuple(outcome(side) for side in (ours, plain))  # type: ignore[return-value]

    def open(self, path: bytes) -> bool:
        flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
        got, want = self.both(lambda: self.core.open(path, flags), lambda: os.open(self.root + path, flags))
        if isinstance(got, int) and isinstance(want, int):
            self.fds[got] = want
        return type(got) is type(want)

    def close(self, fd: int) -> None:
        self.core.lib.rl_forget_fd(fd)
        os.close(fd)
        os.close(self.fds.pop(fd))

    def where(self, fd: int) -> bytes | None:
        """What the plain directory's descriptor is called; None: removed."""
        if os.fstat(self.fds[fd]).st_nlink == 0:
            return None
        return os.fsencode(os.readlink(f"/proc/self/fd/{self.fds[fd]}"))[len(self.root) :] or b"/"


def outcome(action: Callable[[], object]) -> object:
    try:
        return action()
    except OSError as e:
        return errno.errorcode[e.errno or 0]


def plain_call(name: str, *args: object) -> None:
    if getattr(LIBC, name)(*args) < 0:
        raise OSError(ctypes.get_errno(), name)


def made(core: Core, dirfd: int, name: bytes) -> None:
    os.close(core.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644, dirfd=dirfd))


def a_step(s: Sides, rng: random.Random) -> tuple[str, object, object]:
    """One operation on both sides; what it was and what came of it."""
    core, parts = s.core, [rng.choice(NAMES) for _ in range(rng.randrange(1, 4))]
    fd = rng.choice([AT_FDCWD, *s.fds])
    to = rng.choice([AT_FDCWD, *s.fds])
    if fd == AT_FDCWD:
        parts = [b"", *parts]
    elif rng.random() < 0.2 and s.where(fd) not in (None, b"/"):
        parts = [b"..", *parts]
    path = b"/".join(parts)
    name = rng.choice(NAMES)
    other = b"/" + name if to == AT_FDCWD else name

    def at(where: int) -> int:
        return AT_FDCWD if where == AT_FDCWD else s.fds[where]

    def rooted(p: bytes) -> bytes:
        return s.root + p if p.startswith(b"/") else p

    plain, fd_plain, p, o = at(to), at(fd), rooted(path), rooted(other)
    flag = rng.choices((0, 1, 2), (6, 1, 1))[0]
    mode = rng.choice((0o755, 0o700, 0o777))
    table: list[tuple[int, str, Callable[[], object], Callable[[], object]]] = [
        (9, "rename", lambda: core.call("rl_rename", fd, path, to, other, flag),
         lambda: plain_call("renameat2", fd_plain, p, plain, o, flag)),
        (3, "mkdir", lambda: core.call("rl_mkdir", fd, path, 0o755),
         lambda: os.mkdir(p, 0o755, dir_fd=given(fd_plain))),
        (3, "rmdir", lambda: core.call("rl_unlink", fd, path, REMOVEDIR), lambda: os.rmdir(p, dir_fd=given(fd_plain))),
        (3, "unlink", lambda: core.call("rl_unlink", fd, path, 0), lambda: os.unlink(p, dir_fd=given(fd_plain))),
        (3, "make", lambda: made(core, fd, path),
         lambda: os.close(os.open(p, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644, dir_fd=given(fd_plain)))),
        (4, "stat", lambda: shown(core.stat(path, dirfd=fd, flags=NOFOLLOW)),
         lambda: shown(os.lstat(p) if fd_plain == AT_FDCWD else os.stat(p, dir_fd=fd_plain, follow_symlinks=False))),
        (2, "chmod", lambda: core.chmod(path, mode, dirfd=fd, flags=0),
         lambda: os.chmod(p, mode) if fd_plain == AT_FDCWD else plain_call("fchmodat", fd_plain, p, mode, 0)),
    ]  # fmt: skip
    if fd != AT_FDCWD and s.where(fd) is not None:
        table.append((3, "fchmod", lambda: core.chmod(None, mode, dirfd=fd), lambda: os.chmod(s.fds[fd], mode)))
    _, what, ours, theirs = rng.choices(table, [w for w, *_ in table])[0]
    got, want = s.both(ours, theirs)
    return (
        f"{what}({fd} {path!r}, {to} {other!r}, {flag}, {mode:o})",
        got if isinstance(got, str | tuple) else None,
        want,
    )


def given(fd: int) -> int | None:
    return None if fd == AT_FDCWD else fd


def shown(a: object) -> tuple[str, int]:
    if isinstance(a, os.stat_result):
        return oct(a.st_mode), 0 if stat.S_ISDIR(a.st_mode) else a.st_size
    return oct(a.mode), 0 if stat.S_ISDIR(a.mode) else a.size  # type: ignore[attr-defined]


@pytest.mark.parametrize("seed", range(int(os.environ.get("ROOTLAY_CORE_SEEDS", "4"))))
@pytest.mark.parametrize("stack", sorted(STACKS))
def test_descriptors_of_what_is_renamed_and_removed_do_what_those_of_a_plain_directory_do(
    make: Callable[..., Box], tmp_path: Path, stack: str, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(box_module, "LINKS", bool(seed % 2))
    monkeypatch.setattr(box_module, "REMOVALS", seed % 4 < 2)
    rng = random.Random(f"moved {stack} {seed}")
    ids = (os.getuid(), os.getgid())
    box = STACKS[stack](make, tmp_path, rng, ids)
    box.core.identity(*ids, tuple(os.getgroups()), umask=0)
    root = os.fsencode(tmp_path / "outside" / "plain")
    put(root, TREE)
    for name in NAMES:  # a link that says ../a in the root: there `..` is the root itself
        os.symlink(b"plain/" + name, root + b"/../" + name)
    sides = Sides(box.core, root, {})
    folders = [p for p, n in TREE.items() if stat.S_ISDIR(n.mode)]
    for path in rng.sample(folders, len(folders)):
        assert sides.open(path)
    log: list[str] = []
    for _ in range(300):
        what, got, want = a_step(sides, rng)
        log.append(f"{what} -> {want}")
        assert got == want, "\n".join(log[-30:])
        for fd, plain in sides.fds.items():
            where = sides.where(fd)
            log[-1] += f" {fd}:{where!r}"
            if where is None:
                assert outcome(lambda fd=fd: box.core.stat(b"a", dirfd=fd)) == "ENOENT", "\n".join(log[-30:])  # type: ignore[misc]
                assert box.core.stat(b".", dirfd=fd).nlink == box.core.fstat(fd).nlink == 0, "\n".join(log[-30:])
                continue
            assert name_of(box.core, fd) == where, "\n".join(log[-30:])
            assert shown(box.core.fstat(fd)) == shown(os.fstat(plain)), "\n".join(log[-30:])
            assert names(box, fd) == sorted(map(os.fsencode, os.listdir(plain))), "\n".join(log[-30:])
        if len(sides.fds) < 8:
            sides.open(b"/" + b"/".join(rng.choice(NAMES) for _ in range(rng.randrange(1, 4))))
        elif rng.random() < 0.1:
            sides.close(rng.choice(list(sides.fds)))
    assert any("ENOENT" not in line and line.startswith("rename") for line in log)
    for fd in list(sides.fds):
        sides.close(fd)
