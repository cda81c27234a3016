"""What does it cost not to trust what nobody synced, and directories that may be swapped for links?

    python bench/careful.py DEBIAN.tar [--rounds 4]

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
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from rootlay.store.hydrate.repair import repair_trees
from rootlay.store.store import ImageStore, open_lower
from rootlay.vfs import Container, Store
from rootlay.vfs.changes.diff import iter_changes, iter_layer
from rootlay.vfs.changes.export import export_tree
from rootlay.vfs.merge import longpath
from rootlay.vfs.overlay.bloomrepair import repair_bloom
from rootlay.vfs.overlay.overlay import Overlay

DIRECTORIES = [f"/a{i}/b/c{j}" for i in range(20) for j in range(10)]
FILES = [f"{directory}/f{number}" for directory in DIRECTORIES for number in range(15)]
WORK: dict[str, Callable[[Overlay], object]] = {
    "diff": lambda overlay: sum(1 for _ in iter_changes(overlay)),
    "commit (walk)": lambda overlay: sum(1 for _ in iter_layer(overlay)),
    "export": lambda overlay: export_tree(overlay, io.BytesIO()),
    "stat": lambda overlay: [overlay.stat(path) for path in FILES],
    "list": lambda overlay: [overlay.listdir(path) for path in DIRECTORIES],
    "chmod": lambda overlay: [overlay.chmod(path, 0o640) for path in FILES],
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("debian", type=Path)
    parser.add_argument("--rounds", type=int, default=4)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="rootlay-bench-") as name:
        store = Store.open(Path(name) / "store")
        image = store.import_rootfs(options.debian, "debian")
        with image.container() as container:
            print("| After a start of the machine | | ms |\n|---|---|---|")
            for what, count, seconds in first_looks(store, options.rounds):
                print(f"| {what} | {count:,} files | {seconds * 1000:.1f} |")
            fill(container)
            mend = least(
                options.rounds, lambda: repair_bloom(container.record.upper, container.record.path / "bloom", b"")
            )
            print(f"| the filter of an upper | {len(FILES):,} files | {mend * 1000:.1f} |")
            print(
                "\n| Work on 3,000 files of an upper | by names, ms | by descriptors, ms | ratio |\n|---|---|---|---|"
            )
            for what, work in WORK.items():
                with trusting_names():
                    names = least(options.rounds, partial(work, container.overlay))
                descriptors = least(options.rounds, partial(work, container.overlay))
                print(f"| {what} | {names * 1000:.0f} | {descriptors * 1000:.0f} | {descriptors / names:.2f} |")


def first_looks(store: Store, rounds: int) -> list[tuple[str, int, float]]:
    """Rows: what, how many files, seconds."""
    stored = ImageStore.open(store.root).image("debian")
    view, hydrator = open_lower(store.root, str(stored.chain_id))
    native = view.open_native()
    trees = [store.root / "layers" / diff_id.hex / "tree" for diff_id in stored.diff_ids]
    try:
        nothing = least(rounds, lambda: repair_trees(native, trees))
        hydrator.hydrate_all()
        files = [Path(top, name) for tree in trees for top, _, names in os.walk(tree) for name in names]
        files = [path for path in files if path.is_file() and not path.is_symlink()]
        everything = least(rounds, lambda: repair_trees(native, trees))
        synced = sync_each(files[:300])
    finally:
        native.close()
        hydrator.close()
        view.close()
    return [
        ("hydrated files, none", 0, nothing),
        ("hydrated files, the whole image", len(files), everything),
        ("instead: fsync of each (elapsed)", 300, synced),
    ]


def sync_each(files: list[Path]) -> float:
    """Elapsed seconds for writing copies of files with fsync."""
    contents = [path.read_bytes() for path in files]
    with tempfile.TemporaryDirectory() as place:
        begin = time.perf_counter()
        for number, content in enumerate(contents):
            with open(Path(place, str(number)), "wb") as out:
                out.write(content)
                out.flush()
                os.fsync(out.fileno())
        return time.perf_counter() - begin


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


def least(rounds: int, work: Callable[[], object]) -> float:
    """Processor seconds, the minimum of the rounds."""
    best = float("inf")
    for _ in range(rounds):
        begin = time.process_time()
        work()
        best = min(best, time.process_time() - begin)
    return best


if __name__ == "__main__":
    main()
