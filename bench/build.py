"""What do builds and commits cost, next to `buildah bud` with its overlay and its vfs driver, and `docker build`?

    python -m bench.build BASE.tar [--as USER] [--parts builds,apt] [--tools rootlay,overlay,vfs,docker] [-n 3]
                   [--limit 90] [--counts 10,1000,100000] [--sizes 0,20000]

BASE.tar is a Debian root file system with python3. As root the others take part; rootlay then runs as `--as` USER, as
an ordinary user would (the directory of the installed `rootlay` must be readable for them). Printed are the least wall
time of the rounds, the CPU time of that round, and what the storage has grown by. Tools take turns; one that needs
more than ENOUGH_S seconds for a row is not asked again, and one that needs more than `--limit` seconds is stopped: its
row says `> LIMIT s`. docker's CPU time is that of its daemon's processes, too, as far as they are still there.

Parts: `builds` (nothing changed, one file, 30 tiny RUNs, 20,000 files), `apt` (apt-get install, from the network; what
fails is shown as such), `commits` (--counts: new files in a commit), `sizes` (--sizes: files of 4 KiB in the image
below a commit of ten).
"""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from bench.builders import Buildah, Docker, Failed, Rootlay, Tool, TooLong, timed
from bench.harness import Figures, Series, make_parser, run

COPIED_FILES = 20_000
TINY_RUNS = 30
ENOUGH_S = 10.0
SETTLE_S = 0.3
SETTLE_TRIES = 60


def disk_bytes(directory: Path) -> int:
    found = 0
    for top, _, names in os.walk(directory):
        for name in names:
            with contextlib.suppress(FileNotFoundError):  # removed meanwhile, in the background
                found += os.lstat(os.path.join(top, name)).st_blocks * 512
    return found


def settled_bytes(directory: Path) -> int:
    """The same when nothing is removed any more: builders take what they no longer need away after the answer."""
    last = disk_bytes(directory)
    for _ in range(SETTLE_TRIES):
        time.sleep(SETTLE_S)
        now = disk_bytes(directory)
        if now == last:
            break
        last = now
    return last


def took(series: Series) -> tuple[float, float]:
    """Seconds and processor seconds of the fastest round."""
    return min(zip(series.wall, series.cpu, strict=True))


class Rows:
    """Measures and prints, row by row."""

    def __init__(self, tools: Sequence[Tool], figures: Figures, options: argparse.Namespace) -> None:
        self.tools = tools
        self._figures, self._rounds, self._limit_s = figures, options.rounds, options.limit
        print("| | " + " | ".join(tool.name for tool in tools) + " |")
        print("|---" * (len(tools) + 1) + "|", flush=True)

    def row(self, title: str, once: Callable[[Tool], Callable[[], object]]) -> None:
        """Measure `once(tool)()`, whose preparation does not count."""
        series = self._figures.of
        failed: dict[str, str] = {}
        for number in range(self._rounds):
            for tool in self.tools:
                if tool.name in failed or (number and self._figures.wall(title, tool.name) > ENOUGH_S):
                    continue
                work = once(tool)
                try:
                    with timed(self._limit_s):
                        self._measure(title, tool, work)
                except TooLong:
                    failed[tool.name] = f"> {self._limit_s:.0f} s"
                except Failed as error:
                    failed[tool.name] = f"fails: {error.last_line}"
        cells = []
        for name in (tool.name for tool in self.tools):
            if name not in failed:
                wall, cpu = took(series[title, name])
                disk = self._figures.wall(f"{title}: disk", name)
                cells.append(f"{wall:.2f} s, {cpu:.2f} s CPU, {disk:.1f} MB")
            else:
                cells.append(failed[name])
        print(f"| {title} | " + " | ".join(cells) + " |", flush=True)

    def _measure(self, title: str, tool: Tool, work: Callable[[], object]) -> None:
        before_bytes, served = settled_bytes(tool.storage), tool.cpu_s()
        self._figures.time(title, tool.name, work)
        self._figures.of[title, tool.name].cpu[-1] += max(0.0, tool.cpu_s() - served)
        grown = settled_bytes(tool.storage) - before_bytes
        self._figures.add(f"{title}: disk", tool.name, grown / 1e6, unit="MB")


def write_context(directory: Path, dockerfile: str) -> Path:
    directory.mkdir()
    (directory / "Dockerfile").write_text(dockerfile)
    return directory


