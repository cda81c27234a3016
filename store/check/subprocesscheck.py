"""Checks of a damaged database in a child process: LMDB maps its file and trusts its content.

A page with an invalid pointer kills the process that follows it (SIGSEGV, SIGBUS, an assertion in LMDB). A check treats
that as a finding.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Sequence


def examine_in_subprocess(examine: Callable[[], Sequence[str]]) -> list[str]:
    """Return the texts of `examine` (without NUL), run in a forked child; the death of the child is the only text."""
    read_end, write_end = os.pipe()
    pid = os.fork()
    if not pid:
        code = 1
        try:
            os.close(read_end)
            data = "\0".join(examine()).encode("utf-8", "surrogateescape")
            while data:
                data = data[os.write(write_end, data) :]
            code = 0
        finally:
            os._exit(code)
    os.close(write_end)
    with open(read_end, "rb") as pipe:
        said = pipe.read()
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    if status < 0:
        return [f"reading it ends in {signal.Signals(-status).name}"]
    if status:
        return ["reading it fails"]
    return said.decode("utf-8", "surrogateescape").split("\0")
