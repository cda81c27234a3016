"""A store that version 0.1 wrote (`tests/fixtures/store-0.1.tar.zst`) works as it did: docs/versioning.md.

It has three images (one built), a bundle, and four containers: changed, committed, snapshotted and forked, with owners,
set-id bits, a device, a FIFO, hard links, a renamed directory and whiteouts. `expected.*` is what 0.1 printed for it.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
import zstandard

from tests.cli.conftest import Rootlay

FIXTURE = Path(__file__).parents[1] / "fixtures" / "store-0.1.tar.zst"
BUSYBOX = ("-v", "/bin/busybox:/busybox:ro")
needs_busybox = pytest.mark.skipif(not Path("/bin/busybox").exists(), reason="/bin/busybox (static) is not installed")


@pytest.fixture
def old(tmp_path: Path) -> Rootlay:
    with zstandard.open(FIXTURE, "rb") as stream:
        command = ["tar", "-C", str(tmp_path), "--xattrs", "--xattrs-include=user.*", "-xf", "-"]
        subprocess.run(command, input=stream.read(), check=True)
    for name in ("store", "store/containers"):
        (tmp_path / name).chmod(0o700)
    return Rootlay(tmp_path / "store")


def listing(tar: bytes) -> list[str]:
    done = subprocess.run(
        ["tar", "-tvf", "-", "--numeric-owner", "--full-time"],
        input=tar, capture_output=True, check=True, env={**os.environ, "TZ": "UTC"},
    )  # fmt: skip
    return sorted(done.stdout.decode().splitlines(), key=lambda line: line.split()[5])


def test_the_fixture_has_the_xattr_records(old: Rootlay) -> None:
    found = [path for path in (old.root / "containers").rglob("new*") if path.is_file() and os.listxattr(path)]
    assert found


def test_diff_and_export_are_the_same(old: Rootlay) -> None:
    shown = "".join(f"== {name}\n{old.out('diff', name)}" for name in ("first", "second", "third", "fourth"))
    assert shown == (old.root.parent / "expected.diff").read_text()
    expected = (old.root.parent / "expected.second").read_text().splitlines()
    now = listing(old("export", "second").stdout)
    assert sorted(now) == sorted(expected)


def test_fsck_finds_nothing(old: Rootlay) -> None:
    assert "nothing wrong was found" in old.out("fsck", "--deep")


def test_images_bundle_and_cache_are_used(old: Rootlay) -> None:
    assert {"base", "two", "built"} <= {word for line in old.out("images").splitlines() for word in line.split()}
    old("inspect", "--json", "old:built")
    for source in ("Dockerfile", "file"):
        assert (old.root.parent / source).exists()
    for cached in (False, True):  # steps of before did not know the system's PATH: they are not used again
        done = old("build", "-t", "old:again", str(old.root.parent))
        assert (b"CACHED" in done.stderr + done.stdout) == cached
    old("load", "-i", str(old.root.parent / "old.rlay"))
    old("save", "-o", str(old.root.parent / "saved.tar"), "old:built")


@needs_busybox
def test_containers_run_roll_back_fork_and_commit(old: Rootlay) -> None:
    assert old.out("exec", "first", "/busybox", "cat", "/etc/two") == "changed\n"
    shown = old.out("exec", "second", "/busybox", "stat", "-c", "%u:%g:%a", "/etc/new2", "/usr/bin/hello", "/secret")
    assert shown.splitlines() == ["3:4:644", "0:0:4755", "1000:0:700"]
    old("rollback", "second", "before")
    old("fork", "second@before", "--name", "fifth")
    old("commit", "fourth", "old:three")
    assert old.out("run", "--rm", *BUSYBOX, "old:three", "/busybox", "ls", "/opt/moved/deep") == "new\n"
    old("rm", "-f", "first", "second", "third", "fourth", "fifth")
    old("rmi", "old:three")
    assert "nothing wrong was found" in old.out("fsck")
