"""A real Debian root: the view and the hydrated tree say what the tar says.

ROOTLAY_TEST_DEBIAN names a tar of a root file system, as mmdebstrap makes one.
"""

from __future__ import annotations

import os
import stat
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from rootlay.store.hydrate.hydrator import Hydrator
from rootlay.store.model.digest import Digest
from rootlay.store.model.entry import EntryType
from rootlay.store.store import ImageStore
from rootlay.store.view.build import build_view, view_path
from rootlay.store.view.view import View

pytestmark = [
    pytest.mark.programs,
    pytest.mark.once,
    pytest.mark.skipif(not os.environ.get("ROOTLAY_TEST_DEBIAN"), reason="ROOTLAY_TEST_DEBIAN is not set"),
]

_TYPES = {
    tarfile.REGTYPE: EntryType.FILE,
    tarfile.LNKTYPE: EntryType.FILE,
    tarfile.SYMTYPE: EntryType.SYMLINK,
    tarfile.DIRTYPE: EntryType.DIRECTORY,
    tarfile.CHRTYPE: EntryType.CHAR_DEVICE,
    tarfile.BLKTYPE: EntryType.BLOCK_DEVICE,
    tarfile.FIFOTYPE: EntryType.FIFO,
}


def tar_path() -> Path:
    return Path(os.environ["ROOTLAY_TEST_DEBIAN"])


@pytest.fixture(scope="module")
def imported(tmp_path_factory: pytest.TempPathFactory) -> tuple[ImageStore, list[Digest]]:
    store = ImageStore.open(tmp_path_factory.mktemp("debian") / "store")
    return store, list(store.import_rootfs(tar_path(), "debian:test").diff_ids)


@pytest.fixture
def view(imported: tuple[ImageStore, list[Digest]]) -> Iterator[View]:
    store, diff_ids = imported
    opened = View.open(view_path(store.root, build_view(store, diff_ids)))
    yield opened
    opened.close()


def test_view_says_what_the_tar_says(view: View) -> None:
    nodes = {path: node for path, node in view.iter_walk() if node.id != 1}
    links: dict[int, int] = {}
    with tarfile.open(tar_path(), errors="surrogateescape") as tar:
        members = {b"/" + os.fsencode(os.path.normpath(m.name)): m for m in tar}
    members.pop(b"/.", None)
    assert nodes.keys() == members.keys()
    for path, node in nodes.items():
        member = members[path]
        if member.islnk():
            links[node.ino] = links.get(node.ino, 1) + 1
            member = members[b"/" + os.fsencode(os.path.normpath(member.linkname))]
        assert node.type is _TYPES[member.type], path
        assert (node.mode, node.uid, node.gid) == (member.mode, member.uid, member.gid), path
        assert node.mtime_ns // 10**9 == int(member.mtime // 1), path
        if node.type is EntryType.FILE:
            assert node.size == member.size, path
        if node.type is EntryType.SYMLINK:
            assert node.link == os.fsencode(member.linkname), path
        if node.type in (EntryType.CHAR_DEVICE, EntryType.BLOCK_DEVICE):
            assert (node.major, node.minor) == (member.devmajor, member.devminor), path
    for node in nodes.values():
        if node.type is EntryType.FILE:
            assert node.nlink == links.get(node.ino, 1)


def test_hydrated_files_are_those_of_the_tar(imported: tuple[ImageStore, list[Digest]], view: View) -> None:
    with Hydrator(imported[0], view) as hydrator, tarfile.open(tar_path(), errors="surrogateescape") as tar:
        hydrator.hydrate_all()
        compared = 0
        for member in tar:
            if not member.isreg():
                continue
            node = view.find_path(b"/" + os.fsencode(os.path.normpath(member.name)))
            assert node is not None
            path = hydrator.real_path(node.id)
            content = tar.extractfile(member)
            assert content is not None
            assert path.read_bytes() == content.read(), member.name
            status = path.stat()
            assert stat.S_IMODE(status.st_mode) == member.mode & 0o1777 | 0o400
            assert status.st_mtime_ns == node.mtime_ns
            compared += 1
    assert compared > 1000


def test_building_is_fast(imported: tuple[ImageStore, list[Digest]], view: View) -> None:
    """30,000 entries in 0.3 s; three times that here, of the processor's time: the machine may be busy."""
    store, diff_ids = imported
    view.path.unlink()
    start = time.process_time()
    build_view(store, diff_ids)
    assert time.process_time() - start < 3 * 0.3 * max(1, view.entries / 30_000)
