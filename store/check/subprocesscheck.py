"""Looking at a damaged database in a process of its own: LMDB maps its file and trusts what is in it.

A page that points nowhere kills whoever follows it (SIGSEGV, SIGBUS, an assertion of LMDB's). For a check that is an
answer like any other.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Sequence


def examine_in_subprocess(examine: Callable[[], Sequence[str]]) -> list[str]:
    """What `examine` says (texts without NUL), called in a forked child; the child's death is said as the only text."""
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
