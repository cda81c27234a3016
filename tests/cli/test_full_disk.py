"""A disk that gets full under a container: programs see ENOSPC, as they would outside, and nothing dies of it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from rootlay.store.containers.bloom import FILE_BYTES, HEADER_BYTES
from rootlay.store.containers.containers import Containers
from rootlay.vfs.merge.bloom import Bloom
from tests.cli.conftest import Rootlay
from tests.support.errorclasses import CODES

FILL = "dd if=/dev/zero of=/filler bs=65536; dd if=/dev/zero of=/filler2 bs=512"
# While it is full; then there is room again.
LOWER = "read x < /usr/share/doc/one/readme && echo read $x; : > /filler"
PROGRAMS = "for p in rm mkdir mv chmod ls wc dd; do $p --version > /dev/null; done"
# Names all over the filter: what is in no layer, and what the image has.
CHANGE = (
    "i=0; while [ $i -lt 300 ]; do echo x > /new$i; mkdir /dir$i; i=$((i+1)); done; "
    "rm -rf /usr/share/doc /etc/motd; mv /script /script2; chmod 700 /etc; ls / | wc -l; echo alive"
)


@pytest.fixture
def full_disk(tmp_path: Path) -> list[str]:
    """The beginning of a command line that gives `tmp_path / "disk"` 24 MiB of its own: a tmpfs, as any user."""
    bwrap = shutil.which("bwrap")
    if not bwrap:
        pytest.skip("bubblewrap is not installed")
    if subprocess.run([bwrap, "--bind", "/", "/", "true"], capture_output=True, check=False).returncode:
        pytest.skip("bubblewrap may not make namespaces here")
    (tmp_path / "disk").mkdir()
    return [bwrap, "--dev-bind", "/", "/", "--size", str(24 << 20), "--tmpfs", str(tmp_path / "disk")]


def in_shell(around: list[str], root: Path, script: str) -> subprocess.CompletedProcess[str]:
    """A shell script whose function `r` is rootlay on the store `root`."""
    function = f'r() {{ {sys.executable} -m rootlay.cli.main --root {root} "$@"; }}; '
    return subprocess.run([*around, "sh", "-c", function + script], capture_output=True, text=True, check=False)


@pytest.fixture
def mounted(tmp_path: Path) -> list[str]:
    """As `full_disk`, on ext4: for root."""
    tools = [shutil.which(name) for name in ("mkfs.ext4", "mount", "unshare")]
    if os.geteuid() or not all(tools):
        pytest.skip("mounting a file system needs root")
    (tmp_path / "disk").mkdir()
    with open(tmp_path / "image", "wb") as image:
        image.truncate(24 << 20)
    subprocess.run([tools[0] or "", "-q", "-O", "^has_journal", tmp_path / "image"], check=True)
    mount = f'mount -o loop {tmp_path}/image {tmp_path}/disk || exit 77; exec "$@"'
    around = [tools[2] or "", "--mount", "--propagation", "private", "sh", "-c", mount, "sh"]
    if subprocess.run([*around, "true"], capture_output=True, check=False).returncode:
        pytest.skip("no loop devices here")
    return around


def check(around: list[str], tar: Path, disk: Path) -> None:
    script = (
        f"r import {tar} small >/dev/null || exit 99; r create --name old small true >/dev/null; "
        f"r run --name c small sh -c '{FILL}; {LOWER}; {PROGRAMS}; {FILL}; {CHANGE}'; echo run $?; "
        "r exec c true 2>/dev/null; r snapshot create c; echo snapshot $?; r diff c | wc -l; "
        "r prune; echo prune $?; r rm -f c; echo rm $?"
    )
    done = in_shell(around, disk / "store", script)
    lines = done.stdout.splitlines()
    assert "alive" in lines, done
    assert "run 0" in lines, done
    assert "fault inside" not in done.stderr
    assert "No space left on device" in done.stderr
    assert f"snapshot {CODES['DiskFull']}" in lines or "snapshot 0" in lines, done
    # It may have been made beforehand.
    assert "read one" in lines or "/usr/share/doc/one/readme: No space left" in done.stderr, done.stderr[:600]
    assert "prune 0" in lines, done
    assert lines[-1] == "rm 0", done
    assert "Traceback" not in done.stderr
    assert "Bus error" not in done.stderr


def test_programs_on_a_full_tmpfs_see_enospc(full_disk: list[str], small_tar: Path, tmp_path: Path) -> None:
    check(full_disk, small_tar, tmp_path / "disk")


def test_programs_on_a_full_ext4_see_enospc(mounted: list[str], small_tar: Path, tmp_path: Path) -> None:
    check(mounted, small_tar, tmp_path / "disk")


def blocks_of(path: Path) -> int:
    return path.stat().st_blocks * 512


def make_sparse(path: Path) -> None:
    """As an earlier version made a filter: a header, and a hole."""
    header = path.read_bytes()[:HEADER_BYTES]
    with open(path, "wb") as file:
        file.write(header)
        file.truncate(FILE_BYTES)


def test_filters_have_their_blocks_before_programs_use_them(small: Rootlay) -> None:
    """New ones, frozen ones, and those of containers that an earlier version made."""
    small("run", "--name", "c", "small", "touch", "/a")
    record = Containers(small.root).find("c")
    assert blocks_of(record.path / "bloom") >= FILE_BYTES
    small("snapshot", "create", "c")
    filters = sorted(record.path.glob("bloom*"))
    assert [blocks_of(path) >= FILE_BYTES for path in filters] == [True, True]
    for path in filters:
        data = path.read_bytes()
        make_sparse(path)
        with open(path, "r+b") as file:
            for at in range(0, len(data), 4096):
                if any(data[at : at + 4096]):
                    file.seek(at)
                    file.write(data[at : at + 4096])
        assert blocks_of(path) < FILE_BYTES
    assert small.out("exec", "c", "ls", "/a") == "/a\n"
    assert [blocks_of(path) >= FILE_BYTES for path in filters] == [True, True]


@pytest.mark.parametrize("refused", [False, True], ids=["fallocate", "no fallocate"])
def test_a_filter_with_holes_gets_its_blocks_when_it_is_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refused: bool
) -> None:
    """Its bits stay. Where the file system has no fallocate the pages are written as they are."""
    if refused:

        def refuse(fd: int, offset: int, length: int) -> None:
            raise OSError(95, "not supported")

        monkeypatch.setattr(os, "posix_fallocate", refuse)
    path = tmp_path / "bloom"
    Bloom.create(path).close()
    make_sparse(path)
    assert blocks_of(path) < FILE_BYTES
    with Bloom(path) as bloom:
        bloom.add(b"/a")
        assert b"/a" in bloom
    os.sync()
    assert blocks_of(path) >= FILE_BYTES
    with Bloom(path) as bloom:
        assert b"/a" in bloom
        assert b"/b" not in bloom


def test_a_file_size_limit_is_an_error_and_leaves_nothing(small: Rootlay) -> None:
    """A limit stands for any disk that refuses: one line, no half-made container."""
    limited = (
        "import resource, signal, sys; signal.signal(signal.SIGXFSZ, signal.SIG_IGN); "
        "resource.setrlimit(resource.RLIMIT_FSIZE, (500000, 500000)); "
        "from rootlay.cli.main import main; sys.exit(main())"
    )
    command = [sys.executable, "-c", limited, "--root", str(small.root), "run", "small", "true"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 125
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert not [name for name in os.listdir(small.root / "containers") if len(name) == 64]
