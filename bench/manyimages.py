"""How does work on names grow with the number of images? Load of a layout of N images, removal of half of them.

    python -m bench.manyimages [N ...]        default: 200 and 1,800

All images have the same layer and a config of their own. The baseline is the time for each image at the smaller
number: what does not grow costs the same at the larger one. In brackets the processor time, which other work on the
machine changes less.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench.harness import ROOTLAY
from rootlay.store.model.manifest import OCI_CONFIG, OCI_LAYER
from tests.support.archives.make import MANIFEST, LayoutBuilder, make_config, make_tar


def layout(directory: Path, count: int) -> Path:
    """Write an OCI layout of `count` images."""
    builder = LayoutBuilder()
    base = make_tar([("a", "f", "base")])
    layer = builder.blob(base, OCI_LAYER)
    for number in range(count):
        config = builder.blob(make_config([base], author=str(number)), OCI_CONFIG)
        document = {"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": [layer]}
        builder.name(builder.blob(json.dumps(document).encode(), MANIFEST), f"image{number}:latest")
    return builder.write(directory)


def seconds(*command: str) -> tuple[float, float]:
    """Return the wall time and the processor time of a command."""
    before, begin = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    wall, after = time.monotonic() - begin, resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def shown(took: tuple[float, float], count: int) -> str:
    wall, used = took
    return f"{wall:.2f} s ({used:.2f}), {1000 * wall / count:.1f} ms ({1000 * used / count:.1f}) each"


def main() -> None:
    """Print a line for each number of images."""
    for count in map(int, sys.argv[1:] or ("200", "1800")):
        with tempfile.TemporaryDirectory() as scratch:
            root = f"{scratch}/store"
            source = layout(Path(scratch, "layout"), count)
            loaded = seconds(ROOTLAY, "--root", root, "load", "-q", "-i", str(source))
            half = [f"image{number}" for number in range(count // 2)]
            removed = seconds(ROOTLAY, "--root", root, "rmi", *half)
            print(f"{count:6} images: load {shown(loaded, count)}; rmi of {len(half)} {shown(removed, len(half))}")


if __name__ == "__main__":
    main()
