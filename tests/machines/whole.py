"""Runs inside a machine: the tests of the engines by pytest, in parts, as the ordinary user.

    python3 -m tests.machines.whole [PART …]

The parts are those of PARTS; without an argument all of them run. The last line of each is `@@part NAME` and a JSON
object: `passed`, `failed`, `skipped`, `seconds`, and the reasons of what was skipped with their counts.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from xml.etree import ElementTree

from tests.support.rootfs import PROGRAMS

QUICK = ("-m", "not slow")
#: Paths below tests/ and options of pytest.
PARTS: Mapping[str, tuple[str, ...]] = {
    "hostile": ("native/test_hostile.py", "native/test_roots.py", "native/test_peers.py", "native/test_details.py"),
    "random": ("native/test_core_random.py", "native/test_core_moved_random.py"),
    "confinement": ("vfs/sandbox", "cli/test_confine.py", "cli/test_kernel.py", *QUICK),
    "go": ("cli/test_networks.py::test_go",),
    "programs": ("native/test_engine_debian.py",),
    "cases": ("native/test_engine_calls.py",),
    "native": ("native", *QUICK),
    "hook": ("vfs/hook", *QUICK),
    "engines": ("vfs/hook/test_three_engines.py", "vfs/test_core_agrees.py"),
    "run": ("vfs/run", "vfs/wrap", "cli/test_run.py", *QUICK),
}
"""`native` is without what the parts before it have run."""


def pip(wheelhouse: Path) -> bool:
    """Install the wheel with pip, without an index and a compiler in PATH; run the smoke tests of that installation."""
    place = Path(tempfile.mkdtemp())
    begun = time.monotonic()
    wheel = next(wheelhouse.glob("rootlay-*.whl"))
    commands = [[sys.executable, "-m", "venv", "--without-pip", str(place / "venv")]]
    installer = f"{next(wheelhouse.glob('pip-*.whl'))}/pip"  # Debian's wants files that its scripts make
    install = [str(place / "venv/bin/python"), installer, "install", "-q", "--no-index"]
    commands += [[*install, "--find-links", str(wheelhouse), str(wheel)]]
    (place / "bin").mkdir()  # the only programs in PATH: no compiler
    for program in (*PROGRAMS, "ldd", "bash"):
        if found := shutil.which(program):
            (place / "bin" / program).symlink_to(found)
    environ = {**os.environ, "PATH": str(place / "bin"), "HOME": str(place)}
    environ.pop("PYTHONPATH", None)
    for command in commands:
        subprocess.run(command, env=environ, check=False)
    command = [
        str(place / "venv/bin/python"),
        "-c",
        "from tests.machines.smoke import smoke; print(smoke([]) and 'all ok')",
    ]
    done = subprocess.run(command, env={**environ, "PYTHONPATH": "/src"}, capture_output=True, text=True, check=False)
    good = "all ok" in done.stdout
    sys.stdout.write(done.stdout + done.stderr)
    report("wheel", {"passed": len(re.findall(" ok ", done.stdout)), "failed": int(not good), "skipped": 0}, begun)
    return good


def report(name: str, counts: Mapping[str, object], begun: float) -> None:
    sys.stdout.write(f"@@part {name} {json.dumps({**counts, 'seconds': round(time.monotonic() - begun)})}\n")
    sys.stdout.flush()


def part(name: str) -> bool:
    """Run one part; return whether nothing failed."""
    begun = time.monotonic()
    xml = Path(tempfile.mkdtemp()) / "results.xml"
    words = [word if word in QUICK else f"tests/{word}" for word in PARTS[name]]
    if name == "native":
        alone = {word for words in PARTS.values() for word in words if word.startswith("native/")}
        words += [f"--ignore=tests/{word}" for word in sorted(alone)]
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-v", "--color=no", "--tb=short"]
    command += ["-o", "timeout=3000", f"--junitxml={xml}", *words]
    subprocess.run(command, check=False)
    counts: Counter[str] = Counter()
    reasons: Counter[str] = Counter()
    for case in ElementTree.parse(xml).iter("testcase"):
        kind = next((child.tag for child in case if child.tag in ("failure", "error", "skipped")), "passed")
        counts["failed" if kind in ("failure", "error") else kind] += 1
        if kind == "skipped":
            reasons[next(child.get("message", "") for child in case if child.tag == "skipped")] += 1
    report(name, {**{kind: counts[kind] for kind in ("passed", "failed", "skipped")}, "reasons": reasons}, begun)
    return not counts["failed"] and bool(counts["passed"])


def main() -> int:
    good = True
    for name in sys.argv[1:] or ["wheel", *PARTS]:
        good &= pip(Path("/opt/wheelhouse")) if name == "wheel" else part(name)
    sys.stdout.write("all ok\n" if good else "some FAIL\n")
    return not good


if __name__ == "__main__":
    raise SystemExit(main())
