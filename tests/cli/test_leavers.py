"""Programs that leave the engine and outlive their session.

`stop` and `rm -f` end them, and what works on their container from outside is not led to what is outside of it.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from rootlay.store.containers.record import Bind
from rootlay.store.model.errors import RootlayError
from rootlay.vfs import Store
from rootlay.vfs.run import processes
from tests.cli.conftest import Rootlay
from tests.cli.test_run import wait_for

SOURCE = Path(__file__).parents[1] / "native" / "leaver.c"
ABI = ctypes.CDLL(None).syscall(444, None, 0, 1)
CANARY = "canary secret"
LONG = bool(os.environ.get("ROOTLAY_TEST_LONG"))
ROUNDS = 40 if LONG else 2
ROOM = 200
"""Processes that a storm has at most (leaver.c), and with sessions of their own, as the kernel may give each session as
much as this one."""
SESSIONS = 20


@pytest.fixture(scope="module")
def leaver(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with the program."""
    if not shutil.which("cc"):
        pytest.skip("needs a C compiler (cc)")
    folder = tmp_path_factory.mktemp("leaver")
    options = ["-static", "-nostdlib", "-ffreestanding", "-fno-stack-protector", "-fno-pie", "-no-pie", "-O1"]
    options += ["-mno-outline-atomics"] if os.uname().machine == "aarch64" else []
    subprocess.run(["cc", *options, "-o", str(folder / "leaver"), str(SOURCE)], check=True)
    return folder


@pytest.fixture
def token() -> Iterator[str]:
    """What the processes of a test are known by."""
    name = f"l{os.urandom(4).hex()}"
    yield name
    while left := living(name):
        for pid in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def living(token: str, watch_s: float = 0.1) -> list[int]:
    """The processes that have the token as their first argument, or as the name of a thread; for a while those, too,
    that were born last: one that hops is in no listing."""
    found = [int(entry) for entry in filter(str.isdigit, os.listdir("/proc")) if _has(entry, token)]
    end = time.monotonic() + watch_s
    while not found and time.monotonic() < end:
        entry = Path("/proc/loadavg").read_text().split()[-1]
        found = [int(entry)] * _has(entry, token)
    return found


def _has(entry: str, token: str) -> bool:
    with contextlib.suppress(OSError):
        with open(f"/proc/{entry}/cmdline", "rb", buffering=0) as file:
            first = file.read(100).partition(b"\0")[0]
        if first:
            return first == token.encode()
        return any(path.read_text() == f"{token}\n" for path in Path(f"/proc/{entry}/task").glob("*/comm"))
    return False


def let_go(small: Rootlay, leaver: Path, token: str, mode: str, **options: Any) -> Path:
    """A container whose only program has left the engine; its upper."""
    small("create", "--name", "c", "-v", f"{leaver}:/b:ro", "small", "/b/leaver", token, mode)
    small("start", "-a", "c", **options)
    wait_for(lambda: living(token), "the program has not left")
    return upper_of(small)


def upper_of(small: Rootlay) -> Path:
    return Path(json.loads(small.out("inspect", "--json", "c"))[0]["upper"])


@pytest.mark.parametrize("end", [("stop", "-t", "0"), ("rm", "-f")], ids=["stop", "rm"])
@pytest.mark.parametrize("mode", ["rest", "hide", "unmark", "stopped", "leader", "hop", "revive"])
def test_who_has_left_the_engine_is_ended(
    small: Rootlay, leaver: Path, token: str, mode: str, end: tuple[str, ...]
) -> None:
    let_go(small, leaver, token, mode, **(limited() if mode == "revive" else {}))
    assert small.out("ps", "-q") != ""
    small(*end, "c")
    assert living(token) == []
    assert small.out("ps", "-q") == ""


@pytest.mark.parametrize("mode", ["storm", "scatter", "revive"])
def test_a_fork_storm_is_ended(small: Rootlay, leaver: Path, token: str, mode: str) -> None:
    """`scatter`: each process has a session of its own. `revive`: each continues all others that are stopped."""
    room = SESSIONS if mode == "scatter" else ROOM
    let_go(small, leaver, token, mode, **limited(2 * room))
    wait_for(lambda: len(living(token)) > room / 4, "no storm")
    assert len(living(token)) <= room
    small("stop", "-t", "0", "c")  # which would say that it gives up
    assert living(token) == []


