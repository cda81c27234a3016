"""Records in the files themselves, in the core: docs/format.md section 6."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable

import pytest

from tests.support.boxes.box import Box, d, f, fails
from tests.support.boxes.launchfile import RECORD

NODES = {b"/tmp": d(0o1777), b"/lower": f(b"x", uid=3, gid=4, xattrs={b"user.rootlay.record": b"u=7", b"user.a": b"b"})}


def held(box: Box, path: str) -> bytes | None:
    real = box.upper / path
    return os.getxattr(real, RECORD, follow_symlinks=False) if RECORD in os.listxattr(real) else None


def test_a_record_follows_its_file(make: Callable[..., Box]) -> None:
    box = make(NODES)
    core = box.core
    core.identity(1000, 1001)
    core.write(b"/tmp/a", b"1")
    core.mkdir(b"/tmp/dir", 0o755)
    core.link(b"/tmp/a", b"/tmp/b")
    core.rename(b"/tmp/a", b"/tmp/dir/c")
    core.rename(b"/tmp/dir", b"/tmp/moved")
    assert box.upper_names("tmp") == ["b", "moved"]
    assert box.upper_names("tmp/moved") == ["c"]
    for path in ("tmp/b", "tmp/moved", "tmp/moved/c"):
        assert held(box, path) == b"u=1000;g=1001"
        assert core.stat(b"/" + path.encode()).uid == 1000
    for name in (b"/tmp/b", b"/tmp/moved/c"):
        core.unlink(name)
    core.rmdir(b"/tmp/moved")
    assert box.upper_names("tmp") == []


def test_what_the_owner_of_the_upper_makes_needs_no_record(make: Callable[..., Box]) -> None:
    box = make(NODES, owner=(1000, 1001))
    core = box.core
    core.identity(1000, 1001)
    core.write(b"/tmp/own", b"1")
    core.identity(0, 0)
    core.write(b"/tmp/roots", b"1")
    assert (held(box, "tmp/own"), held(box, "tmp/roots")) == (None, b"u=0;g=0")
    assert [(core.stat(path).uid, core.stat(path).gid) for path in (b"/tmp/own", b"/tmp/roots")] == [
        (1000, 1001),
        (0, 0),
    ]
    core.chown(b"/tmp/roots", 1000, 1001)
    assert held(box, "tmp/roots") is None
    assert core.stat(b"/tmp").uid == 0  # copied up: it is the image's


@pytest.mark.parametrize("change", ["chown", "rename", "link"])
def test_an_older_record_moves_into_its_file(make: Callable[..., Box], change: str) -> None:
    box = make(NODES)
    core = box.core
    (box.upper / "f").write_bytes(b"1")
    (box.upper / ".wh..wh.m.f").symlink_to("u=5;g=6")
    box.bloom.add_tree(box.upper)
    assert (core.stat(b"/f").uid, core.stat(b"/f").gid) == (5, 6)
    if change == "chown":
        core.chown(b"/f", 7, 6)
    else:
        getattr(core, change)(b"/f", b"/g")
    name = "f" if change == "chown" else "g"
    assert not list(box.upper.rglob(".wh..wh.*"))
    assert held(box, name) == (b"u=7;g=6" if change == "chown" else b"u=5;g=6")
    assert core.stat(b"/" + name.encode()).gid == 6


def test_no_attribute_of_an_image_or_a_program_is_a_record(make: Callable[..., Box]) -> None:
    box = make(NODES)
    core = box.core
    core.write(b"/tmp/f", b"1")
    for path in (b"/tmp/f", b"/tmp", b"/lower"):
        for name in (b"user.rootlay.record", b"user.rootlay.form", b"user.rootlay.x"):
            with fails(errno.EPERM):
                core.setxattr(path, name, b"u=1")
            with fails(errno.ENODATA):
                core.getxattr(path, name)
    assert core.listxattr(b"/lower") == [b"user.a"]
    core.chmod(b"/lower", 0o600)
    assert (core.stat(b"/lower").uid, core.stat(b"/lower").gid) == (3, 4)
    assert (held(box, "lower") or b"").startswith(b"u=3;g=4;")


def test_a_file_without_a_name_keeps_its_record_to_itself(make: Callable[..., Box]) -> None:
    core = make(NODES).core
    fd = core.open(b"/tmp/f", os.O_CREAT | os.O_RDWR)
    core.chown(None, 5, 6, dirfd=fd)
    core.unlink(b"/tmp/f")
    assert core.fstat(fd).uid == 5
    assert core.listxattr(None, fd=fd) == []
    os.close(fd)
