"""A store on a disk that has become read-only: what is in it can be had and looked at, and its images run elsewhere."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from rootlay.store.containers.containers import Containers
from tests.cli.conftest import Rootlay
from tests.support.errorclasses import CODES

CHANGE = "echo new > /new; rm /etc/motd; mkdir /d; echo inside > /d/f; chown 5:6 /d/f; mkfifo /fifo"
WAYS = ("bwrap", "modes", "mount")


@dataclass(frozen=True)
class ReadOnly(Rootlay):
    """The command where the store at `root` cannot be written to; `around` makes it so."""

    around: tuple[str, ...] = ()

    def __call__(self, *words: str, code: int | None = 0, **options: object) -> subprocess.CompletedProcess[bytes]:
        command = [*self.around, sys.executable, "-m", "rootlay.cli.main", *words]
        environ = {**os.environ, "ROOTLAY_ROOT": str(self.root), "COLUMNS": "200"}
        done = subprocess.run(command, capture_output=True, env=environ, timeout=120, check=False)
        if code is not None:
            assert done.returncode == code, (words, done.returncode, done.stdout[-2000:], done.stderr[-4000:])
        return done


def around(way: str, root: Path) -> tuple[str, ...]:
    """The beginning of a command line in which `root` is read-only."""
    if way == "bwrap":
        bwrap = shutil.which("bwrap")
        if not bwrap:
            pytest.skip("bubblewrap is not installed")
        if subprocess.run([bwrap, "--bind", "/", "/", "true"], capture_output=True, check=False).returncode:
            pytest.skip("bubblewrap may not make namespaces here")
        return (
            bwrap,
            *(("--cap-add", "ALL") if not os.geteuid() else ()),
            "--dev-bind",
            "/",
            "/",
            "--ro-bind",
            str(root),
            str(root),
        )
    if way == "mount":
        if os.geteuid():
            pytest.skip("mounting needs root")
        script = f'mount --bind {root} {root} && mount -o remount,bind,ro {root} || exit 77; exec "$@"'
        found = ("unshare", "--mount", "--propagation", "private", "sh", "-c", script, "sh")
        if subprocess.run([*found, "true"], capture_output=True, check=False).returncode:
            pytest.skip("no mounts here")
        return found
    if not os.geteuid():
        pytest.skip("modes do not keep root from writing")
    return ()


def set_modes(root: Path, change: int) -> None:
    for path in (root, *root.rglob("*")):
        with contextlib.suppress(FileNotFoundError):  # a lock of somebody who has just ended
            if not path.is_symlink():
                mode = path.stat().st_mode & 0o777
                path.chmod(mode & 0o555 if not change else mode | change)


@pytest.fixture(params=WAYS)
def rescued(request: pytest.FixtureRequest, small: Rootlay) -> Iterator[ReadOnly]:
    """A store with a container that has changes, a snapshot of it and a younger change."""
    before = around(request.param, small.root)
    small("run", "--name", "c", "small", "sh", "-c", CHANGE)
    small("snapshot", "create", "c", "one")
    small("exec", "c", "sh", "-c", "echo later > /later")
    until = time.monotonic() + 20
    while list(small.root.glob("containers/*/launch-*")) and time.monotonic() < until:  # the hydrators' last change
        time.sleep(0.05)
    if request.param == "modes":
        set_modes(small.root, 0)
    yield ReadOnly(small.root, before)
    set_modes(small.root, 0o200)


def state(root: Path) -> dict[str, tuple[int, int, int]]:
    """All there is in a store, so that a change of it shows."""
    found = {}
    for path in (root, *root.rglob("*")):
        status = path.lstat()
        found[str(path)] = (status.st_ino, status.st_mtime_ns, status.st_mode)
    return found


def test_everything_can_be_had_and_looked_at(rescued: ReadOnly, tmp_path: Path) -> None:
    before = state(rescued.root)
    assert "small" in rescued.out("images")
    assert rescued.out("ps", "-a").splitlines()[1].endswith("c")
    assert json.loads(rescued.out("inspect", "--json", "c"))[0]["name"] == "c"
    assert json.loads(rescued.out("inspect", "--json", "small"))[0]["type"] == "image"
    assert "Imported" in rescued.out("history", "small")
    assert "one" in rescued.out("snapshot", "ls", "c")
    changes = rescued.out("diff", "c").splitlines()
    assert {"A /new", "D /etc/motd", "A /d/f", "A /later"} <= set(changes)
    rescued("cp", "c:/d", str(tmp_path / "d"))
    assert (tmp_path / "d" / "f").read_text() == "inside\n"
    rescued("cp", "c:/etc/passwd", str(tmp_path / "passwd"))
    assert "root:x:0" in (tmp_path / "passwd").read_text()
    rescued("export", "-o", str(tmp_path / "c.tar"), "c")
    with tarfile.open(tmp_path / "c.tar") as tar:
        assert (tar.getmember("d/f").uid, tar.getmember("d/f").gid) == (5, 6)
        assert tar.getmember("fifo").isfifo()
        assert "etc/motd" not in tar.getnames()
    rescued("save", "-o", str(tmp_path / "small.tar"), "small")
    elsewhere = Rootlay(tmp_path / "elsewhere")
    elsewhere("load", "-i", str(tmp_path / "small.tar"))
    assert elsewhere.out("run", "--rm", "small", "cat", "/etc/motd") == "welcome\n"
    for words in (("fsck",), ("fsck", "--deep")):
        if rescued.around:
            assert rescued.out(*words) == "nothing wrong was found\n"
        else:  # the modes have been changed, and nothing else
            assert all(": mode " in line for line in rescued.out(*words, code=4).splitlines()[:-1])
    assert state(rescued.root) == before


def test_what_would_change_it_is_one_line(rescued: ReadOnly, tmp_path: Path) -> None:
    before = state(rescued.root)
    (tmp_path / "file").write_text("x")
    code = CODES["StoreNotWritable"]
    for words in (
        ("tag", "small", "other"),
        ("rm", "c"),
        ("cp", str(tmp_path / "file"), "c:/file"),
        ("commit", "c", "image"),
        ("snapshot", "create", "c", "two"),
        ("fsck", "--repair"),
    ):
        rescued.fails(*words, code=code)
    assert "--upper" in rescued.fails("run", "--rm", "small", "true", code=125)
    rescued.fails("exec", "c", "true", code=125)
    assert state(rescued.root) == before


def test_an_image_runs_with_everything_below_the_upper(rescued: ReadOnly, tmp_path: Path) -> None:
    before = state(rescued.root)
    place = str(tmp_path / "place")
    script = "cat /etc/motd /usr/share/doc/one/readme; echo mine > /etc/motd; touch /t; ls /t"
    assert rescued.out("run", "--rm", "--upper", place, "small", "sh", "-c", script) == "welcome\none\n/t\n"
    assert (tmp_path / "place" / "upper" / "etc" / "motd").read_text() == "mine\n"
    done = rescued("run", "--name", "kept", "-u", "1234", "--upper", place, "small", "cat", "/etc/motd")
    assert done.stdout == b"mine\n", "the writable layer is still there"
    assert f"{place}/store" in done.stderr.decode()
    store = tmp_path / "place" / "store"
    assert Containers(store).find("kept").root == store
    there = ("--root", f"{place}/store")
    assert rescued.out(*there, "exec", "kept", "cat", "/usr/share/doc/two/readme") == "two\n"
    assert "kept" in rescued.out(*there, "ps", "-a")
    assert "C /etc/motd" in rescued.out(*there, "diff", "kept").splitlines()
    rescued(*there, "commit", "kept", "rescued")
    assert rescued.out(*there, "fsck", "--deep") == "nothing wrong was found\n"
    rescued(*there, "prune")
    assert rescued.out(*there, "ps", "-aq") == ""
    assert rescued.out(*there, "run", "--rm", "rescued", "cat", "/etc/motd") == "mine\n"
    assert state(rescued.root) == before


def test_other_containers_do_so_too(rescued: ReadOnly, tmp_path: Path) -> None:
    """The machine's own root, an image by its ID, one in the background."""
    assert rescued.out("run", "--rm", "--upper", str(tmp_path / "a"), "host", "echo", "x") == "x\n"
    identity = rescued.out("images", "-q", "--no-trunc").strip()
    short = identity.partition(":")[2][:12]
    assert rescued.out("run", "--rm", "--upper", str(tmp_path / "b"), short, "cat", "/etc/motd") == "welcome\n"
    rescued("run", "-d", "--name", "back", "--upper", str(tmp_path / "c"), "small", "sleep", "60")
    there = Rootlay(tmp_path / "c" / "store")  # which can be written to
    assert "Up " in there.out("ps")
    there("rm", "-f", "back")
    assert there.out("ps", "-aq") == ""


def test_a_directory_with_something_else_in_it_is_refused(rescued: ReadOnly, tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine").write_text("x")
    line = rescued.fails("run", "--rm", "--upper", str(tmp_path / "full"), "small", "true", code=125)
    assert "empty directory" in line
    assert os.listdir(tmp_path / "full") == ["mine"]
    rescued.fails("run", "--rm", "--upper", str(tmp_path / "new"), "nosuch", "true", code=125)


@pytest.mark.parametrize("way", WAYS)
def test_an_image_that_never_ran_runs(small_tar: Path, tmp_path: Path, way: str) -> None:
    """Nothing is flattened yet: that is made in the other place."""
    store = Rootlay(tmp_path / "store")
    store("import", str(small_tar), "small")
    before = around(way, store.root)
    shutil.rmtree(store.root / "views")
    (store.root / "views").mkdir(mode=0o700)
    if way == "modes":
        set_modes(store.root, 0)
    try:
        read_only = ReadOnly(store.root, before)
        out = read_only.out("run", "--rm", "--upper", str(tmp_path / "u"), "small", "cat", "/etc/motd")
        assert out == "welcome\n"
    finally:
        set_modes(store.root, 0o200)
