"""Runs inside a machine: the native programs under the engine, and the command line with a small image.

    python3 inside.py [PROGRAM[:CASE,…] …]

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

from tests.native.engine_launch import PATCH
from tests.native.guest import HERE, Guest, make_guest
from tests.support.rootfs import build_rootfs

PATIENCE_S = float(os.environ.get("ROOTLAY_TEST_PATIENCE", "120"))
PROGRAMS = ("calls", "signals", "processes", "patches", "localsockets", "manymessages")
ACTIVATED = """
import sys, os
from rootlay.vfs import Store
store = Store.open(sys.argv[1])
with store.image("small").container() as box, box.activate():
    print(open("/etc/motd").read(), end="")
    open("/etc/made", "w").write("made")
    print(open("/etc/made").read(), os.stat("/etc/made").st_size, sorted(os.listdir("/etc"))[:1] != [])
print(os.path.exists("/etc/made"))
"""


MAIN = ("-c", "import sys; from rootlay.cli.entry import main; sys.exit(main())")


def say(name: str, good: bool, rest: object, failures: list[str] | None = None) -> bool:
    if failures is not None and not good:
        failures.append(f"{name}: {rest}")
    sys.stdout.write(f"{name} {'ok' if good else 'FAIL'} {rest}\n")
    sys.stdout.flush()
    return good


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


def smoke(failures: list[str]) -> bool:
    """Import, run, exit codes, doctor, and the hook engine. `failures` gets what is not as it should be."""
    place = Path(tempfile.mkdtemp())
    environ = {**os.environ, "ROOTLAY_ROOT": str(place / "store"), "HOME": str(place)}
    (place / "tree").mkdir()
    build_rootfs(place / "tree")

    def run(*words: str) -> tuple[int, str]:
        done = subprocess.run(
            [sys.executable, *words], env=environ, capture_output=True, text=True, check=False, timeout=3 * PATIENCE_S
        )
        return done.returncode, done.stdout + done.stderr

    imported = run(*MAIN, "import", str(place / "tree"), "small")
    good = say("import", imported[0] == 0, imported, failures)
    for name, words, expected in (
        ("cat", ("cat", "/etc/motd"), (0, "welcome\n")),
        ("machine", ("uname", "-m"), (0, f"{os.uname().machine}\n")),
        (
            "copy-up",
            ("sh", "-c", "echo a >> /etc/motd; cat /etc/motd; rm /etc/motd; test ! -e /etc/motd"),
            (0, "welcome\na\n"),
        ),
        ("exit code", ("sh", "-c", "exit 7"), (7, "")),
    ):
        done = run(*MAIN, "run", "--rm", "small", *words)
        good &= say(name, done == expected, done, failures)
    doctor = run(*MAIN, "doctor")
    good &= say("doctor", re.search(rf"^ok +architecture +{os.uname().machine}$", doctor[1], re.M) is not None
                and re.search("^fail", doctor[1], re.M) is None, doctor[0], failures)  # fmt: skip
    hooked = run("-c", ACTIVATED, str(place / "store"))
    return good & say("hook engine", hooked == (0, "welcome\nmade 4 True\nFalse\n"), hooked, failures)


if __name__ == "__main__":
    import rootlay.vfs

    where = Path(rootlay.vfs.__file__).parent / "engine"
    fine = True if sys.argv[1:] else smoke([])
    fine &= native(where, sys.argv[1:] or list(PROGRAMS))
    sys.stdout.write("all ok\n" if fine else "some FAIL\n")
