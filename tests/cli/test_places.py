"""Places that lack something: refused calls, closed descriptors, old or odd file systems, limits."""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.cli import docker_seccomp
from tests.cli.conftest import Rootlay

pytestmark = pytest.mark.engine

TREE = str(Path(__file__).parents[2])
DENY = """
import os, sys
sys.path.insert(0, sys.argv.pop(1))
from tests.cli import docker_seccomp as d
denied = sys.argv.pop(1)
d.install(d.only([name for name in d.numbers() if name != denied]))
os.execvp(sys.argv[1], sys.argv[1:])
"""
API = """
import os, sys
from rootlay.vfs import Store
os.close(0)
with Store.open(sys.argv[1]).image("small").container() as made:
    print(made.run(["cat", "/etc/motd"], capture_output=True).stdout.decode(), end="")
"""


def denied(small: Rootlay, call: str, *words: str) -> subprocess.CompletedProcess[str]:
    if not any(Path(path).exists() for path in docker_seccomp.HEADERS):
        pytest.skip("the kernel's headers are not installed")
    return subprocess.run(
        [sys.executable, "-c", DENY, TREE, call, sys.executable, "-m", "rootlay.cli.main", *words],
        env={**os.environ, "ROOTLAY_ROOT": str(small.root)},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


@pytest.mark.parametrize("call", ["close_range", "openat2", "faccessat2", "rseq", "getrandom"])
def test_runs_where_a_call_is_refused(small: Rootlay, call: str) -> None:
    """Kernels before 5.9 have no close_range: to close a range of 2^30 numbers one by one takes minutes."""
    done = denied(small, call, "run", "--rm", "small", "cat", "/etc/motd")
    assert (done.returncode, done.stdout, done.stderr) == (0, "welcome\n", "")


def test_a_refused_statx_is_named(small: Rootlay) -> None:
    """As in Docker with an old libseccomp: the engine needs the call."""
    done = denied(small, "statx", "run", "--rm", "small", "true")
    said = "rootlay: a sandbox around rootlay refuses the system call statx: Operation not permitted; "
    assert (done.returncode, done.stdout, done.stderr) == (125, "", said + "see `rootlay doctor`\n")
    report = denied(small, "statx", "doctor")
    assert report.returncode == 1
    assert "fail  statx" in report.stdout
    assert "please report" not in report.stdout


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&-", "<&- >&- 2>&-"])
def test_closed_standard_descriptors(small: Rootlay, tmp_path: Path, closed: str) -> None:
    script = f'"$0" -m rootlay.cli.main run --name c small sh -c "cat /etc/motd > /told" {closed}'
    environ = {**os.environ, "ROOTLAY_ROOT": str(small.root)}
    subprocess.run(["sh", "-c", script, sys.executable], env=environ, timeout=60, check=True)
    small("cp", "c:/told", str(tmp_path / "told"))
    assert (tmp_path / "told").read_text() == "welcome\n"
    assert small.out("run", "--rm", "small", "cat", "/etc/motd") == "welcome\n"


def test_the_api_with_closed_standard_input(small: Rootlay) -> None:
    """The socket of the hydrator would get number 0, which the standard input of the hydrator then replaces."""
    command = ["sh", "-c", '"$0" -c "$1" "$2"', sys.executable, API, str(small.root)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "welcome\n", "")


def test_a_limit_of_file_sizes_is_named(small_tar: Path, tmp_path: Path) -> None:
    script = f'ulimit -f 8; exec "$0" -m rootlay.cli.main --root {tmp_path}/store import {small_tar} small'
    done = subprocess.run(["sh", "-c", script, sys.executable], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 31
    assert "ulimit -f" in done.stderr
    assert "no space" not in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_program_for_another_machine_is_refused_from_a_shell_too(small: Rootlay, tmp_path: Path) -> None:
    """After ENOEXEC a shell would read the ELF file as a script."""
    head = bytearray(Path("/bin/true").read_bytes()[:64])
    head[4], head[18:20] = 1, (3).to_bytes(2, "little")
    (tmp_path / "i386").write_bytes(bytes(head) + b"\necho script\n")
    (tmp_path / "i386").chmod(0o755)
    small("create", "--name", "c", "small", "sh", "-c", "/i386; echo $?")
    small("cp", str(tmp_path / "i386"), "c:/i386")
    done = small("start", "-a", "c")
    lines = done.stderr.decode().splitlines()
    assert lines[0] == f"rootlay: /i386: cannot run on this {os.uname().machine} machine: built for i386"
    assert done.stdout in (b"126\n", b"127\n")


def test_rootlay_in_rootlay_is_refused_by_name(small: Rootlay) -> None:
    inner = f"{sys.executable} -m rootlay.cli.main --root {small.root}"
    binds = [word for path in (sys.prefix, str(small.root)) for word in ("-v", f"{path}:{path}")]
    for words, code in (("run --rm small true", 125), ("doctor", 1)):
        done = small("run", "--rm", *binds, "host", "sh", "-c", f"{inner} {words}", code=code)
        assert b"rootlay does not run inside rootlay" in done.stdout + done.stderr
        assert b"please report" not in done.stdout


@pytest.mark.parametrize("missing", ["/proc", "/dev"])
def test_without_proc_or_devices(small: Rootlay, missing: str) -> None:
    bwrap = shutil.which("bwrap")
    if not bwrap or subprocess.run([bwrap, "--ro-bind", "/", "/", "true"], check=False, capture_output=True).returncode:
        pytest.skip("bwrap is not installed, or may not be used here")
    other = ("--dev", "/dev") if missing == "/proc" else ("--proc", "/proc")
    box = [bwrap, "--ro-bind", "/", "/", *other, "--tmpfs", missing, "--bind", str(small.root), str(small.root)]
    environ = {**os.environ, "ROOTLAY_ROOT": str(small.root)}

    def inside(*words: str) -> subprocess.CompletedProcess[str]:
        command = [*box, sys.executable, "-m", "rootlay.cli.main", *words]
        return subprocess.run(command, env=environ, capture_output=True, text=True, timeout=60, check=False)

    done, report = inside("run", "--rm", "small", "cat", "/etc/motd"), inside("doctor")
    assert missing in report.stdout
    if missing == "/dev":
        assert (done.returncode, done.stdout, done.stderr, report.returncode) == (0, "welcome\n", "", 0)
    else:
        said = "rootlay: /proc is not mounted here, and programs need it: mount it\n"
        assert (done.returncode, done.stdout, done.stderr, report.returncode) == (125, "", said, 1)


class Disk:
    """A file system in a file, mounted for one test."""

    def __init__(self, tmp_path: Path) -> None:
        self.image, self.point = tmp_path / "disk", tmp_path / "mounted"

    def mount(self, *command: str) -> Path:
        tool = shutil.which(command[0], path="/usr/sbin:/sbin:/usr/bin")
        if not tool:
            pytest.skip(f"{command[0]} is not installed")
        self.image.write_bytes(b"")
        os.truncate(self.image, 64 << 20)
        self.point.mkdir()
        subprocess.run([tool, *command[1:], str(self.image)], check=True, capture_output=True)
        if subprocess.run(["mount", "-o", "loop", str(self.image), str(self.point)], check=False).returncode:
            pytest.skip("this machine mounts no such file system")
        self.point.chmod(0o777)
        return self.point


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Callable[..., Path]]:
    if os.geteuid():
        pytest.skip("root makes the file systems")
    made = Disk(tmp_path)
    yield made.mount
    subprocess.run(["umount", "-l", str(made.point)], check=False, capture_output=True)


@pytest.mark.parametrize("features", ["^dir_index", "^dir_index,^extents,^64bit"])
@pytest.mark.parametrize("block", ["1024", "4096"])
def test_ext4_without_an_index_lists_directories(
    small_tar: Path, disk: Callable[..., Path], features: str, block: str
) -> None:
    """Its last position is the largest size of a file, which is 16.06 GiB in the smallest case."""
    rootlay = Rootlay(disk("mke2fs", "-q", "-t", "ext4", "-b", block, "-O", features) / "store")
    rootlay("import", str(small_tar), "small")
    script = "touch /etc/new; mkdir /d; touch /d/a /d/b; ls /etc /d; ls /usr/bin | wc -l; ls /tmp"
    listed = rootlay.out("run", "--rm", "small", "sh", "-c", script)
    assert "motd" in listed
    assert "new" in listed
    assert "\na\nb\n" in listed


def test_a_store_that_ignores_case_is_refused(small_tar: Path, disk: Callable[..., Path], rootlay: Rootlay) -> None:
    place = disk("mke2fs", "-q", "-t", "ext4", "-O", "casefold", "-E", "encoding=utf8")
    folded = place / "folded"
    folded.mkdir()
    if subprocess.run(["chattr", "+F", str(folded)], check=False, capture_output=True).returncode:
        pytest.skip("this kernel has no case folding")
    store = Rootlay(folded)
    assert "upper and lower case" in store.fails("import", str(small_tar), "small", code=37)
    assert list(folded.iterdir()) == []
    assert b"upper and lower case" in store("doctor", code=1).stdout
    rootlay("import", str(small_tar), "small")
    said = rootlay.fails("run", "--lower", str(folded), "small", "true", code=125)
    assert "upper and lower case" in said


def test_vfat_is_refused_by_name(small_tar: Path, disk: Callable[..., Path]) -> None:
    place = disk("mkfs.vfat")
    store = Rootlay(place / "store")
    store.fails("import", str(small_tar), "small", code=37)
    report = store("doctor", code=1).stdout.decode()
    assert "please report" not in report
    assert "vfat" in report


def test_the_condition_of_the_case_test() -> None:
    from rootlay.store.disk.filesystem import ignores_case

    assert ctypes.sizeof(ctypes.c_long) == 8  # the argument of FS_IOC_GETFLAGS
    assert not ignores_case(Path("/"))
    assert not ignores_case(Path("/no/such"))
