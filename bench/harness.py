"""What benchmarks share: figures of interleaved rounds, a record of them as JSON, and two installs side by side.

    python -m bench.startup DEBIAN.tar --json FILE
    python -m bench.startup DEBIAN.tar --against OTHER/bin/python

Rules:
1. A figure belongs to a row (what is done) and a column (by what). Each round measures all columns, the baseline too:
   what else the machine does meanwhile hits all of them. Minimum and median are of the rounds; a first round that warms
   caches up is not one of them.
2. Elapsed time and processor time are kept, that of child processes with it. On a busy machine the second is the one to
   read.
3. `--against` starts the same benchmark, one round each, in this interpreter and in the other, by turns. So it works
   for what is measured inside the process as well as for commands. The other one needs rootlay and what the benchmark
   imports of it.
"""

from __future__ import annotations

import argparse
import datetime
import importlib.metadata
import importlib.util
import itertools
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

TREE = Path(__file__).parent.parent
ROOTLAY = str(Path(sys.executable).with_name("rootlay"))
# In between, because a process that is started from a large one counts that one's memory as its own.
_SPEND = """if 1:
    import resource, subprocess, sys, time
    started = time.monotonic()
    done = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL)
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    print(time.monotonic() - started, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024)
    sys.exit(done.returncode)
"""
#: The files of an image, all of them: `python -c HYDRATE STORE NAME`.
HYDRATE = """if 1:
    import sys
    from pathlib import Path
    from rootlay.store.hydrate.hydrator import Hydrator
    from rootlay.store.store import ImageStore
    from rootlay.store.view.view import View
    from rootlay.store.view.build import build_view, view_path
    store = ImageStore.open(Path(sys.argv[1]))
    view = View.open(view_path(store.root, build_view(store, store.image(sys.argv[2]).diff_ids)))
    with Hydrator(store, view) as hydrator:
        hydrator.hydrate_all()
"""
T = TypeVar("T")


@dataclass
class Series:
    """The values of one figure, a round each, in the unit that it was added with. `cpu` may be empty."""

    unit: str
    wall: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    first: float | None = None

    def to_json(self) -> dict[str, Any]:
        found: dict[str, Any] = {"unit": self.unit, "first": self.first}
        for kind, values in (("wall", self.wall), ("cpu", self.cpu)):
            if values:
                found[kind] = {"min": min(values), "median": statistics.median(values), "rounds": values}
        return found

    def cell(self) -> str:
        """The values in a table, seconds as milliseconds."""
        scale, unit = (1e3, "ms") if self.unit == "s" else (1.0, self.unit)
        cpu = f" ({min(self.cpu) * scale:,.4g})" if self.cpu else ""
        return f"{min(self.wall) * scale:,.4g}, {statistics.median(self.wall) * scale:,.4g}{cpu} {unit}".rstrip()


