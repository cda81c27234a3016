"""What do builds and commits cost, next to `buildah bud` with its overlay and its vfs driver, and `docker build`?

    bench/build.py BASE.tar [--as USER] [--rounds 3] [--only PART] [--tools rootlay,overlay,vfs,docker]
                   [--network] [--counts 10,1000,100000] [--sizes 0,20000]

BASE.tar is a Debian root file system with python3. As root the others take part; rootlay then runs as `--as` USER, as
an ordinary user would (the directory of the installed `rootlay` must be readable for them). Least wall time of the
rounds (buildah vfs has one), the CPU time of that round, and what the storage has grown by. Tools take turns within
each. docker's CPU time is that of its daemon's processes, too, as far as they are still there.

Parts: `builds` (nothing changed, one file, 30 tiny RUNs, 20,000 files), `apt` (with --network: apt-get install),
`commits` (--counts: new files in a commit), `sizes` (--sizes: files of 4 KiB in the image below a commit of ten).
"""

from __future__ import annotations

import argparse
import os
import platform
import pwd
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

COPIED_FILES = 20_000
TINY_RUNS = 30


@dataclass(frozen=True)
class Cost:
    wall_s: float
    cpu_s: float
    disk_bytes: int = 0

    def __str__(self) -> str:
        return f"{self.wall_s:.2f} s, {self.cpu_s:.2f} s CPU, {self.disk_bytes / 1e6:.1f} MB"


class Tool(Protocol):
    """A builder with a storage of its own."""

    name: str
    storage: Path
    rounds_max: int

    def cpu_s(self) -> float:
        """What processes other than our children have used so far."""

    def prepare(self, base: Path) -> None:
        """Bring the base image in as `base`."""

    def build(self, context: Path, name: str = "built") -> None:
        """Build, with what is cached."""

    def clean(self) -> None:
        """Forget everything but the base image."""

    def change(self, count: int, image: str) -> Callable[[], object]:
        """A container with that many new files; commits it when called."""

    def close(self) -> None:
        """Let the storage go, so that it can be removed."""


class Rootlay:
    def __init__(self, scratch: Path, user: str | None) -> None:
        self.name = "rootlay"
        self.rounds_max = 1000
        self.storage = scratch / "rootlay"
        self._user = user
        self._command = [str(Path(sys.executable).with_name("rootlay")), "--root", str(self.storage)]
        self.storage.mkdir(mode=0o777)
        self.storage.chmod(0o777)

    def _do(self, *words: str) -> None:
        run([*self._command, *words], self._user)

    def cpu_s(self) -> float:
        return 0.0

    def prepare(self, base: Path) -> None:
        self._do("import", str(base), "base")

    def build(self, context: Path, name: str = "built") -> None:
        self._do("build", "-q", "-t", name, str(context))

    def clean(self) -> None:
        run([*self._command, "rmi", "built"], self._user, may_fail=True)
        self._do("builder", "prune", "--all")

    def change(self, count: int, image: str) -> Callable[[], object]:
        script = (
            "import sys; from rootlay.vfs import Store\n"
            "c = Store.open(sys.argv[1]).image(sys.argv[3]).container('changed')\n"
            "for n in range(int(sys.argv[2])):\n"
            "    d = c.record.upper / f'c{n // 1000}'\n"
            "    d.mkdir(exist_ok=True)\n"
            "    (d / f'f{n}').write_text('changed')\n"
            "c.overlay.context.upper.announce_all()\n"
        )
        run([*self._command, "rm", "changed"], self._user, may_fail=True)
        run([sys.executable, "-c", script, str(self.storage), str(count), image], self._user)
        return lambda: self._do("commit", "changed", "built")

    def close(self) -> None:
        pass


