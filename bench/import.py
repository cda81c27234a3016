"""Question: what does bringing an image in cost, against the tools that people use for it?

    python -m bench.import LAYER.tar [LAYER.tar …] [-n 3] [--dir DIR]

Makes one image of the tars (gzip -6 layers, base first) and gives it to rootlay and to those of `tar -xzf`, `umoci
unpack`, `podman load` and `skopeo copy` to a containers-storage that are installed. `rootlay + hydrate` also writes
every file out: an import defers that work, it does not save it.

Needs rootlay importable, skopeo, gzip. Works as an ordinary user where the tools do.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from bench.harness import HYDRATE, Figures, make_parser, run

_ROOTLAY = """if 1:
    import sys
    from pathlib import Path
    from rootlay.store.store import ImageStore
    ImageStore.open(Path(sys.argv[1])).load(Path(sys.argv[2]))
"""
_UNTAR = 'for l in "$@"; do tar -C "$0" --no-same-owner --exclude="./dev/*" -xzf "$l"; done'


def contenders(work: Path, image: Path, layers: list[Path]) -> dict[str, Callable[[Path], list[list[str]]]]:
    """Name -> the commands that bring the image in below a directory."""

    def load(d: Path) -> list[str]:
        return [sys.executable, "-c", _ROOTLAY, str(d), str(image)]

    found: dict[str, Callable[[Path], list[list[str]]]] = {
        "tar -xzf": lambda d: [["sh", "-ec", _UNTAR, str(d), *map(str, layers)]],
        "rootlay load": lambda d: [load(d)],
        "rootlay + hydrate": lambda d: [load(d), [sys.executable, "-c", HYDRATE, str(d), "bench"]],
    }
    rootless = [] if os.getuid() == 0 else ["--rootless"]
    if shutil.which("umoci"):
        found["umoci unpack"] = lambda d: [["umoci", "unpack", *rootless, "--image", f"{image}:bench", str(d / "b")]]
    if shutil.which("podman"):

        def podman(d: Path, *words: str) -> list[list[str]]:
            storage = ["--root", f"{d}/s", "--runroot", f"{d}/r", "--storage-driver", "overlay"]
            return [["podman", *storage, *words]]

        # `podman load` of the docker-archive would be spared the decompression: its layers are plain tars.
        found["podman pull oci:"] = lambda d: podman(d, "pull", "-q", f"oci:{image}:bench")
        found["podman load (plain tars)"] = lambda d: podman(d, "load", "-i", str(work / "image.tar"))
    found["skopeo to containers-storage"] = lambda d: [
        ["skopeo", "--insecure-policy", "copy", f"oci:{image}:bench",
         f"containers-storage:[overlay@{d}/s+{d}/r]bench:1"],
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


def measure(options: argparse.Namespace, figures: Figures) -> None:
    with tempfile.TemporaryDirectory(dir=options.dir, ignore_cleanup_errors=True) as name:
        work = Path(name)
        image, layers = prepare(work, options.layers)
        environ = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "TMPDIR": name}
        for _ in range(options.rounds):
            for label, commands in contenders(work, image, layers).items():
                place = Path(tempfile.mkdtemp(dir=work))
                try:
                    figures.spend(label, commands(place), environ, place)
                except RuntimeError as error:
                    print(f"# {label} does not work here: {error}")
                # containers-storage leaves a mount of its directory onto itself behind.
                subprocess.run(["umount", "-l", place / "s/overlay"], capture_output=True)
                shutil.rmtree(place, ignore_errors=True)
    figures.print_tables()


def main() -> None:
    parser = make_parser(__doc__, rounds=3)
    parser.add_argument("layers", type=Path, nargs="+")
    parser.add_argument("--dir", type=Path, default=None, help="where to work")
    run(parser, measure)


if __name__ == "__main__":
    main()
