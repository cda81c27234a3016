"""Where does the time of a command inside go?

    python -m bench.where IMAGE.tar [--only NAME,…] [--scratch DIR]

The commands are those of engine.py, IMAGE.tar is what it takes. Needs root, perf and strace. Prints a Markdown table
for each command: user and kernel time, instructions, page faults and system calls in a bare chroot, under a filter that
does nothing and Landlock (floor.c), and in rootlay; then which system calls there are more of in rootlay than in the
chroot. The counts are of the command and its children alone, the second time that it runs. Instructions and calls do
not depend on what else the machine does. A call that traps is counted as what the program asked for, and what the
engine then asks of the kernel as well. Where the machine has no counters there are no instructions.
"""

from __future__ import annotations

import argparse
import os
import re
import signal
import subprocess
import threading
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from bench.engine import WORK, Method, Work, methods, prepare

METHODS = ("chroot", "filter+landlock", "rootlay")
EXTRA = {
    "spawn of /bin/true x500": Work("i=0; while [ $i -lt 500 ]; do /bin/true; i=$((i+1)); done"),
    "open and close, 20,000 times": Work(
        'perl -e \'for (1..20000) { open(F, "<", "/usr/lib/os-release") or die; close(F) }\''
    ),
}
READY = "micro-ready"
SHOWN = 12  # system calls


@dataclass(slots=True)
class Count:
    user_ms: float
    kernel_ms: float
    faults: int
    user_instructions: float  # millions
    kernel_instructions: float
    calls: dict[str, int]


def find_ready() -> int:
    """The process that waits to be watched."""
    while True:
        for entry in os.listdir("/proc"):
            try:
                if entry.isdigit() and Path(f"/proc/{entry}/comm").read_text().strip() == READY:
                    return int(entry)
            except OSError:
                continue
        time.sleep(0.02)


def watched(method: Method, setup: str, command: str, tool: list[str], attached: float) -> str:
    """What the command prints of itself, while `tool` watches it from outside."""

    def watch() -> None:
        pid = find_ready()
        watchers.append(subprocess.Popen([*tool, "-p", str(pid)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
        time.sleep(attached)
        os.kill(pid, signal.SIGUSR1)

    watchers: list[subprocess.Popen[bytes]] = []
    with method.enter() as run:
        warm = "true" if command.startswith("rm ") else command
        run(["/bin/sh", "-c", f"({setup or 'true'}) && {warm}"])
        thread = threading.Thread(target=watch)
        thread.start()
        printed = run(["/micro", "-w", setup, command])
        thread.join()
    watchers[0].wait()
    return printed


def count(method: Method, work: Work, scratch: Path) -> Count:
    setup, command = (work.setup, work.command) if method.layered or not work.plain else work.plain[::-1]
    out = scratch / "watched"
    perf = ["perf", "stat", "-x,", "-o", str(out), "-e", "instructions:u,instructions:k"]
    user, kernel, faults = watched(method, setup, command, perf, 0.5).split()
    found = re.findall(r"^([0-9]+),,instructions:([uk])", out.read_text(), re.MULTILINE)
    instructions = {kind: float(n) / 1e6 for n, kind in found}
    watched(method, setup, command, ["strace", "-f", "-c", "-U", "name,calls", "-o", str(out)], 0.5)
    calls = {name: int(n) for name, n in re.findall(r"^(\w+)\s+(\d+)$", out.read_text(), re.MULTILINE)}
    calls.pop("total", None)
    times = float(user) / 1e6, float(kernel) / 1e6
    return Count(*times, int(faults), instructions.get("u", 0), instructions.get("k", 0), calls)


def count_of(millions: float) -> str:
    return f"{millions:.1f}" if millions else "not counted here"


def report(name: str, counts: dict[str, Count]) -> None:
    print(f"\n| {name} |" + "".join(f" {method} |" for method in counts))
    print("|---|" + "---|" * len(counts))
    rows = {
        "user time, ms": [f"{c.user_ms:.0f}" for c in counts.values()],
        "kernel time, ms": [f"{c.kernel_ms:.0f}" for c in counts.values()],
        "instructions of programs and engine, millions": [count_of(c.user_instructions) for c in counts.values()],
        "instructions of the kernel, millions": [count_of(c.kernel_instructions) for c in counts.values()],
        "page faults": [f"{c.faults:,}" for c in counts.values()],
        "system calls": [f"{sum(c.calls.values()):,}" for c in counts.values()],
    }
    for row, cells in rows.items():
        print(f"| {row} |" + "".join(f" {text} |" for text in cells))
    bare, inside = counts["chroot"].calls, counts["rootlay"].calls
    more = {call: inside.get(call, 0) - bare.get(call, 0) for call in bare | inside}
    first = sorted(more, key=lambda call: -abs(more[call]))[:SHOWN]
    print(
        "\nCalls inside and not in the chroot: " + ", ".join(f"{call} {more[call]:+,}" for call in first if more[call])
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("image", type=Path)
    parser.add_argument("--only", default="", help="names of the table's lines, with commas")
    parser.add_argument("--scratch", type=Path, default=None, help="where to unpack the tree")
    options = parser.parse_args()
    works = WORK | EXTRA
    with ExitStack() as stack:
        scratch, tree, image = prepare(stack, options.image, options.scratch)
        found = methods(scratch, tree, image, METHODS)
        for name in filter(None, options.only.split(",")) if options.only else works:
            report(name, {method.name: count(method, works[name], scratch) for method in found})


if __name__ == "__main__":
    main()
