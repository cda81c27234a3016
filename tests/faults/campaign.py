"""One worker of a campaign: it tries all points of a command with all actions, and reports failed checks."""

from __future__ import annotations

import argparse
import contextlib
import gc
import os
import random
import re
import signal
import sys
import time
from collections import Counter
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import rootlay.vfs.run.session
from tests.faults import lab as labs
from tests.faults.control import Control
from tests.faults.lab import Lab, Trouble
from tests.faults.row import Row, read_rows
from tests.faults.scenarios import SCENARIOS, Scenario, make_inputs, serve
from tests.faults.state import View, state_of

# The exit codes of docs/exit-codes.md for errors of the disk: DiskFull, StoreNotWritable, and others.
CODES = {"ENOSPC": (31, 125), "EDQUOT": (31, 125), "EROFS": (30, 125), "EIO": (1, 125)}
LEFT_OUT = ("__main__", "upathfs", "fsspecfs", "pytestplugin")


def run(options: argparse.Namespace) -> None:
    """Try each command that no other worker has taken. Write the rows to `options.rows`."""
    preload()
    work = Path(os.environ["ROOTLAY_FAULT_ROOT"]).parent
    shared = Path(os.environ["ROOTLAY_FAULT_CONTROL"]).parent
    make_inputs_once(work)
    registry, host = serve(work / "in")
    labs.spared.add(registry)
    engine = work / "engine"
    if engine.exists():
        rootlay.vfs.run.session.engine_path = lambda: engine
    lab = Lab(work, Control(shared / "control"), shared / "log", host)
    gc.freeze()  # forks share the pages of objects that are never collected
    gc.disable()
    try:
        for scenario in lots(SCENARIOS, options):
            if options.minutes and time.monotonic() > float(os.environ["ROOTLAY_FAULT_UNTIL"]):
                break
            wanted = not options.scenario or scenario.name in options.scenario
            if not wanted or (scenario.engine and not engine.exists()) or not take(scenario, options):
                continue
            row = next(iter(read_rows(options.rows, [scenario.name])), Row(scenario.name))
            if set(options.actions.split(",")) <= set(row.finished):
                continue
            try:
                try_all(lab, scenario, options, row)
            except Trouble as trouble:
                row.troubles.append(f"{scenario.name}: {trouble}")
                print(row.troubles[-1], file=sys.stderr, flush=True)
            row.write(options.rows)
            print(row.line(options.actions.split(",")), file=sys.stderr, flush=True)
    finally:
        os.kill(registry, signal.SIGKILL)


def lots(scenarios: Sequence[Scenario], options: argparse.Namespace) -> list[Scenario]:
    """Return the order of the commands. With a time limit it is random, and the seed determines it."""
    order = list(scenarios)
    if options.minutes:
        random.Random(options.seed).shuffle(order)
    return order


def take(scenario: Scenario, options: argparse.Namespace) -> bool:
    """Return whether this worker tries a command: no other worker has taken it."""
    with contextlib.suppress(FileExistsError):
        os.close(os.open(options.rows / f"{scenario.name.replace('/', '-')}.taken", os.O_CREAT | os.O_EXCL))
        return True
    return False


def make_inputs_once(work: Path) -> None:
    if not (work / "in").exists():
        (work / "in").mkdir()
        make_inputs(work / "in")
    labs.remove(work / "lab")
    labs.remove(work / "base")


def preload() -> None:
    """Import the modules that the commands need, so that each fork has them. No store is opened."""
    import importlib
    import pkgutil

    import rootlay.cli.verbs
    import rootlay.store
    import rootlay.vfs

    for package in (rootlay.cli.verbs, rootlay.store, rootlay.vfs):
        for found in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
            if not found.name.endswith(LEFT_OUT) and ".hook" not in found.name:
                with contextlib.suppress(ImportError):  # shared libraries that are not modules
                    importlib.import_module(found.name)
    for name in ("lmdb", "zstandard", "urllib3", "ssl", "hashlib", "ctypes", "shutil", "email.parser", "http.client"):
        importlib.import_module(name)


