"""The files that the programs of a stack of layers requested (`views/<chain id>.asked`, docs/format.md §3).

Rules:
1. Hydrated files stay, so that only the first run on a stack waits for them. The record serves the next first run: of a
   later image of the same name, or after the removal of the trees.
2. It is a hint: derived and not synced. A process that cannot read it continues without it.
3. Read at the start of every session: nothing heavy may be imported here.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from rootlay.store.model.value import value

SUFFIX = ".asked"
PATHS_MAX = 2048
BYTES_MAX = 1 << 20
_MAGIC = b"RLASKED1"


@value
class PrefetchHints:
    """The hints of one stack. `image`: the name that the containers were made from. `trees`: the layers that had
    hydrated files then (hex). `paths`: absolute, in the order of the requests."""

    image: str
    trees: tuple[str, ...]
    paths: tuple[bytes, ...]

    def to_bytes(self) -> bytes:
        """Return the stored form."""
        head = (_MAGIC, os.fsencode(self.image), " ".join(self.trees).encode())
        return b"\0\n".join((*head, b"\0".join(self.paths)))

    @classmethod
    def parse(cls, data: bytes) -> PrefetchHints:
        """Parse the stored form. Raises ValueError."""
        magic, image, trees, paths = data.split(b"\0\n", 3)
        if magic != _MAGIC:
            raise ValueError("not a list of prefetch hints")
        found = tuple(path for path in paths.split(b"\0") if path)
        return cls(os.fsdecode(image), tuple(trees.decode("ascii").split()), found)

    def still_there(self, layers: Path) -> bool:
        """Return whether the hydrated trees that it names have files."""
        return all(has_hydrated(layers / name) for name in self.trees)


def has_hydrated(layer: Path) -> bool:
    """Return whether a file of a layer has been hydrated. (Each session makes the empty tree: it confines to it.)"""
    with suppress(OSError), os.scandir(layer / "tree") as entries:
        return next(entries, None) is not None
    return False


def find_prefetch_hints(views: Path, chain_hex: str) -> PrefetchHints | None:
    """Return the record of a stack, if there is a readable one."""
    with suppress(OSError, ValueError), (views / f"{chain_hex}{SUFFIX}").open("rb") as file:
        return PrefetchHints.parse(file.read(BYTES_MAX))
    return None


def find_prefetch_hints_by_name(views: Path, image: str) -> PrefetchHints | None:
    """Return the latest record of another image of this name, whatever its tag or digest."""
    with suppress(OSError):
        paths = sorted(views.glob(f"*{SUFFIX}"), key=lambda path: path.stat().st_mtime_ns, reverse=True)
        for path in paths:
            found = find_prefetch_hints(views, path.stem)
            if found is not None and image and _repository(found.image) == _repository(image):
                return found
    return None


def write_prefetch_hints(root: Path, chain_hex: str, asked: PrefetchHints) -> None:
    """Write the record of a stack. Atomic; if the store is not writable there is none."""
    from rootlay.store.disk.durable import staging_directory, write_file

    with suppress(OSError), staging_directory(root / "tmp") as staging:
        write_file(staging, root / "views" / f"{chain_hex}{SUFFIX}", asked.to_bytes(), durable=False)


def _repository(image: str) -> str:
    """Return `host:1/a/b` of `host:1/a/b:tag@sha256:…`."""
    name = image.partition("@")[0]
    directory, slash, last = name.rpartition("/")
    return directory + slash + last.partition(":")[0]
