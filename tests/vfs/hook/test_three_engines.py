"""The Python rules, the hook engine and the trap engine at work on one container, by turns, cannot be told apart.

Each random operation is done by one of the three. After it all three look at the names that it was about, and see the
same, to the inode number; so does a plain directory on which the same was done, as far as it can.

    ROOTLAY_TEST_ENGINE_EXAMPLES   histories of up to 60 operations (100; in the long form 300: 10,000 operations)
    ROOTLAY_TEST_MINUTES           how long it is to go on instead
"""

from __future__ import annotations

import ast
import contextlib
import contextvars
import errno
import itertools
import os
import shutil
import stat
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from rootlay.store.containers.record import Bind
from rootlay.vfs import Container, Store
from tests.native.guest import PATIENCE_S
from tests.support.rootfs import build_rootfs, copy_program
from tests.vfs.hook import operations
from tests.vfs.hook.operations import Operations

pytestmark = [pytest.mark.slow, pytest.mark.once]

MINUTES = float(os.environ.get("ROOTLAY_TEST_MINUTES", "0"))
EXAMPLES = (
    int(MINUTES * 300)
    if MINUTES
    else int(os.environ.get("ROOTLAY_TEST_ENGINE_EXAMPLES", "300" if os.environ.get("ROOTLAY_TEST_LONG") else "100"))
)
LONGEST = 60
ENGINES = ("rules", "hook", "trap")
#: Not to be compared with a plain directory; as root some more can be.
ONLY_OURS = ("ino", "mtime", "ctime") if os.geteuid() == 0 else ("ino", "mtime", "ctime", "uid", "gid", "attributes")
FIELDS = ("mode", "size", "nlink", "mtime_ns", "ctime_ns", "uid", "gid", "ino")
REALTIME_COARSE = 5  # <linux/time.h>: the clock of files' times
SEEN: dict[str, int] = dict.fromkeys(ENGINES, 0)

names = st.sampled_from(["a", "b", "c", "x", "y", "new"])
paths = st.lists(names, min_size=1, max_size=3).map("/".join)
kept = st.sampled_from(["a", "b", "a/x", "a/y", "a/s", "b/c", "b/c/z", "b/new", "c", "x"])  # what is there at first
some = st.one_of(kept, kept, paths)
modes = st.sampled_from([0o755, 0o700, 0o750])
data = st.sampled_from([b"", b"some", b"long " * 1000])
flags = st.sampled_from([0, os.O_CREAT, os.O_CREAT | os.O_TRUNC, os.O_CREAT | os.O_EXCL, os.O_APPEND, os.O_TRUNC])
acl_names = st.sampled_from(["system.posix_acl_access", "system.posix_acl_access", "system.posix_acl_default"])


def an_acl(user: int, group: int, mask: int, other: int) -> bytes:
    """Entries of the owner, a user, the group, a group, the mask and the others (acl(5)); the owner may do all."""
    entries = ((1, 7, -1), (2, user, 4711), (4, group, -1), (8, user, 100), (16, mask, -1), (32, other, -1))
    return struct.pack("<I", 2) + b"".join(struct.pack("<HHi", *entry) for entry in entries)


acls = st.one_of(
    st.builds(an_acl, *[st.integers(0, 7)] * 4),
    st.just(struct.pack("<IHHiHHiHHi", 2, 1, 7, -1, 4, 5, -1, 32, 5, -1)),  # a mode
    st.sampled_from([struct.pack("<I", 2), struct.pack("<I", 1), an_acl(4, 4, 4, 4)[:-8]]),  # none, and wrong ones
)


def has_acls() -> bool:
    """Whether the file system of the plain directories has ACLs."""
    with tempfile.TemporaryDirectory() as place, contextlib.suppress(OSError):
        os.setxattr(place, "system.posix_acl_access", an_acl(7, 7, 7, 7))
        return True
    return False


