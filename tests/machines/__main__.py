"""Boot a machine of another architecture or with another kernel, and run rootlay's programs there.

    python -m tests.machines --cache DIR --wheel FILE [--architecture arm64] [--suite trixie] [--kernel PACKAGE]
                             [--kernel-suite SUITE] [--accelerator tcg] [--on NAME] [--timeout SECONDS] [--keep]
                             [--row | --whole | --command TEXT] [WORD …]

DIR keeps the packages, the kernel and the disk between runs (1.5 GB). FILE is a wheel of tools/build_wheels.py for that
architecture. The words are those of `inside.py`: none for the smoke tests and all native programs. Instead, --row runs
the smoke tests and prints a row of the table of places, --whole runs the tests of the engines by pytest (the words are
parts of `whole.py`), and --command runs that, as the ordinary user, in a copy of this tree. --on puts a server of NFS
around the tests (`surroundings.py`). No run needs a privilege, or a network in the machine.

Exit status: 0 all good, 1 a test failed, 2 the machine did not finish.
"""

from __future__ import annotations

import argparse
import shlex
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

from tests.machines import debian, places, prebuilt, vm
from tests.machines.surroundings import SURROUNDINGS

TREE = Path(__file__).resolve().parents[2]
PROGRAMS = "calls signals processes identities traces threads patches sockets localsockets manymessages".split()
#: With a compiler and more programs: for --command.
SMALL = "base-files base-passwd libc-bin dash bash coreutils util-linux mount hostname python3 busybox-static procps"
MORE = "grep sed findutils diffutils tar gzip git gcc libc6-dev make cmake strace gdb perl xz-utils attr acl curl"
MORE += " debianutils apt dpkg passwd python3-venv python3-pip musl-tools bubblewrap inotify-tools lua5.4 socat openssl"
MORE += " zstd rsync file nginx-light golang-go linux-libc-dev iproute2 e2fsprogs"
PACKAGES = {"small": SMALL, "large": f"{SMALL} {MORE}"}
REQUIREMENTS = "lmdb zstandard typer rich fs urllib3 setuptools<81".split()
FOR_TESTS = "pip pytest pytest-timeout pytest-xdist hypothesis fsspec h11 lxml pandas pillow h5py".split()
WHEELS = {"arm64": "aarch64", "amd64": "x86_64"}
AS_USER = "setpriv --reuid 1000 --regid 1000 --clear-groups env HOME=/work TMPDIR=/work PYTHONPATH=/opt/site:/src "
AS_USER += (
    "PYTHONDONTWRITEBYTECODE=1 ROOTLAY_TEST_COMPILED=/opt/programs ROOTLAY_TEST_ENGINE=/opt/site/rootlay/vfs/engine "
    "ROOTLAY_CORE_LIB=/opt/programs/core.so ROOTLAY_TEST_DEBIAN=/opt/debian.tar ROOTLAY_TEST_PATIENCE=400 "
    "ROOTLAY_TEST_ENGINE_EXAMPLES=20 "
    "HYPOTHESIS_STORAGE_DIRECTORY=/work/hypothesis "
)


def requirements(cache: Path, architecture: str, version: str) -> Path:
    """Fetch what rootlay and the tests import, for that machine, as wheels; return the directory."""
    place = cache / f"wheels-{architecture}-{version}"
    if not place.exists():
        command = [sys.executable, "-m", "pip", "download", "-q", "--dest", f"{place}.part", "--only-binary=:all:"]
        command += ["--implementation", "cp", "--python-version", version]
        for tag in ("manylinux2014", "manylinux_2_17", "manylinux_2_28"):
            command += ["--platform", f"{tag}_{WHEELS[architecture]}"]
        subprocess.run([*command, *REQUIREMENTS, *FOR_TESTS], check=True, timeout=600)
        Path(f"{place}.part").rename(place)
    return place