def end_of_turn(options: argparse.Namespace) -> float:
    """Return the end of the time for a command that begins now: the commands that are left share the rest equally."""
    now = time.monotonic()
    waiting = len(options.scenario or SCENARIOS) - len(list(options.rows.glob("*.taken"))) + 1
    rest = (float(os.environ["ROOTLAY_FAULT_UNTIL"]) - now) / max(1, -(-waiting // options.jobs))
    return now + float(max(1, rest))


def try_all(lab: Lab, scenario: Scenario, options: argparse.Namespace, row: Row) -> None:
    """Try every point of a command, or a sample."""
    until = end_of_turn(options)
    template = lab.make_template(scenario, "template")
    before: View = {} if scenario.damage else lab.child(lambda: state_of(lab.store))
    lab.restore(template)
    words = lab.words(scenario.words)
    whole = lab.interrupt(words, 0, "kill")
    if whole.code not in (0, *scenario.again):
        raise Trouble(f"without a fault: exit code {whole.code}: {whole.output}")
    after: View = lab.child(lambda: state_of(lab.store))
    row.points = whole.points
    row.distinct = len({shape_of(line) for line in lab.log.read_text().splitlines()})
    if options.list:
        print(f"== {scenario.name}\n{lab.log.read_text()}", end="")
        return
    seen: set[tuple[str, bool]] = set()
    states = row.states
    actions = [action for action in options.actions.split(",") if action not in row.finished]
    for action in actions:
        row.reached.pop(action, None)
        row.codes.pop(action, None)
        row.troubles = [text for text in row.troubles if f", {action} at " not in text]
    tries = [(action, at) for action in actions for at in points_of(whole.points, options)]
    if options.minutes:
        random.Random(f"{options.seed} {scenario.name}").shuffle(tries)
    left = Counter(action for action, _ in tries)
    for action, at in tries:
        if options.minutes and time.monotonic() > until:
            break
        lab.restore(template)
        try:
            broken = lab.interrupt(words, at, action)
            row.reached[action] = row.reached.get(action, 0) + (broken.points >= at)
            row.exited(action, broken.code)
            done = judge(scenario, broken, action)
            state = (lab.sameness.digest(), done)
            if state not in seen:
                lab.child(partial(lab.verify, scenario, before, after, done))
                seen.add(state)
        except Trouble as trouble:
            what = f"{scenario.name}, {action} at {at} ({name_of(lab, at)}): {trouble}"
            row.troubles.append(what)
            print(f"{what}\n  again: python -m tests.faults --actions {action} --at {at} '{scenario.name}'",
                  file=sys.stderr, flush=True)  # fmt: skip
        row.states = states + len(seen)
        left[action] -= 1
        if not left[action]:
            row.finished += [action]
            row.write(options.rows)


def points_of(count: int, options: argparse.Namespace) -> list[int]:
    """Return the numbers of the points to try."""
    if options.at:
        return [options.at]
    if not options.sample or count <= options.sample:
        return list(range(1, count + 1))
    return sorted({1 + (options.seed + i * count // options.sample) % count for i in range(options.sample)})


def judge(scenario: Scenario, broken: labs.Victim, action: str) -> bool:
    """Raise Trouble unless the victim ended correctly. Return whether it reported success."""
    code = broken.code
    if action == "kill":
        if code not in (0, *scenario.again) and code != -signal.SIGKILL and not scenario.engine:
            raise Trouble(f"exit code {code}: {broken.output[-1500:]}")
    else:
        if code < 0 or code == 99 or "Traceback" in broken.output:
            raise Trouble(f"exit code {code}: {broken.output[-1500:]}")
        # fsck reports the error with the finding; a program inside may print more lines.
        if code not in (0, *scenario.again) and not scenario.engine and not scenario.damage:
            told = [line for line in broken.output.splitlines() if line.startswith("rootlay: ")]
            if len(told) != 1 or code not in (*CODES[action], *scenario.refused):
                raise Trouble(f"exit code {code}, not one of {CODES[action]} with one line: {broken.output[-1500:]!r}")
    return code == 0 and not (action == "kill" and scenario.engine)


def shape_of(line: str) -> str:
    """Return a point without the parts that differ between runs: numbers, random names, digests."""
    _, call, path = line.split("\t", 2)
    return call + " " + re.sub(r"[0-9a-f]{6,}|\d+", "N", path)


def name_of(lab: Lab, at: int) -> str:
    for line in lab.log.read_text().splitlines() if lab.log.exists() else ():
        if line.startswith(f"{at}\t"):
            return " ".join(line.split("\t")[1:])
    return "not reached"
