"""Imports that must fail: one clear line, a typed error, and a store as before."""

from __future__ import annotations

import gzip
import io
import lzma
import os
import resource
import subprocess
import sys
import tarfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from rootlay.store.model import errors
from rootlay.store.model.errors import (
    BadReference,
    CorruptStore,
    DiskFull,
    NotAnArchive,
    RootlayError,
    StoreNotWritable,
    TruncatedArchive,
    UnsafePath,
    UnsupportedMedia,
)
from rootlay.store.store import ImageStore
from tests.support.archives.make import child_environment, make_tar, snapshot

TAR = make_tar([("a", "f", os.urandom(100_000)), ("b", "f", os.urandom(100_000))])
# Ends exactly between two entries: only the missing end marker tells.
CLEAN_CUT = TAR[: 512 + 100_000 + -100_000 % 512]

BAD: dict[str, tuple[bytes, type[RootlayError]]] = {
    "truncated tar": (TAR[:150_001], TruncatedArchive),
    "tar cut between entries": (CLEAN_CUT, TruncatedArchive),
    "truncated gzip": (gzip.compress(TAR)[:150_000], TruncatedArchive),
    "truncated xz": (lzma.compress(TAR, preset=0)[:150_000], TruncatedArchive),
    "damaged gzip": (gzip.compress(TAR)[:-6] + b"xxxxxx", NotAnArchive),
    "no archive": (b"#!/bin/sh\necho hello\n" * 100, NotAnArchive),
    "no archive in gzip": (gzip.compress(b"hello" * 1000), NotAnArchive),
    "empty": (b"", NotAnArchive),
    "zip": (b"PK\x03\x04" + bytes(1000), UnsupportedMedia),
    "damaged header": (TAR[: len(CLEAN_CUT)] + b"x" * 512 + TAR[len(CLEAN_CUT) + 512 :], NotAnArchive),
    "parent component": (make_tar([("a/../../b", "f", "x")]), UnsafePath),
    "hard link that escapes": (make_tar([("a", "h", "../../etc/passwd")]), UnsafePath),
    "name too long": (make_tar([("n" * 300, "f", "x")]), UnsafePath),
}


@pytest.mark.parametrize("name", BAD)
@pytest.mark.parametrize("way", ["file", "stream"])
def test_bad_archives_are_refused_and_change_nothing(
    unchanged: ImageStore, tmp_path: Path, name: str, way: str
) -> None:
    data, expected = BAD[name]
    (tmp_path / "bad.tar").write_bytes(data)
    with pytest.raises(expected) as caught:
        unchanged.import_rootfs(tmp_path / "bad.tar" if way == "file" else io.BytesIO(data), "bad")
    assert type(caught.value) is expected
    message = str(caught.value)
    assert "\n" not in message
    assert len(message) < 300
    assert caught.value.fault == "image"
    if expected is not UnsafePath:
        assert ("bad.tar" if way == "file" else "standard input") in message


