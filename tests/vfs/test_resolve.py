"""Path resolution: confinement, links, `..`, limits."""

from __future__ import annotations

import errno
import os

import pytest

from rootlay.vfs.merge.path import ImagePath
from rootlay.vfs.overlay.overlay import Overlay
from tests.support.oracles.memory_view import directory, file, symlink
from tests.vfs.conftest import StackBuilder

LAYER = [
    directory(b""),
    directory(b"a"),
    directory(b"a/b"),
    file(b"a/b/f", b"inside"),
    file(b"etc", b"inside the root"),
    symlink(b"absolute", b"/a/b"),
    symlink(b"a/escape", b"../../../../../../../etc"),
    symlink(b"a/b/up", b".."),
    symlink(b"loop", b"loop"),
    symlink(b"slash", b"a/"),
    symlink(b"root", b"/"),
    symlink(b"dangling", b"a/new"),
    *(symlink(b"l%d" % n, b"l%d" % (n - 1)) for n in range(1, 42)),
    symlink(b"l0", b"a"),
]


@pytest.fixture
def overlay(build: StackBuilder) -> Overlay:
    return build.overlay(layers=(LAYER,))


def errno_of(overlay: Overlay, path: bytes | str) -> int:
    with pytest.raises(OSError, match=r".") as caught:
        overlay.stat(path)
    assert caught.value.filename == os.fsdecode(path)
    return caught.value.errno or 0


@pytest.mark.parametrize(
    ("path", "canonical"),
    [
        ("/../../etc", b"/etc"),
        ("/a/escape", b"/etc"),
        ("/absolute/f", b"/a/b/f"),
        ("absolute/f", b"/a/b/f"),
        ("/absolute/..", b"/a"),
        ("/absolute/up/b", b"/a/b"),
        ("/root/a/.//b/", b"/a/b"),
        ("/root", b"/"),
        ("/slash/b", b"/a/b"),
        ("/l39/b", b"/a/b"),
    ],
)
def test_resolve_stays_inside_and_is_physical(overlay: Overlay, path: str, canonical: bytes) -> None:
    assert overlay.resolve(path) == ImagePath(canonical)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (b"", errno.ENOENT),
        (b"/none", errno.ENOENT),
        (b"/none/x", errno.ENOENT),
        (b"/etc/x", errno.ENOTDIR),
        (b"/etc/", errno.ENOTDIR),
        (b"/etc/.", errno.ENOTDIR),
        (b"/loop", errno.ELOOP),
        (b"/l40", errno.ELOOP),
        (b"/dangling", errno.ENOENT),
        (b"/" + b"n" * 256, errno.ENAMETOOLONG),
        (b"/" + b"n" * 255, errno.ENOENT),
        (b"/" * 4096, errno.ENAMETOOLONG),
        (b"/a/.wh.x", errno.ENOENT),
    ],
)
def test_resolve_fails_as_the_kernel_does(overlay: Overlay, path: bytes, expected: int) -> None:
    assert errno_of(overlay, path) == expected


def test_forty_links_are_allowed(overlay: Overlay) -> None:
    assert overlay.lstat("/l40").mode & 0o170000 == 0o120000
    assert overlay.stat("/l39").is_dir


def test_path_of_4095_bytes_works(overlay: Overlay) -> None:
    assert overlay.resolve(b"/a" + b"/" * 4093).raw == b"/a"


def test_deepest_path_works_below_a_long_real_path(build: StackBuilder) -> None:
    """4095 bytes of virtual path and the upper's own path do not fit together into PATH_MAX."""
    overlay = build.overlay()
    before = len(os.listdir("/proc/self/fd"))
    path = b""
    while len(path) + 256 <= 4090:
        path += b"/" + b"d" * 255
        overlay.mkdir(path)
    path += b"/" + b"f" * (4095 - len(path) - 1)
    os.close(overlay.open(path, os.O_CREAT | os.O_WRONLY, 0o640))
    overlay.chown(path, 5, 6)
    assert len(path) == 4095
    assert overlay.stat(path).mode == 0o100640
    assert (overlay.stat(path).uid, overlay.stat(path).gid) == (5, 6)
    overlay.rename(path, path[:-1] + b"g")
    overlay.link(path[:-1] + b"g", path)
    assert overlay.listdir(os.path.dirname(path)) == sorted(
        [os.path.basename(path), os.path.basename(path)[:-1] + b"g"]
    )
    overlay.unlink(path)
    assert len(os.listdir("/proc/self/fd")) <= before + 1  # the upper itself, kept open


def test_dangling_link_is_created_through(overlay: Overlay) -> None:
    os.close(overlay.open("/dangling", os.O_CREAT | os.O_WRONLY))
    assert overlay.stat("/a/new").size == 0
    with pytest.raises(FileExistsError):
        overlay.open("/dangling", os.O_CREAT | os.O_EXCL | os.O_WRONLY)


def test_two_names_are_in_the_error_of_a_rename(overlay: Overlay) -> None:
    with pytest.raises(FileNotFoundError) as caught:
        overlay.rename("/none", "/other")
    assert (caught.value.filename, caught.value.filename2) == ("/none", "/other")


@pytest.mark.parametrize("name", [".wh.x", ".wh..wh.m.a", ".wh..wh..opq"])
def test_reserved_names_cannot_be_made(overlay: Overlay, name: str) -> None:
    for make in (
        lambda: overlay.mkdir(name),
        lambda: overlay.open(name, os.O_CREAT | os.O_WRONLY),
        lambda: overlay.symlink("x", name),
        lambda: overlay.link("/etc", name),
        lambda: overlay.rename("/etc", name),
        lambda: overlay.mknod(name, 0o100644),
    ):
        with pytest.raises(PermissionError) as caught:
            make()
        assert caught.value.errno == errno.EPERM
