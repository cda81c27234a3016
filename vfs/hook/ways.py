"""A layer of the container with the parent directories of shown host paths, where the image has none.

A listing of `/`, or `..` from the interpreter's library, finds them. The container's own files stay unchanged, so that
an activation changes nothing, and `diff` shows that.

1. `<container>/ways/`: `tree`, a read-only layer with nothing but such directories, and its Bloom filter `bloom`.
   Directories are only added to it, and it is removed with the container. A directory that leads nowhere (any more) is
   harmless.
2. Only an engine reads it, for names that no other layer has (docs/format.md §8).
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable

from rootlay.store.containers.bloom import create_bloom
from rootlay.store.containers.record import ContainerRecord
from rootlay.vfs.merge.bloom import Bloom
from rootlay.vfs.run.launch import DIR_MARKS, DIR_WAYS, LaunchDir

NAME = "ways"


def open_ways(record: ContainerRecord) -> LaunchDir:
    """Return the layer. Make it if missing. Idempotent, also for several processes at once."""
    base = record.path.parent / record.id / NAME
    with contextlib.suppress(FileExistsError):
        base.mkdir(mode=0o700)
        (base / "tree").mkdir(mode=0o755)
    with contextlib.suppress(FileExistsError):
        create_bloom(base / "bloom", None)
    real = f"{record.real_path}/{NAME}"
    return LaunchDir(os.fsencode(f"{real}/tree"), os.fsencode(f"{real}/bloom"), DIR_MARKS | DIR_WAYS)


def add_ways(layer: LaunchDir, shown: Iterable[bytes], exists: Callable[[bytes], bool]) -> bool:
    """Make the missing parent directories of these paths. Return whether the layer has any now.

    Args:
        exists: whether the container has an object at this path.
    """
    above = {path[:at] for path in shown for at in range(1, len(path)) if path[at : at + 1] == b"/"}
    if all(exists(path) for path in above):
        return bool(os.listdir(layer.path))
    from pathlib import Path

    with Bloom(Path(os.fsdecode(layer.bloom))) as bloom:
        for path in sorted(above):
            bloom.add(path)
            os.makedirs(layer.path + path, exist_ok=True)
            os.chmod(layer.path + path, 0o755)  # whatever the umask is
    return True
