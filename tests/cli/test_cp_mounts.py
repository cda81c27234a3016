"""`cp` sees the volumes and binds of a container, running or not, and nothing else of the host."""

from __future__ import annotations

import contextlib
import io
import os
import shutil
import stat
import tarfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from rootlay.store.containers.containers import Containers
from rootlay.vfs.changes.mountedtree import MountedTree
from rootlay.vfs.changes.tartransfer import copy_in_tar, copy_out_tar
from rootlay.vfs.changes.transfer import copy_in, copy_out
from rootlay.vfs.containers.mounted import open_mounted
from tests.cli.conftest import Rootlay

CANARY = "canary"


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """A directory of the host that no container may reach."""
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "secret").write_text(CANARY)
    return tmp_path / "outside"


@pytest.fixture
def mounted(small: Rootlay, tmp_path: Path) -> Iterator[Rootlay]:
    """A container with a volume, a bind, a read-only bind inside it, and a file."""
    for name in ("bind", "bind/sub", "fixed"):
        (tmp_path / name).mkdir()
    (tmp_path / "bind" / "f").write_text("bound\n")
    (tmp_path / "fixed" / "f").write_text("fixed\n")
    (tmp_path / "file").write_text("a file\n")
    small(
        "create", "--name", "c", "-v", "vol:/data", "-v", f"{tmp_path}/bind:/bind", "-v",
        f"{tmp_path}/fixed:/bind/sub:ro", "-v", f"{tmp_path}/file:/etc/given", "small", "sleep", "60",
    )  # fmt: skip
    yield small
    small("rm", "-f", "c")


def members(data: bytes) -> dict[str, tarfile.TarInfo]:
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        return {entry.name: entry for entry in tar}


@pytest.mark.parametrize("running", [False, True], ids=["stopped", "running"])
def test_cp_reads_and_writes_mounts(mounted: Rootlay, tmp_path: Path, running: bool) -> None:
    if running:
        mounted("start", "c")
        mounted("exec", "c", "sh", "-c", "echo inside > /data/g; chown 1234:5 /data/g; chmod 4750 /data/g")
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "h").write_text("copied\n")
    mounted("cp", f"{tmp_path}/in", "c:/data")
    mounted("cp", f"{tmp_path}/in/h", "c:/bind/new")
    assert (tmp_path / "bind" / "new").read_text() == "copied\n"
    assert (mounted.root / "volumes/vol/_data/in/h").read_text() == "copied\n"
    mounted("cp", "c:/bind", str(tmp_path / "out"))
    assert (tmp_path / "out/sub/f").read_text() == "fixed\n", "a mount in a mount"
    mounted("cp", "c:/etc/given", str(tmp_path / "out"))
    assert (tmp_path / "out/given").read_text() == "a file\n"
    found = members(mounted("cp", "c:/", "-").stdout)
    assert {"./data/in/h", "./bind/f", "./bind/sub/f", "./etc/given", "./etc/motd"} <= found.keys()
    if running:
        entry = found["./data/g"]
        assert (entry.uid, entry.gid, entry.mode) == (1234, 5, 0o4750), "the owners that programs see"
        assert mounted.out("exec", "c", "cat", "/data/in/h", "/bind/new") == "copied\ncopied\n"


def test_the_content_of_a_directory_leaves_the_target_as_it_is(mounted: Rootlay, tmp_path: Path) -> None:
    for name, mode in (("given", 0o750), ("out", 0o777)):
        (tmp_path / name).mkdir()
        (tmp_path / name).chmod(mode)
        os.utime(tmp_path / name, (1, 1))
    (tmp_path / "given/f").write_text("x")
    mounted("cp", f"{tmp_path}/out", "c:/in")
    mounted("cp", f"{tmp_path}/given/.", "c:/in")
    mounted("cp", "c:/in/.", str(tmp_path / "new"))
    assert (tmp_path / "new").stat().st_mode & 0o7777 == 0o777
    mounted("cp", f"{tmp_path}/given/.", "c:/made")
    mounted("cp", "c:/made/.", str(tmp_path / "out"))
    assert (tmp_path / "out/f").exists()
    assert (tmp_path / "out").stat().st_mode & 0o7777 == 0o777


@pytest.mark.skipif(os.getuid() == 0, reason="root may change every directory")
def test_a_directory_of_another_user_gets_the_content(mounted: Rootlay) -> None:
    mounted("exec", "c", "mkdir", "/d")
    mounted("cp", "c:/d/.", "/tmp")
    assert "/tmp: Operation not permitted" in mounted.fails("cp", "c:/tmp", "/", code=30)


def test_owners_in_a_tar_are_kept_in_a_volume(mounted: Rootlay) -> None:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, kind in (("d", tarfile.DIRTYPE), ("d/f", tarfile.REGTYPE), ("d/l", tarfile.SYMTYPE)):
            entry = tarfile.TarInfo(name)
            entry.type, entry.uid, entry.gid, entry.mode, entry.linkname = kind, 70, 71, 0o700, "/etc/passwd"
            tar.addfile(entry)
    mounted("cp", "-a", "-", "c:/data", input=out.getvalue())
    found = members(mounted("cp", "c:/data/d", "-").stdout)
    assert {(entry.uid, entry.gid) for entry in found.values()} == {(70, 71)}
    mounted("start", "c")
    assert mounted.out("exec", "c", "sh", "-c", "stat -c '%u %g %a' /data/d /data/d/f") == "70 71 700\n70 71 700\n"


