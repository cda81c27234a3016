"""Questions: what does a pull cost, against other clients; and how soon does a program run that is pulled lazily?

    python -m bench.registry ROOTFS.tar [--rounds N] [--dir DIR] [--only pull,lazy] [--mbit 100]

The root file system (1 GB or so, with python3) becomes an image of one layer in a docker-registry on this machine: as
gzip, and as zstd:chunked (by skopeo). All clients reach it through a relay that counts bytes.

*pull*: `rootlay pull`, the same and every file hydrated (a pull defers that work, it does not save it), `skopeo copy`
to dir:, `skopeo copy` to oci: and `umoci unpack`, `podman pull`: wall and CPU seconds (medians), disk and inodes of
what is left, bytes on the wire, peak memory. *lazy*: over a link of `--mbit`, from the start of the pull to the first
line of `python3 -c 'import json; print(1)'` inside.

Needs docker-registry, skopeo; umoci where it is installed; podman, and root for it. From a checkout
(tests/store has the registry and the relay), with the test requirements. About eight minutes on two cores with 1 GB.
"""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support.registry.real import RealRegistry, running
from tests.support.registry.wire import Wire

PROGRAM = ["python3", "-c", "import json; print(1)"]
_ROOTLAY = [sys.executable, "-m", "rootlay.cli.main"]
_HYDRATE = """if 1:
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
# In between, because a process that is started from a large one counts that one's memory as its own.
_MEASURE = """if 1:
    import resource, subprocess, sys, time
    started = time.monotonic()
    done = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL)
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    print(time.monotonic() - started, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024)
    sys.exit(done.returncode)
