"""Simulate a power failure at every step of every command: `python -m tests.faults.power` (see docs/robustness.md).

    python -m tests.faults.power [--sample N] [--seed N] [--minutes M] [SCENARIO…]

--minutes M limits the time: steps are left out evenly, and commands are tried in a random order, which the seed
determines.

A command runs once, over recorder.c. Then, for each prefix of its events and for all of them, the disk states that a
power failure might leave are made (disk.py). Each state is checked as after a boot. Of the commands that run a program,
only the one that reads is tried.

1. Before any repair, a program that only reads gets the right content.
2. Images are in their old or new state. Images of a finished command exist. `fsck --deep` finds no damage in blobs,
   images, layer indexes, views or index.json.
3. `fsck --deep --repair` succeeds. It may find damage in derived data (hydrated files, records of the build cache) and
   in containers and uppers, which are not synced by design.
4. The command, `prune` and `fsck` work afterwards.

Prints a table. The exit code is 1 if a check failed.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

HERE = Path(__file__).resolve().parent
REPOSITORY = HERE.parents[1]
sys.path[:0] = [str(REPOSITORY), str(REPOSITORY / "tests" / "store")]

from tests.faults.builds import build_recorder  # noqa: E402
from tests.faults.control import Control  # noqa: E402
from tests.faults.disk import Disk, Loss  # noqa: E402

if TYPE_CHECKING:
    from tests.faults.lab import Lab
    from tests.faults.scenarios import Scenario
    from tests.faults.state import View

UNSYNCED = frozenset(
    {
        *("tree-damaged", "tree-unknown", "cache-damaged"),
        *("container-damaged", "name-broken", "state-damaged", "snapshot-damaged"),
        *("upper-lost", "bloom-damaged", "mark-damaged", "upper-mode"),
    }
)
"""Findings that a power failure may leave; all others are damage that must not be."""


@dataclass
class Result:
    """The results of one command: events, different disk states, those that a repair fixed, failed checks."""

    events: int = 0
    disks: int = 0
    codes: Counter[str] = field(default_factory=Counter)
    changed: int = 0
    troubles: list[str] = field(default_factory=list)

    def line(self, name: str) -> str:
        """Return the row in Markdown."""
        found = ", ".join(f"{code} ({count})" for code, count in sorted(self.codes.items()))
        return f"| {name} | {self.events} | {self.disks} | {found} | {self.changed} | {len(self.troubles)} |"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults.power", description=__doc__.splitlines()[0])
    parser.add_argument("--sample", type=int, default=0, help="disks to look at, of each command")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--minutes", type=float, default=0)
    parser.add_argument("scenario", nargs="*")
    options = parser.parse_args()
    if "ROOTLAY_FAULT_RECORD" in os.environ:
        return run(options)
    shared = Path(os.path.realpath(tempfile.mkdtemp(prefix="rl-power-", dir="/dev/shm")))
    (shared / "work" / "lab").mkdir(parents=True)
    (shared / "record").mkdir()
    Control(shared / "control")
    build_recorder(shared / "recorder.so")
    environment = {
        **os.environ,
        "LD_PRELOAD": str(shared / "recorder.so"),
        "ROOTLAY_FAULT_ROOT": str(shared / "work" / "lab"),
        "ROOTLAY_FAULT_CONTROL": str(shared / "control"),
        "ROOTLAY_FAULT_RECORD": str(shared / "record"),
        "HOME": str(shared / "work"),
    }
    words = [sys.executable, "-m", "tests.faults.power", *sys.argv[1:]]
    status = subprocess.run(words, env=environment, cwd=REPOSITORY, check=False).returncode
    if status == 0:
        subprocess.run(["chmod", "-R", "u+rwX", str(shared)], check=True)
        shutil.rmtree(shared)
    return status


def run(options: argparse.Namespace) -> int:
    """Try all chosen commands."""
    from tests.faults import lab as labs
    from tests.faults.campaign import lots, make_inputs_once, preload
    from tests.faults.scenarios import SCENARIOS, serve

    preload()
    shared = Path(os.environ["ROOTLAY_FAULT_RECORD"]).parent
    make_inputs_once(shared / "work")
    registry, host = serve(shared / "work" / "in")
    labs.spared.add(registry)
    lab = labs.Lab(shared / "work", Control(shared / "control"), shared / "log", host)
    results: dict[str, Result] = {}
    try:
        wanted = [
            scenario
            for scenario in SCENARIOS
            if (not options.scenario or scenario.name in options.scenario)
            # the changes of a program are neither recorded nor synced
            and (not scenario.engine or (scenario.shows and os.uname().machine == "x86_64"))
        ]
        end = time.monotonic() + options.minutes * 60
        for number, scenario in enumerate(lots(wanted, options)):
            if options.minutes and time.monotonic() > end:
                break
            until = time.monotonic() + max(0, end - time.monotonic()) / (len(wanted) - number)
            results[scenario.name] = try_all(lab, scenario, shared / "record", options, until)
            print(results[scenario.name].line(scenario.name), file=sys.stderr, flush=True)
    finally:
        os.kill(registry, signal.SIGKILL)
    print("| Command | events | different disks | repaired findings | containers changed | failed checks |")
    print("|---|---|---|---|---|---|")
    total = Result()
    for name, result in results.items():
        print(result.line(name))
        total.events += result.events
        total.disks += result.disks
        total.codes += result.codes
        total.changed += result.changed
        total.troubles += result.troubles
    print(total.line("all of these"))
    return int(bool(total.troubles))


def try_all(lab: Lab, scenario: Scenario, record: Path, options: argparse.Namespace, until: float) -> Result:
    """Record one command, and check every disk state that a power failure might leave."""
    from tests.faults.lab import Trouble
    from tests.faults.state import state_of

    template = lab.make_template(scenario, "template")
    before: View = {} if scenario.damage else lab.child(lambda: state_of(lab.store))
    lab.restore(template)
    disk = Disk(lab.copy, template)
    shutil.rmtree(record)
    record.mkdir()
    words = lab.words(scenario.words)
    whole = lab.interrupt(words, 0, "kill")
    if whole.code not in (0, *scenario.again):
        return Result(troubles=[f"{scenario.name}: exit code {whole.code}: {whole.output}"])
    after: View = lab.child(lambda: state_of(lab.store))
    events = (record / "events").read_text().splitlines()
    result = Result(len(events))
    seen = set()
    chosen = sample(len(events), options)
    start = time.monotonic()
    for at in range(len(events) + 1):
        if at:
            disk.apply(events[at - 1], record)
        late = options.minutes and time.monotonic() - start > (until - start) * at / max(1, len(events))
        for loss in disk.losses() if at in chosen and not (late and 0 < at < len(events)) else ():
            done = at == len(events)
            rows = (done, disk.describe(loss))
            if rows in seen:
                continue
            seen.add(rows)
            result.disks += 1
            try:
                examine(lab, scenario, disk, loss, before, after, done, result)
            except Trouble as trouble:
                where = events[at - 1] if at else "the beginning"
                result.troubles.append(f"{scenario.name}, {loss.what} after {at} ({where}): {trouble}")
                print(result.troubles[-1], file=sys.stderr, flush=True)
    return result


def sample(count: int, options: argparse.Namespace) -> set[int]:
    """Return the prefixes to try; the whole is always one."""
    if not options.sample:
        return set(range(count + 1))
    return {count, *((options.seed + i * count // options.sample) % (count + 1) for i in range(options.sample))}


def examine(
    lab: Lab, scenario: Scenario, disk: Disk, loss: Loss, before: View, after: View, done: bool, result: Result
) -> None:
    """Make one disk state, and check it. Raises Trouble."""
    from tests.faults.lab import remove

    remove(lab.copy)
    disk.write(loss, lab.copy)
    told = lab.child(lambda: look(lab, scenario, before, after, done))
    result.codes.update(told["codes"])
    result.changed += told["changed"]


def look(lab: Lab, scenario: Scenario, before: View, after: View, done: bool) -> dict[str, object]:
    """Run all checks on a disk state. Raises Trouble."""
    from rootlay.store.disk import bootid
    from tests.faults.lab import Trouble, call, call_program
    from tests.faults.state import as_rows, state_of

    bootid._known = os.urandom(bootid.ID_BYTES)
    lab.check_outputs(scenario)
    if scenario.shows and (shown := call_program(lab.words(scenario.words), lab.base / "shown")) != (0, scenario.shows):
        raise Trouble(f"the program: {shown}")
    text = call(["fsck", "--deep", "--json"])[1]
    codes = {row["code"] for row in as_rows(text)} if text.startswith("{") else {"none"}
    if not scenario.damage and codes - UNSYNCED:
        raise Trouble(f"fsck: {[row for row in as_rows(text) if row['code'] not in UNSYNCED]}")
    code, text = call(["fsck", "--deep", "--repair", "--json"])
    if code not in (0, 1):
        raise Trouble(f"fsck --repair: exit code {code}: {text}")
    found = state_of(lab.store)
    changed = 0
    for name in before.keys() | after.keys():
        allowed = {after.get(name)} if done else {before.get(name), after.get(name)}
        if found.get(name) in allowed or scenario.damage:
            continue
        if name.startswith("image ") or before.get(name) == after.get(name):
            raise Trouble(f"{name}: {found.get(name, 'gone')} is none of {allowed}")
        changed += 1
    code, text = call(lab.words(scenario.words))
    if code not in (0, *scenario.again) and not changed:
        raise Trouble(f"once more: exit code {code}: {text}")
    for words in (["prune"], ["images"], ["ps", "-a"], ["fsck", "--deep"]):
        code, text = call(words)
        if code:
            raise Trouble(f"{' '.join(words)}: exit code {code}: {text}")
    finished = state_of(lab.store)
    for name in after:
        if name.startswith("image ") and not changed and finished.get(name) != after[name]:
            raise Trouble(f"after once more: {name} is {finished.get(name)}, not {after[name]}")
    return {"codes": sorted(codes), "changed": changed}


if __name__ == "__main__":
    sys.exit(main())
