"""Programs work in directories that others rename (moving.c). They must see and leave the same as in a plain directory:
in a directory of the image and in one of the upper, with and without patched call sites, and in an activation.

ROOTLAY_TEST_MOVING is the number of operations of each case; the default takes some seconds."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from rootlay.vfs import Store

OPERATIONS = os.environ.get("ROOTLAY_TEST_MOVING", "3000")
SOURCES = tuple(sorted(Path(__file__).parent.glob("moving*.c")))
WORDS = (OPERATIONS, "4", "2")
SEED = "1"
TIMEOUT_S = 120 + int(OPERATIONS) // 100

DIRECTORIES = 300
pytestmark = pytest.mark.timeout(3 * TIMEOUT_S)

#: The work through the hooks, which also work in the library and in the processes that it forks.
ACTIVATION = """
import ctypes, sys
from rootlay.vfs import Store
store, library, *words = sys.argv[1:]
with Store.open(store).image("moving").container() as container, container.activate(through=[library]):
    work = ctypes.CDLL(library).moving
    argv = [b"moving", *(word.encode() for word in words)]
    failed = work(len(argv), (ctypes.c_char_p * (len(argv) + 1))(*argv))
sys.exit(failed)
"""


def compiled(target: Path, *flags: str, sources: tuple[Path, ...] = SOURCES) -> Path:
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("needs a C compiler (cc)")
    subprocess.run([compiler, "-O1", "-Wall", *flags, "-o", str(target), *map(str, sources)], check=True)
    return target


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    base = tmp_path_factory.mktemp("moving")
    tree = base / "tree"
    for name in ("t", "image", "upper", "proc", "dev", "sys", "tmp"):
        (tree / name).mkdir(parents=True)
    program = compiled(tree / "t" / "moving", "-static")
    subprocess.run([str(program), "fill", str(tree / "image")], check=True)
    store = Store.open(base / "store")
    store.import_rootfs(tree, "moving")
    return store


def check(done: subprocess.CompletedProcess[str]) -> None:
    last = done.stdout.strip().splitlines()[-1:] or [""]
    found = re.fullmatch(r"\d+ operations, (\d+) renames, 0 differences", last[0])
    assert found, f"seed {SEED}: {done.returncode}\n{done.stdout[-500:]}\n{done.stderr[-3000:]}"
    assert int(found[1]) > 0


def test_a_plain_directory_has_no_differences(store: Store, tmp_path: Path) -> None:
    """The expectations of the program itself are right."""
    program = compiled(tmp_path / "moving")
    (tmp_path / "plain").mkdir()
    for words in (["fill", str(tmp_path / "plain")], ["work", str(tmp_path / "plain"), *WORDS, SEED, "sockets"]):
        done = subprocess.run([str(program), *words], capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
        assert done.returncode == 0, done.stderr
    check(done)


@pytest.mark.parametrize("flags", [[], ["--no-patch"]], ids=["patched", "trapped"])
@pytest.mark.parametrize("place", ["image", "upper"])
def test_in_programs(store: Store, place: str, flags: list[str]) -> None:
    rootlay = [sys.executable, "-m", "rootlay.cli.main", "--root", str(store.root)]
    words = ["/t/moving", "work", f"/{place}", *WORDS, SEED, "sockets"]
    command = [*rootlay, "run", "--rm", *flags, "moving", *words]
    check(subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False))


@pytest.mark.parametrize("flags", [[], ["--no-patch"]], ids=["patched", "trapped"])
def test_sockets_are_found_in_a_directory_that_moves(store: Store, tmp_path: Path, flags: list[str]) -> None:
    """One connect in 3,000 failed: the directory was not the kernel's working directory, and its path was old."""
    for number in range(DIRECTORIES):
        (tmp_path / f"tree/many/d{number}").mkdir(parents=True)
    (tmp_path / "tree/t").mkdir()
    compiled(tmp_path / "tree/t/connecting", "-static", sources=(Path(__file__).with_name("connecting.c"),))
    store.import_rootfs(tmp_path / "tree", "connecting")
    rootlay = [sys.executable, "-m", "rootlay.cli.main", "--root", str(store.root)]
    command = [*rootlay, "run", "--rm", *flags, "connecting", "/t/connecting", str(DIRECTORIES)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    assert (done.returncode, done.stdout) == (0, "0\n"), done.stderr


@pytest.mark.parametrize("place", ["image", "upper"])
def test_in_an_activation(store: Store, tmp_path: Path, place: str) -> None:
    library = compiled(tmp_path / "moving.so", "-shared", "-fPIC", "-DLIBRARY")
    given = [str(store.root), str(library), "work", f"/{place}", *WORDS, SEED]
    command = [sys.executable, "-c", ACTIVATION, *given]
    check(subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False))
