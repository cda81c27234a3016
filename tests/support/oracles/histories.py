"""Short histories for the Python rules and for the core, and what each leaves in the upper (docs/format.md §6, §7).

The tree that is left is compared with that of a plain directory in which the same was done, as far as this user may do
it; and the Bloom filter with one that is made of the upper without the rules.
"""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path
from typing import Any

from tests.support.boxes.box import d, f, ln
from tests.support.boxes.corelib import Core
from tests.support.boxes.launchfile import RECORD, Bloom
from tests.support.boxes.plain import Plain
from tests.support.boxes.trees import put, whole_tree
from tests.support.boxes.viewfile import Node, fnv
from tests.support.oracles.calls import Call

LONG = b"n" * 255
NODES: dict[bytes, Node] = {
    b"/d": d(0o750, uid=3, gid=4),
    b"/d/f": f(b"content", 0o4755, uid=5, gid=6),
    b"/d/g": f(b"g"),
    b"/d/l": ln(b"f"),
    b"/d/sub": d(),
    b"/d/sub/x": f(b"x"),
    b"/empty": d(),
    b"/lib": d(0o2775, gid=50),
    b"/one": f(b"shared"),
    b"/two": f(same_as=b"/one"),
    b"/" + LONG: f(b"long"),
}
EXCHANGE = 2
#: What is done, and every path that it leaves in the upper, with the text of links. Two such lists: the rules', and the
#: core's.
HISTORIES: dict[str, tuple[list[Call], str | tuple[str, str]]] = {
    "nothing": ([], ""),
    "a lower file is removed": ([("unlink", b"/d/g")], ".wh..wh.m.d{u=3;g=4} d/ d/.wh.g"),
    "a new file is removed with its record": (
        [("write", b"/new", b""), ("lchown", b"/new", 1, 1), ("unlink", b"/new")], "",
    ),
    "a new name takes the whiteout away": (
        [("unlink", b"/d/g"), ("symlink", b"x", b"/d/g")], ".wh..wh.m.d{u=3;g=4} d/ d/g{x}",
    ),
    "a long name": ([("unlink", b"/" + LONG)], ".wh..wh.w.c2c977771654d7a9{LONG}"),
    "a long name, changed and moved": (
        [("chmod", b"/" + LONG, 0o4755), ("rename", b"/" + LONG, b"/" + LONG[1:])],
        ".wh..wh.n.83484599dfaefb5d{m=104755;i=N} .wh..wh.w.c2c977771654d7a9{LONG} LONGER",
    ),
    "a directory is emptied and removed": (
        [("unlink", b"/d/sub/x"), ("rmdir", b"/d/sub")], ".wh..wh.m.d{u=3;g=4} d/ d/.wh.sub",
    ),
    "a directory is made where one was removed": (
        [("unlink", b"/d/sub/x"), ("rmdir", b"/d/sub"), ("mkdir", b"/d/sub", 0o755)],
        ".wh..wh.m.d{u=3;g=4} d/ d/sub/ d/sub/.wh..wh..opq",
    ),
    "and removed again": (
        [("unlink", b"/d/sub/x"), ("rmdir", b"/d/sub"), ("mkdir", b"/d/sub", 0o755), ("rmdir", b"/d/sub")],
        ".wh..wh.m.d{u=3;g=4} d/ d/.wh.sub",
    ),
    "copy-up": (
        [("write", b"/d/f", b"!", os.O_WRONLY | os.O_APPEND)],
        ".wh..wh.m.d{u=3;g=4} d/ d/.wh..wh.m.f{u=5;g=6;m=104755;i=N} d/f",
    ),
    "copy-up of one of two names": ([("write", b"/one", b"!", os.O_WRONLY | os.O_APPEND)], "one"),
    "truncation": (
        [("write", b"/d/g", b"", os.O_WRONLY | os.O_TRUNC)], ".wh..wh.m.d{u=3;g=4} d/ d/.wh..wh.m.g{i=N} d/g",
    ),
    "set-id bits and owners": (
        [("write", b"/s", b"", os.O_CREAT | os.O_WRONLY, 0o755), ("lchown", b"/s", 33, 44), ("chmod", b"/s", 0o6755)],
        ".wh..wh.m.s{u=33;g=44;m=106755} s",
    ),
    "owners as they were": (
        [("write", b"/s", b"", os.O_CREAT | os.O_WRONLY, 0o755), ("lchown", b"/s", 3, 4), ("lchown", b"/s", 0, 0)], "s",
    ),
    "one owner alone": ([("lchown", b"/d/g", 5, -1)], ".wh..wh.m.d{u=3;g=4} d/ d/.wh..wh.m.g{u=5;i=N} d/g"),
    "chown ends set-id": ([("lchown", b"/d/f", 7, 8)], ".wh..wh.m.d{u=3;g=4} d/ d/.wh..wh.m.f{u=7;g=8;i=N} d/f"),
    "modes that its owner could not use": (
        [("mkdir", b"/secret", 0o755), ("chmod", b"/secret", 0),
         ("write", b"/secret/f", b"", os.O_CREAT | os.O_WRONLY, 0),
         ("write", b"/shut", b"", os.O_CREAT | os.O_WRONLY, 0o044)],
        ".wh..wh.m.secret{m=40000} .wh..wh.m.shut{m=100044} secret/ secret/.wh..wh.m.f{m=100000} secret/f shut",
    ),
    "a file that its owner may only read": (
        [("write", b"/ro", b"", os.O_CREAT | os.O_WRONLY, 0o444)], (".wh..wh.m.ro{m=100444} ro", "ro"),
    ),
    "the owner of a link": ([("lchown", b"/d/l", 7, 8)], ".wh..wh.m.d{u=3;g=4} d/ d/.wh..wh.m.l{u=7;g=8;i=N} d/l{f}"),
    "devices": (
        [("mknod", b"/null", stat.S_IFCHR | 0o666, os.makedev(1, 3)),
         ("mknod", b"/sdb", stat.S_IFBLK | 0o660, os.makedev(8, 16))],
        ".wh..wh.m.null{m=20666;d=1:3} .wh..wh.m.sdb{m=60660;d=8:16} null sdb",
    ),
    "FIFO and socket": (
        [("mknod", b"/fifo", stat.S_IFIFO | 0o640), ("mknod", b"/socket", stat.S_IFSOCK | 0o600)], "fifo socket",
    ),
    "a hard link to a new file, changed": (
        [("write", b"/h", b"h"), ("link", b"/h", b"/empty/h"), ("lchown", b"/empty/h", 9, 9), ("chmod", b"/h", 0o4755)],
        ".wh..wh.m.h{u=9;g=9;m=104755} empty/ empty/.wh..wh.m.h{u=9;g=9;m=104755} empty/h h",
    ),
    "a hard link to a lower file": (
        [("link", b"/d/f", b"/copy")],
        ".wh..wh.m.copy{u=5;g=6;m=104755;i=N} .wh..wh.m.d{u=3;g=4} copy d/ d/.wh..wh.m.f{u=5;g=6;m=104755;i=N} d/f",
    ),
    "a set-group-ID directory gives its group": (
        [("mkdir", b"/lib/sub", 0o755), ("write", b"/lib/f", b"", os.O_CREAT | os.O_WRONLY, 0o644)],
        ".wh..wh.m.lib{g=50;m=42775} lib/ lib/.wh..wh.m.f{g=50} lib/.wh..wh.m.sub{g=50;m=42755} lib/f lib/sub/",
    ),
    "extended attributes": (
        [("setxattr", b"/d/g", b"user.k0", b"\0v"), ("rename", b"/d/g", b"/moved")],
        ".wh..wh.m.d{u=3;g=4} .wh..wh.m.moved{i=N} d/ d/.wh.g moved",
    ),
    "a lower directory is renamed": ([("rename", b"/d", b"/e")], ".wh..wh.m.e{u=3;g=4;r=/d} .wh.d e/"),
    "redirects of redirects": (
        [("rename", b"/d", b"/e"), ("rename", b"/e/sub", b"/s"), ("rename", b"/e", b"/d2")],
        ".wh..wh.m.d2{u=3;g=4;r=/d} .wh..wh.m.s{r=/d/sub} .wh.d d2/ d2/.wh.sub s/",
    ),
    "renamed and back": (
        [("rename", b"/d", b"/e"), ("rename", b"/e", b"/d")],
        (".wh..wh.m.d{u=3;g=4} d/", ".wh..wh.m.d{u=3;g=4;r=/d} d/"),
    ),
    "a new directory where a lower one was": (
        [("mkdir", b"/n", 0o755), ("rename", b"/d", b"/away"), ("rename", b"/n", b"/d")],
        ".wh..wh.m.away{u=3;g=4;r=/d} away/ d/ d/.wh..wh..opq",
    ),
    "a directory is renamed with what is in it": (
        [("mkdir", b"/n", 0o755), ("mkdir", b"/n/m", 0o755),
         ("write", b"/n/m/f", b"", os.O_CREAT | os.O_WRONLY, 0o4644), ("chmod", b"/d/sub/x", 0o600),
         ("unlink", b"/d/sub/x"), ("rename", b"/n", b"/o"), ("rename", b"/d", b"/p")],
        ".wh..wh.m.p{u=3;g=4;r=/d} .wh.d o/ o/m/ o/m/.wh..wh.m.f{m=104644} o/m/f p/ p/sub/ p/sub/.wh.x",
    ),
    "a rename over an empty lower directory": (
        [("rename", b"/d", b"/empty")], ".wh..wh.m.empty{u=3;g=4;r=/d} .wh.d empty/",
    ),
    "a rename of two names of one file": ([("rename", b"/one", b"/two")], ""),
    "a directory and a file are exchanged": (
        [("rename", b"/d", b"/one", EXCHANGE)],
        (".wh..wh.m.one{u=3;g=4;r=/d} .wh.d .wh.one d one/", ".wh..wh.m.one{u=3;g=4;r=/d} d one/"),
    ),
    "a directory and its place are exchanged": (
        [("rename", b"/d/sub", b"/empty", EXCHANGE), ("mkdir", b"/d/sub/new", 0o755)],
        (
            (".wh..wh.m.d{u=3;g=4} .wh..wh.m.empty{r=/d/sub} .wh.empty d/ d/.wh..wh.m.sub{r=/empty} "
             "d/.wh.sub d/sub/ d/sub/new/ empty/"),
            ".wh..wh.m.d{u=3;g=4} .wh..wh.m.empty{r=/d/sub} d/ d/.wh..wh.m.sub{r=/empty} d/sub/ d/sub/new/ empty/",
        ),
    ),
    "the root": ([("chmod", b"/", 0o711), ("lchown", b"/", 0, 8)], ".wh..wh.m.{g=8;m=40711}"),
}  # fmt: skip

