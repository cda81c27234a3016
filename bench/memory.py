"""How much memory does each command take at its peak, by the number of files, and with one file of 10 GB?

    python -m bench.memory [--files 250000,1000000] [--per-directory 1000] [--changes 200000] [--gigabytes 10]
                           [--dense-gigabytes 10]

The baseline is the smaller number of files: what does not grow takes as much with the larger one. A peak is that of
the largest process of a command, its children included (ru_maxrss), which counts pages of mapped files, though they are
page cache. Each command runs once, on stores below --scratch: some 15 GB for a million files, four times the size of a
dense file. Of the sparse file 8 KiB in 4 MiB are there, of the dense one all, of which 8 KiB in 1 MiB do not compress;
`stored.tar.gz` is of blocks that do not compress at all.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zlib
from collections.abc import Iterator
from pathlib import Path

from bench.harness import Figures, make_parser, run
from tests.support.archives.lazy import copy
from tests.support.registry.real import running

_ROOTLAY = (sys.executable, "-m", "rootlay.cli.main")
# In between, because a process that is started from a large one counts that one's memory as its own.
_MEASURE = """if 1:
    import resource, subprocess, sys
    done = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL)
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    print(used.ru_maxrss / 1024, used.ru_utime + used.ru_stime)
    sys.exit(done.returncode)
"""
_CHUNKED = ("--dest-compress-format", "zstd:chunked")
_BLOCK_BYTES = 1 << 20
_RANDOM_BYTES = 8 << 10
Steps = Iterator[tuple[str, tuple[object, ...]]]


class Stores:
    """Stores below a directory, and the peaks of commands on them."""

    def __init__(self, directory: Path, column: str, figures: Figures) -> None:
        self.directory, self._column, self._figures = directory, column, figures

    def __call__(self, store: str, *words: object) -> None:
        """Run a command on a store. A failure is told, and the rest goes on."""
        environ = {**os.environ, "ROOTLAY_ROOT": str(self.directory / store)}
        command = [sys.executable, "-c", _MEASURE, *_ROOTLAY, *map(str, words)]
        done = subprocess.run(command, env=environ, capture_output=True, text=True, check=False)
        row = " ".join(str(word).removeprefix(f"{self.directory}/") for word in words)
        if done.returncode:
            print(f"{self._column}: {row}: {done.stderr.strip()[-300:]}", file=sys.stderr, flush=True)
            return
        peak, used = map(float, done.stdout.split())
        print(f"{self._column}: {row}: {peak:.0f} MB, {used:.1f} s", file=sys.stderr, flush=True)
        self._figures.add(row, self._column, peak, unit="MB")


def add_files(archive: tarfile.TarFile, files: int, each: int) -> None:
    for number in range(files):
        entry = tarfile.TarInfo(f"many/{number // each // 100}/{number // each}/file-{number}")
        content = b"%d" % number
        entry.size, entry.mtime = len(content), 1_700_000_000 + number
        archive.addfile(entry, _Bytes(content))
        archive.getmembers().clear()  # it keeps all that it has written


class _Bytes:
    """A stream that is read once: a third of the time of BytesIO."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def read(self, size: int = -1, /) -> bytes:
        return self._data


