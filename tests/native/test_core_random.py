"""Random operations on a container and on a plain directory with the same content: results, errors, listings
and attributes must be the same, whatever the stack of layers is."""

from __future__ import annotations

import os
import random
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.boxes import box as box_module
from tests.support.boxes.box import Box, d, f, ln
from tests.support.boxes.launchfile import MARKS, Dir
from tests.support.boxes.plain import Plain
from tests.support.boxes.trees import has_xattrs, outcome, owned, put, whole_tree
from tests.support.boxes.viewfile import Node

# A tree with everything that can be moved, merged and hidden; the top of it in the view or in directory layers.
TREE: dict[bytes, Node] = {
    b"/a": d(),
    b"/a/a": d(0o700),
    b"/a/a/a": f(b"aaa"),
    b"/a/a/b": f(b"aab", 0o600),
    b"/a/b": d(),
    b"/a/b/c": d(),
    b"/a/b/c/a": f(b"abca"),
    b"/a/c": f(b"ac", 0o755),
    b"/b": d(),
    b"/b/a": f(b"ba"),
    b"/b/b": ln(b"a"),
    b"/b/c": ln(b"../a/b"),
    b"/c": f(b"c" * 5000),
    b"/d": d(),
    b"/d/a": d(),
    b"/d/b": ln(b"nowhere"),
    b"/d/c": ln(b"../d"),
}
NAMES = [b"a", b"b", b"c", b"d", b"e"]


def split(nodes: dict[bytes, Node], rng: random.Random) -> tuple[dict[bytes, Node], dict[bytes, Node]]:
    """Two layers that merge to `nodes`: directories in both, other things in either."""
    one = {p: n for p, n in nodes.items() if stat.S_ISDIR(n.mode) or rng.random() < 0.5}
    return one, {p: n for p, n in nodes.items() if stat.S_ISDIR(n.mode) or p not in one}


def view_only(make: Callable[..., Box], tmp: Path, rng: random.Random, ids: tuple[int, int]) -> Box:
    return make({p: owned(n, ids) for p, n in TREE.items()}, mapped=ids)


def other_tree(rng: random.Random) -> dict[bytes, Node]:
    """A tree that shares some names with TREE, and some objects."""
    kinds = (lambda: d(0o755), lambda: f(rng.randbytes(3)), lambda: ln(b"x"))
    made: dict[bytes, Node] = {}
    for path in sorted(
        {*TREE, *(b"/a/%c" % n for n in b"xyz"), b"/a/x/y", b"/e", b"/e/a", b"/e/b", b"/b/d", b"/d/a/x"}
    ):
        parent = made.get(path.rpartition(b"/")[0])
        if (path.count(b"/") == 1 or (parent and stat.S_ISDIR(parent.mode))) and rng.random() < 0.8:
            made[path] = TREE[path] if path in TREE and rng.random() < 0.7 else rng.choice(kinds)()
    return made


def view_as_delta(make: Callable[..., Box], tmp: Path, rng: random.Random, ids: tuple[int, int]) -> Box:
    base = {p: owned(n, ids) if rng.random() < 0.9 else n for p, n in other_tree(rng).items()}
    return make({p: owned(n, ids) for p, n in TREE.items()}, mapped=ids, base=base)


def two_plain_layers(make: Callable[..., Box], tmp: Path, rng: random.Random, ids: tuple[int, int]) -> Box:
    one, two = split(TREE, rng)
    put(os.fsencode(tmp / "one"), one)
    put(os.fsencode(tmp / "two"), two)
    return make(lowers=[Dir(str(tmp / "one")), Dir(str(tmp / "two"))], mapped=ids)


def marked_layer_over_view(make: Callable[..., Box], tmp: Path, rng: random.Random, ids: tuple[int, int]) -> Box:
    one, two = split(TREE, rng)
    top = tmp / "top"
    put(os.fsencode(top), one)
    below = {p: owned(n, ids) for p, n in two.items()}
    below[b"/a/b/gone"] = owned(f(b"gone"), ids)
    below[b"/d/a/old"] = owned(d(), ids)
    below[b"/d/a/old/x"] = owned(f(b"x"), ids)
    (top / "a/b/.wh.gone").touch()
    (top / "d/a/.wh..wh..opq").touch()
    for p in ("a/b", "d/a"):
        os.utime(top / p, ns=(TREE[b"/a"].mtime_ns,) * 2)
    return make(below, lowers=[Dir(str(top), MARKS)], mapped=ids)


def without_a_filter(make: Callable[..., Box], tmp: Path, rng: random.Random, ids: tuple[int, int]) -> Box:
    return make({p: owned(n, ids) for p, n in TREE.items()}, mapped=ids, bloom=False)


STACKS = {s.__name__: s for s in (view_only, view_as_delta, two_plain_layers, marked_layer_over_view, without_a_filter)}


