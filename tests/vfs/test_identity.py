"""Users other than 0 are held to virtual owners and modes."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable

import pytest

from rootlay.vfs.merge.identity import Identity
from rootlay.vfs.overlay.overlay import Overlay
from tests.support.oracles.memory_view import directory, file
from tests.vfs.conftest import StackBuilder

USER = Identity(uid=1000, gid=1000, groups=frozenset({50}), umask=0o027)
LAYER = [
    directory(b""),
    directory(b"tmp", 0o1777),
    file(b"tmp/root", b"", 0o666),
    directory(b"home", 0o750, uid=1000, gid=1000),
    file(b"home/f", b"mine", 0o600, uid=1000, gid=1000),
    directory(b"closed", 0o700),
    file(b"closed/f", b""),
    file(b"secret", b"", 0o600),
    file(b"group", b"shared", 0o640, gid=50),
    file(b"public", b"public", 0o644),
    directory(b"listed", 0o744),
    file(b"listed/f", b""),
]


@pytest.fixture
def user(build: StackBuilder) -> Overlay:
    return build.overlay(layers=(LAYER,)).as_identity(USER)


REFUSED: list[tuple[str, int, Callable[[Overlay], object]]] = [
    ("open", errno.EACCES, lambda o: o.open("/secret")),
    ("write", errno.EACCES, lambda o: o.open("/public", os.O_WRONLY)),
    ("group write", errno.EACCES, lambda o: o.open("/group", os.O_RDWR)),
    ("search", errno.EACCES, lambda o: o.stat("/closed/f")),
    ("search of a listed directory", errno.EACCES, lambda o: o.stat("/listed/f")),
    ("list", errno.EACCES, lambda o: o.listdir("/closed")),
    ("create", errno.EACCES, lambda o: o.open("/new", os.O_CREAT | os.O_WRONLY)),
    ("mkdir", errno.EACCES, lambda o: o.mkdir("/new")),
    ("unlink", errno.EACCES, lambda o: o.unlink("/public")),
    ("sticky", errno.EPERM, lambda o: o.unlink("/tmp/root")),
    ("sticky rename", errno.EPERM, lambda o: o.rename("/tmp/root", "/home/root")),
    ("chmod", errno.EPERM, lambda o: o.chmod("/public", 0o777)),
    ("chown", errno.EPERM, lambda o: o.chown("/home/f", 0, -1)),
    ("chgrp", errno.EPERM, lambda o: o.chown("/home/f", -1, 51)),
    ("utimens", errno.EPERM, lambda o: o.utimens("/public", (0, 0))),
    ("touch", errno.EACCES, lambda o: o.utimens("/public")),
    ("truncate", errno.EACCES, lambda o: o.truncate("/public", 0)),
    ("mknod", errno.EPERM, lambda o: o.mknod("/tmp/null", 0o020666, (1, 3))),
    ("trusted xattr", errno.EPERM, lambda o: o.setxattr("/home/f", b"trusted.x", b"")),
]


@pytest.mark.parametrize(("expected", "call"), [case[1:] for case in REFUSED], ids=[case[0] for case in REFUSED])
def test_refused_as_by_the_kernel(user: Overlay, expected: int, call: Callable[[Overlay], object]) -> None:
    with pytest.raises(PermissionError) as caught:
        call(user)
    assert caught.value.errno == expected


def test_new_objects_belong_to_the_user_and_have_its_umask(user: Overlay) -> None:
    os.close(user.open("/home/new", os.O_CREAT | os.O_WRONLY, 0o666))
    user.mkdir("/tmp/d")
    assert (user.stat("/home/new").uid, user.stat("/home/new").gid) == (1000, 1000)
    assert (user.stat("/home/new").permissions, user.stat("/tmp/d").permissions) == (0o640, 0o750)


def test_owner_and_group_may(user: Overlay) -> None:
    os.close(user.open("/home/f", os.O_RDWR))
    os.close(user.open("/group"))
    user.chown("/home/f", -1, 50)
    user.chmod("/home/f", 0o2755)
    user.utimens("/home/f", (1, 2))
    assert user.listdir("/listed") == [b"f"]
    user.unlink("/home/f")


def test_set_group_id_needs_membership(user: Overlay, build: StackBuilder) -> None:
    build.opened[0].chown("/home/f", 1000, 51)
    user.chmod("/home/f", 0o2755)
    assert user.stat("/home/f").permissions == 0o755
