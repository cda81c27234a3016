"""Question: what does bringing an image in cost, against the tools that people use for it?

    python bench/import.py LAYER.tar [LAYER.tar …] [--rounds N] [--dir DIR]

Makes one image of the tars (gzip -6 layers, base first) and gives it, in interleaved rounds, to rootlay and to those of
`tar -xzf`, `umoci unpack`, `podman load` and `skopeo copy` to a containers-storage that are installed. Prints for
each: CPU and wall seconds (medians), disk MB and inodes of what is left, and peak memory. `rootlay + hydrate` also
writes every file out: an import defers that work, it does not save it.

Needs rootlay importable, skopeo, gzip. Works as an ordinary user where the tools do.
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
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

_ROOTLAY = """if 1:
    import sys
    from pathlib import Path
    from rootlay.store.store import ImageStore
    ImageStore.open(Path(sys.argv[1])).load(Path(sys.argv[2]))
"""
_UNTAR = 'for l in "$@"; do tar -C "$0" --no-same-owner --exclude="./dev/*" -xzf "$l"; done'
_HYDRATE = """if 1:
    import sys
    from pathlib import Path
    from rootlay.store.hydrate.hydrator import Hydrator
    from rootlay.store.store import ImageStore
    from rootlay.store.view.view import View
    from rootlay.store.view.build import build_view, view_path
    store = ImageStore.open(Path(sys.argv[1]))
    for image in store.load(Path(sys.argv[2])):
        view = View.open(view_path(store.root, build_view(store, image.diff_ids)))
        with Hydrator(store, view) as hydrator:
            hydrator.hydrate_all()
"""


@dataclass(frozen=True, slots=True)
class Sample:
    """One run: seconds, MB, inodes."""

    cpu_s: float
    wall_s: float
    disk_mb: float
    inodes: int
    rss_mb: float


def measure(command: list[str], left: Path, environment: dict[str, str]) -> Sample:
    """Run a command; what it used, and what it left below `left`."""
    started = time.monotonic()
    child = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    assert child.stderr is not None
    message = child.stderr.read()
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    child.stderr.close()
    wall = time.monotonic() - started
    if child.returncode:
        raise RuntimeError(f"{command[0]}: {message.decode(errors='replace').strip()[-300:]}")
    sizes = [p.lstat() for p in left.rglob("*")] if left.exists() else []
    disk = sum({(s.st_dev, s.st_ino): s.st_blocks * 512 for s in sizes}.values())
    return Sample(usage.ru_utime + usage.ru_stime, wall, disk / 1e6, len(sizes), usage.ru_maxrss / 1024)


def contenders(work: Path, image: Path, layers: list[Path]) -> dict[str, Callable[[Path], list[str]]]:
    """Name -> the command that brings the image in below a directory."""
    found: dict[str, Callable[[Path], list[str]]] = {
        "tar -xzf": lambda d: ["sh", "-ec", _UNTAR, str(d), *map(str, layers)],
        "rootlay load": lambda d: [sys.executable, "-c", _ROOTLAY, str(d), str(image)],
        "rootlay + hydrate": lambda d: [sys.executable, "-c", _HYDRATE, str(d), str(image)],
    }
    rootless = [] if os.getuid() == 0 else ["--rootless"]
    if shutil.which("umoci"):
        found["umoci unpack"] = lambda d: ["umoci", "unpack", *rootless, "--image", f"{image}:bench", str(d / "b")]
    storage = ["--root", "{0}/s", "--runroot", "{0}/r", "--storage-driver", "overlay"]
    if shutil.which("podman"):
        # `podman load` of the docker-archive would be spared the decompression: its layers are plain tars.
        found["podman pull oci:"] = lambda d: [
            "podman", *(part.format(d) for part in storage), "pull", "-q", f"oci:{image}:bench",
        ]  # fmt: skip
        found["podman load (plain tars)"] = lambda d: [
            "podman", *(part.format(d) for part in storage), "load", "-i", str(work / "image.tar"),
        ]  # fmt: skip
    found["skopeo to containers-storage"] = lambda d: [
        "skopeo", "--insecure-policy", "copy", f"oci:{image}:bench", f"containers-storage:[overlay@{d}/s+{d}/r]bench:1",
    ]  # fmt: skip
    return found


def prepare(work: Path, tars: list[Path]) -> tuple[Path, list[Path]]:
    """An OCI layout with gzip layers (and a docker-archive beside it), and those layers."""
    from rootlay.store.images.recording import add_image
    from rootlay.store.model.value import replace
    from rootlay.store.store import ImageStore

    store = ImageStore.open(work / "source")
    layers, parts = [], []
    for number, tar in enumerate(tars):
        layer = work / f"layer{number}.tar.gz"
        with open(layer, "wb") as out:
            subprocess.run(["gzip", "-6", "-n", "-c", tar], stdout=out, check=True)
        layers.append(layer)
        parts.append(store.import_rootfs(layer, f"part{number}:latest"))
    config = replace(
        parts[0].config,
        diff_ids=tuple(diff_id for part in parts for diff_id in part.diff_ids),
        history=tuple(step for part in parts for step in part.config.history),
    )
    add_image(store, config, [blob for part in parts for blob in part.manifest.layers], "bench:latest")
    image = work / "image"
    for target in (f"oci:{image}:bench", f"docker-archive:{work / 'image.tar'}:bench:latest"):
        source = f"oci:{store.root}:bench:latest"
        subprocess.run(["skopeo", "--insecure-policy", "--tmpdir", work, "copy", "-q", source, target], check=True)
    return image, layers


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("layers", type=Path, nargs="+")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--dir", type=Path, default=None, help="where to work")
    options = parser.parse_args()
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True).stdout.strip()
    print(f"# {platform.machine()} {os.cpu_count()} CPUs, Python {platform.python_version()}, commit {commit}")
    with tempfile.TemporaryDirectory(dir=options.dir, ignore_cleanup_errors=True) as name:
        work = Path(name)
        image, layers = prepare(work, options.layers)
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "TMPDIR": name}
        samples: dict[str, list[Sample]] = {}
        for number in range(options.rounds):
            for label, command in contenders(work, image, layers).items():
                place = work / f"{number}-{len(samples)}-{label.split()[0]}"
                place.mkdir()
                try:
                    samples.setdefault(label, []).append(measure(command(place), place, environment))
                except RuntimeError as error:
                    print(f"# {label} does not work here: {error}")
                # containers-storage leaves a mount of its directory onto itself behind.
                subprocess.run(["umount", "-l", place / "s/overlay"], capture_output=True)
                shutil.rmtree(place, ignore_errors=True)
    print(f"{'':30}{'CPU s':>8}{'wall s':>8}{'disk MB':>9}{'inodes':>8}{'RSS MB':>8}")
    for label, runs in samples.items():
        if runs:
            cpu, wall = (statistics.median(getattr(r, n) for r in runs) for n in ("cpu_s", "wall_s"))
            last = runs[-1]
            print(
                f"{label:30}{cpu:8.2f}{wall:8.2f}{last.disk_mb:9.0f}{last.inodes:8}{max(r.rss_mb for r in runs):8.0f}"
            )


if __name__ == "__main__":
    main()