"""


@dataclass
class Cost:
    """Seconds, MB, files; of several commands the sum."""

    wall_s: float = 0
    cpu_s: float = 0
    rss_mb: float = 0
    disk_mb: float = 0
    inodes: int = 0
    wire_mb: float = 0

    def run(self, command: list[str], environ: dict[str, str]) -> None:
        """Run a command and add what it cost. Raises RuntimeError."""
        done = subprocess.run(
            [sys.executable, "-c", _MEASURE, *command], env=environ, capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise RuntimeError(f"{command[0]}: {done.stderr.strip()[-300:]}")
        wall_s, cpu_s, rss_mb = map(float, done.stdout.split())
        self.wall_s += wall_s
        self.cpu_s += cpu_s
        self.rss_mb = max(self.rss_mb, rss_mb)

    def weigh(self, left: Path) -> None:
        """What is left below a directory."""
        found = [path.lstat() for path in left.rglob("*")]
        self.disk_mb = sum({(s.st_dev, s.st_ino): s.st_blocks * 512 for s in found}.values()) / 1e6
        self.inodes = len(found)


Commands = Callable[[str, Path], list[list[str]]]


def clients() -> dict[str, Commands]:
    """Name -> the commands that bring an image (by its name) below a directory."""
    skopeo = ["skopeo", "--insecure-policy", "copy", "-q", "--src-tls-verify=false"]
    rootless = [] if os.getuid() == 0 else ["--rootless"]

    def rootlay(image: str, d: Path) -> list[str]:
        return [*_ROOTLAY, "--root", str(d / "s"), "pull", "-q", image]

    found: dict[str, Commands] = {
        "rootlay pull": lambda image, d: [rootlay(image, d)],
        "rootlay pull, then every file hydrated": lambda image, d: [
            rootlay(image, d), [sys.executable, "-c", _HYDRATE, str(d / "s"), image],
        ],
        "skopeo copy to dir:": lambda image, d: [[*skopeo, f"docker://{image}", f"dir:{d}/dir"]],
    }  # fmt: skip
    if shutil.which("umoci"):
        found["skopeo copy to oci:, umoci unpack"] = lambda image, d: [
            [*skopeo, f"docker://{image}", f"oci:{d}/oci:x"],
            ["umoci", "unpack", *rootless, "--image", f"{d}/oci:x", f"{d}/bundle"],
        ]
    if shutil.which("podman") and not rootless:  # what it leaves of an ordinary user's is hard to remove
        found["podman pull"] = lambda image, d: [
            ["podman", "--root", f"{d}/s", "--runroot", f"{d}/r", "--storage-driver", "overlay", "pull", "-q",
             "--tls-verify=false", image],
        ]  # fmt: skip
    return found


def publish(registry: RealRegistry, rootfs: Path, work: Path, environ: dict[str, str], kinds: list[str]) -> None:
    """The image as gzip (`app:gzip`) and as zstd:chunked (`app:chunked`) in the registry."""
    layer = work / "layer.tar.gz"
    with open(layer, "wb") as out:
        subprocess.run(["gzip", "-1", "-n", "-c", rootfs], stdout=out, check=True)
    store = work / "source"
    for words in (
        ["import", str(layer), "app"],
        *([["push", "-q", "app", f"{registry.host}/app:gzip"]] if "gzip" in kinds else []),
    ):
        subprocess.run([*_ROOTLAY, "--root", str(store), *words], env=environ, check=True, stdout=subprocess.DEVNULL)
    layer.unlink()
    if "chunked" in kinds:
        plain = work / "plain.tar"  # skopeo does not compress anew what is compressed
        words = ["save", "-o", str(plain), "app"]
        subprocess.run([*_ROOTLAY, "--root", str(store), *words], env=environ, check=True)
        subprocess.run(
            ["skopeo", "--insecure-policy", "--tmpdir", work, "copy", "-q", "--dest-tls-verify=false",
             "--dest-compress-format", "zstd:chunked", "--dest-compress-level", "1",
             f"docker-archive:{plain}", f"docker://{registry.host}/app:chunked"],
            env=environ, check=True,
        )  # fmt: skip
        plain.unlink()
    shutil.rmtree(store)


@contextmanager
def place(work: Path) -> Iterator[Path]:
    """A directory for one client; gone afterwards, with the mount that containers-storage leaves in it."""
    found = Path(tempfile.mkdtemp(dir=work))
    try:
        yield found
    finally:
        subprocess.run(["umount", "-l", found / "s/overlay"], capture_output=True)
        subprocess.run(["chmod", "-R", "u+rwX", found], capture_output=True)
        shutil.rmtree(found, ignore_errors=True)


def bench_pull(registry: RealRegistry, work: Path, environ: dict[str, str], rounds: int) -> None:
    """The table of clients."""
    costs: dict[str, list[Cost]] = {}
    for _ in range(rounds):
        for name, commands in clients().items():
            cost = Cost()
            try:
                with place(work) as directory, Wire(("127.0.0.1", registry.port)) as wire:
                    for command in commands(f"{wire.host}/app:gzip", directory):
                        cost.run(command, environ)
                    cost.weigh(directory)
                    cost.wire_mb = wire.received / 1e6
            except RuntimeError as error:
                print(f"{name} does not work here: {error}", file=sys.stderr)
                continue
            costs.setdefault(name, []).append(cost)
    print("\n| | wall s | CPU s | disk MB | inodes | MB on the wire | peak MB |\n|---|---|---|---|---|---|---|")
    for name, runs in costs.items():
        wall, cpu = (statistics.median(getattr(run, field) for run in runs) for field in ("wall_s", "cpu_s"))
        last, peak = runs[-1], max(run.rss_mb for run in runs)
        print(
            f"| {name} | {wall:.1f} | {cpu:.1f} | {last.disk_mb:,.0f} | {last.inodes:,} | {last.wire_mb:,.1f} "
            f"| {peak:.0f} |"
        )


def first_line(commands: list[list[str]], environ: dict[str, str]) -> float:
    """Seconds until the last of the commands has printed `1`."""
    started = time.monotonic()
    for command in commands[:-1]:
        subprocess.run(command, env=environ, check=True, stdout=subprocess.DEVNULL)
    with subprocess.Popen(commands[-1], env=environ, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        line = child.stdout.readline()
        took = time.monotonic() - started
        assert line == b"1\n", line
    return took


def bench_lazy(registry: RealRegistry, work: Path, environ: dict[str, str], rounds: int, mbit: float) -> None:
    """The table of first lines."""
    took: dict[str, list[tuple[float, float]]] = {}
    for _ in range(rounds):
        for name, words in (
            ("rootlay pull --lazy, run", ["pull", "-q", "--lazy", "app:chunked"]),
            ("rootlay pull, run", ["pull", "-q", "app:chunked"]),
        ):
            with place(work) as directory, Wire(("127.0.0.1", registry.port), bytes_per_s=mbit * 1e6 / 8) as wire:
                command = [*_ROOTLAY, "--root", str(directory / "s")]
                image = f"{wire.host}/app:chunked"
                run = [*command, "run", "--rm", image, *PROGRAM]
                seconds = first_line([[*command, *words[:-1], image], run], environ)
                took.setdefault(name, []).append((seconds, wire.received / 1e6))
    print(f"\n| over {mbit:g} Mbit/s | s to the first line | MB on the wire by the end |\n|---|---|---|")
    for name, runs in took.items():
        seconds, wire_mb = (statistics.median(column) for column in zip(*runs, strict=True))
        print(f"| {name} | {seconds:.2f} | {wire_mb:,.1f} |")


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rootfs", type=Path)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--dir", type=Path, default=None, help="where to work")
    parser.add_argument("--only", default="pull,lazy")
    parser.add_argument("--mbit", type=float, default=100)
    options = parser.parse_args()
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True).stdout.strip()
    print(f"{platform.machine()}, {os.cpu_count()} CPUs, Python {platform.python_version()}, commit {commit}; ", end="")
    print(f"{options.rootfs.name}, {options.rootfs.stat().st_size / 1e6:,.0f} MB", flush=True)
    with tempfile.TemporaryDirectory(dir=options.dir, ignore_cleanup_errors=True) as name:
        work = Path(name)
        environ = {k: v for k, v in os.environ.items() if not k.lower().endswith("_proxy")}
        environ |= {"TMPDIR": name, "DOCKER_CONFIG": name, "PYTHONPATH": os.pathsep.join(filter(None, sys.path[1:]))}
        with running(work / "registry") as registry:
            only = options.only.split(",")
            kinds = [kind for kind, part in (("gzip", "pull"), ("chunked", "lazy")) if part in only]
            publish(registry, options.rootfs, work, environ, kinds)
            if "pull" in only:
                bench_pull(registry, work, environ, options.rounds)
            if "lazy" in only:
                bench_lazy(registry, work, environ, options.rounds, options.mbit)


if __name__ == "__main__":
    main()
