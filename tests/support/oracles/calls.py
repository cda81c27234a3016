"""One table of calls for the Python rules and for the core: what each answers, the kernel says.

Each table is a tree and calls. Every call begins with that tree: it must be answered as a plain directory answers it
(as root: as kernel overlayfs does, too), and leave the same tree. Look-ups are the kernel's below a root of its own
(`RESOLVE_IN_ROOT`), so links and `..` may try to leave it.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Mapping
from typing import Any

from tests.support.boxes.box import d, f, ln
from tests.support.boxes.trees import fields, outcome, whole_tree
from tests.support.boxes.viewfile import Node

Call = tuple[Any, ...]  # the name of an operation, and its arguments
Pair = Callable[[Mapping[bytes, Node]], tuple[Any, Any]]  # makes our side and the oracle, with these nodes

TREE: dict[bytes, Node] = {
    b"/dir": d(),
    b"/dir/file": f(b"1"),
    b"/dir/sub": d(),
    b"/empty": d(),
    b"/file": f(b"22"),
    b"/exe": f(b"#!", 0o755),
    b"/none": f(b"3", 0o000),
    b"/shut": d(0o000),
    b"/shut/in": f(b"4"),
    b"/locked": d(0o555),
    b"/locked/in": f(b"5"),
    b"/link": ln(b"file"),
    b"/dirlink": ln(b"dir"),
    b"/dangling": ln(b"nowhere"),
    b"/loop": ln(b"loop"),
    b"/pipe": Node(stat.S_IFIFO | 0o644),
}
LONG = b"/" + b"n" * 256
FAR = b"/dir" * 1100
RO, WO = os.O_RDONLY, os.O_WRONLY
NB = os.O_NONBLOCK

CALLS: list[Call] = [
    *(("stat", p) for p in (b"/x", b"/x/y", b"/file/", b"/file/x", b"/loop", b"/loop/x", b"/dangling", b"/link/")),
    *(("stat", p) for p in (LONG, FAR)),
    *(("lstat", p) for p in (b"/loop", b"/loop/", b"/dangling", b"/dangling/", b"/dirlink/", b"/file/.", b"/shut/in")),
    *(("readlink", p) for p in (b"/file", b"/dir", b"/x", b"/dirlink/", b"/link/")),
    *(
        ("access", p, m)
        for p in (b"/file", b"/exe", b"/none", b"/shut", b"/shut/in", b"/pipe") for m in (0, 1, 2, 4, 7)
    ),
    *(("listdir", p) for p in (b"/x", b"/file", b"/shut", b"/dirlink", b"/loop")),
    *(("mkdir", p) for p in (b"/dir", b"/file", b"/link", b"/dangling", b"/x/y", b"/file/x", b"/.", b"/dir/..")),
    *(("mkdir", p) for p in (b"/new/", LONG, b"/locked/x", b"/shut/x", b"/loop/x", b"/dangling/")),
    *(("rmdir", p) for p in (b"/dir", b"/file", b"/x", b"/dirlink", b"/dirlink/", b"/dir/.", b"/dir/..", b"/empty/")),
    *(("rmdir", p) for p in (b"/locked", b"/shut/in", b"/file/x", LONG)),
    *(("unlink", p) for p in (b"/dir", b"/x", b"/file/", b"/dirlink/", b"/dir/.", b"/locked/in", b"/shut/in")),
    *(("unlink", p) for p in (b"/link", b"/dir/", b"/x/", LONG, b"/file/x")),
    *(("symlink", b"t", p) for p in (b"/file", b"/x/", b"/x/y")),
    *(("symlink", text, b"/s") for text in (b"", b"t" * 4095, b"t" * 4096)),
    *(("link", b"/file", p) for p in (b"/dir", b"/y/", b"/x/y", b"/locked/y", b"/file")),
    *(("link", p, b"/y") for p in (b"/x", b"/dir", b"/file/", b"/loop")),
    *(("truncate", p, 1) for p in (b"/dir", b"/x", b"/pipe", b"/loop")), ("truncate", b"/none", 2),
    ("truncate", b"/file", -1), *(("chmod", p, 0o600) for p in (b"/x", b"/loop", b"/dangling", b"/shut/in", b"/file/")),
    *(("utimens", p, 1, 1) for p in (b"/x", b"/file/x", b"/none")),
    *(("mknod", p, stat.S_IFREG) for p in (b"/file", b"/m/")), *(("mknod", b"/m", m) for m in (stat.S_IFDIR, 0o170000)),
    *(
        ("write", p, b"w", flags)
        for p in (b"/x", b"/dir", b"/file/", b"/pipe", b"/loop", b"/none")
        for flags in (WO | NB, WO | os.O_CREAT | NB)
    ),
    *(
        ("write", p, b"w", WO | os.O_CREAT | os.O_EXCL)
        for p in (b"/file", b"/dangling", b"/dir", b"/x/", b"/dir/.", b"/x/y", LONG)
    ),
    *(("write", p, b"w", WO | os.O_NOFOLLOW) for p in (b"/link", b"/dangling", b"/dirlink", b"/link/")),
    *(
        ("write", p, b"w", WO | os.O_CREAT)
        for p in (b"/dangling", b"/locked/x", b"/shut/x", b"/dirlink/", b"/new/", b"/loop/x", b"/x/y")
    ),
    *(
        ("openclose", p, flags)
        for p in (b"/file", b"/dir", b"/link", b"/dirlink", b"/none", b"/shut", b"/x")
        for flags in (
            RO, RO | os.O_DIRECTORY, RO | os.O_NOFOLLOW, RO | os.O_TRUNC, RO | os.O_CREAT | os.O_DIRECTORY,
            os.O_PATH, os.O_PATH | os.O_NOFOLLOW, os.O_PATH | os.O_DIRECTORY,
        )
    ),
    *(
        ("rename", p, q, flags)
        for flags in (0, 1, 2)
        for p, q in (
            (b"/x", b"/y"), (b"/file", b"/dir"), (b"/dir", b"/file"), (b"/dir", b"/dir/sub/x"), (b"/dir/sub", b"/dir"),
            (b"/empty", b"/dir"), (b"/file", b"/y/"), (b"/file/", b"/y"), (b"/file", b"/x/y"), (b"/.", b"/y"),
            (b"/file", b"/dir/.."), (b"/file", LONG), (b"/file", b"/file"), (b"/link", b"/file"), (b"/dirlink/", b"/y"),
            (b"/file", b"/locked/x"), (b"/locked/in", b"/y"), (b"/file", b"/loop/x"), (b"/dir", b"/dangling"),
            (b"/file/x", b"/y"), (b"/dir", b"/y/"),
        )
    ),
    *(("rename", b"/file", b"/y", flags) for flags in (3, 64)),
]  # fmt: skip

DEEP = [b"".join(b"/d%d" % n for n in range(depth + 1)) for depth in range(60)]
LINKS: dict[bytes, Node] = {
    b"/a": d(),
    b"/a/b": d(),
    b"/a/b/f": f(b"inside"),
    b"/a/b/g": f(same_as=b"/a/b/f"),
    b"/etc": f(b"inside the root"),
    b"/absolute": ln(b"/a/b"),
    b"/a/escape": ln(b"../../../../../../../etc"),
    b"/a/b/up": ln(b".."),
    b"/loop": ln(b"loop"),
    b"/loop1": ln(b"loop2"),
    b"/loop2": ln(b"/loop1"),
    b"/slash": ln(b"a/"),
    b"/root": ln(b"/"),
    b"/dangling": ln(b"a/new"),
    b"/l0": ln(b"a"),
    **{b"/l%d" % n: ln(b"l%d" % (n - 1)) for n in range(1, 42)},
    **{path: d() for path in DEEP},
    DEEP[-1] + b"/f": f(b"deep"),
}
LOOKUPS: list[Call] = [
    *(("stat", p) for p in (b"/../../etc", b"/a/escape", b"/absolute/f", b"//a/b/./f", b"/a/b/g")),
    *(("stat", p) for p in (b"/absolute/..", b"/absolute/up/b", b"/root/a/.//b/", b"/root", b"/slash/b", b"/l39/b")),
    *(("stat", p) for p in (b"", b"/none", b"/none/x", b"/etc/x", b"/etc/", b"/etc/.", b"/etc/..", b"/slash/..")),
    *(("stat", p) for p in (b"/loop", b"/loop1", b"/loop1/x", b"/l39", b"/l40", b"/l41", b"/dangling", b"/a/.wh.x")),
    *(("stat", p) for p in (b"/" + b"n" * 256, b"/" + b"n" * 255, b"/" * 4096, b"/" + b"a/" * 2048)),
    *(("stat", p) for p in (b"/a" + b"/" * 4093, b"/a/..".ljust(2046, b"/") + b"/." * 1022 + b"/etc/"[:5])),
    *(("stat", DEEP[-1] + b"/.." * n) for n in (1, 30, 60, 61)),
    ("stat", DEEP[-1] + b"/.." * 30 + DEEP[-1][len(DEEP[29]) :] + b"/f"),
    *(("lstat", p) for p in (b"/l40", b"/a/escape", b"/root", b"/root/", b"/absolute/up", b"/a/b/g")),
    *(("chmod", p, 0o700) for p in (b"/l39", b"/l40", b"/slash/b", b"/loop/x", b"/etc/")),
    *(("readlink", p) for p in (b"/a/escape", b"/absolute/up", b"/slash", b"/root", b"/absolute/f")),
]
ATTRIBUTED: dict[bytes, Node] = {b"/f": f(b"x", xattrs={b"user.k0": b"1"}), b"/link": ln(b"f")}
XATTRS: list[Call] = [
    *(("getxattr", p, n) for p in (b"/f", b"/link", b"/none") for n in (b"user.k0", b"user.k1")),
    *(("removexattr", p, n) for p in (b"/f", b"/link", b"/none") for n in (b"user.k0", b"user.k1")),
    *(("setxattr", b"/f", n, b"v", how) for n in (b"user.k0", b"user.k1") for how in (0, 1, 2)),
    *(("setxattr", p, n, b"", 0) for p, n in ((b"/link", b"user.k0"), (b"/f", b"other.x"), (b"/none", b"user.k0"))),
]
TABLES: dict[str, tuple[Mapping[bytes, Node], list[Call]]] = {
    **{f"calls {first}": (TREE, CALLS[first : first + 40]) for first in range(0, len(CALLS), 40)},
    "links": (LINKS, LOOKUPS),
    "extended attributes": (ATTRIBUTED, XATTRS),
}
READING = {"stat", "lstat", "readlink", "access", "listdir", "getxattr"}
#: On a container without an upper.
READ_ONLY: list[Call] = [
    ("write", b"/file", b"x"), ("write", b"/new", b"x"), ("mkdir", b"/new"), ("unlink", b"/file"), ("rmdir", b"/empty"),
    ("rename", b"/file", b"/new"), ("link", b"/file", b"/new"), ("symlink", b"x", b"/new"), ("chmod", b"/file", 0o600),
    ("lchown", b"/file", 1, 1), ("utimens", b"/file", 0, 0), ("truncate", b"/file", 0), ("mknod", b"/new", 0o100600),
    ("setxattr", b"/file", b"user.k0", b"x"), ("access", b"/file", os.W_OK), ("openclose", b"/file", os.O_RDWR),
]  # fmt: skip
#: Names of marks (docs/format.md §6) are ours: no oracle has them.
RESERVED: list[Call] = [
    call
    for name in (b"/.wh.x", b"/dir/.wh..wh.m.a", b"/.wh..wh..opq")
    for call in (
        ("mkdir", name), ("write", name, b"x"), ("symlink", b"x", name), ("link", b"/file", name),
        ("rename", b"/file", name), ("mknod", name, 0o100644),
    )
]  # fmt: skip


def tried(side: Any, call: Call, nodes: Mapping[bytes, Node]) -> object:
    """The errno of a call, or what it answers; of stat, which node has been found."""
    name, *args = call
    if name == "openclose":
        found = outcome(side, "open", tuple(args))
        return os.close(found) or "success" if isinstance(found, int) else found
    found = outcome(side, name, tuple(args))
    if isinstance(found, (str, list, bytes)):
        return found
    if name == "lstat":
        return oct(fields(found)[0])
    if name == "stat":
        attributes = {path: outcome(side, "lstat", (path,)) for path in (b"/", *nodes)}
        number = fields(found)[3]
        return next(p for p, a in attributes.items() if not isinstance(a, str) and fields(a)[3] == number)
    return "success"


def check_table(name: str, pair: Pair) -> None:
    """Make each call of a table on both sides. A call that has changed something is the last one of its pair."""
    nodes, calls = TABLES[name]
    sides, wrong = pair(nodes), []
    for call in calls:
        ours, oracle = sides
        want, got = tried(oracle, call, nodes), tried(ours, call, nodes)
        if want != got:
            wrong.append(f"{str(call)[:90]}: the kernel says {want!r}, we {got!r}")
        if call[0] not in READING and "success" in (want, got):
            a, b = whole_tree(oracle, True), whole_tree(ours, True)
            wrong += [
                f"{str(call)[:90]}: {p!r}: {a.get(p)}, {b.get(p)}" for p in a.keys() | b.keys() if a.get(p) != b.get(p)
            ]
            sides = pair(nodes)
    assert not wrong, "\n".join(wrong)


def check_refused(calls: list[Call], side: Any, code: str) -> None:
    """Each of the calls fails with one errno, and changes nothing."""
    before = whole_tree(side, False)
    assert dict.fromkeys(calls, code) == {call: tried(side, call, TREE) for call in calls}
    assert whole_tree(side, False) == before