class Buildah:
    def __init__(self, scratch: Path, driver: str) -> None:
        self.name = f"buildah {driver}"
        self.rounds_max = 1 if driver == "vfs" else 1000  # it copies the whole image for each step
        self.storage = scratch / f"buildah-{driver}"
        run_root = scratch / f"run-{driver}"
        self._command = ["buildah", "--root", str(self.storage), "--runroot", str(run_root), "--storage-driver", driver]
        # Where more descriptors or processes than now may not be asked for, buildah's own default fails.
        self._limits = [
            word
            for name, which in (("nofile", resource.RLIMIT_NOFILE), ("nproc", resource.RLIMIT_NPROC))
            for word in ("--ulimit", f"{name}={resource.getrlimit(which)[0]}:{resource.getrlimit(which)[1]}")
        ]

    def _do(self, *words: str) -> str:
        return run([*self._command, *words])

    def cpu_s(self) -> float:
        return 0.0

    def prepare(self, base: Path) -> None:
        with tempfile.TemporaryDirectory() as directory:
            shutil.copy(base, Path(directory, "base.tar"))
            Path(directory, "Dockerfile").write_text("FROM scratch\nADD base.tar /\n")
            self._do("bud", "-q", "-t", "base", directory)

    def build(self, context: Path, name: str = "built") -> None:
        self._do("bud", "-q", "--layers", "--isolation", "chroot", *self._limits, "-t", name, str(context))

    def clean(self) -> None:
        self._do("rm", "--all")
        subprocess.run([*self._command, "rmi", "--force", "built"], check=False, capture_output=True)
        self._do("rmi", "--prune", "--force")

    def change(self, count: int, image: str) -> Callable[[], object]:
        container = self._do("from", "--pull-never", f"localhost/{image}").strip()
        write_files(Path(self._do("mount", container).strip()), count)
        return lambda: self._do("commit", "-q", container, "built")

    def close(self) -> None:
        subprocess.run([*self._command, "rm", "--all"], check=False, capture_output=True)
        unmount_below(self.storage)


class Docker:
    """A daemon with a data directory of its own; builds run without a network unless they need one."""

    def __init__(self, scratch: Path) -> None:
        self.name = "docker build"
        self.rounds_max = 1000
        self.storage = scratch / "docker"
        host = f"unix://{scratch}/docker.sock"
        self._command = ["docker", "--host", host]
        log = scratch / "docker.log"
        places = [
            "--data-root",
            self.storage,
            "--exec-root",
            scratch / "docker-run",
            "--pidfile",
            scratch / "docker.pid",
        ]
        with open(log, "wb") as file:
            self._daemon = subprocess.Popen(
                ["dockerd", "--host", host, *places, "--iptables=false", "--ip6tables=false", "--bridge=none"],
                stdout=file,
                stderr=file,
            )
        for _ in range(120):
            if subprocess.run([*self._command, "info"], check=False, capture_output=True).returncode == 0:
                return
            time.sleep(0.5)
        raise SystemExit(f"dockerd does not answer: see {log}")

    def _do(self, *words: str) -> str:
        return run([*self._command, *words])

    def cpu_s(self) -> float:
        own, ticks = {str(self._daemon.pid)}, 0
        for stat in sorted(Path("/proc").glob("[0-9]*/stat"), key=lambda path: int(path.parent.name)):
            try:
                words = stat.read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if stat.parent.name in own or words[1] in own:
                own.add(stat.parent.name)
                ticks += sum(map(int, words[11:15]))
        return ticks / os.sysconf("SC_CLK_TCK")

    def prepare(self, base: Path) -> None:
        self._do("import", str(base), "base")

    def build(self, context: Path, name: str = "built") -> None:
        network = "host" if "apt-get" in (context / "Dockerfile").read_text() else "none"
        self._do("build", "-q", "--network", network, "-t", name, str(context))

    def clean(self) -> None:
        subprocess.run([*self._command, "rm", "-f", "changed"], check=False, capture_output=True)
        subprocess.run([*self._command, "rmi", "--force", "built"], check=False, capture_output=True)
        self._do("builder", "prune", "--all", "--force")

    def change(self, count: int, image: str) -> Callable[[], object]:
        self._do("create", "--name", "changed", "--network", "none", image, "true")
        upper = self._do("inspect", "--format", "{{.GraphDriver.Data.UpperDir}}", "changed").strip()
        write_files(Path(upper), count)
        return lambda: self._do("commit", "changed", "built")

    def close(self) -> None:
        self._daemon.terminate()
        self._daemon.wait(60)
        unmount_below(self.storage)


