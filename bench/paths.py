"""What do path calls cost inside, against the same calls on a plain directory, and under PRoot and fakechroot?

    python bench/paths.py DEBIAN.tar [--rounds 4]

Needs rootlay installed in this Python, a C compiler, and a Debian root file system as a tar. Peers that are not
installed are left out. The rounds are interleaved; the figures are ratios of minima (and of medians) to `bare`: the
same static program on the unpacked tree, outside.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from rootlay.vfs import Store

FILE, MISSING, LINK, DIRECTORY = "usr/lib/os-release", "usr/lib/nope", "etc/os-release", "usr/bin"


def build(target: Path) -> None:
    source = Path(__file__).with_name("micro.c")
    subprocess.run(["cc", "-O2", "-static", "-o", str(target), str(source)], check=True)


def parse(text: str) -> dict[str, tuple[float, float]]:
    return {name: (float(low), float(middle)) for name, low, middle in (line.split() for line in text.splitlines())}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("debian", type=Path)
    parser.add_argument("--rounds", type=int, default=4)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="rootlay-bench-") as name:
        scratch = Path(name)
        tree = scratch / "tree"
        tree.mkdir()
        subprocess.run(["tar", "-xf", str(options.debian), "-C", str(tree), "--exclude=./dev/*"], check=True)
        build(scratch / "micro")
        shutil.copy(scratch / "micro", tree / "micro")
        store = Store.open(scratch / "store")
        image = store.import_rootfs(options.debian, "debian")
        inside = [f"/{path}" for path in (FILE, MISSING, LINK, DIRECTORY)]
        with image.container() as container:
            shutil.copy(scratch / "micro", scratch / "upper-micro")
            with (scratch / "micro").open("rb") as source, container.fs.openbin("/micro", "w") as target:
                shutil.copyfileobj(source, target)
            container.fs.setinfo("/micro", {"access": {"permissions": 0o755}})
            methods = {
                "bare": lambda: run(
                    [str(scratch / "micro"), *(str(tree / path) for path in (FILE, MISSING, LINK, DIRECTORY))]
                ),
                "rootlay": lambda: (
                    container.run(["/micro", *inside], capture_output=True, text=True, check=True).stdout
                ),
            }
            if shutil.which("proot"):
                methods["proot"] = lambda: run(["proot", "-r", str(tree), "/micro", *inside])
            if os.geteuid() == 0:
                methods["chroot"] = lambda: run(["chroot", str(tree), "/micro", *inside])
            results: dict[str, list[dict[str, tuple[float, float]]]] = {method: [] for method in methods}
            for _ in range(options.rounds):
                for method, measure in methods.items():
                    results[method].append(parse(measure()))
    report(results)


def run(command: list[str]) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def report(results: dict[str, list[dict[str, tuple[float, float]]]]) -> None:
    print(
        f"# {os.uname().release}, {os.cpu_count()} cpus, Python {sys.version.split()[0]}; "
        "ns (ratio of minima, ratio of medians)"
    )
    calls = list(results["bare"][0])
    print(f"{'call':20}" + "".join(f"{method:>28}" for method in results))
    for call in calls:
        line = f"{call:20}"
        base = [min(r[call][0] for r in results["bare"]), statistics.median(r[call][1] for r in results["bare"])]
        for rounds in results.values():
            low = min(r[call][0] for r in rounds)
            middle = statistics.median(r[call][1] for r in rounds)
            line += f"{low:12.0f} ({low / base[0]:5.2f}, {middle / base[1]:5.2f})"
        print(line)


if __name__ == "__main__":
    main()
