"""How long does `rootlay explore` take to open an image, to list it, and to count what it wastes?

    python -m bench.explore [--files 30000,1000000] [-n ROUNDS] [--json FILE] [--scratch DIR]

The image is made here: a base layer with 90 % of the files, a hundred in each directory, and a layer on top that
replaces one file in each of a tenth of the directories, removes as many, and adds the rest. `open`: the layers, without
a list. `first list`: the root directory with the sizes of all that is below. `whole tree`: each path with its status.
`waste`: the figures of dive. `page`: the HTML page. `screen`: from the start of the command's process until Textual has
drawn layers and files, without a terminal. The baseline of each is the same work on the smallest image.
"""

from __future__ import annotations

import argparse
import asyncio
import io
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from bench import harness
from rootlay.store.store import ImageStore
from rootlay.vfs.explore.layerstack import LayerStack
from rootlay.vfs.explore.opening import open_named
from rootlay.vfs.explore.page import make_page
from rootlay.vfs.explore.waste import count_waste
from tests.support.archives.make import docker_archive

IN_DIRECTORY = 100
SCREEN = "--screen-of"


def member(name: str, kind: bytes = tarfile.REGTYPE, size: int = 0) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.size, info.mode, info.mtime = kind, size, 0o755 if kind == tarfile.DIRTYPE else 0o644, 1_700_000_000
    return info


def directory(number: int) -> str:
    return f"usr/lib{number // 10_000:02}/group{number // 100 % 100:02}/part{number % 100:02}"


def base(files: int) -> Iterator[tarfile.TarInfo]:
    """Yield the members of the base layer; a file is 10 to 1,009 bytes long."""
    for number in range(files * 9 // 10):
        if number % IN_DIRECTORY == 0:
            yield member(directory(number // IN_DIRECTORY), tarfile.DIRTYPE)
        yield member(f"{directory(number // IN_DIRECTORY)}/file{number:07}.so", size=10 + number % 1000)


def upper(files: int) -> Iterator[tarfile.TarInfo]:
    """Yield the members of the layer on top."""
    changed = files // 1000
    for number in range(changed):
        place = directory(number)
        yield member(place, tarfile.DIRTYPE)
        yield member(f"{place}/file{number * IN_DIRECTORY:07}.so", size=2000)
        yield member(f"{place}/.wh.file{number * IN_DIRECTORY + 1:07}.so")
    for number in range(files // 10 - changed):
        if number % IN_DIRECTORY == 0:
            yield member(f"opt/more{number // IN_DIRECTORY:05}", tarfile.DIRTYPE)
        yield member(f"opt/more{number // IN_DIRECTORY:05}/new{number:07}", size=10)


def layer(members: Iterator[tarfile.TarInfo]) -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for info in members:
            archive.addfile(info, io.BytesIO(bytes(info.size)))
    return made.getvalue()


def make(root: Path, files: int) -> str:
    """Put an image of this many files into the store at `root` and return its name."""
    name = f"made:{files}"
    archive = root.with_name("image.tar")
    archive.write_bytes(docker_archive([([layer(base(files)), layer(upper(files))], [name])]))
    store = ImageStore.open(root)
    store.load(archive, reference=name)
    archive.unlink()
    return name


def list_root(stack: LayerStack) -> int:
    top = len(stack) - 1
    return sum(stack.total(row, top) for row in stack.children(stack.root(top), top))


def walk(stack: LayerStack) -> int:
    top = len(stack) - 1
    return sum(1 for _ in stack.walk(top, top))


def show(root: Path, name: str) -> None:
    """Draw the first screen and leave."""
    from rootlay.cli.explore.app import ExploreApp

    async def draw(stack: LayerStack) -> None:
        async with ExploreApp(stack, root).run_test(size=(120, 40)) as pilot:
            await pilot.pause()
            sys.exit(0)  # before the figures are counted, which goes on behind the screen

    with open_named(root, name) as stack:
        asyncio.run(draw(stack))


def benchmark(options: argparse.Namespace, figures: harness.Figures) -> None:
    with tempfile.TemporaryDirectory(dir=options.scratch) as scratch:
        root = Path(scratch, "store")
        for files in map(int, options.files.split(",")):
            name, column = make(root, files), f"{files:,} files"
            for _ in range(options.rounds):
                measure(figures, column, root, name)
    figures.print_tables()


def measure(figures: harness.Figures, column: str, root: Path, name: str) -> None:
    """Measure one round on one image."""
    with figures.time("open", column, partial(open_named, root, name)) as stack:
        figures.time("first list", column, partial(list_root, stack))
        names = figures.time("whole tree", column, partial(walk, stack))
        waste = figures.time("waste", column, partial(count_waste, stack))
        page = figures.time("page", column, partial(make_page, stack, waste))
    command = [sys.executable, "-m", "bench.explore", SCREEN, str(root), name]
    figures.time("screen", column, partial(subprocess.run, command, check=True))
    print(f"{column}: {names:,} names, page of {len(page) / 1e6:.1f} MB", flush=True)


def main() -> None:
    if sys.argv[1:2] == [SCREEN]:
        show(Path(sys.argv[2]), sys.argv[3])
    parser = harness.make_parser(__doc__, 3)
    parser.add_argument("--files", default="30000,1000000", help="numbers of files, with commas")
    parser.add_argument("--scratch", help="directory for the store")
    harness.run(parser, benchmark)


if __name__ == "__main__":
    main()