def write_files(root: Path, count: int) -> None:
    for number in range(count):
        directory = root / f"c{number // 1000}"
        directory.mkdir(exist_ok=True)
        (directory / f"f{number}").write_text("changed")


def unmount_below(directory: Path) -> None:
    """What a tool has left mounted, the innermost first."""
    with open("/proc/self/mounts") as mounts:
        found = [line.split()[1] for line in mounts]
    for point in reversed([point for point in found if f"{point}/".startswith(f"{directory}/")]):
        subprocess.run(["umount", "-l", point], check=False, capture_output=True)


def run(command: Sequence[str], user: str | None = None, *, may_fail: bool = False) -> str:
    entry = None if user is None else pwd.getpwnam(user)
    done = subprocess.run(
        command,
        check=False,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        user=None if entry is None else entry.pw_uid,
        group=None if entry is None else entry.pw_gid,
        extra_groups=None if entry is None else [],
        env=None if entry is None else {**os.environ, "HOME": entry.pw_dir},
    )
    if done.returncode and not may_fail:
        raise SystemExit(f"{' '.join(command)}: exit code {done.returncode}\n{done.stderr[-2000:]}")
    return done.stdout


def disk_bytes(directory: Path) -> int:
    found = 0
    for top, _, names in os.walk(directory):
        found += sum(os.lstat(os.path.join(top, name)).st_blocks * 512 for name in names)
    return found


def measure(tool: Tool, work: Callable[[], object]) -> Cost:
    before_bytes = disk_bytes(tool.storage)
    before, start, served = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic(), tool.cpu_s()
    work()
    wall, after = time.monotonic() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime + max(0.0, tool.cpu_s() - served)
    return Cost(wall, cpu, disk_bytes(tool.storage) - before_bytes)


def table(title: str, tools: Sequence[Tool], rounds: int, once: Callable[[Tool], Callable[[], object]]) -> None:
    """Measure `once(tool)()`, whose preparation does not count, and print a row."""
    best: dict[str, Cost] = {}
    for number in range(rounds):
        for tool in tools:
            if number >= tool.rounds_max:
                continue
            found = measure(tool, once(tool))
            if tool.name not in best or found.wall_s < best[tool.name].wall_s:
                best[tool.name] = found
    print(f"| {title} | " + " | ".join(str(best[tool.name]) for tool in tools) + " |", flush=True)


def write_context(directory: Path, dockerfile: str) -> Path:
    directory.mkdir()
    (directory / "Dockerfile").write_text(dockerfile)
    return directory


def builds(tools: Sequence[Tool], scratch: Path, options: argparse.Namespace) -> None:
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
    for tool in tools:
        tool.build(app)
    table("nothing changed", tools, options.rounds, lambda tool: lambda: tool.build(app))
    changes = iter(range(1, 1_000_000))

    def one_file(tool: Tool) -> Callable[[], object]:
        (app / "app.py").write_text(f"print({next(changes)})\n")
        return lambda: tool.build(app)

    table("one file changed, in the last layer", tools, options.rounds, one_file)
    tiny = "".join(f"RUN echo {number} > /n{number}\n" for number in range(TINY_RUNS))
    table(f"{TINY_RUNS} tiny RUNs", tools, options.rounds, fresh(write_context(scratch / "tiny", f"FROM base\n{tiny}")))
    many = write_context(scratch / "many", "FROM base\nCOPY files /files\n")
    for number in range(COPIED_FILES):
        directory = many / "files" / f"d{number // 100}"
        if number % 100 == 0:
            directory.mkdir(parents=True)
        (directory / f"f{number}").write_text(f"content of {number}\n" * 10)
    table(f"COPY of {COPIED_FILES:,} files", tools, options.rounds, fresh(many))
    table(f"COPY of {COPIED_FILES:,} files, again", tools, options.rounds, lambda tool: lambda: tool.build(many))


