"""Errors: each call fails, or works, as the kernel lets it for the same user in a plain directory."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.native.test_core_random import outcome, owned, put
from tests.support.boxes.box import Box, d, f, ln
from tests.support.boxes.corelib import Core
from tests.support.boxes.plain import Plain
from tests.support.boxes.viewfile import Node

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
RW, RO, WO = os.O_RDWR, os.O_RDONLY, os.O_WRONLY
NB = os.O_NONBLOCK

CALLS: list[tuple[object, ...]] = [
    *(
        ("stat", p)
        for p in (b"/x", b"/x/y", b"/file/", b"/file/x", b"/loop", b"/loop/x", b"/dangling", b"/link/", LONG, FAR)
    ),
    *(("lstat", p) for p in (b"/loop", b"/loop/", b"/dangling", b"/dangling/", b"/dirlink/", b"/file/.", b"/shut/in")),
    *(("readlink", p) for p in (b"/file", b"/dir", b"/x", b"/dirlink/", b"/link/")),
    *(
        ("access", p, m)
        for p in (b"/file", b"/exe", b"/none", b"/shut", b"/shut/in", b"/pipe")
        for m in (0, 1, 2, 4, 7)
    ),
    *(("listdir", p) for p in (b"/x", b"/file", b"/shut", b"/dirlink", b"/loop")),
    *(
        ("mkdir", p)
        for p in (b"/dir", b"/file", b"/link", b"/dangling", b"/x/y", b"/file/x", b"/.", b"/dir/..", b"/new/")
    ),
    *(("mkdir", p) for p in (LONG, b"/locked/x", b"/shut/x", b"/loop/x", b"/dangling/")),
    *(
        ("rmdir", p)
        for p in (b"/dir", b"/file", b"/x", b"/dirlink", b"/dirlink/", b"/dir/.", b"/dir/..", b"/empty/", b"/locked")
    ),
    *(("rmdir", p) for p in (b"/shut/in", b"/file/x", LONG)),
    *(
        ("unlink", p)
        for p in (b"/dir", b"/x", b"/file/", b"/dirlink/", b"/dir/.", b"/locked/in", b"/shut/in", b"/link")
    ),
    *(("unlink", p) for p in (b"/dir/", b"/x/", LONG, b"/file/x")),
    ("symlink", b"t", b"/file"),
    ("symlink", b"t", b"/x/"),
    ("symlink", b"t", b"/x/y"),
    ("symlink", b"", b"/s"),
    ("symlink", b"t" * 4095, b"/s"),
    ("symlink", b"t" * 4096, b"/s"),
    *(
        ("link", p, q)
        for p, q in ((b"/x", b"/y"), (b"/file", b"/dir"), (b"/dir", b"/y"), (b"/file", b"/y/"), (b"/file/", b"/y"))
    ),
    *(
        ("link", p, q)
        for p, q in ((b"/file", b"/x/y"), (b"/loop", b"/y"), (b"/file", b"/locked/y"), (b"/file", b"/file"))
    ),
    *(
        ("truncate", p, n)
        for p, n in ((b"/dir", 1), (b"/x", 1), (b"/pipe", 1), (b"/none", 1), (b"/loop", 1), (b"/file", -1))
    ),
    *(("chmod", p, 0o600) for p in (b"/x", b"/loop", b"/dangling", b"/shut/in", b"/file/")),
    *(("utimens", p, 1, 1) for p in (b"/x", b"/file/x", b"/none")),
    *(
        ("mknod", p, m)
        for p, m in ((b"/file", stat.S_IFREG), (b"/m/", stat.S_IFREG), (b"/m", stat.S_IFDIR), (b"/m", 0o170000))
    ),
    *(
        ("write", b"/" + p, b"w", fl)
        for p in (b"x", b"dir", b"file/", b"pipe", b"loop", b"none")
        for fl in (WO | NB, WO | os.O_CREAT | NB)
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
        ("openclose", p, fl)
        for p in (b"/file", b"/dir", b"/link", b"/dirlink", b"/none", b"/shut", b"/x")
        for fl in (
            RO,
            RO | os.O_DIRECTORY,
            RO | os.O_NOFOLLOW,
            RO | os.O_TRUNC,
            RO | os.O_CREAT | os.O_DIRECTORY,
            os.O_PATH,
            os.O_PATH | os.O_NOFOLLOW,
            os.O_PATH | os.O_DIRECTORY,
        )
    ),
    *(
        ("rename", p, q, fl)
        for fl in (0, 1, 2)
        for p, q in (
            (b"/x", b"/y"),
            (b"/file", b"/dir"),
            (b"/dir", b"/file"),
            (b"/dir", b"/dir/sub/x"),
            (b"/dir/sub", b"/dir"),
            (b"/empty", b"/dir"),
            (b"/file", b"/y/"),
            (b"/file/", b"/y"),
            (b"/file", b"/x/y"),
            (b"/.", b"/y"),
            (b"/file", b"/dir/.."),
            (b"/file", LONG),
            (b"/file", b"/file"),
            (b"/link", b"/file"),
            (b"/dirlink/", b"/y"),
            (b"/file", b"/locked/x"),
            (b"/locked/in", b"/y"),
            (b"/file", b"/loop/x"),
            (b"/dir", b"/dangling"),
            (b"/file/x", b"/y"),
            (b"/dir", b"/y/"),
        )
    ),
    ("rename", b"/file", b"/y", 3),
    ("rename", b"/file", b"/y", 64),
]


class Opening:
    """Adds to either side the call that opens and closes."""

    def __init__(self, side: Core | Plain) -> None:
        self.side = side

    def __getattr__(self, name: str) -> object:
        return getattr(self.side, name)

    def openclose(self, path: bytes, flags: int) -> None:
        os.close(self.side.open(path, flags))


@pytest.fixture(scope="module")
def pair(
    core_library: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[], tuple[Opening, Opening]]]:
    boxes: list[Box] = []
    old = os.umask(0)

    def build() -> tuple[Opening, Opening]:
        tmp = tmp_path_factory.mktemp("errno")
        ids = (os.getuid(), os.getgid())
        box = Box(Core(core_library), tmp, {p: owned(n, ids) for p, n in TREE.items()}, mapped=ids)
        boxes.append(box)
        box.core.identity(*ids, tuple(os.getgroups()), umask=0)
        plain = Plain(os.fsencode(tmp / "plain"))
        nodes = {p: n for p, n in TREE.items() if not stat.S_ISFIFO(n.mode)}
        put(plain.root, nodes)
        os.mkfifo(plain.root + b"/pipe", 0o644)
        return Opening(box.core), Opening(plain)

    yield build
    os.umask(old)
    for b in boxes:
        b.close()


def shown(value: object) -> object:
    return "success" if not isinstance(value, str) and not isinstance(value, (list, bytes)) else value


@pytest.mark.parametrize("first", range(0, len(CALLS), 20))
def test_errors_are_the_kernel_s(pair: Callable[[], tuple[Opening, Opening]], first: int) -> None:
    wrong = []
    for call in CALLS[first : first + 20]:
        core, plain = pair()
        name, args = str(call[0]), tuple(call[1:])
        want, got = shown(outcome(plain, name, args)), shown(outcome(core, name, args))
        if want != got:
            wrong.append(f"{name}{str(args)[:90]}: the kernel says {want}, the core {got}")
    assert not wrong, "\n".join(wrong)


def test_the_table_has_the_errors_that_matter(pair: Callable[[], tuple[Opening, Opening]]) -> None:
    core, _ = pair()
    seen = {
        shown(outcome(core, str(c[0]), tuple(c[1:])))
        for c in CALLS
        if c[0] in ("stat", "rename", "mkdir", "write", "rmdir")
    }
    names = ("ENOENT", "ENOTDIR", "EEXIST", "ENOTEMPTY", "ELOOP", "ENAMETOOLONG", "EISDIR", "EINVAL", "EBUSY")
    assert {n for n in names if hasattr(errno, n)} <= seen
