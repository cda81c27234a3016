"""A small image with one of everything: what the tests of changes start from."""

from __future__ import annotations

import stat

from tests.support.boxes.box import d, f, ln
from tests.support.boxes.viewfile import Node

INO = 1 << 48
NODES = {
    b"/etc": d(mtime_ns=1_400_000_000 * 10**9),
    b"/etc/conf": f(
        b"original\n", 0o640, uid=3, gid=4, xattrs={b"user.a": b"1", b"security.capability": b"\x01\x00cap"}
    ),
    b"/etc/link": ln(b"conf"),
    b"/etc/null": Node(stat.S_IFCHR | 0o666, rdev=(1, 3)),
    b"/etc/fifo": Node(stat.S_IFIFO | 0o600),
    b"/bin": d(),
    b"/bin/su": f(b"su", 0o4755),
    b"/lib": d(0o2775, gid=50),
    b"/lib/sub": d(),
    b"/lib/sub/deep": d(),
    b"/lib/sub/deep/x": f(b"x"),
    b"/lib/sub/y": f(b"y"),
    b"/tmp": d(0o1777),
}