ACL_CHANGES = (
    [
        st.tuples(st.just("setacl"), some, acl_names, acls),
        st.tuples(st.just("setacl"), some, acl_names, acls),
        st.tuples(st.just("removeacl"), some, acl_names),
    ]
    if has_acls()
    else []
)
changes = st.one_of(
    st.tuples(st.just("mkdir"), some, modes),
    st.tuples(st.just("rmdir"), some),
    st.tuples(st.just("unlink"), some),
    st.tuples(st.just("rename"), some, some),
    st.tuples(st.just("rename"), some, some),
    st.tuples(st.just("link"), some, some),
    st.tuples(st.just("symlink"), st.sampled_from(["a", "x", "../a", "b/c", "none", "y"]), some),
    st.tuples(st.just("chmod"), some, modes),
    st.tuples(st.just("chown"), some, st.sampled_from([0, 1, 5]), st.sampled_from([0, 7])),
    st.tuples(st.just("mkfifo"), some, st.just(0o640)),
    st.tuples(st.just("setxattr"), some, st.sampled_from(["trusted.t", "security.s"]), st.sampled_from([b"", b"v"])),
    st.tuples(st.just("removexattr"), some, st.sampled_from(["trusted.t", "security.s"])),
    *ACL_CHANGES,
    st.tuples(st.just("truncate"), some, st.sampled_from([0, 3, 9000])),
    st.tuples(st.just("utime"), some, st.integers(1, 2**31)),
    st.tuples(st.just("write"), some, flags, st.just(0o640), data),
    st.tuples(st.just("write"), some, flags, st.just(0o640), data),
    st.tuples(st.just("read"), some),
    st.tuples(st.just("listing"), some),
    st.tuples(st.just("readlink"), some),
)
histories = st.lists(st.tuples(st.sampled_from(ENGINES), changes), min_size=20, max_size=LONGEST)


class Rules:
    """The overlay with the names of `os`."""

    def __init__(self, container: Container) -> None:
        overlay = container.overlay
        for name in ("mkdir", "rmdir", "unlink", "rename", "link", "symlink", "truncate", "listdir", "readlink"):
            setattr(self, name, getattr(overlay, name))
        self.open, self.chmod, self._overlay = overlay.open, overlay.chmod, overlay

    def chown(self, path: str, uid: int, gid: int, *, follow_symlinks: bool) -> None:
        self._overlay.chown(path, uid, gid, follow=follow_symlinks)

    def mkfifo(self, path: str, mode: int) -> None:
        self._overlay.mknod(path, stat.S_IFIFO | mode)

    def setxattr(self, path: str, name: str, value: bytes, *, follow_symlinks: bool) -> None:
        self._overlay.setxattr(path, os.fsencode(name), value, follow=follow_symlinks)

    def removexattr(self, path: str, name: str, *, follow_symlinks: bool) -> None:
        self._overlay.removexattr(path, os.fsencode(name), follow=follow_symlinks)

    def listxattr(self, path: str, *, follow_symlinks: bool) -> list[str]:
        return [os.fsdecode(name) for name in self._overlay.listxattr(path, follow=follow_symlinks)]

    def getxattr(self, path: str, name: str, *, follow_symlinks: bool) -> bytes:
        return self._overlay.getxattr(path, os.fsencode(name), follow=follow_symlinks)

    def lstat(self, path: str) -> Any:
        shown = self._overlay.lstat(path)
        return SimpleNamespace(**{f"st_{name}": getattr(shown, name) for name in FIELDS})

    def utime(self, path: str, *, ns: tuple[int, int]) -> None:
        self._overlay.utimens(path, ns)


