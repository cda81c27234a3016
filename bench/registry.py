"""Questions: what does a pull cost, against other clients; and how soon does a program run that is pulled lazily?

    python -m bench.registry ROOTFS.tar [-n 1] [--dir DIR] [--only pull,lazy] [--mbit 100]

The root file system (1 GB or so, with python3) becomes an image of one layer in a docker-registry on this machine: as
gzip, and as zstd:chunked (by skopeo). All clients reach it through a relay that counts bytes.

*pull*: `rootlay pull`, the same and every file hydrated (a pull defers that work, it does not save it), `skopeo copy`
to dir:, `skopeo copy` to oci: and `umoci unpack`, `podman pull`; disk and inodes are of what is left. *lazy*: over a
link of `--mbit`, from the start of the pull to the end of `python3 -c 'import json; print(1)'` inside.

Needs docker-registry, skopeo; umoci where it is installed; podman, and root for it. From a checkout
(tests/store has the registry and the relay), with the test requirements. About eight minutes on two cores with 1 GB.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from bench.harness import HYDRATE, ROOTLAY, Figures, make_parser, run
from tests.support.registry.real import RealRegistry, running
from tests.support.registry.wire import Wire

PROGRAM = ["python3", "-c", "import json; print(1)"]
Commands = Callable[[str, Path], list[list[str]]]


def clients() -> dict[str, Commands]:
    """Name -> the commands that bring an image (by its name) below a directory."""
    skopeo = ["skopeo", "--insecure-policy", "copy", "-q", "--src-tls-verify=false"]
    rootless = [] if os.getuid() == 0 else ["--rootless"]

    def rootlay(image: str, d: Path) -> list[str]:
        return [ROOTLAY, "--root", str(d / "s"), "pull", "-q", image]

    found: dict[str, Commands] = {
        "rootlay pull": lambda image, d: [rootlay(image, d)],
        "rootlay pull, then every file hydrated": lambda image, d: [
            rootlay(image, d), [sys.executable, "-c", HYDRATE, str(d / "s"), image],
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
        subprocess.run([ROOTLAY, "--root", str(store), *words], env=environ, check=True, stdout=subprocess.DEVNULL)
    layer.unlink()
    if "chunked" in kinds:
        plain = work / "plain.tar"  # skopeo does not compress anew what is compressed
        words = ["save", "-o", str(plain), "app"]
        subprocess.run([ROOTLAY, "--root", str(store), *words], env=environ, check=True)
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


def bench_pull(figures: Figures, registry: RealRegistry, work: Path, environ: dict[str, str]) -> None:
    for name, commands in clients().items():
        try:
            with place(work) as directory, Wire(("127.0.0.1", registry.port)) as wire:
                figures.spend(name, commands(f"{wire.host}/app:gzip", directory), environ, directory)
                figures.add("on the wire", name, wire.received / 1e6, unit="MB")
        except RuntimeError as error:
            print(f"{name} does not work here: {error}", file=sys.stderr)


def first_line(commands: list[list[str]], environ: dict[str, str]) -> None:
    """Wait until the last of the commands has printed `1`."""
    for command in commands[:-1]:
        subprocess.run(command, env=environ, check=True, stdout=subprocess.DEVNULL)
    with subprocess.Popen(commands[-1], env=environ, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        line = child.stdout.readline()
        assert line == b"1\n", line


def bench_lazy(figures: Figures, registry: RealRegistry, work: Path, environ: dict[str, str], mbit: float) -> None:
    for name, lazy in (("rootlay pull --lazy, run", ["--lazy"]), ("rootlay pull, run", [])):
        with place(work) as directory, Wire(("127.0.0.1", registry.port), bytes_per_s=mbit * 1e6 / 8) as wire:
            command = [ROOTLAY, "--root", str(directory / "s")]
            image = f"{wire.host}/app:chunked"
            commands = [[*command, "pull", "-q", *lazy, image], [*command, "run", "--rm", image, *PROGRAM]]
            figures.time(f"first line over {mbit:g} Mbit/s", name, partial(first_line, commands, environ))
            figures.add("on the wire by the end", name, wire.received / 1e6, unit="MB")


def measure(options: argparse.Namespace, figures: Figures) -> None:
    print(f"{options.rootfs.name}, {options.rootfs.stat().st_size / 1e6:,.0f} MB", flush=True)
    with tempfile.TemporaryDirectory(dir=options.dir, ignore_cleanup_errors=True) as name:
        work = Path(name)
        environ = {k: v for k, v in os.environ.items() if not k.lower().endswith("_proxy")}
        environ |= {"TMPDIR": name, "DOCKER_CONFIG": name}
        with running(work / "registry") as registry:
            only = options.only.split(",")
            kinds = [kind for kind, part in (("gzip", "pull"), ("chunked", "lazy")) if part in only]
            publish(registry, options.rootfs, work, environ, kinds)
            for _ in range(options.rounds):
                if "pull" in only:
                    bench_pull(figures, registry, work, environ)
                if "lazy" in only:
                    bench_lazy(figures, registry, work, environ, options.mbit)
    figures.print_tables()


def main() -> None:
    parser = make_parser(__doc__, rounds=1)
    parser.add_argument("rootfs", type=Path)
    parser.add_argument("--dir", type=Path, default=None, help="where to work")
    parser.add_argument("--only", default="pull,lazy")
    parser.add_argument("--mbit", type=float, default=100)
    run(parser, measure)


if __name__ == "__main__":
    main()
