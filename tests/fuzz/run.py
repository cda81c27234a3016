"""Coverage-guided fuzzing: every target for a while, then a table of what was done.

    tests/fuzz/run [--minutes M | --within M] [--corpus DIR] [--jobs N] [TARGET …]

Targets: those of targets.py, under atheris, and those of core/, in C, under libFuzzer with ASan and UBSan.
M minutes (0.1) for each, or M for all together; N (1) at a time. What it finds grows in DIR (a temporary one), which
the next run goes on with; crashes stay in DIR/crashes. An input that fails goes, when the fault is mended, to
tests/fuzz/corpus/TARGET/, where each test run tries it.

EXIT STATUS: 0 nothing was found, 1 crashes, 2 wrong arguments, 3 neither atheris nor a clang with libFuzzer is here.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from tests.fuzz.core.build import HARNESSES, build, find_clang
from tests.fuzz.seeds import native_seeds, seeds
from tests.fuzz.targets import TARGETS

HERE = Path(__file__).resolve().parent
_DONE = re.compile(r"Done (\d+) (?:runs )?in")
_STATE = re.compile(r"#(\d+):?\s.*cov: (\d+)")
_INPUT_BYTES_MAX = 8192


@dataclass(frozen=True)
class Outcome:
    """What became of one target."""

    target: str
    executions: int
    edges: int
    crashes: tuple[str, ...]


def _fuzz(target: str, command: list[str], minutes: float, corpus: Path, start: list[bytes], runs: int) -> Outcome:
    """Run libFuzzer until the time is over or something fails. `runs`: see fuzz."""
    found, made = corpus / target, corpus / f"{target}.seeds"
    crashes = corpus / "crashes"
    for directory in (found, made, crashes):
        directory.mkdir(parents=True, exist_ok=True)
    for number, data in enumerate(start):
        (made / str(number)).write_bytes(data)
    before = set(crashes.iterdir())
    memory = Path("/dev/shm")
    scratch = Path(tempfile.mkdtemp(prefix="rootlay-fuzz-", dir=memory if os.access(memory, os.W_OK) else corpus))
    environ = {
        **os.environ, "FUZZ_SCRATCH": str(scratch), "PYTHONPATH": str(HERE.parents[1]),
        "ASAN_OPTIONS": "detect_leaks=0:quarantine_size_mb=8",
    }  # fmt: skip
    limits = [f"-max_total_time={max(1, round(minutes * 60))}", f"-max_len={_INPUT_BYTES_MAX}", "-timeout=20"]
    limits += ["-rss_limit_mb=2048", f"-artifact_prefix={crashes}/{target}-"]
    if runs:
        limits += [f"-runs={runs}", "-seed=1"]
    done = subprocess.run(
        [*command, *limits, str(found), str(made)], capture_output=True, env=environ, check=False, cwd=corpus
    )
    shutil.rmtree(scratch, ignore_errors=True)
    log = (done.stdout + done.stderr).decode(errors="replace")
    states = _STATE.findall(log)
    count = _DONE.findall(log)
    executions = int(count[-1]) if count else int(states[-1][0]) if states else 0
    new = tuple(
        sorted(
            path.name
            for path in set(crashes.iterdir()) - before
            if path.name.startswith(f"{target}-") and "slow-unit" not in path.name
        )
    )
    if done.returncode and not new:
        new = (f"exit code {done.returncode}",)
    if new:
        print(log[-4000:], file=sys.stderr)
    return Outcome(target, executions, max((int(edges) for _, edges in states), default=0), new)


def _find_outcome(target: str, minutes: float, corpus: Path, runs: int) -> Outcome | None:
    """Of one target; None where what it needs is not here."""
    if target not in HARNESSES:
        if importlib.util.find_spec("atheris") is None:
            print(f"{target}: left out, atheris is not installed", file=sys.stderr)
            return None
        return _fuzz(target, [sys.executable, "-m", "tests.fuzz.one", target], minutes, corpus, seeds(target), runs)
    clang = find_clang()
    if clang is None:
        print(f"{target}: left out, no clang with libFuzzer (Debian: clang libclang-rt-dev)", file=sys.stderr)
        return None
    with tempfile.TemporaryDirectory() as directory:
        command = [str(build(clang, Path(directory), target))]
        return _fuzz(target, command, minutes, corpus, native_seeds(target), runs)


def fuzz(
    targets: list[str], minutes: float, corpus: Path, jobs: int = 1, within: float = 0, runs: int = 0
) -> list[Outcome]:
    """Run targets for so long each, or for their shares of the minutes `within`; those that can run here.

    Args:
        runs: at most so many executions, and the same ones each time. 0: as many as the time allows, at random.
    """
    start = time.monotonic()

    def one(number: int) -> Outcome | None:
        rest = within - (time.monotonic() - start) / 60
        if within and rest < 0:
            print(f"{targets[number]}: left out, the time is over", file=sys.stderr)
            return None
        share = rest * jobs / max(jobs, len(targets) - number) if within else minutes
        return _find_outcome(targets[number], share, corpus, runs)

    with ThreadPoolExecutor(jobs) as pool:
        outcomes = list(pool.map(one, range(len(targets))))
    return [outcome for outcome in outcomes if outcome is not None]


def main() -> int:
    """The command."""
    known = [*TARGETS, *HARNESSES]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=0.1)
    parser.add_argument("--corpus", type=Path)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--within", type=float, default=0)
    parser.add_argument("target", nargs="*", choices=[*known, "every", []], metavar="TARGET")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        outcomes = fuzz(
            given.target or known,
            given.minutes,
            (given.corpus or Path(scratch)).expanduser().absolute(),
            given.jobs,
            given.within,
        )
    if not outcomes:
        return 3
    print("| Target | Executions | Edges | Crashes |\n|---|---|---|---|")
    for o in outcomes:
        print(f"| {o.target} | {o.executions:,} | {o.edges:,} | {', '.join(o.crashes) or '0'} |")
    print(f"| all | {sum(o.executions for o in outcomes):,} | | {sum(len(o.crashes) for o in outcomes)} |")
    return 1 if any(o.crashes for o in outcomes) else 0


if __name__ == "__main__":
    sys.exit(main())
