"""The directories that lead to what is shown of the machine, where the image has none: a layer of the container's own.

Listing `/` or going up from the interpreter's library finds them; the container's own files stay as they are, so that
being inside changes nothing, and `diff` says so.

1. `<container>/ways/`: `tree`, a read-only layer with nothing but such directories, and its Bloom filter `bloom`. It is
   only added to, and goes with the container. One directory that leads nowhere (any more) does no harm.
2. An engine looks into it where no other layer has a name (docs/format.md §8); nobody else knows of it.
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
    """The layer, made where it is missing. Idempotent, also for several processes at once."""
    base = record.path.parent / record.id / NAME
    with contextlib.suppress(FileExistsError):
        base.mkdir(mode=0o700)
        (base / "tree").mkdir(mode=0o755)
    with contextlib.suppress(FileExistsError):
        create_bloom(base / "bloom", None)
    real = f"{record.real_path}/{NAME}"
    return LaunchDir(os.fsencode(f"{real}/tree"), os.fsencode(f"{real}/bloom"), DIR_MARKS | DIR_WAYS)


def add_ways(layer: LaunchDir, shown: Iterable[bytes], exists: Callable[[bytes], bool]) -> bool:
    """Make the directories that lead to these paths, where there are none. Whether the layer has some by now.

    Args:
        exists: whether the container has something of this path.
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
