"""A container for native tests: a plain directory as the lower layer, an empty upper, the engine."""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import pytest

from tests.native.engine_launch import CONFINE, DIR_ATTRIBUTES, DIR_MARKS, DIR_UPPER, PATCH, UPPER, Dir, Launch
from tests.support.madeonce import made_once

HERE = Path(__file__).parent
SOURCES = HERE.parents[1] / "vfs" / "csrc"
PATIENCE_S = float(os.environ.get("ROOTLAY_TEST_PATIENCE", "60"))
BLOOM_BYTES = 64 + (1 << 20)
PROGRAMS = (
    "signals", "processes", "identities", "traces", "threads", "calls", "patches", "sockets", "localsockets",
    "manymessages", "hostile", "accomplices", "neighbours", "arguments",
)  # fmt: skip
CMAKE = """cmake_minimum_required(VERSION 3.18)
project(engine_test LANGUAGES C ASM)
include({sources}/trap/trap.cmake)
"""


def engine_sources() -> list[Path]:
    """The trap engine's sources for this machine."""
    other = {"x86_64", "aarch64"} - {os.uname().machine}
    return sorted(path for path in (SOURCES / "trap").rglob("*.c") if path.parent.name not in other)


def table_text(machine: str = os.uname().machine) -> str:
    """The sources of the table of system calls."""
    trap = SOURCES / "trap"
    return "".join((trap / name).read_text() for name in ("table/syscalls.c", f"{machine}/oldcalls.h"))


@dataclass(frozen=True, slots=True)
class Guest:
    """One container. `run` starts a program in it as rootlay would."""

    engine: Path
    lower: Path
    upper: Path
    launch: Path

    def output(self, *argv: str, stdin: int, stderr: int) -> bytes:
        """Standard output of argv inside, as root, with these descriptors."""
        command = [*guard(self), str(self.engine), "--run", str(self.launch), "0:0:022:", "/", *argv]
        return subprocess.run(
            command,
            env={},
            stdin=stdin,
            stderr=stderr,
            stdout=subprocess.PIPE,
            timeout=2 * PATIENCE_S,
            cwd="/",
            check=False,
        ).stdout

    def run(
        self,
        *argv: str,
        state: str = "0:0:022:",
        cwd: str = "/",
        env: Mapping[str, str] | None = None,
        stdin: bytes = b"",
        timeout: float = PATIENCE_S,
    ) -> subprocess.CompletedProcess[bytes]:
        """Run argv inside; the environment holds no more than PATH and `env`."""
        variables = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", "LC_ALL": "C.UTF-8", **(env or {})}
        command = [*guard(self), str(self.engine), "--run", str(self.launch), state, cwd, *argv]
        return subprocess.run(
            command, env=variables, input=stdin, capture_output=True, timeout=timeout, cwd="/", check=False
        )

    def sh(self, script: str, **options: object) -> str:
        """Standard output of a shell script that must succeed."""
        done = self.run("/bin/sh", "-ec", script, **options)  # type: ignore[arg-type]
        assert done.returncode == 0, (done.returncode, done.stdout[-2000:], done.stderr[-2000:])
        return done.stdout.decode()


def guard(guest: Guest) -> Sequence[str]:
    """Real root is not trusted to a young engine: the host is read-only then."""
    if os.getuid() != 0:
        return ()
    bwrap = shutil.which("bwrap")
    if bwrap is None:
        pytest.skip("running as root needs bwrap, to keep the host out of reach")
    box = str(guest.upper.parent)
    return (bwrap, "--ro-bind", "/", "/", "--bind", box, box, "--dev-bind", "/dev", "/dev", "--proc", "/proc", "--")


def make_guest(
    engine: Path, lower: Path, box: Path, *, flags: int = 0, hostname: bytes = b"", mapped: tuple[int, int] = (0, 0)
) -> Guest:
    """An empty upper above `lower`; everything of the container lives in `box`. `mapped`: whom files of the real user
    belong to inside."""
    upper = box / "upper"
    upper.mkdir(parents=True)
    upper.chmod(0o755)
    bloom = box / "bloom"
    bloom.write_bytes(b"RLBLOOM1" + (5).to_bytes(4, "little") + (23).to_bytes(4, "little") + bytes(BLOOM_BYTES - 16))
    lock = box / "lock"
    lock.touch()
    # A short way to the upper, for the names of sockets.
    alias = Path(tempfile.gettempdir(), f"a-{secrets.token_hex(5)}")
    alias.symlink_to(upper)
    launch = Launch(
        engine=bytes(engine),
        alias=bytes(alias),
        dirs=(Dir(bytes(upper), bytes(bloom), DIR_UPPER | DIR_MARKS | DIR_ATTRIBUTES), Dir(bytes(lower))),
        flags=UPPER | CONFINE | flags,
        lock=bytes(lock),
        host=(os.getuid(), os.getgid()),
        mapped=mapped,
        st_dev=upper.stat().st_dev,
        trace=bytes(box / "trace") if flags & 2 else b"",
        hostname=hostname,
    ).write(box / "launch-1")
    return Guest(engine, lower, upper, launch)


