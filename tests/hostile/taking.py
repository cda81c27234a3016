"""Takes a hostile archive through everything: import, look, read, write, copy out, export, commit, programs.

A secret lies outside, in a directory whose path the archives know. Whatever happens, nobody has read it, and nothing of
that directory is another.
"""

from __future__ import annotations

import io
import os
import shutil
import stat
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

from rootlay.store.model.errors import RootlayError
from rootlay.store.model.limits import Limits
from rootlay.store.store import ImageStore
from rootlay.vfs import Container, Store
from rootlay.vfs.changes.diff import iter_tree
from rootlay.vfs.changes.transfer import copy_all_out, copy_in
from tests.hostile.archives import OK, Case

TOKEN = "canary-5f1e9c"
LIMITS = Limits(size_bytes=32 << 20, entries=100_000)
_READ_BYTES = 1 << 16
_PATHS_MAX = 60
#: Where a way out could be: there a program looks for it, too.
PROBED = ("`..` in a name", "absolute names", "through a link", "hard links", "duplicate names")
#: Trees of two thousand levels: each further operation costs the square of that.
ONLY_READ = ("names",)
_LETTERS = {
    stat.S_IFREG: "f", stat.S_IFDIR: "d", stat.S_IFLNK: "l", stat.S_IFCHR: "c", stat.S_IFBLK: "b", stat.S_IFIFO: "p",
}  # fmt: skip


class Escaped(AssertionError):
    """Something outside was read or changed."""


@dataclass(frozen=True)
class Prober:
    """The program that looks around inside; None: no static programs can be made here."""

    directory: Path

    @classmethod
    def build(cls, directory: Path) -> Prober | None:
        """Compile it."""
        compiler = shutil.which("musl-gcc") or shutil.which("cc")
        source = Path(__file__).with_name("prober.c")
        if compiler is None:
            return None
        command = [compiler, "-static", "-O1", "-w", str(source), "-o", str(directory / "prober")]
        done = subprocess.run(command, capture_output=True, check=False)
        return cls(directory) if done.returncode == 0 else None


class Outside:
    """The secret, and what it was."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir()
        self.directory = directory
        self.key = directory / "key"
        self.key.write_text(TOKEN)
        self.key.chmod(0o600)
        for path in (self.key, directory):
            os.utime(path, ns=(10**18, 10**18))
        self._before = self._look()

    def _look(self) -> list[tuple[str, int, int, bytes]]:
        paths = [self.directory, *sorted(self.directory.rglob("*"))]
        stats = [(path, path.lstat()) for path in paths]
        return [(str(p), s.st_mode, s.st_mtime_ns, p.read_bytes() if p.is_file() else b"") for p, s in stats]

    def check(self) -> None:
        """Raise Escaped if anything is another."""
        if self._look() != self._before:
            raise Escaped(f"{self.directory} was changed: {self._look()}")


def take(case: Case, scratch: Path, outside: Outside, prober: Prober | None) -> str:
    """What becomes of one archive in a new store: `ok` or the name of an error. Raises Escaped, AssertionError."""
    archive = scratch / "archive"
    archive.write_bytes(case.data)
    root = scratch / "store"
    store = ImageStore.open(root, limits=LIMITS)
    try:
        store.import_rootfs(archive, "hostile")
    except RootlayError as error:
        assert str(error).isprintable(), "a message that can move the cursor"  # noqa: PT017
        assert not store.images()
        for directory in ("layers", "blobs/sha256", "tmp"):
            assert not list((root / directory).iterdir()), f"{directory} of the store is not as before"
        return type(error).__name__
    finally:
        outside.check()
    with Store(root).image("hostile").container(confine="off") as container:
        _check_tree(case, container)
        _read(container)
        if case.group not in ONLY_READ:
            _run(container, outside, prober if case.group in PROBED else None)
            _write(container)
            _bring_out(container, scratch)
        outside.check()
    shutil.rmtree(scratch / "out", ignore_errors=True)
    return OK


def _check_tree(case: Case, container: Container) -> None:
    for path, kind in (case.tree or {}).items():
        found = container.overlay.stat("/" + path, follow=False)
        assert _LETTERS[stat.S_IFMT(found.mode)] == kind, (path, oct(found.mode))


def _read(container: Container) -> None:
    for path, entry, content in iter_tree(container.overlay):
        assert b".." not in path.split(b"/")
        if content is not None and TOKEN.encode() in content.read(_READ_BYTES):
            raise Escaped(f"{path!r} holds the secret")
        if len(entry.link) > 4095:
            raise AssertionError("a link that no file system holds")


def _run(container: Container, outside: Outside, prober: Prober | None) -> None:
    if prober is None:
        return
    copy_in(container.overlay, os.fsencode(prober.directory), b"/prober")
    done = container.run(["/prober/prober", TOKEN, str(outside.key)], capture_output=True, timeout=20)
    assert done.stdout.endswith(b"done\n"), (done.returncode, done.stdout[-500:], done.stderr[-500:])
    if b"SECRET" in done.stdout:
        raise Escaped(done.stdout.decode(errors="replace"))


def _write(container: Container) -> None:
    overlay = container.overlay
    paths = []
    for path, _, _ in iter_tree(overlay):
        paths.append(b"/" + path)
        if len(paths) > _PATHS_MAX:
            break
    for path in reversed(paths):
        attempts: tuple[Callable[[bytes], object], ...] = (
            lambda p: os.close(overlay.open(p, os.O_WRONLY | os.O_APPEND | os.O_NONBLOCK)),
            lambda p: overlay.chmod(p, 0o777), lambda p: overlay.mkdir(p + b"/made", 0o755),
            lambda p: overlay.rename(p, p + b".moved"), lambda p: overlay.symlink(b"x", p),
        )  # fmt: skip
        for attempt in attempts:
            try:
                attempt(path)
            except OSError:
                continue


def _bring_out(container: Container, scratch: Path) -> None:
    try:
        container.export(cast(BinaryIO, _Sink()))
        copy_all_out(container.overlay, os.fsencode(scratch / "out"), lambda text: None)
    except (OSError, RootlayError):  # a file of 8 EiB, a name too long for the place: said, and no harm done
        pass
    try:
        container.commit("hostile:2")
    except RootlayError as error:
        assert str(error).isprintable()  # noqa: PT017


class _Sink(io.RawIOBase):
    """Takes what is written and keeps nothing."""

    def writable(self) -> bool:
        """Yes."""
        return True

    def write(self, data: object) -> int:
        """All of it."""
        return len(data)  # type: ignore[arg-type]