def many_files(at: Stores, files: int, each: int, changes: int) -> None:
    path = at.directory
    with tarfile.open(path / "image.tar", "w", format=tarfile.GNU_FORMAT) as archive:
        add_files(archive, files, each)
    at("one", "import", path / "image.tar", "app")
    at("one", "create", "--name", "c", "app", "true")
    at("one", "save", "app", "-o", path / "docker.tar")
    at("one", "save", "--format", "oci-archive", "--compression", "gzip", "app", "-o", path / "gzip.tar")
    at("two", "load", "-i", path / "docker.tar")
    at("three", "load", "-i", path / "gzip.tar")
    with running(path / "registry") as registry:
        place = f"{registry.host}/app"
        copy(path, f"docker-archive:{path}/docker.tar", f"docker://{place}:lazy", *_CHUNKED)
        at("three", "push", "app", f"{place}:1")
        at("two", "push", "--compression", "zstd", "app", f"{place}:2")
        shutil.rmtree(path / "two")
        at("four", "pull", f"{place}:1")
        shutil.rmtree(path / "four")
        at("five", "pull", "--lazy", f"{place}:lazy")
        at("five", "create", "--name", "c", f"{place}:lazy", "true")
        at("five", "cp", "c:/", path / "lazy-out")
        shutil.rmtree(path / "lazy-out")
        at("five", "pull", f"{place}:lazy")
    shutil.rmtree(path / "five")
    at("three", "optimize", "app")
    shutil.rmtree(path / "three")
    at("one", "bundle", "app", "-o", path / "app.rlay")
    at("six", "load", "-i", path / "app.rlay")
    shutil.rmtree(path / "six")
    at("one", "export", "c", "-o", path / "export.tar")
    at("one", "fsck")
    at("one", "fsck", "--deep")
    at("one", "cp", "c:/", path / "out")
    at("one", "fsck", "--deep")
    (path / "out" / "Dockerfile").write_text("FROM app\nCOPY many /copied\n")
    at("one", "build", "-t", "built", path / "out")
    program = path / "changes"
    subprocess.run(["cc", "-O2", "-static", "-o", program, Path(__file__).with_name("changes.c")], check=True)
    at("one", "run", "--name", "in", "-v", f"{program}:/changes", "app", "/changes", 1, 1)  # so that prune removes it
    at("one", "cp", path / "out" / "many", "in:/copied")
    shutil.rmtree(path / "out")
    for name, together in (("deep", 1000), ("flat", changes)):
        at("one", "run", "--name", name, "-v", f"{program}:/changes", "app", "/changes", changes, together)
        at("one", "diff", name)
        at("one", "diff", "--json", name)
        at("one", "commit", name, f"app:{name}")
        at("one", "export", name, "-o", "/dev/null")
        at("one", "fsck")
        at("one", "rm", name)
    at("one", "rm", "c")
    at("one", "rmi", "app:deep")
    at("one", "prune", "-f")


def blocks(gigabytes: int, random_bytes: int) -> Iterator[bytes]:
    block = os.urandom(random_bytes) + bytes(_BLOCK_BYTES - random_bytes)
    for number in range(gigabytes << 10):
        yield number.to_bytes(8, "big") + block[8:]


def make_sparse(path: Path, gigabytes: int) -> None:
    large = path.with_name("large")
    with open(large, "wb") as out:
        for at in range(0, gigabytes << 30, 4 * _BLOCK_BYTES):
            out.seek(at)
            out.write(os.urandom(_RANDOM_BYTES))
        out.truncate(gigabytes << 30)
    subprocess.run(["tar", "-C", path.parent, "-S", "-cf", path, "large"], check=True)
    large.unlink()


def make_dense(path: Path, gigabytes: int, *, packed: bool = False) -> None:
    """A tar of a large file; `packed`: in gzip blocks that store what cannot be compressed."""
    entry = tarfile.TarInfo("large")
    entry.size = gigabytes << 30
    packer = zlib.compressobj(0, zlib.DEFLATED, 31)
    with open(path, "wb") as out:
        out.write(packer.compress(entry.tobuf()) if packed else entry.tobuf())
        for block in blocks(gigabytes, _BLOCK_BYTES if packed else _RANDOM_BYTES):
            out.write(packer.compress(block) if packed else block)
        out.write(packer.compress(bytes(10240)) + packer.flush() if packed else bytes(10240))


