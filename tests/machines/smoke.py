"""The smoke tests: the command line with a small image, and an activation. They need no more than the standard library.

Each line is `NAME ok …` or `NAME FAIL …`.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import rootlay.vfs
from tests.support.rootfs import build_rootfs

PATIENCE_S = float(os.environ.get("ROOTLAY_TEST_PATIENCE", "120"))
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


def smoke(failures: list[str], notes: list[str] | None = None) -> bool:
    """Import, run, exit codes, doctor, and the hook engine.

    `failures` gets what is not as it should be; `notes` that activations are refused, if the wheel is one without the
    hook engine (musl's).
    """
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
    refused = re.search(r"HookEngineMissing: (.*)", hooked[1])
    if refused and not Path(next(iter(rootlay.vfs.__path__)), "_hook.so").exists():
        if notes is not None:
            notes.append(refused[1])
        return good & say("hook engine", True, f"refused: {refused[1]}")
    return good & say("hook engine", hooked == (0, "welcome\nmade 4 True\nFalse\n"), hooked, failures)
