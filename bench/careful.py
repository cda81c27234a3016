"""What does it cost not to trust what nobody synced, and directories that may be swapped for links?

    python -m bench.careful DEBIAN.tar [--rounds 4]

1. The first look at the hydrated files of an image after the machine has started, against writing each of them with
   fsync; and at the filter of an upper with 3,000 files. Every later session reads two small files.
2. Work on a container from outside: each path is taken by descriptors, against paths of names (vfs.merge.longpath).

Needs rootlay installed in this Python, and a Debian root file system as a tar. Processor time, minima of the rounds;
what fsync costs is elapsed time, on the disk that TMPDIR is on.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from bench.harness import Figures, make_parser, run
from rootlay.store.hydrate.repair import repair_trees
from rootlay.store.store import ImageStore, open_lower
from rootlay.vfs import Container, Store
from rootlay.vfs.changes.compare import compare
from rootlay.vfs.changes.diff import iter_layer
from rootlay.vfs.changes.export import export_tree
from rootlay.vfs.merge import longpath
from rootlay.vfs.merge.stack import Stack
from rootlay.vfs.overlay.bloomrepair import repair_bloom
from rootlay.vfs.overlay.overlay import Overlay

DIRECTORIES = [f"/a{i}/b/c{j}" for i in range(20) for j in range(10)]
FILES = [f"{directory}/f{number}" for directory in DIRECTORIES for number in range(15)]


def diff(overlay: Overlay) -> int:
    """The number of changes against the layers below, as `rootlay diff` finds them."""
    stack = overlay.stack
    with Overlay(Stack(stack.dirs[1:], stack.view, stack.hydrator)) as below:
        return sum(1 for _ in compare(below, overlay))


WORK: dict[str, Callable[[Overlay], object]] = {
    "diff": diff,
    "commit (walk)": lambda overlay: sum(1 for _ in iter_layer(overlay)),
    "export": lambda overlay: export_tree(overlay, io.BytesIO()),
    "stat": lambda overlay: [overlay.stat(path) for path in FILES],
    "list": lambda overlay: [overlay.listdir(path) for path in DIRECTORIES],
    "chmod": lambda overlay: [overlay.chmod(path, 0o640) for path in FILES],
}


NONE, WHOLE, SYNCED = "hydrated files, none", "hydrated files, the whole image", "instead: fsync of each (elapsed)"
FILTER = "the filter of an upper"


def main() -> None:
    parser = make_parser(__doc__, rounds=4)
    parser.add_argument("debian", type=Path)
    run(parser, measure)


def measure(options: argparse.Namespace, figures: Figures) -> None:
    with tempfile.TemporaryDirectory(prefix="rootlay-bench-") as name:
        store = Store.open(Path(name) / "store")
        image = store.import_rootfs(options.debian, "debian")
        with image.container() as container:
            print("| After a start of the machine | | ms |\n|---|---|---|")
            counts = first_looks(figures, store, options.rounds)
            fill(container)
            for _ in range(options.rounds):
                bloom = container.record.path / "bloom"
                figures.time(FILTER, "", partial(repair_bloom, container.record.upper, bloom, b""))
            for row, count in {**counts, FILTER: len(FILES)}.items():
                seconds = figures.wall(row) if row == SYNCED else figures.cpu(row)
                print(f"| {row} | {count:,} files | {seconds * 1000:.1f} |")
            print(
                "\n| Work on 3,000 files of an upper | by names, ms | by descriptors, ms | ratio |\n|---|---|---|---|"
            )
            for row, work in WORK.items():
                for _ in range(options.rounds):
                    with trusting_names():
                        figures.time(row, "by names", partial(work, container.overlay))
                    figures.time(row, "by descriptors", partial(work, container.overlay))
                names, descriptors = figures.cpu(row, "by names"), figures.cpu(row, "by descriptors")
                print(f"| {row} | {names * 1000:.0f} | {descriptors * 1000:.0f} | {descriptors / names:.2f} |")


def first_looks(figures: Figures, store: Store, rounds: int) -> dict[str, int]:
    """Rows, and how many files each is of."""
    stored = ImageStore.open(store.root).image("debian")
    view, hydrator = open_lower(store.root, str(stored.chain_id))
    native = view.open_native()
    trees = [store.root / "layers" / diff_id.hex / "tree" for diff_id in stored.diff_ids]
    try:
        for _ in range(rounds):
            figures.time(NONE, "", lambda: repair_trees(native, trees))
        hydrator.hydrate_all()
        files = [Path(top, name) for tree in trees for top, _, names in os.walk(tree) for name in names]
        files = [path for path in files if path.is_file() and not path.is_symlink()]
        for _ in range(rounds):
            figures.time(WHOLE, "", lambda: repair_trees(native, trees))
        sync_each(figures, files[:300])
    finally:
        native.close()
        hydrator.close()
        view.close()
    return {NONE: 0, WHOLE: len(files), SYNCED: 300}


def sync_each(figures: Figures, files: list[Path]) -> None:
    """Write copies of files, each with fsync."""
    contents = [path.read_bytes() for path in files]
    with tempfile.TemporaryDirectory() as place:

        def write() -> None:
            for number, content in enumerate(contents):
                with open(Path(place, str(number)), "wb") as out:
                    out.write(content)
                    out.flush()
                    os.fsync(out.fileno())

        figures.time(SYNCED, "", write)


def fill(container: Container) -> None:
    for directory in DIRECTORIES:
        container.fs.makedirs(directory)
    for path in FILES:
        container.fs.writetext(path, "hello")


@contextlib.contextmanager
def trusting_names() -> Iterator[None]:
    """What it would cost to trust that no directory becomes a link."""
    kept = longpath.place, longpath.guarded, longpath.pinned
    longpath.place = lambda top, path: (None, top + path)
    longpath.guarded = longpath.pinned = lambda top, path: top + path
    try:
        yield
    finally:
        longpath.place, longpath.guarded, longpath.pinned = kept


if __name__ == "__main__":
    main()
