"""The long tiers of the tests, one after another, each for so many minutes: what `tests/run-long` runs.

A tier that tries things at random goes on until its time is over. One that has an end is interrupted where it has not
come to it; what it had found until then counts.

EXIT STATUS: 0 nothing was found, 1 something was, 2 wrong arguments.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
JOBS = os.cpu_count() or 1
LONG_TESTS = (
    "vfs/test_swapped_directories.py", "vfs/build/test_interrupted.py",
    "vfs/build/test_copy.py", "cli/test_deep.py", "cli/test_large_file.py", "programs/test_exercisers.py",
    "programs/test_machine.py", "buildah/test_cache_rules.py", "cli/test_memory.py",
    "vfs/build/test_debian.py", "store/test_matrix.py", "programs/test_servers.py",
)  # fmt: skip
RANDOM_TESTS = (
    "native/test_core_random.py", "native/test_core_moved_random.py", "vfs/test_stateful.py", "vfs/test_core_agrees.py",
    "vfs/test_snapshots_stateful.py", "native/test_core_sanitized.py", "native/test_analysis.py",
)  # fmt: skip
POINTS = ("core_points", "removal_points", "core_pairs")
_WAIT_S = 120  # for a tier that was told to end
_PASSED = r"^(?:=+ )?((?:\d+ [a-z]+,? ?)+in [0-9.]+s)"


@dataclass(frozen=True)
class Tier:
    """One tier.

    Attributes:
        share: minutes of an hour.
        command: its words, of minutes.
        counts: what in its output says what was done; the last of each pattern's matches is shown.
        variables: of its environment, of minutes.
        root: it needs root.
        ends: it knows of its time, and needs some more for its end.
    """

    name: str
    share: float
    command: Callable[[float], list[str]]
    counts: tuple[str, ...]
    variables: Callable[[float], dict[str, str]] = field(default=lambda minutes: {})
    root: bool = False
    ends: bool = True


def pytest(*paths: str, options: tuple[str, ...] = ()) -> Callable[[float], list[str]]:
    words = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-q", *options]
    return lambda minutes: [*words, *(f"tests/{path}" for path in paths)]


def module(name: str, *words: str) -> Callable[[float], list[str]]:
    """A campaign of its own, another one each day."""
    seed = str(int(time.time()) // 86400)
    return lambda minutes: [sys.executable, "-m", name, *words, "--seed", seed, "--minutes", str(minutes)]


def until(minutes: float) -> dict[str, str]:
    return {"ROOTLAY_TEST_MINUTES": str(minutes), "ROOTLAY_TEST_SEED": str(int(time.time()) // 86400)}


TIERS = (
    Tier(
        "points", 4,
        pytest(*(f"faults/test_{name}.py" for name in POINTS), options=("-s",)),
        (r"^core: (.*)", r"^removals: (.*)", r"^pairs: (.*)", _PASSED),
        lambda minutes: {"ROOTLAY_TEST_LONG": "1"}, ends=False,
    ),
    Tier("crashes", 12, module("tests.faults", "--jobs", str(JOBS)), (r"^(\d+ breaks) in",)),
    Tier(
        "power", 5, module("tests.faults.power"),
        (r"^\| all of these \| (?P<events>\d+) \| (?P<disks>\d+) \|",),
    ),
    Tier(
        "fuzz", 12,
        lambda minutes: [
            sys.executable, "-m", "tests.fuzz.run", "--jobs", str(JOBS), "--within", str(minutes),
            "--corpus", "~/corpus",
        ],
        (r"^\| all \| (?P<executions>[\d,]+) \| \| (?P<crashes>\d+)",),
    ),
    Tier(
        "stress", 6,
        lambda minutes: [sys.executable, "-m", "tests.stress", "--workers", "6", "--seconds", str(minutes * 60)],
        (r"^(\d+ actions)", r"(\d+ images and \d+ appended lines)"),
    ),
    Tier(
        "overlayfs", 5, pytest("vfs/test_kernel_overlayfs.py", options=("-s",)),
        (r"(RulesAgainstKernel: \d+ operations)", r"(CoreAgainstKernel: \d+ operations)", _PASSED), until, root=True,
    ),
    Tier(
        "program", 4, pytest("vfs/test_engine_overlayfs.py", options=("-s", "-k", "cannot_tell")),
        (r"^(\d+ operations, \d+ histories)", _PASSED), until, root=True,
    ),
    Tier(
        "engines", 3, pytest("vfs/hook/test_three_engines.py", options=("-s",)), (r"^(\d+ operations)", _PASSED), until,
    ),
    Tier(
        "random", 3, pytest(*RANDOM_TESTS, options=("-n", str(JOBS))), (_PASSED,),
        lambda minutes: {
            "ROOTLAY_CORE_SEEDS": str(max(1, round(minutes * 5))), "ROOTLAY_TEST_EXAMPLES": str(round(minutes * 40)),
            "ROOTLAY_TEST_LONG": "1",
        }, ends=False,
    ),
    Tier(
        "long", 6, pytest(*LONG_TESTS, options=("-n", str(JOBS), "--dist", "loadfile", "--no-loadscope-reorder")),
        (_PASSED,), lambda minutes: {"ROOTLAY_TEST_LONG": "1"}, ends=False,
    ),
)  # fmt: skip


@dataclass(frozen=True)
class Done:
    """What became of a tier."""

    minutes: float
    counts: str
    result: str


def as_whom(tier: Tier, home: Path) -> list[str] | None:
    """What comes before a tier's command; None where it cannot run."""
    variables = [f"HOME={home}", f"TMPDIR={home / 'tmp'}", f"HYPOTHESIS_STORAGE_DIRECTORY={home / 'hypothesis'}"]
    (home / "tmp").mkdir(parents=True, exist_ok=True)
    if os.geteuid():
        return None if tier.root else ["env", *variables]
    if tier.root:
        walled = ["bwrap", "--cap-add", "ALL", "--ro-bind", "/", "/", "--dev-bind", "/dev", "/dev", "--proc", "/proc"]
        return [*walled, "--bind", str(home), str(home), "env", *variables] if shutil.which("bwrap") else None
    user = os.environ.get("ROOTLAY_TEST_USER", "rootlay-test")
    for path in (home, home / "tmp"):
        shutil.chown(path, user)
    return ["runuser", "-u", user, "--", "env", *variables]


