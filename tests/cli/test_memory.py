"""Peak memory of whole commands, children included: at most 150 MB, whatever the image is like; 80 MB with little.

With ROOTLAY_TEST_LONG there are 300,000 files instead of 20,000, and with -s the peaks are printed as rows of a table
(docs/benchmarks.md).
"""

from __future__ import annotations

import io
import os
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.conftest import Rootlay
from tests.support.archives.lazy import publish
from tests.support.registry.real import RealRegistry, running

pytestmark = [pytest.mark.slow, pytest.mark.long_form, pytest.mark.once]

LONG = bool(os.environ.get("ROOTLAY_TEST_LONG"))
PEAK_MB_MAX = 150 if LONG else 80  # with few entries what takes 2,000 bytes for each is noticed
ENTRIES = 300_000 if LONG else 20_000
CONTENT_BYTES = 60_000_000
# Between us and the command: what is measured starts from a small process. One that is started from a large one
# counts that one's memory as its own.
_MEASURE = """if 1:
    import resource, subprocess, sys
    done = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL)
    print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss >> 10)
    sys.exit(done.returncode)
"""


def peak_mb(rootlay: Rootlay, *words: object) -> int:
    """Run a command; the largest memory of it and of its children, in MB."""
    done = subprocess.run(
        [sys.executable, "-c", _MEASURE, sys.executable, "-m", "rootlay.cli.main", *map(str, words)],
        env={**os.environ, "ROOTLAY_ROOT": str(rootlay.root)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, (words, done.stderr)
    return int(done.stdout)


def many_entries(path: Path) -> None:
    """Files with something in them: each is a chunk of its own where the layer has a table of contents."""
    with tarfile.open(path, "w", format=tarfile.GNU_FORMAT) as tar:
        for number in range(ENTRIES):
            entry = tarfile.TarInfo(f"usr/share/directory-{number % 300}/file-with-a-long-name-{number}.txt")
            entry.mtime = 1_700_000_000 + number
            content = b"%d" % number
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))


def much_content(path: Path) -> None:
    """Files that do not compress, and small ones."""
    tree = path.with_suffix(".tree")
    tree.mkdir()
    for number in range(4):
        (tree / f"large{number}").write_bytes(os.urandom(CONTENT_BYTES // 4))
    for number in range(50):
        (tree / f"small{number}").write_text("x" * number)
    subprocess.run(["tar", "-C", tree, "-cf", path, "."], check=True)


def build_context(tar: Path, target: Path) -> Path:
    """What `COPY` copies: the files of the tar."""
    (target / "files").mkdir(parents=True)
    subprocess.run(["tar", "-C", target / "files", "-xf", tar], check=True)
    (target / "Dockerfile").write_text("FROM app\nCOPY files /copied\n")
    return target


KINDS = {"many entries": many_entries, "much content": much_content}


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealRegistry]:
    with running(tmp_path_factory.mktemp("registry") / "r") as found:
        yield found


@pytest.mark.timeout(3000 if LONG else 300)
@pytest.mark.parametrize("kind", KINDS)
def test_every_path(registry: RealRegistry, tmp_path: Path, kind: str) -> None:
    tar = tmp_path / "image.tar"
    KINDS[kind](tar)
    place = f"{registry.host}/{kind.replace(' ', '-')}"
    one, two, three, four, five, six = (Rootlay(tmp_path / name) for name in "123456")
    publish("zstd:chunked", [tar.read_bytes()], f"{place}:lazy", tmp_path / "scratch")
    steps: list[tuple[Rootlay, tuple[object, ...]]] = [
        (one, ("import", tar, "app")),
        (one, ("save", "app", "-o", tmp_path / "docker.tar")),
        (one, ("save", "--format", "oci-archive", "--compression", "gzip", "app", "-o", tmp_path / "gzip.tar")),
        (one, ("bundle", "app", "-o", tmp_path / "app.rlay")),
        (one, ("build", "-t", "built", build_context(tar, tmp_path / "context"))),
        (one, ("create", "--name", "c", "app", "true")),
        (one, ("commit", "c", "app:2")),
        (one, ("export", "c", "-o", tmp_path / "export.tar")),
        (two, ("load", "-i", tmp_path / "docker.tar")),
        (three, ("load", "-i", tmp_path / "gzip.tar")),
        (six, ("load", "-i", tmp_path / "docker.tar.gz")),
        (three, ("optimize", "app")),
        (three, ("bundle", "app", "-o", tmp_path / "again.rlay")),
        (three, ("push", "app", f"{place}:1")),
        (two, ("push", "--compression", "zstd", "app", f"{place}:2")),
        (four, ("pull", f"{place}:1")),
        (five, ("pull", "--lazy", f"{place}:lazy")),
        (five, ("create", "--name", "c", f"{place}:lazy", "true")),
        (five, ("cp", "c:/", tmp_path / "copied-out")),
        (five, ("rm", "c")),
        (five, ("pull", f"{place}:lazy")),
        (five, ("load", "-i", tmp_path / "app.rlay")),
        (one, ("fsck", "--deep")),
    ]
    found = {}
    for number, (rootlay, words) in enumerate(steps):
        if words[-1] == tmp_path / "docker.tar.gz":
            subprocess.run(["gzip", "-1", "-k", tmp_path / "docker.tar"], check=True)
        shown = " ".join(str(word).removeprefix(f"{tmp_path}/").replace(place, "HOST/app") for word in words)
        found[f"{number} {shown}"] = peak_mb(rootlay, *words)
        if LONG:
            print(f"| {number} {shown} | {found[f'{number} {shown}']} |", flush=True)
    assert {name: peak for name, peak in found.items() if peak > PEAK_MB_MAX} == {}, found
