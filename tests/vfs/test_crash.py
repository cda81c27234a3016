"""A process that dies in the middle of an operation leaves the old state or the new one.

Every system call that changes the upper is made to be the last one, in turn.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from rootlay.vfs.overlay.overlay import Overlay
from rootlay.vfs.overlay.renameat import RENAME_NOREPLACE
from tests.support.oracles.memory_view import directory, file
from tests.support.oracles.oracle import attributes_of, shape_of_overlay
from tests.vfs.conftest import StackBuilder

LAYER = [
    directory(b""),
    directory(b"d", 0o750, uid=3),
    file(b"d/f", b"content", 0o4755, uid=5, mtime_ns=10**18),
    directory(b"d/sub"),
    file(b"d/sub/x", b"x"),
    directory(b"empty"),
    file(b"g", b"g", uid=8),
]
CHANGING = (
    *("rename", "link", "unlink", "symlink", "mkdir", "rmdir", "mknod", "chmod", "fchmod", "utime", "setxattr"),
    *("pwrite", "ftruncate", "truncate", "open"),
)


State = dict[bytes, tuple[object, ...]]


class Crash(BaseException):
    """The process is gone: nothing catches this."""


def prepare(overlay: Overlay) -> None:
    """Something in the upper, too: a renamed directory, a file with a record, a whiteout, links."""
    overlay.mkdir("/u")
    os.close(overlay.open("/u/f", os.O_CREAT | os.O_WRONLY))
    overlay.chown("/u/f", 7, 7)
    overlay.unlink("/g")
    overlay.mkdir("/v")
    for name in ("/u/one", "/u/two", "/u/last"):
        overlay.symlink("x", name)
        overlay.chown(name, 7, 7, follow=False)
    overlay.link("/u/two", "/u/other")
    overlay.link("/u/last", "/u/gone")
    overlay.unlink("/u/gone")


OPERATIONS: dict[str, Callable[[Overlay], object]] = {
    "unlink lower": lambda o: o.unlink("/d/f"),
    "unlink upper": lambda o: o.unlink("/u/f"),
    "rmdir lower": lambda o: o.rmdir("/empty"),
    "rmdir upper": lambda o: o.rmdir("/v"),
    "create": lambda o: os.close(o.open("/g", os.O_CREAT | os.O_WRONLY, 0o600)),
    "mkdir over whiteout": lambda o: o.mkdir("/g", 0o700),
    "mknod": lambda o: o.mknod("/d/null", 0o020600, (1, 3)),
    "symlink": lambda o: o.symlink("x", "/d/sub/l"),
    "link": lambda o: o.link("/d/f", "/u/l"),
    "link a symbolic link": lambda o: o.link("/u/one", "/v/one"),
    "link it once more": lambda o: o.link("/u/two", "/v/one"),
    "chown of one name": lambda o: o.chown("/u/two", 4, 4, follow=False),
    "unlink one name": lambda o: o.unlink("/u/two"),
    "unlink the last name": lambda o: o.unlink("/u/last"),
    "rename over the last name": lambda o: o.rename("/u/one", "/u/last"),
    "copy up": lambda o: o.copy_up("/d/f"),
    "chmod": lambda o: o.chmod("/d/sub", 0o700),
    "chown": lambda o: o.chown("/d/sub/x", 4, 4),
    "rename lower file": lambda o: o.rename("/d/f", "/u/n"),
    "rename lower file over lower": lambda o: o.rename("/d/sub/x", "/d/f"),
    "rename lower directory": lambda o: o.rename("/d", "/u/d", RENAME_NOREPLACE),
    "rename lower directory over empty": lambda o: o.rename("/d", "/empty"),
    "rename upper directory over lower": lambda o: o.rename("/u", "/empty"),
    "rename to whiteout": lambda o: o.rename("/u", "/g"),
    "truncate": lambda o: o.truncate("/d/f", 3),
    "setxattr": lambda o: o.setxattr("/d/f", b"trusted.x", b"y"),
}

# Where the old state and the new differ in more than one thing that the kernel changes at once, what is in between:
# attributes (chmod and chown are a record and a mode), a time (the copy-up of a truncated file is short already), a
# missing empty target directory.
TIMES_MAY_LAG = {"truncate"}
ATTRIBUTES_MAY_MIX = {"rename lower file over lower", "chmod", "chown"}
TARGET_MAY_BE_MISSING = {"rename lower directory over empty": b"/empty", "rename upper directory over lower": b"/empty"}


def state(overlay: Overlay) -> State:
    """What is compared: everything but the times of directories and the number of names."""
    shapes = shape_of_overlay(overlay)
    return {
        path: (shapes[path].content, *(x for i, x in enumerate(found) if i != 3 or shapes[path].mode & 0o040000 == 0))
        for path, found in attributes_of(overlay).items()
    }


def make(base: Path) -> Overlay:
    base.mkdir()
    overlay = StackBuilder(base).overlay(layers=(LAYER,))
    prepare(overlay)
    return overlay


def crash_at(monkeypatch: pytest.MonkeyPatch, count: int) -> Callable[[], int]:
    """The `count`-th changing call raises instead. Returns a function that says how many were made."""
    made = 0

    def wrap(function: Callable[..., object], opens: bool) -> Callable[..., object]:
        def call(*args: object, **kwargs: object) -> object:
            nonlocal made
            changes = not opens or (len(args) > 1 and isinstance(args[1], int) and args[1] & os.O_CREAT)
            if (changes and b"/proc/self/fd/" in os.fsencode(str(args[0]))) or not opens:
                made += 1
                if made == count:
                    raise Crash
            return function(*args, **kwargs)

        return call

    for name in CHANGING:
        monkeypatch.setattr(os, name, wrap(getattr(os, name), name == "open"))
    return lambda: made


@pytest.mark.parametrize("name", OPERATIONS)
def test_crash_leaves_the_old_state_or_the_new(name: str, tmp_path: Path) -> None:
    operation = OPERATIONS[name]
    whole = make(tmp_path / "whole")
    before = state(whole)
    operation(whole)
    after = state(whole)
    whole.close()
    seen: set[str] = set()
    for count in range(1, 200):
        overlay = make(tmp_path / "crash")
        with pytest.MonkeyPatch.context() as monkeypatch:
            calls = crash_at(monkeypatch, count)
            with contextlib.suppress(Crash):
                operation(overlay)
            done = calls() < count
        overlay.close()
        seen.add(check(name, tmp_path / "crash", before, after))
        shutil.rmtree(tmp_path / "crash")
        if done:
            break
    assert done
    assert "after" in seen
    assert count > 1


def check(name: str, base: Path, before: State, after: State) -> str:
    with StackBuilder(base).overlay(layers=(LAYER,)) as overlay:
        found = state(overlay)
        overlay.context.upper.sweep()
        assert state(overlay) == found
    oldest = 0 if name in TIMES_MAY_LAG else 1_100_000_000 * 10**9
    found, before, after = ({p: without_times(v, oldest) for p, v in s.items()} for s in (found, before, after))
    if found == after:
        return "after"
    if found == before:
        return "before"
    missing = TARGET_MAY_BE_MISSING.get(name)
    if missing is not None and found == {p: v for p, v in before.items() if p != missing}:
        return "target missing"
    if name in ATTRIBUTES_MAY_MIX:
        assert found.keys() == before.keys()
        for path, value in found.items():
            pairs = zip(value, before[path], after[path], strict=True)
            assert all(x in (b, a) for x, b, a in pairs), (path, value, before[path], after[path])
        return "mixed"
    assert found == before
    return "before"


def without_times(value: tuple[object, ...], oldest: int) -> tuple[object, ...]:
    """Times of new objects differ between two runs; those of the image's, which are older, must not."""
    return tuple(x for x in value if not (isinstance(x, int) and x > max(oldest, 1 << 32)))