def run(tier: Tier, minutes: float, scratch: Path) -> Done:
    """Run a tier, and end it where it does not by itself."""
    before = as_whom(tier, scratch / f"home-{tier.name}")
    if before is None:
        return Done(0, "", "left out: it needs root, and bubblewrap")
    log, start = scratch / f"{tier.name}.log", time.monotonic()
    print(f"== {tier.name}: {minutes:.1f} minutes, {log}", flush=True)
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*before, *tier.command(minutes)], stdout=output, stderr=subprocess.STDOUT, cwd=REPOSITORY,
            stdin=subprocess.DEVNULL, env={**os.environ, **tier.variables(minutes)}, start_new_session=True,
        )  # fmt: skip
        cut = not ended(process, minutes * 60 * (1.5 if tier.ends else 1) + (_WAIT_S if tier.ends else 0))
        for number in (signal.SIGINT, signal.SIGKILL) if cut else ():
            os.killpg(process.pid, number)
            if ended(process, _WAIT_S):
                break
    text = log.read_text(errors="replace")
    return Done((time.monotonic() - start) / 60, "; ".join(counts(tier, text)), judge(process.returncode, cut, text))


def ended(process: subprocess.Popen[bytes], seconds: float) -> bool:
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        return False
    return True


def counts(tier: Tier, text: str) -> list[str]:
    found = []
    for pattern in tier.counts:
        for match in list(re.finditer(pattern, text, re.MULTILINE))[-1:]:
            named = match.groupdict()
            found.append(", ".join(f"{value} {name}" for name, value in named.items()) if named else match[1])
    return found


def judge(status: int, cut: bool, text: str) -> str:
    """What to say of a tier: tests that had failed before it was cut count."""
    if re.search(r"^(FAILED|ERROR) |\d+ (failed|error)", text, re.MULTILINE):
        return "FOUND"
    if cut:
        return "ended at its time"
    return "nothing found" if status == 0 else f"FOUND (exit code {status})"


def parse() -> tuple[list[tuple[Tier, float]], Path]:
    parser = argparse.ArgumentParser(prog="tests/run-long", description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=60, help="of all together (60)")
    parser.add_argument("--scratch", type=Path, required=True, help=argparse.SUPPRESS)
    parser.add_argument("tier", nargs="*", metavar="TIER[=MINUTES]", help=", ".join(tier.name for tier in TIERS))
    given = parser.parse_args()
    known = {tier.name: tier for tier in TIERS}
    names = {word.partition("=")[0]: word.partition("=")[2] for word in given.tier} or dict.fromkeys(known, "")
    if unknown := names.keys() - known.keys():
        parser.error(f"no such tier: {', '.join(sorted(unknown))}")
    try:
        fixed = {name: float(value) for name, value in names.items() if value}
    except ValueError:
        parser.error("minutes are a number")
    rest = sum(known[name].share for name in names if name not in fixed) or 1
    free = max(0.0, given.minutes - sum(fixed.values()))
    return [(known[name], fixed.get(name, free * known[name].share / rest)) for name in names], given.scratch


def main() -> int:
    tiers, scratch = parse()
    done = {tier.name: run(tier, minutes, scratch) for tier, minutes in tiers}
    print("\n| Tier | Minutes | Done | Result |\n|---|---|---|---|")
    for name, one in done.items():
        print(f"| {name} | {one.minutes:.1f} | {one.counts or '-'} | {one.result} |")
    return int(any(one.result.startswith("FOUND") for one in done.values()))


if __name__ == "__main__":
    sys.exit(main())
