"""Start of a main program by a separate process: for callers that must not fork, because they may have threads."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

from rootlay.store.containers.record import ContainerRecord
from rootlay.store.model.errors import RootlayError


def start_apart(record: ContainerRecord) -> int:
    """Start the main program as `start_container` does, and return its process ID. Raises as that."""
    command = [sys.executable, "-P", "-m", "rootlay.vfs.lifecycle.starter", str(record.root), record.id]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    try:
        result: Any = pickle.loads(done.stdout)
    except (EOFError, pickle.UnpicklingError):
        text = done.stderr.decode("utf-8", "replace").strip().rpartition("\n")[2]
        raise RootlayError(f"container {record.name} cannot be started: {text}") from None
    if isinstance(result, int):
        return result
    raise result


def main(words: list[str]) -> None:
    """Start a container's main program, and write its process ID, or the error, to standard output."""
    from rootlay.store.containers.containers import Containers
    from rootlay.vfs.lifecycle.start import start_container

    out = os.dup(1)
    os.dup2(2, 1)
    try:
        result: Any = start_container(Containers(Path(words[0])).find(words[1]))
    except (RootlayError, OSError, ValueError) as error:
        result = error
    with open(out, "wb") as file:
        pickle.dump(result, file)


if __name__ == "__main__":
    main(sys.argv[1:])
