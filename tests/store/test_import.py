"""`import`: tars of every compression, directories, streams; content, size, permissions."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import stat
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, cast

import pytest
import zstandard

from rootlay.store.model.access import Access
from rootlay.store.model.entry import EntryType
from rootlay.store.model.errors import UnsafePath
from rootlay.store.model.imageconfig import RunConfig
from rootlay.store.store import ImageStore
from rootlay.store.view.build import BrokenHardLink
from tests.support.archives.make import child_environment, make_tar, read_tree

MEMBERS: list[tuple[str, str, object]] = [
    ("etc", "d", ""),
    ("etc/motd", "f", "hello\n" * 1000),
    ("etc/link", "l", "motd"),
    ("etc/hard", "h", "etc/motd"),
    ("big", "f", os.urandom(3_000_000)),
    ("dev/null", "c", (1, 3)),
]
TAR = make_tar(MEMBERS, mode=0o644, mtime=1_700_000_000)
FORMS: dict[str, tuple[bytes, Access]] = {
    "tar": (TAR, Access.ZSTD),
    "gz": (gzip.compress(TAR), Access.GZIP),
    "zst": (zstandard.compress(TAR), Access.ZSTD),
    "xz": (lzma.compress(TAR, preset=0), Access.ZSTD),
    "bz2": (bz2.compress(TAR), Access.ZSTD),
}


def assert_content(store: ImageStore, reference: str) -> None:
    """The image is that of MEMBERS."""
    image = store.image(reference)
    assert len(image.diff_ids) == 1
    layer = store.layer(image.diff_ids[0])
    found = {}
    for name, kind, payload in MEMBERS:
        entry = layer.find_path(name.encode())
        assert entry is not None
        found[name] = entry
        if kind == "f":
            with layer.open_content(entry) as stream:
                assert stream.read() == (payload if isinstance(payload, bytes) else str(payload).encode())
    assert found["etc/hard"].ino == found["etc/motd"].id
    assert found["dev/null"].type is EntryType.CHAR_DEVICE
    root = layer.find(0, b"")
    assert root is not None
    assert [name for name, _ in layer.iter_children(root.id)] == [b"big", b"dev", b"etc"]
    assert layer.find_path(b"etc/nothing") is None
    layer.close()


@pytest.mark.parametrize("form", FORMS)
def test_every_compression_gives_the_same_layer(store: ImageStore, tmp_path: Path, form: str) -> None:
    blob, access = FORMS[form]
    (tmp_path / "rootfs").write_bytes(blob)
    image = store.import_rootfs(tmp_path / "rootfs", "me/app:1")
    assert image.references == ("me/app:1",)
    assert_content(store, "me/app:1")
    layer = store.layer(image.diff_ids[0])
    assert layer.meta.access is access
    assert b"".join(layer.iter_tar()) == TAR
    layer.close()


def test_a_gzip_blob_is_kept_bit_for_bit_and_is_the_only_copy(store: ImageStore, tmp_path: Path) -> None:
    (tmp_path / "rootfs").write_bytes(FORMS["gz"][0])
    image = store.import_rootfs(tmp_path / "rootfs", "app")
    assert store.layout.blob_path(image.manifest.layers[0].digest).read_bytes() == FORMS["gz"][0]
    assert [p.name for p in store.layout.layer_directory(image.diff_ids[0]).iterdir()] == ["index.lmdb"]


def test_a_stream_is_imported(store: ImageStore) -> None:
    store.import_rootfs(io.BytesIO(FORMS["gz"][0]), "app")
    assert_content(store, "app")


def test_a_pipe_is_imported(store: ImageStore) -> None:
    with subprocess.Popen([sys.executable, "-c", "import sys; sys.stdout.buffer.write(sys.stdin.buffer.read())"],
                          stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:  # fmt: skip
        assert child.stdin is not None
        assert child.stdout is not None
        child.stdin.write(TAR)
        child.stdin.close()
        store.import_rootfs(cast(BinaryIO, child.stdout), "app")
    assert_content(store, "app")


def test_the_config_is_recorded(store: ImageStore, tmp_path: Path) -> None:
    (tmp_path / "rootfs.tar").write_bytes(TAR)
    config = RunConfig(env=("A=b",), cmd=("sh",), working_dir="/etc", user="1:2")
    store.import_rootfs(tmp_path / "rootfs.tar", "app", config=config, message="made by a test")
    image = store.image("app")
    assert image.config.config == config
    assert image.config.history[0].comment == "made by a test"
    assert image.created.startswith("20")


def test_an_import_of_the_same_tar_again_takes_the_name(store: ImageStore, tmp_path: Path) -> None:
    (tmp_path / "rootfs.tar").write_bytes(TAR)
    first = store.import_rootfs(tmp_path / "rootfs.tar", "app")
    second = store.import_rootfs(tmp_path / "rootfs.tar", "app")
    assert first.diff_ids == second.diff_ids
    assert store.image("app").id == second.id
    assert store.image(str(first.id)).references == (() if first.id != second.id else ("app:latest",))


def test_a_directory_is_imported_as_it_is(store: ImageStore, tmp_path: Path) -> None:
    root = tmp_path / "root"
    (root / "d/deep").mkdir(parents=True)
    (root / "d/file").write_bytes(b"content")
    os.utime(root / "d/file", ns=(0, 1_600_000_000_123_456_789))
    os.chmod(root / "d/file", 0o640)
    os.link(root / "d/file", root / "z-hard")
    os.symlink("../nowhere", root / "d/link")
    os.mkfifo(root / "pipe")
    (root / os.fsdecode(b"caf\xe9")).write_bytes(b"")
    with open(root / "sparse", "wb") as stream:
        stream.truncate(10_000_000)
        stream.seek(5_000_000)
        stream.write(b"x")
    image = store.import_rootfs(root, "app")
    layer = store.layer(image.diff_ids[0])
    file = layer.find_path(b"d/file")
    assert file is not None
    assert (file.mode, file.uid, file.mtime_ns) == (0o640, os.getuid(), 1_600_000_000_123_456_789)
    assert file.nlink == 2
    with layer.open_content(file) as content:
        assert content.read() == b"content"
    hard, link, sparse = (layer.find_path(p) for p in (b"z-hard", b"d/link", b"sparse"))
    assert hard is not None
    assert hard.ino == file.id
    assert link is not None
    assert link.link == b"../nowhere"
    assert sparse is not None
    with layer.open_content(sparse) as content:
        assert content.read() == (root / "sparse").read_bytes()
    assert layer.find_path(b"caf\xe9") is not None
    assert layer.find_path(b"pipe") is not None
    layer.close()


def test_gnu_tar_of_a_directory_gives_the_same_tree(
    store: ImageStore, tmp_path: Path, tool: Callable[[str], str]
) -> None:
    root = tmp_path / "root"
    (root / "a/b").mkdir(parents=True)
    for i in range(20):
        (root / "a/b" / f"f{i}").write_text(str(i) * i)
    os.symlink("b", root / "a/l")
    os.link(root / "a/b/f1", root / "a/h")
    tar = subprocess.run(
        [tool("tar"), "-C", root, "--sort=name", "--format=posix", "-cf", "-", "."], check=True, capture_output=True
    )
    expected = read_tree(tar.stdout)
    layer = store.layer(store.import_rootfs(root, "app").diff_ids[0])
    for path, entry in expected.items():
        found = layer.find_path(path)
        assert found is not None
        for name in ("type", "mode", "uid", "gid", "size", "mtime_ns", "link", "nlink"):
            assert getattr(found, name) == getattr(entry, name), (path, name)
    layer.close()


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o777])
def test_the_store_is_private_whatever_the_umask(tmp_path: Path, umask: int) -> None:
    (tmp_path / "rootfs.tar").write_bytes(TAR)
    old = os.umask(umask)
    try:
        store = ImageStore.open(tmp_path / "deep/er/store")
        store.import_rootfs(tmp_path / "rootfs.tar", "app")
        store.tag("app", "other")
    finally:
        os.umask(old)
    for path in [store.root, store.root.parent, *store.root.rglob("*")]:
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path


def test_two_readers_of_one_layer_and_a_forked_one(store: ImageStore, tmp_path: Path) -> None:
    (tmp_path / "rootfs.tar").write_bytes(TAR)
    image = store.import_rootfs(tmp_path / "rootfs.tar", "app")
    one, two = store.layer(image.diff_ids[0]), store.layer(image.diff_ids[0])
    assert one.find_path(b"big") == two.find_path(b"big")
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            entry = one.find_path(b"etc/motd")
            assert entry is not None
            with one.open_content(entry) as stream:
                code = 0 if stream.read(5) == b"hello" else 2
        finally:
            os._exit(code)
    assert os.waitpid(pid, 0)[1] == 0
    one.close()
    assert two.find_path(b"big") is not None
    two.close()


def test_memory_is_bounded(tmp_path: Path) -> None:
    path = tmp_path / "many.tar.gz"
    with gzip.open(path, "wb", 1) as out, tarfile.open(fileobj=out, mode="w|") as tar:
        for i in range(30_000):
            tar.addfile(tarfile.TarInfo(f"usr/share/doc/package-{i // 50}/some-file-name-{i}"))
        info = tarfile.TarInfo("zeros")
        info.size = 200_000_000
        tar.addfile(info, cast(BinaryIO, _Zeros()))
    code = """if 1:
        import sys
        from pathlib import Path
        from rootlay.store.store import ImageStore
        ImageStore.open(Path(sys.argv[1])).import_rootfs(Path(sys.argv[2]), "app")
        # Not ru_maxrss: that counts the parent, too.
        print(next(l.split()[1] for l in open("/proc/self/status") if l.startswith("VmHWM")))
    """
    command = [sys.executable, "-c", code, str(tmp_path / "store"), str(path)]
    done = subprocess.run(command, check=True, capture_output=True, env=child_environment())
    assert int(done.stdout) / 1024 < 100  # KiB


class _Zeros:
    def read(self, count: int) -> bytes:
        return bytes(count)


@pytest.mark.timeout(30)
def test_a_failed_import_beside_other_images_ends_and_leaves_them_alone(store: ImageStore, tmp_path: Path) -> None:
    (tmp_path / "good.tar").write_bytes(make_tar([("f", "f", "x")]))
    (tmp_path / "bad.tar").write_bytes(make_tar([("../f", "f", "x")]))
    store.import_rootfs(tmp_path / "good.tar", "good")
    with pytest.raises(UnsafePath):
        store.import_rootfs(tmp_path / "bad.tar", "bad")
    assert [image.reference for image in store.images()] == ["good:latest"]


def test_a_hard_link_to_nothing_is_found_before_the_image_has_a_name(store: ImageStore, tmp_path: Path) -> None:
    (tmp_path / "bad.tar").write_bytes(make_tar([("f", "f", "x"), ("link", "h", "gone")]))
    with pytest.raises(BrokenHardLink, match="gone is in no layer"):
        store.import_rootfs(tmp_path / "bad.tar", "bad")
    assert store.images() == []
    assert not list((store.root / "layers").iterdir())
    assert not list((store.root / "blobs" / "sha256").iterdir())


@pytest.mark.parametrize(
    ("target", "reason"),
    [("", "without a target"), ("t" * 4096, "longer than 4095 bytes"), ("a\0b", "NUL in the target")],
)
def test_links_that_no_file_system_holds_are_refused(
    store: ImageStore, tmp_path: Path, target: str, reason: str
) -> None:
    (tmp_path / "bad.tar").write_bytes(make_tar([("link", "l", target)], pax_headers={"linkpath": target}))
    with pytest.raises(UnsafePath, match=reason):
        store.import_rootfs(tmp_path / "bad.tar", "bad")
