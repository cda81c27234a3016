"""What does confinement cost each path call, and each start?

    python bench/confine.py DEBIAN.tar [--rounds 4]

Needs rootlay installed in this Python, a C compiler, and a Debian root file system as a tar. The rounds are
interleaved; the figures are ratios of minima to `--confine=off`.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

MODES = ("off", "require")
PATHS = ("/usr/share/doc/bash/copyright", "/usr/lib/nope", "/etc/os-release", "/usr/bin")
STARTS = 10


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("debian", type=Path)
    parser.add_argument("--rounds", type=int, default=4)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="rootlay-bench-") as name:
        scratch = Path(name)
        source = Path(__file__).with_name("micro.c")
        subprocess.run(["cc", "-O2", "-static", "-o", str(scratch / "micro"), str(source)], check=True)
        rootlay = [sys.executable, "-m", "rootlay.cli.main", "--root", str(scratch / "store")]
        subprocess.run([*rootlay, "import", str(options.debian), "debian"], check=True, stdout=subprocess.DEVNULL)
        best: dict[str, dict[str, float]] = {mode: {} for mode in MODES}
        for _ in range(options.rounds):
            for mode in MODES:
                run = [*rootlay, "run", "--rm", f"--confine={mode}"]
                micro = [*run, "-v", f"{scratch}:/m:ro", "debian", "/m/micro", *PATHS]
                for line in subprocess.run(micro, check=True, capture_output=True, text=True).stdout.splitlines():
                    call, low, *_ = line.rsplit(" ", 4)
                    best[mode][call] = min(float(low), best[mode].get(call, float("inf")))
                for _ in range(STARTS):
                    begin = time.perf_counter_ns()
                    subprocess.run([*run, "debian", "true"], check=True)
                    took = float(time.perf_counter_ns() - begin)
                    best[mode]["run-true"] = min(took, best[mode].get("run-true", float("inf")))
    print(f"# {os.uname().release}, {os.cpu_count()} cpus, Python {sys.version.split()[0]}; ns, and ratio of minima")
    for call, base in best["off"].items():
        print(f"{call:30}{base:12.0f}{best['require'][call]:12.0f}  {best['require'][call] / base:.2f}")


if __name__ == "__main__":
    main()