def limited(room: int = ROOM) -> dict[str, object]:
    """Options for a start with a limit of processes, in case the storm's own bound fails.

    The limit counts all of the user's processes: when others end, a storm grows by as many.
    """
    if os.geteuid() == 0:
        pytest.skip("root has no limit of processes")
    mine = sum(1 for entry in filter(str.isdigit, os.listdir("/proc")) if _owner(entry) == os.geteuid())
    limit = (mine + room, mine + room)
    return {"preexec_fn": lambda: resource.setrlimit(resource.RLIMIT_NPROC, limit)}


def _owner(entry: str) -> int:
    with contextlib.suppress(OSError):
        return os.stat(f"/proc/{entry}").st_uid
    return -1


def test_the_end_of_a_container_that_is_not_kept_ends_it(small: Rootlay, leaver: Path, token: str) -> None:
    small("run", "--rm", "-v", f"{leaver}:/b:ro", "small", "/b/leaver", token, "rest")
    assert living(token) == []


def test_a_step_of_a_build_ends_it(small: Rootlay, leaver: Path, token: str, tmp_path: Path) -> None:
    """Before the next one works on the same upper."""
    steps = f'RUN ["/b/leaver", "{token}", "hide"]\nCOPY leaver /b/second\nRUN ["/b/second", "{token}", "rest"]\n'
    (tmp_path / "Dockerfile").write_text(f"FROM small\nCOPY leaver /b/leaver\n{steps}")
    small("build", "-t", "made", "-f", str(tmp_path / "Dockerfile"), str(leaver))
    assert living(token) == []


def test_programs_see_no_limit_and_set_it_without_effect(rootlay: Rootlay) -> None:
    """The mark is a limit of nothing: programs that set all limits, or ask for them, are not to notice."""
    program = "import resource as r; r.setrlimit(10, (5, 6)); print(r.getrlimit(10), r.prlimit(0, 10, (3, 4)))"
    assert rootlay.out("run", "--rm", "host", "--", sys.executable, "-c", program) == "(-1, -1) (-1, -1)\n"
    program = "import resource as r; r.setrlimit(10, (6, 5))"
    assert b"ValueError" in rootlay("run", "--rm", "host", "--", sys.executable, "-c", program, code=1).stderr
    program = "import resource as r; r.prlimit(1 << 30, 10)"
    assert b"ProcessLookupError" in rootlay("run", "--rm", "host", "--", sys.executable, "-c", program, code=1).stderr
    program = "print([line for line in open('/proc/self/limits') if 'locks' in line])"
    assert "unlimited" not in rootlay.out("run", "--rm", "host", "--", sys.executable, "-c", program)


def test_a_container_with_a_leaver_is_a_running_one(small: Rootlay, leaver: Path, token: str) -> None:
    let_go(small, leaver, token, "rest")
    assert "is running" in small.fails("rm", "c", code=17)
    assert "is running" in small.fails("snapshot", "create", "c", code=17)
    small("prune", "-f")
    assert living(token)


def test_an_ephemeral_container_ends_it(small: Rootlay, leaver: Path, token: str) -> None:
    with Store.open(small.root).image("small").container(binds=[Bind(str(leaver), "/b", read_only=True)]) as c:
        c.run(["/b/leaver", token, "rest"], check=True)
        wait_for(lambda: living(token), "the program has not left")
    assert living(token) == []


def test_a_signal_goes_to_guests_alone(small: Rootlay) -> None:
    """As after the number of a process has gone to another one."""
    small("create", "--name", "c", "small", "true")
    path = str(upper_of(small).parent)
    with subprocess.Popen(["sleep", "60"]) as stranger:
        assert not processes.signal_guest(path, stranger.pid, signal.SIGKILL)
        assert stranger.poll() is None
        stranger.kill()


# ---- work from outside


class Outside:
    """What must stay as it is: names as they are in the upper, so that every repair could want them."""

    def __init__(self, path: Path) -> None:
        self.path = path
        (path / "sub").mkdir(parents=True)
        for name in ("a", "b", "sub/a", ".wh.c", ".wh..wh.t.1.1.00000000", ".wh..wh.m.a", "core"):
            (path / name).write_text(CANARY)
            (path / name).chmod(0o640)
        self.before = self.shape()

    def shape(self) -> list[tuple[object, ...]]:
        rows: list[tuple[object, ...]] = []
        for found in sorted([self.path, *self.path.rglob("*")]):
            status = found.lstat()
            content = found.read_bytes() if found.is_file() else b""
            rows.append((found, status.st_mode, status.st_mtime_ns, status.st_ctime_ns, os.listxattr(found), content))
        return rows