def builds(rows: Rows, scratch: Path) -> None:
    def fresh(context: Path) -> Callable[[Tool], Callable[[], object]]:
        def once(tool: Tool) -> Callable[[], object]:
            tool.clean()
            return lambda: tool.build(context)

        return once

    app = write_context(
        scratch / "app",
        "FROM base\nENV A=1\nRUN echo one > /one\nRUN echo two > /two\nCOPY lib /lib-of-app\nWORKDIR /srv\n"
        "COPY app.py /srv/\nCMD python3 /srv/app.py\n",
    )
    (app / "lib").mkdir()
    for number in range(1000):
        (app / "lib" / f"m{number}.py").write_text(f"x = {number}\n" * 20)
    (app / "app.py").write_text("print(0)\n")
    for tool in rows.tools:
        tool.build(app)
    rows.row("nothing changed", lambda tool: lambda: tool.build(app))
    changes = iter(range(1, 1_000_000))

    def one_file(tool: Tool) -> Callable[[], object]:
        (app / "app.py").write_text(f"print({next(changes)})\n")
        return lambda: tool.build(app)

    rows.row("one file changed, in the last layer", one_file)
    tiny = "".join(f"RUN echo {number} > /n{number}\n" for number in range(TINY_RUNS))
    rows.row(f"{TINY_RUNS} tiny RUNs", fresh(write_context(scratch / "tiny", f"FROM base\n{tiny}")))
    many = write_context(scratch / "many", "FROM base\nCOPY files /files\n")
    for number in range(COPIED_FILES):
        directory = many / "files" / f"d{number // 100}"
        if number % 100 == 0:
            directory.mkdir(parents=True)
        (directory / f"f{number}").write_text(f"content of {number}\n" * 10)
    rows.row(f"COPY of {COPIED_FILES:,} files", fresh(many))
    rows.row(f"COPY of {COPIED_FILES:,} files, again", lambda tool: lambda: tool.build(many))


def apt(rows: Rows, scratch: Path) -> None:
    """Packages come from the network: what that takes is in it, for all."""
    text = "FROM base\nRUN apt-get update && apt-get install -y --no-install-recommends git gcc libc6-dev make\n"
    context = write_context(scratch / "apt", text)

    def once(tool: Tool) -> Callable[[], object]:
        tool.clean()
        return lambda: tool.build(context)

    rows.row("apt-get install git gcc make", once)


def commits(rows: Rows, counts: Sequence[int]) -> None:
    for count in counts:

        def once(tool: Tool, count: int = count) -> Callable[[], object]:
            tool.clean()
            return tool.change(count, "base")

        rows.row(f"commit of {count:,} new files", once)


def sizes(rows: Rows, scratch: Path, sizes: Sequence[int]) -> None:
    """The cost of a commit against the size of the image."""
    for count in sizes:
        context = write_context(scratch / f"size{count}", "FROM base\nCOPY files /files\n")
        (context / "files").mkdir()
        for number in range(count):
            directory = context / "files" / f"d{number // 1000}"
            directory.mkdir(exist_ok=True)
            (directory / f"f{number}").write_bytes(os.urandom(4096))
        for tool in rows.tools:
            tool.build(context, f"size{count}")

        def once(tool: Tool, count: int = count) -> Callable[[], object]:
            tool.clean()
            return tool.change(10, f"size{count}")

        rows.row(f"commit of 10 new files to an image with {count:,} more files", once)


def measure(options: argparse.Namespace, figures: Figures) -> None:
    with tempfile.TemporaryDirectory(prefix="bench-build-", ignore_cleanup_errors=True) as directory:
        scratch = Path(directory)
        scratch.chmod(0o755)
        tools: list[Tool] = []
        try:
            start(tools, scratch, options)
            measure_all(Rows(tools, figures, options), scratch, options)
        finally:
            for tool in tools:
                tool.close()


def start(tools: list[Tool], scratch: Path, options: argparse.Namespace) -> None:
    """Add those that are asked for and can be had, each with the base image."""
    wanted = options.tools.split(",")
    if "rootlay" in wanted:
        tools.append(Rootlay(scratch, options.user))
    if os.geteuid() == 0 and shutil.which("buildah"):
        tools += [Buildah(scratch, driver) for driver in ("overlay", "vfs") if driver in wanted]
    if os.geteuid() == 0 and shutil.which("dockerd") and shutil.which("docker") and "docker" in wanted:
        tools.append(Docker(scratch))
    for tool in tools:
        tool.prepare(options.base)


def measure_all(rows: Rows, scratch: Path, options: argparse.Namespace) -> None:
    parts: dict[str, Callable[[], None]] = {
        "builds": lambda: builds(rows, scratch),
        "apt": lambda: apt(rows, scratch),
        "commits": lambda: commits(rows, list(map(int, options.counts.split(",")))),
        "sizes": lambda: sizes(rows, scratch, list(map(int, options.sizes.split(",")))),
    }
    for part in options.parts.split(","):
        parts[part]()


def main() -> None:
    parser = make_parser(__doc__, rounds=3)
    parser.add_argument("base", type=Path)
    parser.add_argument("--as", dest="user")
    parser.add_argument("--parts", default="builds,apt")
    parser.add_argument("--tools", default="rootlay,overlay,vfs,docker")
    parser.add_argument("--limit", type=float, default=90)
    parser.add_argument("--counts", default="10,100,1000,10000,100000")
    parser.add_argument("--sizes", default="0,1000,10000,50000")
    run(parser, measure)


if __name__ == "__main__":
    main()
