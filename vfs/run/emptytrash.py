"""Removing what is out of sight already, beside everybody's work.

Unlinking the files of an `apt-get install` takes seconds, and nobody needs to wait for it. A process of its own does
it, at a low priority; what it leaves when it is killed is below `tmp/`, where the next sweep finds it.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from rootlay.store.disk.trash import bury


def bury_in_background(grave: Path) -> None:
    """Remove what `Containers.put_away` has put out of sight. The process is nobody's child, so it leaves no zombie."""
    if not grave.exists():
        return
    command = [sys.executable, "-m", "rootlay.vfs.run.emptytrash", str(grave)]
    try:
        script = '"$@" </dev/null >/dev/null 2>&1 &'
        subprocess.run(["/bin/sh", "-c", script, "sh", *command], check=True, start_new_session=True)
    except (OSError, subprocess.SubprocessError):
        bury(grave)


def main() -> None:
    """The process: one argument, the path."""
    os.nice(10)
    bury(Path(sys.argv[1]))


if __name__ == "__main__":
    main()