#: A copy-up parts the names of a lower file, as that of overlayfs does.
PARTED = ("copy-up of one of two names", "a directory and a file are exchanged")


def check_history(name: str, side: Any, root: Path) -> None:
    """Do it on one of the two, whose upper and filter are below `root`."""
    steps, expected = HISTORIES[name]
    if isinstance(expected, tuple):
        expected = expected[isinstance(side, Core)]
    for operation, *arguments in steps:
        getattr(side, operation)(*arguments)
    upper = root / "upper"
    assert " ".join(content_of(upper)) == expected
    (root / "another").mkdir()
    filter_ = Bloom(root / "another/bloom")
    filter_.add_tree(upper)
    bits, ours = (int.from_bytes(path.read_bytes()[64:], "little") for path in (filter_.path, root / "bloom"))
    missing = bits & ~ours
    assert not missing, "a thing in the upper that the filter denies"
    plain = Plain(os.fsencode(root / "plain"))
    put(plain.root, NODES)
    try:
        for path, node in NODES.items() if os.geteuid() == 0 else ():
            os.lchown(plain.root + path, node.uid, node.gid)
            if node.mode & (stat.S_ISUID | stat.S_ISGID):
                os.chmod(plain.root + path, node.mode & 0o7777)
        for operation, *arguments in steps:
            getattr(plain, operation)(*arguments)
    except PermissionError:
        assert os.geteuid() != 0
        return
    if name not in PARTED:
        assert seen(side) == seen(plain)


