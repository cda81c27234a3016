"""All scenarios, all points, all actions; what went wrong, and a table of what was tried."""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import signal
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import rootlay.vfs.run.session
from tests.faults import lab as labs
from tests.faults.control import Control
from tests.faults.lab import Lab, Trouble
from tests.faults.scenarios import SCENARIOS, Scenario, make_inputs, serve
from tests.faults.state import View, state_of


@dataclass
class Row:
    """What was tried of one scenario."""

    points: int = 0
    distinct: int = 0
    tried: Counter[str] = field(default_factory=Counter)
    reached: Counter[str] = field(default_factory=Counter)
    troubles: list[str] = field(default_factory=list)


LEFT_OUT = ("__main__", "upathfs", "fsspecfs", "pytestplugin")


def run(options: argparse.Namespace) -> int:
    """The whole campaign. Exit code."""
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
    chosen = [s for s in SCENARIOS if not options.scenario or s.name in options.scenario]
    rows: dict[str, Row] = {}
    start = time.monotonic()
    try:
        for scenario in chosen:
            if scenario.engine and not engine.exists():
                continue
            try:
                rows[scenario.name] = try_all(lab, scenario, options)
            except Trouble as trouble:
                rows[scenario.name] = Row(troubles=[f"{scenario.name}: {trouble}"])
                print(rows[scenario.name].troubles[0], file=sys.stderr, flush=True)
            print(line_of(scenario.name, rows[scenario.name], options.actions.split(",")), file=sys.stderr, flush=True)
    finally:
        os.kill(registry, signal.SIGKILL)
    report(rows, options.actions.split(","), time.monotonic() - start)
    return 1 if any(row.troubles for row in rows.values()) else 0


def make_inputs_once(work: Path) -> None:
    if not (work / "in").exists():
        (work / "in").mkdir()
        make_inputs(work / "in")
    labs.remove(work / "lab")
    labs.remove(work / "base")


def preload() -> None:
    """Import what the commands will need, so that a fork has it. No store is opened."""
    import importlib
    import pkgutil

    import rootlay.cli.verbs
    import rootlay.store
    import rootlay.vfs

    for package in (rootlay.cli.verbs, rootlay.store, rootlay.vfs):
        for found in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
            if not found.name.endswith(LEFT_OUT) and ".hook" not in found.name:
                with contextlib.suppress(ImportError):  # shared libraries that are no modules
                    importlib.import_module(found.name)
    for name in ("lmdb", "zstandard", "urllib3", "ssl", "hashlib", "ctypes", "shutil", "email.parser", "http.client"):
        importlib.import_module(name)


def try_all(lab: Lab, scenario: Scenario, options: argparse.Namespace) -> Row:
    """Every point, or a sample."""
    template = lab.make_template(scenario, "template")
    before: View = {} if scenario.damage else lab.child(lambda: state_of(lab.store))
    lab.restore(template)
    words = lab.words(scenario.words)
    whole = lab.interrupt(words, 0, "kill")
    if whole.code not in (0, *scenario.again):
        raise Trouble(f"without a fault: exit code {whole.code}: {whole.output}")
    after: View = lab.child(lambda: state_of(lab.store))
    row = Row(whole.points, len({shape_of(line) for line in lab.log.read_text().splitlines()}))
    if options.list:
        print(f"== {scenario.name}\n{lab.log.read_text()}", end="")
        return row
    for action in options.actions.split(","):
        for at in points_of(whole.points, options):
            lab.restore(template)
            try:
                broken = lab.interrupt(words, at, action)
                row.tried[action] += 1
                row.reached[action] += broken.points >= at
                judge(lab, scenario, broken, at, action, before, after)
            except Trouble as trouble:
                what = f"{scenario.name}, {action} at {at} ({name_of(lab, at)}): {trouble}"
                row.troubles.append(what)
                print(f"{what}\n  again: python -m tests.faults --actions {action} --at {at} '{scenario.name}'",
                      file=sys.stderr, flush=True)  # fmt: skip
    return row


def points_of(count: int, options: argparse.Namespace) -> list[int]:
    """The numbers to try."""
    if options.at:
        return [options.at]
    if not options.sample or count <= options.sample:
        return list(range(1, count + 1))
    return sorted({1 + (options.seed + i * count // options.sample) % count for i in range(options.sample)})


def judge(lab: Lab, scenario: Scenario, broken: labs.Victim, at: int, action: str, before: View, after: View) -> None:
    """Raise Trouble unless the victim ended as it should and left what it should."""
    code = broken.code
    if action == "kill":
        if code not in (0, *scenario.again) and code != -signal.SIGKILL and not scenario.engine:
            raise Trouble(f"exit code {code}: {broken.output[-1500:]}")
    else:
        if code < 0 or code == 99 or "Traceback" in broken.output:
            raise Trouble(f"exit code {code}: {broken.output[-1500:]}")
        told = "rootlay: " in broken.output or scenario.damage  # fsck tells it with the finding
        if code != 0 and code not in scenario.again and not scenario.engine and not told:
            raise Trouble(f"exit code {code} without a word: {broken.output[-1500:]!r}")
    done = code == 0 and not (action == "kill" and scenario.engine)
    lab.child(lambda: lab.verify(scenario, before, after, done))


def shape_of(line: str) -> str:
    """A point without what differs from one run to the next: numbers, random names, digests."""
    _, call, path = line.split("\t", 2)
    return call + " " + re.sub(r"[0-9a-f]{6,}|\d+", "N", path)


def name_of(lab: Lab, at: int) -> str:
    for line in lab.log.read_text().splitlines() if lab.log.exists() else ():
        if line.startswith(f"{at}\t"):
            return " ".join(line.split("\t")[1:])
    return "not reached"


def line_of(name: str, row: Row, actions: list[str]) -> str:
    cells = [str(row.reached[action]) for action in actions]
    return f"| {name} | {row.points} | {row.distinct} | {' | '.join(cells)} | {len(row.troubles)} |"


def report(rows: dict[str, Row], actions: list[str], seconds: float) -> None:
    """A table in markdown."""
    print("| Command | Points | distinct | " + " | ".join(actions) + " | not as it must be |")
    print("|---|---|---|" + "---|" * len(actions) + "---|")
    for name, row in rows.items():
        print(line_of(name, row, actions))
    total = [str(sum(row.reached[action] for row in rows.values())) for action in actions]
    points = sum(row.points for row in rows.values())
    distinct = sum(row.distinct for row in rows.values())
    wrong = sum(len(row.troubles) for row in rows.values())
    print(f"| all | {points} | {distinct} | {' | '.join(total)} | {wrong} |")
    print(f"\n{sum(map(int, total))} breaks in {seconds:.0f} s")
