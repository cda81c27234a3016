"""The descriptors of processes that a session starts."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from rootlay.store.disk.lmdbfile import write_sorted

FORK = """
import os, stat, sys
from pathlib import Path
from rootlay.store.disk.lmdbfile import LmdbFile
from rootlay.vfs.run.descriptors import close_others

reader = LmdbFile(Path(sys.argv[1]))
assert reader.get(b"a") == b"1"
close_others()
pipes = [fd for _ in range(8) for fd in os.pipe()]
child = os.fork()
if child == 0:
    os._exit(not all(stat.S_ISFIFO(os.fstat(fd).st_mode) for fd in pipes))
assert os.waitpid(child, 0)[1] == 0, "a fork has replaced a descriptor"
again = LmdbFile(Path(sys.argv[1]))
reader.close()
assert again.get(b"a") == b"1"
again.close()
"""


def test_a_fork_after_closing_leaves_new_descriptors_alone(tmp_path: Path) -> None:
    """An open database is reopened in a forked child: its old number may belong to something else by then."""
    write_sorted(tmp_path / "file", [(b"a", b"1")], 2, 1)
    subprocess.run([sys.executable, "-c", FORK, str(tmp_path / "file")], check=True, timeout=60)