def large_file(at: Stores, *, lazily: bool) -> None:
    """Measure all commands on the image in `image.tar`, which has the file `large`.

    Args:
        lazily: also with zstd:chunked, which skopeo does not make of sparse files.
    """
    path = at.directory
    at("one", "import", path / "image.tar", "app")
    (path / "image.tar").unlink()
    at("one", "create", "--name", "c", "app", "true")
    at("one", "save", "app", "-o", path / "docker.tar")
    at("two", "load", "-i", path / "docker.tar")
    at("one", "save", "--format", "oci-archive", "--compression", "gzip", "app", "-o", path / "gzip.tar")
    at("three", "load", "-i", path / "gzip.tar")
    with running(path / "registry") as registry:
        place = f"{registry.host}/app"
        at("three", "push", "app", f"{place}:1")
        at("four", "pull", f"{place}:1")
        shutil.rmtree(path / "four")
        if lazily:
            copy(path, f"docker-archive:{path}/docker.tar", f"docker://{place}:lazy", *_CHUNKED)
            at("five", "pull", "--lazy", f"{place}:lazy")
            at("five", "create", "--name", "c", f"{place}:lazy", "true")
            at("five", "cp", "c:/large", path / "lazy-out")
            (path / "lazy-out").unlink(missing_ok=True)
            shutil.rmtree(path / "five")
    (path / "docker.tar").unlink()
    shutil.rmtree(path / "registry")
    at("three", "optimize", "app")
    for name in ("two", "three"):
        shutil.rmtree(path / name)
    at("one", "bundle", "app", "-o", path / "app.rlay")
    at("one", "export", "c", "-o", "/dev/null")
    at("one", "cp", "c:/large", path / "out")
    at("one", "cp", path / "out", "c:/large")
    (path / "out").unlink(missing_ok=True)
    at("one", "diff", "c")
    at("one", "commit", "c", "app:2")
    at("one", "fsck", "--deep")
    at("one", "rm", "c")
    at("one", "rmi", "app:2")
    at("one", "prune", "-f")
    shutil.rmtree(path / "one")


def stored_file(at: Stores, gigabytes: int) -> None:
    """Measure on a gzip layer whose windows do not compress."""
    path = at.directory
    make_dense(path / "stored.tar.gz", gigabytes, packed=True)
    at("seven", "import", path / "stored.tar.gz", "app")
    at("seven", "create", "--name", "c", "app", "true")
    at("seven", "cp", "c:/large", path / "out")
    at("seven", "fsck", "--deep")
    at("seven", "optimize", "app")


def measure(options: argparse.Namespace, figures: Figures) -> None:
    counts = [int(count) for count in options.files.split(",") if count]
    for files in counts:
        with tempfile.TemporaryDirectory(prefix="rootlay-bench-", dir=options.scratch) as name:
            many_files(Stores(Path(name), f"{files:,} files", figures), files, options.per_directory, options.changes)
    for kind, gigabytes in (("sparse", options.gigabytes), ("dense", options.dense_gigabytes)):
        if gigabytes:
            with tempfile.TemporaryDirectory(prefix="rootlay-bench-", dir=options.scratch) as name:
                make = make_sparse if kind == "sparse" else make_dense
                make(Path(name) / "image.tar", gigabytes)
                stores = Stores(Path(name), f"{gigabytes} GB, {kind}", figures)
                large_file(stores, lazily=kind == "dense")
                if kind == "dense":
                    stored_file(stores, gigabytes)
    figures.print_tables()


def main() -> None:
    parser = make_parser(__doc__, rounds=1)
    parser.add_argument("--files", default="250000,1000000")
    parser.add_argument("--per-directory", type=int, default=1000)
    parser.add_argument("--changes", type=int, default=200_000)
    parser.add_argument("--gigabytes", type=int, default=10, help="of the sparse file; 0: none")
    parser.add_argument("--dense-gigabytes", type=int, default=10, help="of the dense one; 0: none")
    parser.add_argument("--scratch", type=Path, default=None)
    run(parser, measure)


if __name__ == "__main__":
    main()
