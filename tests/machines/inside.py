"""Runs inside a machine: the native programs under the engine, and the command line with a small image.

    python3 inside.py [smoke] [PROGRAM[:CASE,…] …]

Each line is `NAME ok COUNT` or `NAME FAIL …`; the last is `all ok` or `some FAIL`. The programs are those of
`tests/native`, compiled before (ROOTLAY_TEST_COMPILED); each runs with call sites patched and not. Without an argument
also the smoke tests of the command line and of the hook engine.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.machines.smoke import PATIENCE_S, say, smoke
from tests.native.engine_launch import PATCH
from tests.native.guest import HERE, Guest, make_guest

PROGRAMS = (
    "calls",
    "signals",
    "processes",
    "identities",
    "traces",
    "threads",
    "patches",
    "localsockets",
    "manymessages",
)


def native(engine: Path, wanted: list[str]) -> bool:
    """Each case of each program, in a process of its own."""
    lower = Path(tempfile.mkdtemp(prefix="lower"))
    for name in ("bin", "etc", "proc", "dev", "sys", "tmp", "t"):
        (lower / name).mkdir()
    (lower / "etc/os-release").write_text("NAME=test\n")
    (lower / "etc/passwd").write_text("root:x:0:0::/:/bin/sh\n")
    (lower / "tmp").chmod(0o1777)
    lower.chmod(0o755)
    for path in Path(os.environ["ROOTLAY_TEST_COMPILED"]).glob("*-glibc"):
        (lower / "t" / path.name).write_bytes(path.read_bytes())
        (lower / "t" / path.name).chmod(0o755)
    good = True
    for word in wanted:
        program, _, only = word.partition(":")
        found = re.findall(r"CASE\((\w+)\)", (HERE / f"{program}.c").read_text())
        cases = [case for case in dict.fromkeys(found) if case in only.split(",") or not only]
        for kind, flags in (("trapped", 0), ("patched", PATCH)):
            guest = make_guest(engine, lower, Path(tempfile.mkdtemp()) / "box", flags=flags)
            bad = [case for case in cases if not passes(guest, program, case)]
            good &= say(f"{program} {kind}", not bad, f"{len(cases) - len(bad)} of {len(cases)} {' '.join(bad)}")
    return good


def passes(guest: Guest, program: str, case: str) -> bool:
    begun = time.monotonic()
    try:
        done = guest.run(f"/t/{program}-glibc", case, timeout=PATIENCE_S)
    except subprocess.TimeoutExpired:
        return say(f"  {program} {case}", False, f"no end after {PATIENCE_S:.0f} s")
    if done.returncode == 0 and done.stdout == f"{case} ok\n".encode():
        return True
    return say(f"  {program} {case}", False, (done.returncode, done.stdout, done.stderr, time.monotonic() - begun))


if __name__ == "__main__":
    import rootlay.vfs

    where = Path(rootlay.vfs.__file__).parent / "engine"
    words = sys.argv[1:] or ["smoke", *PROGRAMS]
    fine = smoke([]) if "smoke" in words else True
    fine &= native(where, [word for word in words if word != "smoke"])
    sys.stdout.write("all ok\n" if fine else "some FAIL\n")
