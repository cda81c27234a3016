"""The shared store, its workers, and the checks after they have ended."""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time
import traceback
from collections import Counter
from pathlib import Path
from typing import Any

from tests.faults.campaign import preload
from tests.faults.lab import call, choose_views
from tests.faults.scenarios import make_inputs, serve
from tests.stress.lockorder import read_reports
from tests.stress.worker import Worker, Wrong


def run(work: Path, workers: int, seconds: float, seed: int) -> int:
    """Prepare the store, run the workers, check and report. Return the exit code."""
    work = Path(os.path.realpath(work))
    os.environ.update(ROOTLAY_ROOT=str(work / "store"), HOME=str(work))
    preload()
    choose_views(delta=bool(seed % 4))  # their bases are added and removed with the images
    (work / "in").mkdir(parents=True)
    make_inputs(work / "in")
    registry, host = serve(work / "in")
    try:
        first = Worker(0, work / "store", work / "in", host, {}, random.Random(seed))
        first.known = prepare(first)
        pids = {fork_worker(first, number, seconds, seed, work): number for number in range(1, workers + 1)}
        failed = [number for pid, number in pids.items() if os.waitpid(pid, 0)[1]]
        results = [json.loads((work / f"worker{number}").read_text()) for number in pids.values()]
        wrong = [text for result in results for text in result["wrong"]]
        wrong += [f"worker {number} died" for number in failed]
        wrong += check(first, results)
        pairs, against = read_reports(work / "locks")
        wrong += [f"a lock out of order: {text}" for text in against]
    finally:
        os.kill(registry, signal.SIGKILL)
        os.waitpid(registry, 0)
        first.ask(lambda: call(["rm", "-f", "shared"]))
    report(results, wrong, workers, seconds, seed)
    print("\nLocks requested while others were held:")
    for pair, count in sorted(pairs.items()):
        print(f"- {pair}: {count}")
    return 1 if wrong else 0


def prepare(first: Worker) -> dict[str, str]:
    """Make the image and the container that all use. Return the trees that commands must make, made by one worker."""
    first.must("import", str(first.inputs / "base.tar"), "base")
    first.must("create", "--name", "shared", "base", "true")
    first.known = {"app": "", "commit": "", "build": "", "removed": ""}
    made = {
        "app": ("i", first.import_layer), "commit": ("t", first.commit), "build": ("b", first.build),
        "removed": ("t", first.remove),
    }  # fmt: skip
    known = {}
    for what, (kind, make) in made.items():
        try:
            make()
        except Wrong:  # no digest to compare with exists yet
            tag = first.name(kind)
            known[what] = first.ask(lambda tag=tag: first.digest_of_image(tag))
            first.must("rmi", tag, codes=(0, 12))
            for container in ("c", "m"):
                first.must("rm", "-f", first.name(container))
            first.must("rmi", first.name("t"), codes=(0, 10))
    return known


def fork_worker(first: Worker, number: int, seconds: float, seed: int, work: Path) -> int:
    """Fork a worker. It writes its results to a file."""
    pid = os.fork()
    if pid:
        return pid
    wrong: list[str] = []
    worker = Worker(
        number, first.store, first.inputs, first.host, first.known, random.Random(seed * 1000 + number)
    )  # fmt: skip
    try:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and not wrong:
            try:
                worker.one()
            except Wrong as error:
                wrong.append(f"worker {number}, turn {worker.turn}: {error}")
                print(wrong[-1], file=sys.stderr, flush=True)
    except BaseException:
        wrong.append(traceback.format_exc())
    result = {
        "wrong": wrong,
        "done": worker.done,
        "tags": worker.tags,
        "lines": worker.lines,
        "slowest": worker.slowest,
    }
    (work / f"worker{number}").write_text(json.dumps(result))
    os._exit(0)


def check(first: Worker, results: list[dict[str, object]]) -> list[str]:
    """Check that nothing is lost, damaged or left behind. Return what is wrong."""
    wrong = []
    expected = {tag for result in results for tag in result["tags"]}  # type: ignore[attr-defined]
    rows = json.loads(first.run("images", "--json")[1])
    found = {row["repository"] for row in rows if row["repository"].startswith("w")}
    if found != expected:
        wrong.append(f"lost images: {sorted(expected - found)}; images that came back: {sorted(found - expected)}")
    for result in results:
        for tag, digest in result["tags"].items():  # type: ignore[attr-defined]
            if digest and tag in found and first.ask(lambda tag=tag: first.digest_of_image(tag)) != digest:
                wrong.append(f"{tag} has changed")
    lines = sorted(line for result in results for line in result["lines"])  # type: ignore[attr-defined]
    log = first.ask(lambda: _shared_log(first)).splitlines()
    if sorted(log) != lines:
        lost = Counter(lines) - Counter(log)
        wrong.append(f"of {len(lines)} lines appended {len(lost)} are lost: {sorted(lost)[:5]}")
    for words in (("fsck", "--deep"), ("prune",), ("fsck", "--deep")):
        code, text = first.run(*words)
        if code:
            wrong.append(f"{' '.join(words)} at the end: exit code {code}: {text}")
    left = [row["name"] for row in json.loads(first.run("ps", "-a", "--json")[1])]
    if left != ["shared"]:
        wrong.append(f"containers are left: {left}")
    return wrong


def _shared_log(first: Worker) -> str:
    from rootlay.store.containers.containers import Containers
    from rootlay.vfs.overlay.containerstack import open_overlay

    with open_overlay(Containers(first.store).find("shared")) as overlay:
        if overlay.find("/log") is None:
            return ""
        with overlay.open_content("/log") as stream:
            return stream.read().decode()


def report(results: list[dict[str, Any]], wrong: list[str], workers: int, seconds: float, seed: int) -> None:
    """Print a table in Markdown."""
    done: Counter[str] = Counter()
    for result in results:
        done.update(result["done"])
    print("| Action | Times |\n|---|---|")
    for name, count in sorted(done.items()):
        print(f"| {name.replace('_', ' ')} | {count} |")
    slowest = max(float(str(result["slowest"])) for result in results)
    tags = sum(len(result["tags"]) for result in results)
    lines = sum(len(result["lines"]) for result in results)
    print(
        f"\n{sum(done.values())} actions by {workers} processes in {seconds:.0f} s (seed {seed}); the slowest took "
        f"{slowest:.1f} s. At the end {tags} images and {lines} appended lines were expected; "
        f"{len(wrong)} checks failed."
    )
    for text in wrong:
        print(text)