@pytest.fixture
def outside(tmp_path: Path) -> Outside:
    return Outside(tmp_path / "outside")


def _tree(path: Path) -> bytes:
    found = b""
    for each in path.rglob("*") if path.is_dir() and not path.is_symlink() else [path]:
        if each.is_file() and not each.is_symlink():
            found += each.read_bytes()
    return found


def _cp_out(small: Rootlay, base: Path, name: str) -> bytes:
    target = base / f"out-{os.urandom(4).hex()}"
    small("cp", f"c:/{name}", str(target), code=None)
    return _tree(target)


def _cp_in(small: Rootlay, base: Path) -> bytes:
    given = base / "given"
    (given / "sub").mkdir(parents=True, exist_ok=True)
    for name in ("a", "b", "core", "sub/a"):
        (given / name).write_text("given")
    for i in range(4):
        small("cp", f"{given}/.", f"c:/d{i}", code=None)
        small("cp", f"{given}/a", f"c:/d{i}/a", code=None)
    return b""


def _python(small: Rootlay) -> bytes:
    """All that the file system objects can do, to whatever is there."""
    found = b""
    with contextlib.closing(Store.open(small.root).container("c")) as c:
        overlay = c.overlay

        def read(path: str) -> bytes:
            with overlay.open_content(path) as stream:
                return stream.read()

        steps: list[Callable[[str], object]] = [
            lambda d: read(f"{d}/a"),
            lambda d: overlay.listdir(d),
            lambda d: os.close(overlay.open(f"{d}/new", os.O_CREAT | os.O_WRONLY)),
            lambda d: overlay.chmod(f"{d}/a", 0o777),
            lambda d: overlay.chown(f"{d}/a", 7, 7),
            lambda d: overlay.utimens(f"{d}/a", (5, 5)),
            lambda d: overlay.truncate(f"{d}/b", 0),
            lambda d: overlay.setxattr(f"{d}/sub", b"user.x", b"y"),
            lambda d: overlay.rename(f"{d}/a", f"{d}/core"),
            lambda d: overlay.rename(f"{d}/sub", f"{d}/sub2"),
            lambda d: overlay.mkdir(f"{d}/sub/made"),
            lambda d: overlay.unlink(f"{d}/b"),
            lambda d: c.fs.removetree(f"{d}/sub"),
            lambda d: c.fs.writetext(f"{d}/core", "x"),
            lambda d: b"".join(c.fs.readbytes(path) for path in c.fs.walk.files(d)),
            lambda d: c.fs.copydir(d, f"/copy{os.urandom(3).hex()}", create=True),
            lambda _: b"".join(str(change).encode() for change in c.diff()),
        ]
        for step in steps:
            for i in range(4):
                with contextlib.suppress(Exception):  # what is there changes all the time
                    answer = step(f"/d{i}")
                    found += answer if isinstance(answer, bytes) else b""
    return found


def _apply(small: Rootlay, base: Path) -> bytes:
    target = base / f"applied-{os.urandom(4).hex()}"
    target.mkdir()
    with contextlib.closing(Store.open(small.root).container("c")) as c, contextlib.suppress(OSError, RootlayError):
        c.diff().apply(target)
    return _tree(target)


def _run_there(small: Rootlay) -> bytes:
    """Make the working directory."""
    with contextlib.closing(Store.open(small.root).container("c")) as c, contextlib.suppress(RootlayError):
        return c.run(["cat", "/d1/a"], cwd="/d0/sub/made", capture_output=True).stdout
    return b""  # it was swapped meanwhile