def apt(tools: Sequence[Tool], scratch: Path, options: argparse.Namespace) -> None:
    """Packages come from the network: what that takes is in it, for all."""
    text = "FROM base\nRUN apt-get update && apt-get install -y --no-install-recommends git gcc libc6-dev make\n"
    context = write_context(scratch / "apt", text)

    def once(tool: Tool) -> Callable[[], object]:
        tool.clean()
        return lambda: tool.build(context)

    table("apt-get install git gcc make", tools, options.rounds, once)


def commits(tools: Sequence[Tool], options: argparse.Namespace) -> None:
    for count in map(int, options.counts.split(",")):

        def once(tool: Tool, count: int = count) -> Callable[[], object]:
            tool.clean()
            return tool.change(count, "base")

        table(f"commit of {count:,} new files", tools, options.rounds if count < 10_000 else 1, once)


def sizes(tools: Sequence[Tool], scratch: Path, options: argparse.Namespace) -> None:
    """The cost of a commit against the size of the image."""
    for count in map(int, options.sizes.split(",")):
        context = write_context(scratch / f"size{count}", "FROM base\nCOPY files /files\n")
        (context / "files").mkdir()
        for number in range(count):
            directory = context / "files" / f"d{number // 1000}"
            directory.mkdir(exist_ok=True)
            (directory / f"f{number}").write_bytes(os.urandom(4096))
        for tool in tools:
            tool.build(context, f"size{count}")

        def once(tool: Tool, count: int = count) -> Callable[[], object]:
            tool.clean()
            return tool.change(10, f"size{count}")

        table(f"commit of 10 new files to an image with {count:,} more files", tools, options.rounds, once)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("base", type=Path)
    parser.add_argument("--as", dest="user")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--network", action="store_true")
    parser.add_argument("--counts", default="10,100,1000,10000,100000")
    parser.add_argument("--sizes", default="0,1000,10000,50000")
    parser.add_argument("--only", choices=["builds", "apt", "commits", "sizes"])
    parser.add_argument("--tools", default="rootlay,overlay,vfs,docker")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-build-", ignore_cleanup_errors=True) as directory:
        scratch = Path(directory)
        scratch.chmod(0o755)
        tools: list[Tool] = [Rootlay(scratch, options.user)]
        if os.geteuid() == 0 and shutil.which("buildah"):
            tools += [Buildah(scratch, driver) for driver in ("overlay", "vfs") if driver in options.tools]
        if os.geteuid() == 0 and shutil.which("dockerd") and shutil.which("docker") and "docker" in options.tools:
            tools.append(Docker(scratch))
        try:
            measure_all(tools, scratch, options)
        finally:
            for tool in tools:
                tool.close()


def measure_all(tools: Sequence[Tool], scratch: Path, options: argparse.Namespace) -> None:
    for tool in tools:
        tool.prepare(options.base)
    parts: dict[str, Callable[[], None]] = {
        "builds": lambda: builds(tools, scratch, options),
        "apt": lambda: apt(tools, scratch, options),
        "commits": lambda: commits(tools, options),
        "sizes": lambda: sizes(tools, scratch, options),
    }
    chosen = [options.only] if options.only else [part for part in parts if part != "apt" or options.network]
    print(f"{platform.machine()}, Linux {platform.release()}, {os.cpu_count()} cores, base {options.base.name}\n")
    print("| | " + " | ".join(tool.name for tool in tools) + " |")
    print("|---" * (len(tools) + 1) + "|")
    for part in chosen:
        parts[part]()


if __name__ == "__main__":
    main()