def a_path(rng: random.Random) -> bytes:
    n = rng.choices((1, 2, 3, 4), (3, 5, 3, 1))[0]
    parts = [rng.choice(NAMES) for _ in range(n)]
    if rng.random() < 0.06:
        parts[rng.randrange(n)] = rng.choice((b".", b".."))
    if parts[0] == b"..":
        parts[0] = b"a"
    path = b"/" + b"/".join(parts)
    # never above the root: the oracle would leave its directory
    depth = 0
    for p in parts:
        depth += -1 if p == b".." else p != b"."
        if depth < 0:
            return b"/a"
    return path + (b"/" if rng.random() < 0.04 else b"")


def an_operation(rng: random.Random, heavy: bool = False) -> tuple[str, tuple[object, ...]]:
    """`heavy`: most operations remove, move or make names again."""
    p, q = a_path(rng), a_path(rng)
    flags = rng.choice((os.O_WRONLY, os.O_RDWR)) | rng.choice((0, os.O_CREAT, os.O_CREAT | os.O_EXCL))
    flags |= os.O_NONBLOCK | rng.choice((0, os.O_TRUNC, os.O_APPEND, os.O_NOFOLLOW))
    mode = rng.choice((0o777, 0o755, 0o700, 0o644, 0o600, 0o444, 0o4755, 0o2755, 0o1777, 0o000))
    if os.getuid():
        mode &= 0o1777  # a write ends the set-id bits of all names of a file; the core knows only the one it opens
    table: list[tuple[int, str, tuple[object, ...]]] = [
        (6, "mkdir", (p, mode | 0o700)),
        (5, "rmdir", (p,)),
        (8, "write", (p, rng.randbytes(rng.randrange(1, 40)), flags, mode)),
        (7, "unlink", (p,)),
        (12, "rename", (p, q, rng.choices((0, 1, 2), (6, 1, 2))[0])),
        (4, "link", (p, q)),
        (3, "symlink", (rng.choice(NAMES), p)),
        (4, "chmod", (p, mode)),
        (3, "utimens", (p, 10**18 + rng.randrange(10**9), 10**18 + rng.randrange(10**9))),
        (2, "truncate", (p, rng.randrange(50))),
        (2, "mknod", (p, stat.S_IFIFO | mode)),
        (3, "listdir", (p,)),
        (2, "access", (p, rng.randrange(8))),
        (2, "readlink", (p,)),
        (2, "setxattr", (p, b"user.k%d" % rng.randrange(2), rng.randbytes(5))),
        (1, "removexattr", (p, b"user.k%d" % rng.randrange(2))),
    ]
    if heavy:
        table += [
            (25, "rmtree", (p if b"." not in p else b"/a/b",)),
            (25, "rename", (p, q, rng.choices((0, 1, 2), (4, 1, 3))[0])),
        ]
        table += [
            (12, "unlink", (p,)),
            (10, "rmdir", (p,)),
            (8, "write", (p, b"again", os.O_WRONLY | os.O_CREAT, 0o644)),
        ]
    _, name, args = rng.choices(table, [w for w, _, _ in table])[0]
    return name, args


def remove_tree(side: Any, path: bytes) -> int:
    """As rm -r does it; the number of names. A link is not followed."""
    if not stat.S_ISDIR(side.lstat(path).st_mode if isinstance(side, Plain) else side.lstat(path).mode):
        side.unlink(path)
        return 1
    count = sum(remove_tree(side, path.rstrip(b"/") + b"/" + name) for name in sorted(side.listdir(path)))
    side.rmdir(path)
    return count + 1


def done(side: Any, name: str, args: tuple[Any, ...]) -> object:
    if name != "rmtree":
        return outcome(side, name, args)
    try:
        return remove_tree(side, args[0])
    except OSError as error:
        return error.errno


@pytest.mark.parametrize("seed", range(int(os.environ.get("ROOTLAY_CORE_SEEDS", "4"))))
@pytest.mark.parametrize("stack", sorted(STACKS))
def test_random_operations_do_what_they_do_in_a_plain_directory(
    make: Callable[..., Box], tmp_path: Path, stack: str, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(box_module, "LINKS", bool(seed % 2))
    monkeypatch.setattr(box_module, "REMOVALS", seed % 4 < 2)
    rng = random.Random(f"{stack} {seed}")
    ids = (os.getuid(), os.getgid())
    box = STACKS[stack](make, tmp_path, rng, ids)
    box.core.identity(*ids, tuple(os.getgroups()), umask=0)
    plain = Plain(os.fsencode(tmp_path / "outside" / "plain"))
    put(plain.root, TREE)
    for n in NAMES:  # a link that says ../a in the root: there `..` is the root itself
        os.symlink(b"plain/" + n, plain.root + b"/../" + n)
    xattrs = has_xattrs(tmp_path)
    log: list[str] = []
    assert whole_tree(box.core, xattrs) == whole_tree(plain, xattrs)
    for i in range(400):
        name, args = an_operation(rng, heavy=seed % 8 >= 4)
        want, got = done(plain, name, args), done(box.core, name, args)
        log.append(f"{name}{args} -> {want}")
        assert got == want, "\n".join(log[-30:])
        if i % 50 == 49:
            box.write_removals_through()
        if i % 10 == 9 or want is None:
            assert whole_tree(box.core, xattrs) == whole_tree(plain, xattrs), "\n".join(log[-30:])
    assert list(box.upper.rglob(".wh..wh.t.*")) == []
