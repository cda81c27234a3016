"""Stores that several machines see: read by two at a time, and on a real network file system (sshfs, as root)."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from rootlay.store.disk.filesystem import file_system_of
from tests.cli.conftest import Rootlay

SFTP_SERVER = Path("/usr/lib/openssh/sftp-server")


def content(root: Path) -> dict[str, object]:
    """The images of a store: bytes of files, targets of links. Not its containers, nor what a run of its owner makes
    later, when it is over: hints and hydrated files (docs/format.md §3)."""
    found: dict[str, object] = {}
    for path in root.rglob("*"):
        parts = path.relative_to(root).parts
        if parts[0] in ("containers", "locks", "tmp") or "tree" in parts or path.suffix in (".asked", ".boots"):
            continue
        if path.is_symlink():
            found["/".join(parts)] = os.readlink(path)
        elif path.is_file():
            found["/".join(parts)] = path.read_bytes()
    return found


def on_machine(name: str, shared: Path, root: Path, *words: str) -> subprocess.Popen[str]:
    """A command on another machine: another host name, and the shared directory can only be read there."""
    bwrap = shutil.which("bwrap")
    if bwrap is None:
        pytest.skip("bubblewrap is not installed")
    around = ["--cap-add", "ALL"] if os.geteuid() == 0 else []
    box = [bwrap, *around, "--dev-bind", "/", "/", "--ro-bind", str(shared), str(shared)]
    box += ["--unshare-uts", "--hostname", name]
    return subprocess.Popen(
        [*box, sys.executable, "-m", "rootlay.cli.main", *words],
        env={**os.environ, "ROOTLAY_ROOT": str(root)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def outputs(*commands: subprocess.Popen[str]) -> list[str]:
    found = []
    for command in commands:
        out, err = command.communicate(timeout=120)
        assert command.returncode == 0, (command.args, err)
        found.append(out)
    return found


def test_two_machines_read_one_store_at_a_time(small: Rootlay, tmp_path: Path) -> None:
    """Each links the image into a store of its own and works with it; the shared one is not touched, and the containers
    that its owner runs meanwhile are nobody else's business."""
    shared = small.root
    small("run", "--name", "owners", "small", "sh", "-c", "echo mine > /etc/motd")
    before = content(shared)
    names = ("node1", "node2")
    roots = [tmp_path / name for name in names]
    pairs = list(zip(names, roots, strict=True))
    outputs(*(on_machine(name, shared, root, "load", "--link", "-i", str(shared)) for name, root in pairs))
    script = "cat /etc/motd; echo $0 > /etc/motd; cat /etc/motd"
    for _ in range(2):
        found = outputs(
            *(on_machine(n, shared, root, "run", "--rm", "small", "sh", "-c", script, n) for n, root in pairs)
        )
        assert found == ["welcome\nnode1\n", "welcome\nnode2\n"]
    for root in roots:
        [layer] = [path for path in (root / "blobs/sha256").iterdir() if path.is_symlink()]
        assert layer.resolve().is_relative_to(shared)
    assert content(shared) == before
    assert small.out("run", "--rm", "small", "cat", "/etc/motd") == "welcome\n"


def test_what_can_be_asked_of_a_store_that_can_only_be_read(small: Rootlay, tmp_path: Path) -> None:
    shared = small.root
    before = content(shared)
    listed, shown, _ = outputs(
        on_machine("node1", shared, shared, "images", "--json"),
        on_machine("node2", shared, shared, "inspect", "--json", "small"),
        on_machine("node2", shared, shared, "save", "small", "-o", str(tmp_path / "saved.tar")),
    )
    assert json.loads(listed)[0]["id"] == json.loads(shown)[0]["id"]
    assert Rootlay(tmp_path / "other").out("load", "-i", str(tmp_path / "saved.tar")) == "Loaded image: small:latest\n"
    refused = on_machine("node1", shared, shared, "tag", "small", "other")
    assert str(shared) in refused.communicate(timeout=60)[1]
    assert refused.returncode != 0
    assert content(shared) == before


@pytest.fixture
def network_disk(tmp_path: Path) -> Iterator[Path]:
    """A directory that is served by sftp and mounted by sshfs, without ssh between them."""
    if os.geteuid() != 0:
        pytest.skip("needs root: an ordinary user may not mount here")
    sshfs = shutil.which("sshfs")
    if sshfs is None or not SFTP_SERVER.exists() or not os.access("/dev/fuse", os.R_OK | os.W_OK):
        pytest.skip("sshfs, openssh-sftp-server or /dev/fuse is not there")
    (tmp_path / "served").mkdir()
    point = tmp_path / "disk"
    point.mkdir()
    one, other = socket.socketpair()
    with (
        closing(one),
        closing(other),
        subprocess.Popen([str(SFTP_SERVER)], stdin=one.fileno(), stdout=one.fileno()) as server,
    ):
        mounted = subprocess.Popen(
            [sshfs, "-f", "-o", "passive", f":{tmp_path}/served", str(point)],
            stdin=other.fileno(), stdout=other.fileno(), stderr=subprocess.PIPE,
        )  # fmt: skip
        try:
            while not os.path.ismount(point):
                if mounted.poll() is not None:
                    assert mounted.stderr is not None
                    pytest.skip(f"sshfs does not mount here: {mounted.stderr.read().decode()}")
                time.sleep(0.05)
            yield point
        finally:
            subprocess.run(["umount", "-l", point], check=False, stderr=subprocess.DEVNULL)
            mounted.kill()
            mounted.communicate()
            server.kill()


def test_a_real_network_file_system(network_disk: Path, small: Rootlay, small_tar: Path, tmp_path: Path) -> None:
    """doctor names it; an image there is made, linked and bundled; LMDB's files are written elsewhere and moved."""
    assert file_system_of(network_disk)[0] == "fuse.sshfs"
    there = Rootlay(network_disk / "store")
    there("import", str(small_tar), "small")
    [finding] = [row for row in json.loads(there("doctor", "--json", code=None).stdout) if row["name"] == "store"]
    assert finding["status"] in ("warn", "fail")
    assert "fuse.sshfs" in finding["text"]
    assert "local" in finding["advice"]
    assert list((network_disk / "store").rglob("*lock.mdb")) == []
    assert there.out("fsck", "--deep") == Rootlay(small.root).out("fsck", "--deep")
    there("bundle", "small", "-o", str(network_disk / "small.rlay"))
    here = Rootlay(tmp_path / "here")
    here("load", "--link", "-i", str(network_disk / "store"))
    for image in ("small", str(network_disk / "small.rlay")):
        here("create", "--name", "c", image, "true")
        here("cp", "c:/etc/motd", str(tmp_path / "motd"))
        assert (tmp_path / "motd").read_text() == "welcome\n"
        here("rm", "c")
