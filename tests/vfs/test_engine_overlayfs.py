"""A program's random history of file operations: in the engine, as an ordinary user, and on the kernel's overlayfs.

`history.c` is run on both sides with the same seed; what each call answers and the digests of the tree must be the same
to the last byte. Both begin with two layers, the second with whiteouts and an opaque directory; after each part of a
history the engine's container is committed and goes on as a container of the new image, and the kernel's upper becomes
the next lower.

Needs root, to mount; the engine runs as an ordinary user all the same. ROOTLAY_TEST_OPERATIONS (2000) says how many
operations, or ROOTLAY_TEST_MINUTES how long, and ROOTLAY_TEST_SEED (1) where to begin:

    ROOTLAY_TEST_OPERATIONS=100000 tests/run -s tests/vfs/test_engine_overlayfs.py

When a part differs, it is run again with a digest after each operation, and the message shows the first that differs.
"""

from __future__ import annotations

import ctypes
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Iterator, Sequence
from io import BytesIO
from itertools import zip_longest
from pathlib import Path

import pytest

from tests.vfs.test_kernel_overlayfs import missing, unmount

pytestmark = pytest.mark.oracles

MINUTES = float(os.environ.get("ROOTLAY_TEST_MINUTES", "0"))
OPERATIONS = 1 << 40 if MINUTES else int(os.environ.get("ROOTLAY_TEST_OPERATIONS", "2000"))
SEED = int(os.environ.get("ROOTLAY_TEST_SEED", "1"))
PART = 200  # operations between two commits
PARTS = 5  # of a history: then another begins on the first image
EVERY = 4
NOBODY = 65534
SMALL_DELTAS = """
import sys
from rootlay.cli.main import main
from rootlay.store.view import deltabuild
deltabuild.MIN_ENTRIES = deltabuild.SHARE = 1
sys.exit(main(sys.argv[1:]))
"""
#: Histories that once differed: seed, and the number of parts that show it.
ONCE_FAILED = ((1, 3), (4, 5), (7, 5), (9, 3), (17, 5))

BASE: list[tuple[str, int, bytes | str | None]] = [
    ("w", 0o755, None), ("w/a", 0o755, None), ("w/a/a", 0o644, b"lower a/a"), ("w/a/b", 0o4755, b"lower a/b"),
    ("w/a/c", 0o700, None), ("w/a/c/a", 0o644, b"deep"), ("w/a/c/b", 0o600, b"y" * 5000), ("w/a/d", 0o755, None),
    ("w/a/d/a", 0o644, b"below opaque"), ("w/b", 0o755, None), ("w/b/a", 0o755, None), ("w/b/a/d", 0o644, b"hidden"),
    ("w/b/b", 0o644, b"replaced"), ("w/b/c", 0o777, "../a/a"), ("w/c", 0o777, "a"), ("w/d", 0o644, b"gone"),
]  # fmt: skip
#: Of the second layer; a name with `!` is a whiteout, a directory with `*` opaque.
SECOND: list[tuple[str, int, bytes | str | None]] = [
    ("w", 0o755, None), ("w/a", 0o755, None), ("w/a/d*", 0o755, None), ("w/a/d/b", 0o644, b"in opaque"),
    ("w/b", 0o755, None), ("w/b/a!", 0, None), ("w/b/b", 0o755, None), ("w/b/b/a", 0o644, b"directory over file"),
    ("w/d!", 0, None), ("w/a/c", 0o750, None), ("w/a/c/c", 0o644, b"second"),
]  # fmt: skip


def write_layer(target: Path, entries: list[tuple[str, int, bytes | str | None]], program: Path | None) -> None:
    """A layer as images have it."""
    with tarfile.open(target, "w") as tar:
        if program is not None:
            entries = [("history", 0o755, program.read_bytes()), *entries]
        for name, mode, content in entries:
            info = tarfile.TarInfo(name.rstrip("!*"))
            info.mode, info.mtime = mode, 1000
            data = b""
            if name.endswith("!"):
                info.name = str(Path(info.name).with_name(".wh." + Path(info.name).name))
            elif content is None:
                info.type = tarfile.DIRTYPE
            elif isinstance(content, str):
                info.type, info.linkname = tarfile.SYMTYPE, content
            else:
                info.size, data = len(content), content
            tar.addfile(info, BytesIO(data))
            if name.endswith("*"):
                tar.addfile(tarfile.TarInfo(f"{info.name}/.wh..wh..opq"))


