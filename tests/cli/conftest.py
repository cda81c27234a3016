"""Fixtures for tests of the command line: a store of its own for each test, a small real image for all."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest


@dataclass(frozen=True)
class Rootlay:
    """The installed command, with a store of its own."""

    root: Path

    def __call__(
        self,
        *words: str,
        input: bytes | None = None,  # noqa: A002 -- subprocess.run's own name
        code: int | None = 0,
        timeout_s: float = 120,
        **options: Any,
    ) -> subprocess.CompletedProcess[bytes]:
        environ = {**os.environ, "ROOTLAY_ROOT": str(self.root), "COLUMNS": "200"}
        done: subprocess.CompletedProcess[bytes] = subprocess.run(
            [sys.executable, "-m", "rootlay.cli.main", *words],
            input=input,
            capture_output=True,
            env=environ,
            timeout=timeout_s,
            check=False,
            **options,
        )
        if code is not None:
            assert done.returncode == code, (words, done.returncode, done.stdout[-2000:], done.stderr[-4000:])
        return done

    def out(self, *words: str, **options: object) -> str:
        return self(*words, **options).stdout.decode()  # type: ignore[arg-type]

    def fails(self, *words: str, code: int, **options: object) -> str:
        """Run what must fail: one line on standard error, no traceback. Returns the line."""
        done = self(*words, code=code, **options)  # type: ignore[arg-type]
        lines = done.stderr.decode().splitlines()
        assert len(lines) == 1, lines
        assert lines[0].startswith("rootlay: ")
        return lines[0]


@pytest.fixture(scope="session")
def small_tar(small_tree: Path) -> Path:
    target = small_tree.parent / "small.tar"
    with tarfile.open(target, "w") as tar:

        def root_owned(entry: tarfile.TarInfo) -> tarfile.TarInfo:
            entry.uid = entry.gid = 0
            entry.uname = entry.gname = "root"
            return entry

        tar.add(small_tree, ".", filter=root_owned)
    return target


@pytest.fixture(scope="session")
def small_store(tmp_path_factory: pytest.TempPathFactory, small_tar: Path) -> Path:
    root = tmp_path_factory.mktemp("stores") / "small"
    Rootlay(root)("import", str(small_tar), "small")
    return root


@pytest.fixture
def rootlay(tmp_path: Path) -> Rootlay:
    """A command with an empty store."""
    return Rootlay(tmp_path / "store")


@pytest.fixture
def small(tmp_path: Path, small_store: Path) -> Iterator[Rootlay]:
    """A command with a store that has the image `small`."""
    root = tmp_path / "store"
    shutil.copytree(small_store, root, symlinks=True)
    yield Rootlay(root)
    if left := [os.path.realpath(path) for path in (root / "containers").glob("?" * 64)]:
        code = "import sys; from rootlay.vfs.run.killing import kill_guests; [*map(kill_guests, sys.argv[1:])]"
        subprocess.run([sys.executable, "-c", code, *left], check=False)


@pytest.fixture(scope="session")
def debian_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with the real image `debian`."""
    source = os.environ.get("ROOTLAY_TEST_DEBIAN")
    if not source:
        pytest.skip("ROOTLAY_TEST_DEBIAN does not name a Debian root file system")
    root = tmp_path_factory.mktemp("stores") / "debian"
    Rootlay(root)("import", source, "debian")
    return root


@pytest.fixture
def debian(debian_store: Path) -> Rootlay:
    return Rootlay(debian_store)