class Plain(Operations):
    """A plain directory, with what the kernel gives to root alone done as far as an ordinary user can see."""

    def __init__(self, root: str) -> None:
        super().__init__(os, root)
        self._kept: set[tuple[int, str]] = set()

    def chown(self, path: str, uid: int, gid: int) -> None:
        os.chown(self.at(path), -1, -1, follow_symlinks=False)

    def setxattr(self, path: str, name: str, value: bytes) -> None:
        number = os.lstat(self.at(path)).st_ino
        self.chown(path, -1, -1)
        self._kept.add((number, name))

    def removexattr(self, path: str, name: str) -> None:
        key = os.lstat(self.at(path)).st_ino, name
        if key not in self._kept:
            raise OSError(errno.ENODATA, "no such attribute")
        self.chown(path, -1, -1)
        self._kept.remove(key)

    def unlink(self, path: str) -> None:
        found = os.lstat(self.at(path))
        super().unlink(path)
        self._gone(found)

    def rename(self, old: str, new: str) -> None:
        found = os.lstat(self.at(new)) if os.path.lexists(self.at(new)) else None
        super().rename(old, new)
        if found is not None and os.lstat(self.at(new)).st_ino != found.st_ino:
            self._gone(found)

    def _gone(self, found: os.stat_result) -> None:
        if found.st_nlink == 1 or stat.S_ISDIR(found.st_mode):
            self._kept = {key for key in self._kept if key[0] != found.st_ino}

    def rmdir(self, path: str) -> None:
        found = os.lstat(self.at(path))
        super().rmdir(path)
        self._gone(found)


class Hooked(Operations):
    """Inside an activation: in a context that stays in it."""

    def __init__(self, container: Container) -> None:
        super().__init__(os, "")
        with container.activate():
            self._context = contextvars.copy_context()

    def do(self, name: str, *arguments: Any) -> Any:
        return self._context.run(self.attempt, name, *arguments)


class Trapped(Operations):
    """A process inside."""

    def __init__(self, container: Container) -> None:
        super().__init__(os, "")
        source = Path(operations.__file__).read_text()
        command = [os.path.realpath(sys.executable), "-I", "-c", source]
        self._process = container.popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def do(self, name: str, *arguments: Any) -> Any:
        process = self._process
        assert process.stdin
        assert process.stdout
        process.stdin.write(repr((self.root, name, *arguments)) + "\n")
        process.stdin.flush()
        return ast.literal_eval(process.stdout.readline())

    def close(self) -> None:
        self._process.communicate()


def fill(root: Path) -> None:
    """What each history begins with, as the lower layer has it."""
    (root / "a").mkdir(parents=True)
    (root / "b/c").mkdir(parents=True)
    for name in ("a/x", "a/y", "b/c/z", "x"):
        (root / name).write_text(f"of the lower layer: {name}\n")
        (root / name).chmod(0o644)
    (root / "a/s").symlink_to("x")


def change(operations_: Operations) -> None:
    """And what the upper layer makes of it: a file is gone, a directory is another one, a file has changed."""
    for step in (
        ("unlink", "a/y"),
        ("unlink", "b/c/z"),
        ("rmdir", "b/c"),
        ("mkdir", "b/c", 0o755),
        ("write", "b/c/x", os.O_CREAT, 0o644, b"another"),
        ("write", "b/new", os.O_CREAT, 0o644, b"new"),
        ("write", "x", os.O_APPEND, 0o644, b"more"),
    ):
        assert not str(operations_.do(*step)).startswith("error"), step