class Figures:
    """All figures of a run."""

    def __init__(self) -> None:
        self.of: dict[tuple[str, str], Series] = {}

    def add(self, row: str, column: str, wall: float, cpu: float | None = None, *, unit: str = "s") -> None:
        """Keep the value of a round."""
        series = self.of.setdefault((row, column), Series(unit))
        series.wall.append(wall)
        if cpu is not None:
            series.cpu.append(cpu)

    def time(self, row: str, column: str, work: Callable[[], T], *, per: int = 1, warm: bool = False) -> T:
        """Run `work` and keep the seconds that it took, divided by `per`.

        Args:
            warm: of the round before the first.
        """
        cpu, wall = _processor_seconds(), time.perf_counter()
        result = work()
        took, used = (time.perf_counter() - wall) / per, (_processor_seconds() - cpu) / per
        if warm:
            self.of.setdefault((row, column), Series("s")).first = took
        else:
            self.add(row, column, took, used)
        return result

    def wall(self, row: str, column: str = "") -> float:
        """Elapsed, the least of the rounds."""
        return min(self.of[row, column].wall)

    def cpu(self, row: str, column: str = "") -> float:
        """Of the processors, the least of the rounds."""
        return min(self.of[row, column].cpu)

    def median(self, row: str, column: str = "") -> float:
        """Elapsed, the median of the rounds."""
        return statistics.median(self.of[row, column].wall)

    def spend(self, column: str, commands: list[list[str]], environ: dict[str, str], left: Path) -> None:
        """Run commands and keep what they took together, and what there is below `left` afterwards.

        Raises:
            RuntimeError: one failed.
        """
        wall = cpu = peak = 0.0
        for command in commands:
            run = [sys.executable, "-c", _SPEND, *command]
            done = subprocess.run(run, env=environ, capture_output=True, text=True, check=False)
            if done.returncode:
                raise RuntimeError(f"{command[0]}: {done.stderr.strip()[-300:]}")
            took = [float(word) for word in done.stdout.split()]
            wall, cpu, peak = wall + took[0], cpu + took[1], max(peak, took[2])
        found = [path.lstat() for path in left.rglob("*")]
        self.add("time", column, wall, cpu)
        self.add("peak memory", column, peak, unit="MB")
        self.add(
            "disk", column, sum({(s.st_dev, s.st_ino): s.st_blocks * 512 for s in found}.values()) / 1e6, unit="MB"
        )
        self.add("inodes", column, len(found), unit="")

    def print_tables(self) -> None:
        """Print all figures: rows with the same columns are one table."""
        rows: dict[str, list[str]] = {}
        for row, column in self.of:
            rows.setdefault(row, []).append(column)
        for columns, together in itertools.groupby(rows, key=rows.__getitem__):
            print("\n| minimum, median (processor) | " + " | ".join(columns) + " |\n|---" + "|---" * len(columns) + "|")
            for row in together:
                print(f"| {row} | " + " | ".join(self.of[row, column].cell() for column in columns) + " |")

    def to_json(self) -> list[dict[str, Any]]:
        return [{"row": row, "column": column, **series.to_json()} for (row, column), series in self.of.items()]


def _processor_seconds() -> float:
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