def _fsspec(small: Rootlay) -> bytes:
    fsspec = pytest.importorskip("fsspec")
    found = b""
    fs = fsspec.filesystem("rootlay+container", container="c", store=str(small.root), skip_instance_cache=True)
    steps: list[Callable[[str], object]] = [
        lambda d: fs.cat_file(f"{d}/a"),
        lambda d: b"".join(fs.cat(fs.find(d)).values()),
        lambda d: fs.pipe_file(f"{d}/a", b"x"),
        lambda d: fs.pipe_file(f"{d}/sub/new", b"x"),
        lambda d: fs.mv(f"{d}/a", f"{d}/b"),
        lambda d: fs.rm(f"{d}/sub", recursive=True),
    ]
    for step in steps:
        for i in range(4):
            with contextlib.suppress(Exception):  # what is there changes all the time
                answer = step(f"/d{i}")
                found += answer if isinstance(answer, bytes) else b""
    return found


def _build(small: Rootlay, base: Path) -> bytes:
    """The upper as a build context, which COPY and mounts read while it changes. (COPY --from reads layers.)"""
    copies = (
        "COPY . /all/",
        "COPY d*/ /dirs/",
        "COPY d0/ /d0",
        "COPY d1/a /a",
        "COPY --parents d2/./sub /s/",
        "ADD d3 /d",
    )
    mounts = (
        "RUN --mount=type=bind,source=d0,target=/m cat /m/a /m/sub/a",
        "RUN --mount=type=bind,rw,target=/m cat /m/*/a",
    )
    found = b""
    for index, step in enumerate((*copies, *mounts)):
        path = base / f"Dockerfile.{index}"
        path.write_text(f"FROM small\nARG AT={os.urandom(4).hex()}\n{step}\n")
        done = small("build", "-t", "made", "--progress", "plain", "-f", str(path), str(upper_of(small)), code=None)
        found += done.stdout + done.stderr
        if done.returncode == 0:
            found += small("save", "made", "--compression", "none", code=None).stdout
    return found


VERBS: dict[str, Callable[[Rootlay, Path], bytes]] = {
    "diff": lambda r, _: r("diff", "c", code=None).stdout,
    "export": lambda r, _: r("export", "c", code=None).stdout,
    "commit": lambda r, _: r("commit", "c", "made", code=None).stdout + r("save", "made", code=None).stdout,
    "cp out": lambda r, base: b"".join(_cp_out(r, base, f"d{i}") + _cp_out(r, base, f"d{i}/a") for i in range(4)),
    "cp in": _cp_in,
    "fsck": lambda r, _: r("fsck", "--repair", code=None).stdout,
    "python": lambda r, _: _python(r),
    "fsspec": lambda r, _: _fsspec(r),
    "apply": _apply,
    "prune": lambda r, _: r("prune", "-f", code=None).stdout,
    "snapshot": lambda r, _: b"".join(
        r(*words, code=None).stdout
        for words in (
            ("snapshot", "create", "c", "s"),
            ("fork", "c", "f"),
            ("diff", "f"),
            ("export", "f"),
            ("snapshot", "create", "c", "t"),
            ("diff", "c"),
            ("rollback", "c", "s"),
            ("rm", "f"),
            ("snapshot", "rm", "c", "s"),
            ("snapshot", "rm", "c", "t"),
        )
    ),
    "build": _build,
    "run": lambda r, _: _run_there(r),
    "exec": lambda r, _: r("exec", "-w", "/d0/sub/made", "c", "cat", "/d1/a", code=None).stdout,
    "rm": lambda r, _: r("rm", "c", code=None).stdout,
}


@pytest.mark.skipif(ABI < 2, reason="Landlock is needed: without it the program itself reaches what is outside")
@pytest.mark.parametrize("known", [True, False], ids=["known", "unknown"])
@pytest.mark.parametrize("verb", VERBS)
def test_a_leaver_that_swaps_directories_leads_nowhere(
    small: Rootlay, leaver: Path, token: str, outside: Outside, tmp_path: Path, verb: str, known: bool
) -> None:
    """`unknown`: as if nobody knew that there is such a program."""
    upper = let_go(small, leaver, token, "rest")
    small("exec", "c", "/b/leaver", token, "swap", str(upper), str(outside.path))
    wait_for(lambda: len(living(token)) == 2, "the program has not left")
    wait_for(lambda: (upper / "l0").is_symlink() or (upper / "d0").is_symlink(), "nothing is swapped")
    if not known:
        for path in upper.parent.glob("launch-*"):
            path.unlink()
    for _ in range(ROUNDS):
        answer = VERBS[verb](small, tmp_path)
        assert CANARY.encode() not in answer
        assert outside.shape() == outside.before
    assert living(token)
