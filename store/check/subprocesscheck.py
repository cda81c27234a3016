"""Checks of a damaged database in a child process: LMDB maps its file and trusts its content.

A page with an invalid pointer kills the process that follows it (SIGSEGV, SIGBUS, an assertion in LMDB). A check treats
that as a finding.
"""

from __future__ import annotations

import os
import signal
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path


def examine_in_subprocess(examine: Callable[[], Sequence[str]]) -> list[str]:
    """Return the texts of `examine` (without NUL), run in a forked child; the death of the child is the only text."""
    read_end, write_end = os.pipe()
    pid = os.fork()
    if not pid:
        code = 1
        try:
            os.close(read_end)
            _write(write_end, "\0".join(examine()))
            code = 0
        except BaseException as error:  # the child must not return into its caller
            frame = traceback.extract_tb(error.__traceback__)[-1]
            _write(write_end, f"{type(error).__name__}: {error} ({Path(frame.filename).name}:{frame.lineno})")
        finally:
            os._exit(code)
    os.close(write_end)
    with open(read_end, "rb") as pipe:
        said = pipe.read().decode("utf-8", "surrogateescape")
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    if status < 0:
        return [f"reading it ends in {signal.Signals(-status).name}"]
    if status:
        return [f"reading it fails: {said}"]
    return said.split("\0")


def _write(descriptor: int, text: str) -> None:
    data = text.encode("utf-8", "surrogateescape")
    while data:
        data = data[os.write(descriptor, data) :]
