"""Does the cost of a look-up depend on the number of layers?

The same files, spread over 1, 10, 100 and 1,000 layers. Measured in interleaved rounds, for names that exist and
names that do not:

    probe    the baseline: ask each layer's index in turn, top first, directory ids known beforehand
    python   View.find
    native   the native view's hash table, called from Python
    build    build_view: reading all layer indexes, merging, writing both forms, synced

Run: python -m bench.lookup [--files N] [--layers 1,10,100,1000] [--rounds N]
"""

from __future__ import annotations

import argparse
import random
import resource
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from bench.harness import Figures, make_parser, run
from rootlay.store.disk.lmdbfile import LmdbFile, write_sorted
from rootlay.store.model.digest import Digest
from rootlay.store.model.entry import Entry, EntryType, entry_key
from rootlay.store.view.build import build_view, view_path
from rootlay.store.view.merge import lookup
from rootlay.store.view.view import View

DIRECTORIES = 200
LOOKUPS = 2000
Key = tuple[bytes, bytes]  # directory, name


class IndexOnly:
    """A layer that is nothing but an index: every directory in each layer, and some of the files."""

    def __init__(self, path: Path, files: list[Key]) -> None:
        names = sorted({directory for directory, _ in files})
        self.ids = {name: number for number, name in enumerate(names, 2)}
        records = [(entry_key(0, b""), Entry(EntryType.DIRECTORY, 1, 1, mode=0o755).pack())]
        for name, number in self.ids.items():
            records.append((entry_key(1, name), Entry(EntryType.DIRECTORY, number, number, implicit=True).pack()))
        for number, (directory, name) in enumerate(files, len(names) + 2):
            packed = Entry(EntryType.FILE, number, number, mode=0o644, size=100, offset=512 * number).pack()
            records.append((entry_key(self.ids[directory], name), packed))
        records.sort()
        write_sorted(path, records, sum(len(k) + len(v) for k, v in records), len(records))
        self.file = LmdbFile(path)

    def iter_raw(self) -> Iterator[tuple[bytes, bytes]]:
        return self.file.iter_from(b"\0")

    def close(self) -> None:
        """The baseline keeps every index open."""


@dataclass
class Stack:
    """One spread of the files over layers, with its view."""

    root: Path
    layers: list[IndexOnly]
    build_seconds: float = 0.0

    def layer(self, diff_id: Digest) -> IndexOnly:
        return self.layers[self.diff_ids[diff_id]]

    def open(self) -> None:
        self.diff_ids = {Digest.of(b"%d" % number): number for number in range(len(self.layers))}
        start = time.perf_counter()
        path = view_path(self.root, build_view(self, list(self.diff_ids)))
        self.build_seconds = time.perf_counter() - start
        self.view = View.open(path)
        with open(path.with_suffix(".view"), "rb") as stream:
            self.native = stream.read()
        self.directories = {name: node.id for name, node in self.view.iter_children(1)}

    def probe(self, keys: list[Key]) -> int:
        top_first = [(layer.ids, layer.file.get) for layer in reversed(self.layers)]
        found = 0
        for directory, name in keys:
            for ids, get in top_first:
                number = ids.get(directory)
                packed = None if number is None else get(entry_key(number, name))
                if packed is not None:
                    found += Entry.unpack(packed).type is EntryType.FILE
                    break
        return found

    def python(self, keys: list[Key]) -> int:
        find, directories = self.view.find, self.directories
        return sum(find(directories[directory], name) is not None for directory, name in keys)

    def native_lookups(self, keys: list[Key]) -> int:
        native, directories = self.native, self.directories
        return sum(lookup(native, directories[directory], name) != 0 for directory, name in keys)


def make_stack(root: Path, files: list[Key], depth: int) -> Stack:
    root.mkdir()
    layers = [IndexOnly(root / f"{number}.lmdb", files[number::depth]) for number in range(depth)]
    stack = Stack(root, layers)
    stack.open()
    return stack


def measure(figures: Figures, stacks: dict[int, Stack], present: list[Key], absent: list[Key], rounds: int) -> None:
    """Seconds a look-up, one value for each round."""
    for _ in range(rounds):
        for depth, stack in stacks.items():
            ways: dict[str, Callable[[list[Key]], int]] = {
                "probe": stack.probe,
                "python": stack.python,
                "native": stack.native_lookups,
            }
            for name, way in ways.items():
                for kind, keys in (("hit", present), ("miss", absent)):
                    some = keys[: max(20, LOOKUPS // len(stack.layers))] if name == "probe" else keys
                    found = figures.time(f"{name} {kind}", str(depth), partial(way, some), per=len(some))
                    if found != (len(some) if kind == "hit" else 0):
                        raise RuntimeError(f"{name} found {found} of {len(some)} names ({kind})")


def report(figures: Figures, stacks: dict[int, Stack], files: int) -> None:
    print(f"{files} files")
    kinds = [f"{name} {kind}" for kind in ("hit", "miss") for name in ("probe", "python", "native")]
    print(f"{'layers':>7}{'build ms':>10}" + "".join(f"{kind:>14}" for kind in kinds) + "   (us per look-up)")
    least = min(stacks)
    for depth, stack in stacks.items():
        values = [figures.median(kind, str(depth)) * 1e6 for kind in kinds]
        print(f"{depth:>7}{1000 * stack.build_seconds:>10.1f}" + "".join(f"{value:>14.2f}" for value in values))
    print(f"ratios to {min(stacks)} layer(s):")
    for depth, stack in stacks.items():
        ratios = [figures.median(kind, str(depth)) / figures.median(kind, str(least)) for kind in kinds]
        build = stack.build_seconds / stacks[least].build_seconds
        print(f"{depth:>7}{build:>10.2f}" + "".join(f"{ratio:>14.2f}" for ratio in ratios))


def main() -> None:
    parser = make_parser(__doc__, rounds=5)
    parser.add_argument("--files", type=int, default=30_000)
    parser.add_argument("--layers", default="1,10,100,1000")
    run(parser, compare_depths)


def compare_depths(options: argparse.Namespace, figures: Figures) -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))  # the baseline keeps every layer open
    source = random.Random(1)
    files = [(b"directory-%d" % source.randrange(DIRECTORIES), b"file-%d" % n) for n in range(options.files)]
    present = source.sample(files, min(LOOKUPS, len(files)))
    absent = [(directory, name + b"-absent") for directory, name in present]
    with tempfile.TemporaryDirectory() as directory:
        depths = [int(text) for text in options.layers.split(",")]
        stacks = {depth: make_stack(Path(directory) / str(depth), files, depth) for depth in depths}
        for depth, stack in stacks.items():
            figures.add("build the view", str(depth), stack.build_seconds)
        measure(figures, stacks, present, absent, options.rounds)
    report(figures, stacks, options.files)


if __name__ == "__main__":
    main()