def test_a_missing_file_is_the_callers_mistake(unchanged: ImageStore, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        unchanged.import_rootfs(tmp_path / "nothing.tar", "x")


def test_a_bad_name_is_refused_before_any_work(unchanged: ImageStore, tmp_path: Path) -> None:
    with pytest.raises(BadReference):
        unchanged.import_rootfs(tmp_path / "never-opened.tar", "Not A Name")


@contextmanager
def _file_size_limit(count: int) -> Iterator[None]:
    """No file may grow beyond `count` bytes: EFBIG, which behaves like a full disk and needs no mount."""
    old = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (count, old[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, old)


@pytest.mark.parametrize("limit", [1_000, 20_000, 150_000])
def test_a_full_disk_changes_nothing(unchanged: ImageStore, tmp_path: Path, limit: int) -> None:
    (tmp_path / "rootfs.tar.gz").write_bytes(gzip.compress(TAR))
    with _file_size_limit(limit), pytest.raises(DiskFull) as caught:
        unchanged.import_rootfs(tmp_path / "rootfs.tar.gz", "x")
    assert str(unchanged.root) in str(caught.value)


def test_a_disk_that_the_index_fills_changes_nothing(unchanged: ImageStore, tmp_path: Path) -> None:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for i in range(3000):
            tar.addfile(tarfile.TarInfo(f"directory/{i}"))
    (tmp_path / "rootfs.tar.gz").write_bytes(gzip.compress(out.getvalue()))
    with _file_size_limit(100_000), pytest.raises(DiskFull):
        unchanged.import_rootfs(tmp_path / "rootfs.tar.gz", "x")


def test_a_real_full_disk(tmp_path: Path, tool: Callable[[str], str]) -> None:
    """On a tmpfs of its own, at every size from nothing to enough."""
    if os.getuid() != 0:
        pytest.skip("mounting a tmpfs needs root")
    small = tmp_path / "small"
    small.mkdir()
    (tmp_path / "rootfs.tar.gz").write_bytes(gzip.compress(TAR))
    outcomes = set()
    for size_kib in (4, 16, 32, 64, 128, 200, 208, 216, 228, 240, 248, 256, 264, 280, 300, 400, 1000):
        done = subprocess.run(
            [tool("mount"), "-t", "tmpfs", "-o", f"size={size_kib}k", "none", small], capture_output=True
        )
        if done.returncode:
            pytest.skip(f"mount: {done.stderr.decode().strip()}")
        try:
            outcomes.add(_import_into(small / "store", tmp_path / "rootfs.tar.gz"))
        finally:
            subprocess.run([tool("umount"), small], check=True)
    assert outcomes == {"full", "imported"}


def _import_into(root: Path, source: Path) -> str:
    try:
        store = ImageStore.open(root)
        before = snapshot(root)
        store.import_rootfs(source, "x")
    except DiskFull:
        if (root / "oci-layout").exists():
            assert snapshot(root) == before
            assert not list((root / "tmp").iterdir())
        return "full"
    return "imported"


_IMPORT = """if 1:
    import sys
    from pathlib import Path
    from rootlay.store.model.errors import RootlayError
    from rootlay.store.store import ImageStore
    try:
        ImageStore.open(Path(sys.argv[1])).import_rootfs(Path(sys.argv[2]), "x")
    except RootlayError as error:
        print(type(error).__name__, error)
"""


@pytest.mark.parametrize("where", ["root", "below"])
def test_a_store_without_write_permission(tmp_path: Path, where: str) -> None:
    """As an ordinary user: root may write anywhere."""
    (tmp_path / "rootfs.tar").write_bytes(TAR)
    store = ImageStore.open(tmp_path / "store")
    store.import_rootfs(tmp_path / "rootfs.tar", "base")
    before = snapshot(store.root)
    changed = [store.root] if where == "root" else [store.root / "tmp", store.root / "blobs/sha256"]
    for path in changed:
        path.chmod(0o500)
    try:
        if os.getuid() == 0:
            pytest.skip("root may write anywhere")
        with pytest.raises(StoreNotWritable):
            ImageStore.open(store.root).import_rootfs(tmp_path / "rootfs.tar", "x")
        (tmp_path / "new").mkdir(mode=0o500)
        with pytest.raises(StoreNotWritable):
            ImageStore.open(tmp_path / "new/store")
    finally:
        for path in changed:
            path.chmod(0o700)
    assert snapshot(store.root) == before


@pytest.mark.parametrize("root", ["/proc/rootlay-store", "/dev/null/store", "/dev/null"])
def test_a_place_where_no_store_can_be(tmp_path: Path, root: str) -> None:
    (tmp_path / "rootfs.tar").write_bytes(TAR)
    command = [sys.executable, "-c", _IMPORT, root, str(tmp_path / "rootfs.tar")]
    done = subprocess.run(command, check=True, capture_output=True, env=child_environment(), text=True)
    assert done.stdout.startswith("StoreNotWritable")


def test_no_store_is_made_unless_asked_for(tmp_path: Path) -> None:
    with pytest.raises(RootlayError, match="no store"):
        ImageStore.open(tmp_path / "nothing", create=False)
    assert not (tmp_path / "nothing").exists()


def test_a_store_of_another_version_is_refused(store: ImageStore) -> None:
    (store.root / "oci-layout").write_text('{"imageLayoutVersion": "9.0"}')
    with pytest.raises(CorruptStore):
        ImageStore.open(store.root)


def test_every_error_says_whose_fault_it_is() -> None:
    classes = [c for c in vars(errors).values() if isinstance(c, type) and issubclass(c, RootlayError)]
    assert len(classes) > 15
    assert {c.fault for c in classes} == {"caller", "image", "disk"}