def need(tool: str) -> str:
    """Path of a tool, or skip."""
    found = shutil.which(tool)
    if found is None:
        pytest.skip(f"{tool} is not installed")
    return found


@pytest.fixture(scope="session")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The engine, built from these sources."""
    given = os.environ.get("ROOTLAY_TEST_ENGINE")
    if given:
        return Path(given)
    cmake = need("cmake")

    def make(project: Path) -> None:
        (project / "CMakeLists.txt").write_text(CMAKE.format(sources=SOURCES))
        options = ["-DCMAKE_BUILD_TYPE=Release"]
        subprocess.run([cmake, "-S", project, "-B", project / "b", *options], check=True, capture_output=True)
        built = subprocess.run([cmake, "--build", project / "b"], check=True, capture_output=True, text=True)
        assert "warning:" not in built.stdout + built.stderr

    return made_once(tmp_path_factory, "engine", make) / "b" / "engine"


def _compiled(factory: pytest.TempPathFactory) -> Path:
    given = os.environ.get("ROOTLAY_TEST_COMPILED")
    if given:
        return Path(given)

    def make(place: Path) -> None:
        for source, (suffix, compiler) in product(PROGRAMS, (("glibc", "cc"), ("musl", "musl-gcc"))):
            if shutil.which(compiler):
                command = [compiler, "-O1", "-static", "-pthread", "-o", str(place / f"{source}-{suffix}")]
                subprocess.run([*command, str(HERE / f"{source}.c")], check=True, capture_output=True)

    return made_once(factory, "programs", make)


@pytest.fixture(scope="session")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A lower layer with the test programs (static: glibc's, and musl's where it is installed), compiled here unless
    ROOTLAY_TEST_COMPILED has them."""
    root = tmp_path_factory.mktemp("lower")
    root.chmod(0o755)
    for name in ("bin", "etc", "proc", "dev", "sys", "tmp", "t"):
        (root / name).mkdir()
    (root / "tmp").chmod(0o1777)
    (root / "etc" / "os-release").write_text("NAME=test\n")
    (root / "etc" / "passwd").write_text("root:x:0:0::/:/bin/sh\n")
    for program in _compiled(tmp_path_factory).iterdir():
        shutil.copy(program, root / "t")
    busybox = shutil.which("busybox")
    if busybox:
        shutil.copy(busybox, root / "bin" / "busybox")
        for applet in ("sh", "echo", "cat", "ls", "true", "false", "sleep", "pwd", "env", "kill", "id", "hostname"):
            (root / "bin" / applet).symlink_to("busybox")
    return root


@pytest.fixture(params=[0, PATCH], ids=["trap", "patch"])
def guest(request: pytest.FixtureRequest, engine: Path, programs: Path, tmp_path: Path) -> Guest:
    """An empty container above the test programs; call sites are patched, or not."""
    return make_guest(engine, programs, tmp_path / "box", flags=request.param)


@pytest.fixture(scope="session")
def debian_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Debian image of ROOTLAY_TEST_DEBIAN, unpacked without its devices."""
    tar = os.environ.get("ROOTLAY_TEST_DEBIAN")
    if not tar:
        pytest.skip("ROOTLAY_TEST_DEBIAN names no tar of a Debian root")
    root = tmp_path_factory.mktemp("debian")
    root.chmod(0o755)
    with tarfile.open(tar) as archive:
        archive.extraction_filter = tarfile.fully_trusted_filter if hasattr(tarfile, "fully_trusted_filter") else None
        members = [m for m in archive if not m.isdev() and not m.name.startswith("./dev/")]
        for member in members:
            member.uid, member.gid = os.getuid(), os.getgid()
            member.mode |= 0o700 if member.isdir() else 0o400
            archive.extract(member, root, numeric_owner=True)
    return root


@pytest.fixture(params=[0, PATCH], ids=["trap", "patch"])
def debian(request: pytest.FixtureRequest, engine: Path, debian_root: Path, tmp_path: Path) -> Guest:
    """An empty container above the Debian image; call sites are patched, or not."""
    return make_guest(engine, debian_root, tmp_path / "box", flags=request.param)