def stage(cache: Path, options: argparse.Namespace) -> Path:
    """Make the tree of the disk: Debian, the requirements, the wheel, this tree and the compiled test programs."""
    size = "large" if options.command or options.whole else "small"
    more = SURROUNDINGS[options.on].packages
    name = f"root-{size}{'-nfs' if more else ''}-{options.suite}-{options.architecture}.tar"
    packages = f"{PACKAGES[size]} {more}".split()
    tar = debian.bootstrap(cache / name, options.architecture, options.suite, packages)
    tree = cache / "tree"
    if tree.exists():
        shutil.rmtree(tree)
    tree.mkdir()
    subprocess.run(["tar", "-C", str(tree), "-xf", str(tar)], check=True, stderr=subprocess.DEVNULL)
    debian.complete(tree)
    version = next(tree.glob("usr/bin/python3.*")).name.removeprefix("python")
    wheels = requirements(cache, options.architecture, version)
    (tree / "opt/site").mkdir(parents=True)
    for wheel in (*sorted(wheels.glob("*.whl")), options.wheel):
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(tree / "opt/site")
    for program in ("engine", "monitor", "wrapper"):
        (tree / "opt/site/rootlay/vfs" / program).chmod(0o755)
    for part in ("tests", "vfs", "store", "cli", "docs", "bench", "pyproject.toml"):
        source, target = TREE / part, tree / "src" / part
        target.parent.mkdir(exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, symlinks=True, ignore=shutil.ignore_patterns("__pycache__", ".*_cache"))
        else:
            shutil.copy(source, target)
    compiled = tree / "opt/programs"
    prebuilt.programs(compiled, options.architecture, PROGRAMS if size == "small" else None)
    if size == "large":
        prebuilt.musl_programs(compiled, options.architecture, tree)
        prebuilt.core_library(compiled / "core.so", options.architecture)
        prebuilt.go_program(compiled / "peers-go", options.architecture)
        prebuilt.image(tar, tree / "opt/debian.tar")
        shutil.copytree(wheels, tree / "opt/wheelhouse")
        shutil.copy(options.wheel, tree / "opt/wheelhouse")
    return tree


def main() -> int:
    parser = argparse.ArgumentParser(prog="tests.machines", description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--wheel", type=Path, required=True)
    parser.add_argument("--architecture", default="arm64", choices=[*vm.SYSTEMS])
    parser.add_argument("--suite", default="trixie")
    parser.add_argument("--kernel", default="")
    parser.add_argument("--kernel-suite", default="", help="of the kernel; the rest is of --suite")
    parser.add_argument("--accelerator", default="tcg", help="of qemu; kvm where the processor can")
    parser.add_argument("--command", default="")
    parser.add_argument("--row", action="store_true", help="the smoke tests, and a row of the table of places")
    parser.add_argument("--whole", action="store_true", help="the tests of the engines; the words are parts of them")
    parser.add_argument("--on", default="", choices=[*SURROUNDINGS], help="what is around the tests")
    parser.add_argument("--timeout", type=float, default=1200)
    parser.add_argument("--keep", action="store_true", help="use the disk of the run before")
    parser.add_argument("words", nargs="*")
    options = parser.parse_args()
    cache = options.cache.resolve()
    cache.mkdir(parents=True, exist_ok=True)
    name = options.kernel or f"linux-image-cloud-{options.architecture}"
    around = SURROUNDINGS[options.on]
    kernel = debian.kernel(
        cache, options.architecture, options.kernel_suite or options.suite, name, more=around.modules
    )
    image = cache / f"{options.architecture}.img"
    if not options.keep or not image.exists():
        vm.disk(image, stage(cache, options), 12000)
    busybox = (cache / "tree/usr/bin/busybox").read_bytes()
    program = "whole" if options.whole else "row" if options.row else "inside"
    inside = f"cd /src && python3 -m tests.machines.{program} {shlex.join(options.words)}"
    command = f"chmod 1777 /work\n{around.script}\n{AS_USER} sh -c {shlex.quote(options.command or inside)}"
    machine = vm.Machine(options.architecture, kernel, image, busybox, options.accelerator)
    done = machine.run(command, timeout=options.timeout, log=cache / "console")
    sys.stdout.write(done.output)
    sys.stdout.write(
        f"{kernel.release}: boot {done.boot_seconds:.0f} s, whole {done.seconds:.0f} s, exit {done.code}\n"
    )
    if done.code is None:
        return 2
    if options.row:
        row = places.row_of(done.output, "")
        sys.stdout.write(places.line(options.on or kernel.release, row) + "\n")
        return places.verdict(row).startswith("fails")
    return 0 if done.code == 0 and (options.command or "all ok" in done.output) else 1


if __name__ == "__main__":
    raise SystemExit(main())