def write_image(base: Path, program: Path) -> None:
    """Both layers as `docker save` writes an image."""
    write_layer(base / "1.tar", BASE, program)
    write_layer(base / "2.tar", SECOND, None)
    diff_ids = ["sha256:" + hashlib.sha256((base / name).read_bytes()).hexdigest() for name in ("1.tar", "2.tar")]
    config = {"os": "linux", "architecture": "amd64", "rootfs": {"type": "layers", "diff_ids": diff_ids}, "config": {}}
    (base / "config.json").write_text(json.dumps(config))
    manifest = [{"Config": "config.json", "RepoTags": ["first:latest"], "Layers": ["1.tar", "2.tar"]}]
    (base / "manifest.json").write_text(json.dumps(manifest))
    with tarfile.open(base / "image.tar", "w") as tar:
        for name in ("manifest.json", "config.json", "1.tar", "2.tar"):
            tar.add(base / name, name)


def write_lower(target: Path, entries: list[tuple[str, int, bytes | str | None]], program: Path | None) -> None:
    """The same as overlayfs has it."""
    target.mkdir()
    target.chmod(0o755)
    if program is not None:
        shutil.copy(program, target / "history")
    for name, mode, content in entries:
        path = target / name.rstrip("!*")
        if name.endswith("!"):
            os.mknod(path, 0o020000, 0)
            continue
        if content is None:
            path.mkdir()
        elif isinstance(content, str):
            path.symlink_to(content)
        else:
            path.write_bytes(content)
        if not isinstance(content, str):
            path.chmod(mode)
        if name.endswith("*"):
            os.setxattr(path, b"trusted.overlay.opaque", b"y")
    for name, _, _ in reversed(entries):
        if not name.endswith("!"):
            os.utime(target / name.rstrip("!*"), (1000, 1000), follow_symlinks=False)


class Kernel:
    """Overlay mounts, one above the other."""

    def __init__(self, base: Path, program: Path) -> None:
        self._base, self._first = base, [base / "second", base / "first"]
        write_lower(base / "first", BASE, program)
        write_lower(base / "second", SECOND, None)
        self._count = 0
        self.begin()

    def begin(self, *, heavy: bool = False) -> None:
        self.top, self.heavy = list(self._first), heavy

    def run(self, seed: int, first: int, last: int, every: int, *, keep: bool) -> str:
        """Do a part of a history; `keep`: what comes next begins with what this leaves."""
        self._count += 1
        place = self._base / f"kernel{self._count}"
        for name in ("upper", "work", "merged"):
            (place / name).mkdir(parents=True)
        (place / "upper").chmod(0o755)
        lowers = ":".join(map(str, self.top))
        options = f"lowerdir={lowers},upperdir={place}/upper,workdir={place}/work,redirect_dir=on"
        libc, merged = ctypes.CDLL(None, use_errno=True), str(place / "merged")
        if libc.mount(b"overlay", merged.encode(), b"overlay", 0, options.encode()) != 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
        try:
            done = subprocess.run(
                ["/history", "/w", *map(str, (seed, first, last, every, int(self.heavy)))],
                preexec_fn=lambda: os.chroot(merged),
                capture_output=True,
                check=True,
            )
        finally:
            unmount(place / "merged")
        if keep:
            self.top = [place / "upper", *self.top]
        return done.stdout.decode("latin-1")


class Engine:
    """Containers of an ordinary user, each of the image that was committed before."""

    def __init__(self, base: Path, program: Path) -> None:
        self._home = base / "home"
        self._home.mkdir()
        os.chown(self._home, NOBODY, NOBODY)
        write_image(base, program)
        self._count = 0
        self._rootlay("load", "-i", str(base / "image.tar"))
        self.begin()

    def begin(self, *, heavy: bool = False) -> None:
        """`heavy`: many removals and moves. The views of what is committed then are deltas."""
        self.top, self.heavy = "first:latest", heavy

    def _as_user(self, command: list[str]) -> str:
        done = subprocess.run(
            command, user=NOBODY, group=NOBODY, extra_groups=[], capture_output=True, check=False, cwd="/",
            env={**os.environ, "HOME": str(self._home)},
        )  # fmt: skip
        assert done.returncode == 0, (command, done.returncode, done.stdout[-500:], done.stderr[-2000:])
        return done.stdout.decode("latin-1")

    def _rootlay(self, *arguments: str) -> str:
        main = ["-c", SMALL_DELTAS] if getattr(self, "heavy", False) else ["-m", "rootlay.cli.main"]
        return self._as_user([sys.executable, *main, "--root", str(self._home / "store"), *arguments])

    def run(self, seed: int, first: int, last: int, every: int, *, keep: bool) -> str:
        """As above."""
        self._count += 1
        name = f"c{self._count}"
        try:
            return self._rootlay(
                *("run", "--name", name, self.top, "/history", "/w"),
                *map(str, (seed, first, last, every, int(self.heavy))),
            )
        finally:
            if keep:
                self.top = f"image{self._count}"
                self._rootlay("commit", name, self.top)
            self._rootlay("rm", name)


