"""Deletion of trash directories in a background process.

Unlinking the files of an `apt-get install` takes seconds, and no command needs to wait for it. A separate process does
it, at a low priority. If it is killed, the rest stays below `tmp/`, and the next sweep removes it.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from rootlay.store.disk.removetree import remove_tree


def empty_trash_in_background(trash: Path) -> None:
    """Delete a trash directory in a background process, which is not our child and so leaves no zombie."""
    if not trash.exists():
        return
    command = [sys.executable, "-P", "-m", "rootlay.vfs.build.run.emptytrash", str(trash)]
    try:
        script = '"$@" </dev/null >/dev/null 2>&1 &'
        subprocess.run(["/bin/sh", "-c", script, "sh", *command], check=True, start_new_session=True)
    except (OSError, subprocess.SubprocessError):
        remove_tree(trash)


def main() -> None:
    """Run the process: one argument, the path."""
    os.nice(10)
    remove_tree(Path(sys.argv[1]))


if __name__ == "__main__":
    main()
