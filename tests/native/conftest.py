"""The resolver core under test: built once, loaded with ctypes, given a launch file made from docs/format.md."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.native.guest import debian, debian_root, engine, guest, programs

__all__ = ["core_library", "debian", "debian_root", "engine", "guest", "programs", "same_process"]

from tests.support.boxes.box import Box
from tests.support.boxes.corelib import Core
from tests.support.boxes.forms import records  # noqa: F401 (a fixture)
from tests.support.madeonce import made_once

CORE = Path(__file__).resolve().parents[2] / "vfs" / "csrc" / "core"


def core_flags(machine: str) -> list[str]:
    """The compiler's flags for the core on `machine`, as os.uname() names it."""
    flags = ["-std=gnu11", "-O2", "-g", "-Wall", "-Wextra", "-Werror", "-ffreestanding", "-fno-stack-protector"]
    if machine == "x86_64":
        return [*flags, "-fPIC", "-mgeneral-regs-only", "-fcf-protection=none"]
    return [*flags, "-fPIC", "-mno-outline-atomics"]


FLAGS = core_flags(os.uname().machine)


@pytest.fixture(scope="session")
def core_library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The core as a shared library: ROOTLAY_CORE_LIB, or built here from the sources."""
    given = os.environ.get("ROOTLAY_CORE_LIB")
    if given:
        return Path(given)
    compiler = shutil.which("cc")
    if not compiler:
        pytest.skip("needs a C compiler (cc)")

    def make(place: Path) -> None:
        sources = [str(p) for p in sorted(CORE.glob("*/*.c"))] + [str(CORE.parent / "testlib" / "direct.c")]
        link = ["-shared", "-nostdlib", "-Wl,-Bsymbolic", "-Wl,--no-undefined"]
        subprocess.run([compiler, *FLAGS, *link, *sources, "-o", str(place / "_core.so")], check=True)

    return made_once(tmp_path_factory, "core", make) / "_core.so"


@pytest.fixture
def same_process() -> Iterator[None]:
    """Put back what the core changes in the process that it is loaded into."""
    umask = os.umask(0)
    cwd = os.getcwd()
    yield
    os.chdir(cwd)
    os.umask(umask)


@pytest.fixture
def make(core_library: Path, tmp_path: Path, same_process: None) -> Iterator[Callable[..., Box]]:
    """Builds the container of a test, with the arguments of Box."""
    boxes: list[Box] = []

    def build(*args: object, **k: object) -> Box:
        boxes.append(Box(Core(core_library), tmp_path, *args, **k))  # type: ignore[arg-type]
        return boxes[-1]

    yield build
    for b in boxes:
        b.close()