@pytest.fixture(scope="module")
def sides(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Kernel, Engine]]:
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("needs a C compiler (cc)")
    base = Path(tempfile.mkdtemp(prefix="rootlay-test-"))
    base.chmod(0o755)
    command = [compiler, "-O1", "-static", "-o", str(base / "history"), str(Path(__file__).with_name("history.c"))]
    subprocess.run(command, check=True)
    yield Kernel(base, base / "history"), Engine(base, base / "history")
    shutil.rmtree(base)


def compare(sides: tuple[Kernel, Engine], seed: int, parts: int, *, heavy: bool = False) -> int:
    """One history. The number of operations: less than all where a commit has parted the names of a file."""
    for side in sides:
        side.begin(heavy=heavy)
    for part in range(parts):
        first, last = part * PART, (part + 1) * PART
        before = [side.top for side in sides]
        theirs, ours = (side.run(seed, first, last, EVERY, keep=part + 1 < parts) for side in sides)
        if theirs != ours:
            both: Sequence[Kernel | Engine] = sides
            for side, top in zip(both, before, strict=True):
                side.top = top
            if part and parted_by_the_commit(sides, seed, first):
                return first
            what = f"seed {seed}, part {part}, {'heavy' if heavy else 'plain'}"
            pytest.fail(f"{what}:\n{closer(sides, seed, first, theirs, ours)}")
    return parts * PART


def parted_by_the_commit(sides: tuple[Kernel, Engine], seed: int, first: int) -> bool:
    """Whether the trees that a part begins with differ in nothing but which names are those of one file.

    A commit after a directory was moved writes what is in it into the new layer, and no layer can link to a lower one
    (docs/differences.md).
    """
    theirs, ours = (side.run(seed, first, first, 0, keep=False) for side in sides)
    without = [re.sub(r" #\d+ |tree \w+", " ", listing) for listing in (theirs, ours)]
    return theirs != ours and without[0] == without[1]


def closer(sides: tuple[Kernel, Engine], seed: int, first: int, theirs: str, ours: str) -> str:
    """The first call that is answered otherwise, or the first that leaves another tree, with what differs in it."""
    last = first + calls_before_a_difference(theirs, ours)
    theirs, ours = (side.run(seed, first, last, 1, keep=False) for side in sides)
    last = first + calls_before_a_difference(theirs, ours)
    calls = [line for line in theirs.splitlines() if line[0] != " "][: last - first]
    theirs, ours = (side.run(seed, first, last, 0, keep=False) for side in sides)
    differ = [pair for pair in pairs_of(theirs, ours) if pair[0] != pair[1]]
    told = "\n".join(f"kernel: {a}\nengine: {b}" for a, b in differ[:12])
    return "\n".join([*calls[-8:], told])


def calls_before_a_difference(theirs: str, ours: str) -> int:
    """How many calls were made when the first line was printed that differs."""
    calls = 0
    for a, b in pairs_of(theirs, ours):
        calls += a[0] != " "
        if a != b:
            break
    return calls


def pairs_of(theirs: str, ours: str) -> Iterator[tuple[str, str]]:
    return zip_longest(theirs.splitlines(), ours.splitlines(), fillvalue="-")


needs_kernel = pytest.mark.skipif((reason := missing()) is not None, reason=f"needs {reason}")


@needs_kernel
@pytest.mark.timeout(0 if OPERATIONS > 2000 else 300)
def test_a_program_cannot_tell_the_engine_from_overlayfs(sides: tuple[Kernel, Engine]) -> None:
    done, seed, parted, until = 0, SEED, 0, time.monotonic() + MINUTES * 60
    while done < OPERATIONS and not (MINUTES and time.monotonic() > until):
        count = compare(sides, seed, PARTS, heavy=seed % 2 == 0)
        done, seed, parted = done + count, seed + 1, parted + (count < PARTS * PART)
        print(f"{done} operations, {seed - SEED} histories, {parted} of them parted by a commit", flush=True)
        assert parted <= 2 + (seed - SEED) // 10


@needs_kernel
@pytest.mark.parametrize(("seed", "parts"), ONCE_FAILED)
def test_histories_that_once_differed(sides: tuple[Kernel, Engine], seed: int, parts: int) -> None:
    compare(sides, seed, parts)