def test_what_is_read_only_is_refused(mounted: Rootlay, tmp_path: Path) -> None:
    (tmp_path / "x").write_text("x")
    assert "read-only" in mounted.fails("cp", f"{tmp_path}/x", "c:/bind/sub", code=1)
    assert "read-only" in mounted.fails("cp", f"{tmp_path}/x", "c:/bind/sub/new", code=1)
    assert os.listdir(tmp_path / "fixed") == ["f"]
    assert "busy" in mounted.fails("cp", f"{tmp_path}/x", "c:/etc/given", code=1).lower()
    mounted("create", "--name", "ro", "--read-only", "-v", "vol:/data", "small", "true")
    assert "read-only" in mounted.fails("cp", f"{tmp_path}/x", "ro:/etc/x", code=1)
    mounted("cp", f"{tmp_path}/x", "ro:/data/x")


def test_links_in_a_mount_lead_to_places_inside(mounted: Rootlay, tmp_path: Path, outside: Path) -> None:
    """Absolute, relative and nested links, in the middle and at the end of a path, for both directions."""
    bind = tmp_path / "bind"
    (bind / "absolute").symlink_to(outside)
    (bind / "relative").symlink_to("../outside")
    (bind / "up").symlink_to("../..")
    (bind / "etc").symlink_to("/etc")
    (bind / "secret").symlink_to(outside / "secret")
    (bind / "proc").symlink_to("/proc/self/root")
    for path in ("absolute", "relative", "absolute/secret", "relative/secret", f"up/{outside}/secret", "proc/etc"):
        mounted.fails("cp", "-L", f"c:/bind/{path}", str(tmp_path / "out"), code=1)
        mounted.fails("cp", f"c:/bind/{path}/.", "-", code=1)
    mounted.fails("cp", "-L", "c:/bind/secret", str(tmp_path / "out"), code=1)
    mounted("cp", "c:/bind/etc/motd", str(tmp_path / "motd"))
    assert (tmp_path / "motd").read_text() == mounted.out("run", "--rm", "small", "cat", "/etc/motd")
    found = members(mounted("cp", "c:/bind", "-").stdout)
    assert all(found[f"bind/{name}"].issym() for name in ("absolute", "relative", "up", "secret"))
    (tmp_path / "x").write_text("changed")
    mounted.fails("cp", f"{tmp_path}/x", "c:/bind/absolute/secret", code=1)
    mounted.fails("cp", f"{tmp_path}/x", "c:/bind/secret", code=1)
    mounted("cp", f"{tmp_path}/x", "c:/bind/etc/new")
    assert mounted.out("cp", "c:/etc/new", "-")
    assert (outside / "secret").read_text() == CANARY
    assert sorted(os.listdir(outside)) == ["secret"]


def test_a_directory_that_is_swapped_with_a_link_leads_nowhere(mounted: Rootlay, tmp_path: Path, outside: Path) -> None:
    """A program in the container replaces a directory of the volume by a link to the host, again and again."""
    volume = mounted.root / "volumes/vol/_data"
    (volume / "d").mkdir(parents=True)
    (volume / "d" / "secret").write_text("inside")
    done = threading.Event()

    def swap() -> None:
        while not done.is_set():
            with contextlib.suppress(OSError):
                os.rename(volume / "d", volume / "kept")
            with contextlib.suppress(OSError):
                os.symlink(outside, volume / "d")
                os.unlink(volume / "d")
            shutil.rmtree(volume / "d", ignore_errors=True)  # which a copy may have made in the meantime
            with contextlib.suppress(OSError):
                os.rename(volume / "kept", volume / "d")

    thread = threading.Thread(target=swap)
    thread.start()
    read = io.BytesIO()
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "secret").write_text("written")
    new = io.BytesIO()
    with tarfile.open(fileobj=new, mode="w") as tar:
        tar.add(tmp_path / "in" / "secret", "d/secret")
    operations: tuple[Callable[[MountedTree, int], None], ...] = (
        lambda tree, turn: copy_out(tree, b"/data/.", os.fsencode(tmp_path / f"copy{turn}")),
        lambda tree, turn: copy_out_tar(tree, b"/data", read),
        lambda tree, turn: copy_in(tree, os.fsencode(tmp_path / "in" / "secret"), b"/data/d/secret"),
        lambda tree, turn: copy_in_tar(tree, io.BytesIO(new.getvalue()), b"/data", archive=True),
    )
    try:
        for turn in range(60):
            for operation in operations:
                with open_mounted(Containers(mounted.root).find("c")) as tree, contextlib.suppress(OSError):
                    operation(tree, turn)
    finally:
        done.set()
        thread.join()
    assert CANARY.encode() not in read.getvalue()
    copies = [path for path in tmp_path.glob("copy*/**/secret") if not path.is_symlink()]
    assert all(CANARY not in path.read_text() for path in copies if not path.parent.is_symlink())
    assert (outside / "secret").read_text() == CANARY
    assert stat.S_IMODE((outside / "secret").stat().st_mode) & 0o600 == 0o600
    assert sorted(os.listdir(outside)) == ["secret"]