class World:
    """One container of an image in which the tree is there once for each history, and a place for plain ones."""

    def __init__(self, base: Path) -> None:
        self.base = base
        tree = base / "tree"
        tree.mkdir()
        build_rootfs(tree)
        copy_program(Path(sys.executable), tree, tree / "bin/unused")
        for number in range(EXAMPLES + 1):
            fill(tree / f"w{number}")
        store = Store.open(base / "store")
        with store.import_rootfs(tree, "lower").container() as first:
            for number in range(EXAMPLES + 1):
                change(Operations(Rules(first), f"/w{number}"))
            image = first.commit("both")
        prefix = sys.base_prefix
        self.container = image.container(binds=[Bind(prefix, prefix, True)])
        self.trap = Trapped(self.container)
        self.engines: dict[str, Operations] = {
            "rules": Operations(Rules(self.container), ""),
            "hook": Hooked(self.container),
            "trap": self.trap,
        }
        self._numbers = itertools.count()

    def begin(self) -> Operations:
        """Go to the next tree; returns the plain one."""
        number = next(self._numbers)
        for engine in self.engines.values():
            engine.root = f"/w{number}"
        plain = self.base / f"plain{number}"
        fill(plain)
        oracle = Operations(os, str(plain)) if os.geteuid() == 0 else Plain(str(plain))
        change(oracle)
        return oracle

    def close(self) -> None:
        self.trap.close()
        self.container.close()


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    before = os.umask(0o022)
    made = World(tmp_path_factory.mktemp("engines"))
    yield made
    made.close()
    os.umask(before)


def comparable(shown: Any) -> Any:
    if isinstance(shown, dict):
        return {name: value for name, value in shown.items() if name not in ONLY_OURS}
    return shown


def around(step: tuple[Any, ...]) -> list[str]:
    """The names that an operation is about, and the directories that they are in."""
    about = [step[2]] if step[0] == "symlink" else [word for word in step[1:] if isinstance(word, str)]
    return sorted({name for path in about for name in (path, path.rpartition("/")[0])})


def names_of_one_file(root: str, paths: list[str]) -> dict[int, dict[str, int]]:
    """The names of each file that has one of these, and when it was changed, by its number."""
    found: dict[int, dict[str, int]] = {}
    wanted = {os.lstat(f"{root}/{path}").st_ino for path in paths if os.path.lexists(f"{root}/{path}")}
    for here, folders, files in os.walk(root):
        for name in files + folders:
            info = os.lstat(path := f"{here}/{name}")
            if info.st_ino in wanted and not stat.S_ISDIR(info.st_mode):
                found.setdefault(info.st_ino, {})[path[len(root) + 1 :]] = info.st_ctime_ns
    return found


@pytest.mark.timeout(0 if MINUTES else 5 * PATIENCE_S)
def test_three_engines_agree_by_turns(world: World) -> None:
    until = time.monotonic() + MINUTES * 60

    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(histories)
    def history(steps: list[tuple[str, tuple[Any, ...]]]) -> None:
        if MINUTES and time.monotonic() > until:
            return
        oracle = world.begin()
        made = time.clock_gettime_ns(REALTIME_COARSE)
        while time.clock_gettime_ns(REALTIME_COARSE) == made:  # what the history changes is later
            time.sleep(0.001)
        for done, (engine, step) in enumerate(steps):
            SEEN[engine] += 1
            began, exactly = time.clock_gettime_ns(REALTIME_COARSE), time.time_ns()
            expected, found = oracle.do(*step), world.engines[engine].do(*step)
            assert found == expected, (engine, step, steps[: done + 1])
            for path in around(step):
                shown = {name: each.do("look", path) for name, each in world.engines.items()}
                assert shown["rules"] == shown["hook"] == shown["trap"], (path, engine, step, steps[: done + 1])
                assert comparable(shown["rules"]) == comparable(oracle.do("look", path)), (path, steps[: done + 1])
            for names in names_of_one_file(oracle.root, around(step)).values():
                looks = [world.engines["rules"].do("look", path) for path in names]
                for shown in looks:
                    shown.pop("through", None)  # where a relative link leads depends on the name
                    assert shown == looks[0], (names, steps[: done + 1])
                if min(names.values()) >= exactly and step[0] != "truncate":  # to its own size: each file system's own
                    assert looks[0]["ctime"] >= began, (names, engine, steps[: done + 1])
        shutil.rmtree(oracle.root)

    history()
    print(f"\n{sum(SEEN.values())} operations")
    assert MINUTES or sum(SEEN.values()) >= EXAMPLES * 25  # 300 histories have some 12,000
    assert min(SEEN.values()) > sum(SEEN.values()) / 5