def make_parser(doc: str | None, rounds: int) -> argparse.ArgumentParser:
    """A parser with the options that all benchmarks have."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-n", "--rounds", type=int, default=rounds, help=f"interleaved rounds ({rounds})")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures and the machine to FILE")
    parser.add_argument(
        "--against", metavar="PYTHON", help="compare with the rootlay of another interpreter, or of a rootlay command"
    )
    return parser


def run(parser: argparse.ArgumentParser, benchmark: Callable[[argparse.Namespace, Figures], None]) -> None:
    """Run a benchmark as the command line says, and write what it has found."""
    options = parser.parse_args()
    name = Path(sys.argv[0]).stem
    if options.against:
        compare(name, parser.prog, options)
        return
    figures = Figures()
    print(f"{headline()}\n", flush=True)
    benchmark(options, figures)
    if options.json:
        write(options.json, {"benchmark": name, **machine(), "argv": sys.argv[1:], "figures": figures.to_json()})


def write(path: Path, record: dict[str, Any]) -> None:
    path.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


def machine() -> dict[str, Any]:
    """What figures depend on."""
    spec = importlib.util.find_spec("rootlay")
    return {
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "machine": platform.machine(),
        "processor": _processor(),
        "processors": os.cpu_count(),
        "load": os.getloadavg()[0],
        "kernel": platform.release(),
        "file_system": _output("stat", "-f", "-c", "%T", tempfile.gettempdir()),
        "python": platform.python_version(),
        "rootlay": importlib.metadata.version("rootlay"),
        "installed": str(next(iter(spec.submodule_search_locations or ()), "")) if spec else "",
        "commit": _output(
            "git", "-c", "safe.directory=*", "-C", str(TREE), "describe", "--always", "--dirty", "--abbrev=12"
        ),
        "uid": os.geteuid(),
    }


def headline() -> str:
    """The machine in one line."""
    m = machine()
    return (
        f"{m['machine']}, {m['processors']} processors (load {m['load']:.1f}), Linux {m['kernel']}, "
        f"{m['file_system']}, Python {m['python']}, rootlay {m['rootlay']} ({m['commit']}), uid {m['uid']}"
    )


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor()


def _output(*command: str) -> str:
    try:
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
    except OSError:
        return ""


# ---- two installs


def compare(name: str, prog: str, options: argparse.Namespace) -> None:
    """Rounds of both by turns, then a table of all figures. What each prints itself is not shown."""
    pythons = {"here": sys.executable, "against": interpreter_of(options.against)}
    records: dict[str, dict[str, Any]] = {}
    for number in range(options.rounds):
        # Who comes first changes, so that neither always finds what the other has left in the page cache.
        for side in sorted(pythons, reverse=number % 2 == 0):
            merge(records, side, one_round(name, pythons[side]))
            print(f"{prog}: round {number + 1} of {options.rounds}, {side}", file=sys.stderr)
    print(f"{headline()}\n")
    for side, python in pythons.items():
        print(f"- {side}: {python}, rootlay {records[side]['rootlay']} at {records[side]['installed']}")
    print("\n| | unit | here: min, median | against: min, median | min | median | processor, min |")
    print("|---|---|---|---|---|---|---|")
    theirs = {(figure["row"], figure["column"]): figure for figure in records["against"]["figures"]}
    for figure in records["here"]["figures"]:
        other = theirs.get((figure["row"], figure["column"]))
        if other is not None and "wall" in figure and "wall" in other:
            print(table_row(figure, other))
    if options.json:
        write(options.json, {"benchmark": name, **records})


def interpreter_of(path: str) -> str:
    """The interpreter itself, or that of the virtual environment which a `rootlay` command is in."""
    return str(Path(path).with_name("python")) if Path(path).name == "rootlay" else path


def one_round(name: str, python: str) -> dict[str, Any]:
    """The record of one round by an interpreter. Raises CalledProcessError."""
    with tempfile.NamedTemporaryFile(suffix=".json") as out:
        own = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
        own.add_argument("-n", "--rounds")
        own.add_argument("--json")
        own.add_argument("--against")
        rest = own.parse_known_args()[1]
        command = [python, "-m", f"bench.{name}", *rest, "--rounds", "1", "--json", out.name]
        subprocess.run(command, cwd=TREE, check=True, stdout=subprocess.DEVNULL)
        record: dict[str, Any] = json.load(out)
        return record


def merge(records: dict[str, dict[str, Any]], side: str, record: dict[str, Any]) -> None:
    """Add the rounds of a record to what there is of that side."""
    known = records.setdefault(side, record)
    if known is record:
        return
    figures = {(figure["row"], figure["column"]): figure for figure in known["figures"]}
    for figure in record["figures"]:
        mine = figures.get((figure["row"], figure["column"]))
        if mine is None:
            known["figures"].append(figure)
            continue
        for kind in ("wall", "cpu"):
            if kind in mine and kind in figure:
                values = mine[kind]["rounds"] + figure[kind]["rounds"]
                mine[kind] = {"min": min(values), "median": statistics.median(values), "rounds": values}


def table_row(figure: dict[str, Any], other: dict[str, Any]) -> str:
    """Ratios are of here to against: more than 1 is slower here."""
    scale, unit = (1e3, "ms") if figure["unit"] == "s" else (1.0, figure["unit"])
    label = f"{figure['row']}, {figure['column']}" if figure["column"] else figure["row"]
    sides = [f"{f['wall']['min'] * scale:.4g}, {f['wall']['median'] * scale:.4g}" for f in (figure, other)]
    ratios = [ratio(figure["wall"][kind], other["wall"][kind]) for kind in ("min", "median")]
    ratios.append(ratio(figure["cpu"]["min"], other["cpu"]["min"]) if "cpu" in figure and "cpu" in other else "")
    return f"| {label} | {unit} | " + " | ".join([*sides, *ratios]) + " |"


def ratio(mine: float, theirs: float) -> str:
    return f"{mine / theirs:.2f}" if theirs else ""