def seen(side: Any) -> dict[bytes, tuple[object, ...]]:
    """The tree; for an ordinary user without owners and modes, which are root's to give."""
    tree = whole_tree(side, True)
    return tree if os.geteuid() == 0 else {path: (*shown[1:3], *shown[4:]) for path, shown in tree.items()}


def anonymous(record: str) -> str:
    return re.sub(r"\bi=\d+", "i=N", record)


def held_record(path: Path) -> str:
    try:
        return os.getxattr(path, RECORD, follow_symlinks=False).decode()
    except OSError:
        return ""


def record_path(path: Path) -> Path:
    """The place of a record that is next to its name."""
    name = os.fsencode(path.name)
    return path.with_name(f".wh..wh.n.{fnv(name):016x}" if len(name) > 244 else f".wh..wh.m.{path.name}")


def content_of(upper: Path) -> list[str]:
    """Every path with the text of its link: of a record without the inode number, which is the view's.

    A record in a file or directory is listed as one next to its name, and so is a linked one.
    """
    paths = {path for path in upper.rglob("*") if not path.name.startswith(".wh..wh.l.")}
    held = {record_path(path): held_record(path) for path in paths} | {upper / ".wh..wh.m.": held_record(upper)}
    found = []
    for path in sorted(paths | {mark for mark, text in held.items() if text}):
        if path not in paths:
            found.append(f"{path.relative_to(upper)}{{{anonymous(held[path])}}}")
            continue
        real = path.lstat()
        assert real.st_uid == os.geteuid(), path
        assert path.is_symlink() or real.st_mode & 0o7400 == 0o400, "our own user can read all; nothing is set-id"
        text = os.readlink(path) if path.is_symlink() else ""
        text = os.readlink(upper / f".wh..wh.l.{text[2:]}") if text.startswith("l=") else text
        text = f"{{{anonymous(text)}}}" if text else ""
        found.append(f"{path.relative_to(upper)}{text}{'/' * path.is_dir()}")
    return [path.replace("n" * 255, "LONG").replace("n" * 254, "LONGER") for path in found]
