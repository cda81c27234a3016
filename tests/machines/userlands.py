"""Install the wheels by pip in bare userlands, without a compiler, and run the smoke tests there: a table.

    python -m tests.machines.userlands --cache DIR --wheels DIR [NAME …]

As root. The second DIR is what `python tools/build_wheels.py` filled. Each userland is a root file system of Debian's
packages, extracted, or musl's loader and a static busybox. It has no compiler and no network: what rootlay depends on
is fetched before, as wheels. Where a userland has no Python that is new enough, `tests/prepare/interpreter` builds one.
The table is Markdown. Exit status: 0 if each row works or is refused with one line, else 1.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.machines import debian, places
from tests.machines.__main__ import REQUIREMENTS

TREE = Path(__file__).resolve().parents[2]
BASE = "base-files base-passwd libc-bin dash bash coreutils sed grep hostname"
PLATFORMS = {
    "manylinux": ("manylinux2014", "manylinux_2_17", "manylinux_2_28"),
    "musllinux": ("musllinux_1_1", "musllinux_1_2"),
}
APPLETS = (
    "sh cat ls rm mv ln mkdir rmdir chmod chown id env sleep touch readlink stat true false pwd head wc cp sort dd "
)
APPLETS += "mkfifo echo printf tail uname tee hostname test find grep sed"


@dataclass(frozen=True, slots=True)
class Userland:
    """A root file system.

    Attributes:
        suite: of Debian.
        python: the path of the interpreter inside.
        version: of that interpreter, with its ABI.
        built: KIND of tests/prepare/interpreter; nothing for an interpreter of the packages.
        libc: of the wheels' tags.
    """

    suite: str
    packages: str
    python: str
    version: str
    built: str = ""
    libc: str = "manylinux"


OWN = "/opt/python/bin/python3"
USERLANDS: Mapping[str, Userland] = {
    "Debian bullseye": Userland("bullseye", f"{BASE} zlib1g libffi7", OWN, "3.13", "bullseye"),
    "Debian bookworm": Userland("bookworm", f"{BASE} python3", "/usr/bin/python3", "3.11"),
    "Debian trixie": Userland("trixie", f"{BASE} python3", "/usr/bin/python3", "3.13"),
    "Debian sid": Userland("sid", f"{BASE} python3.14 python3.14-venv", "/usr/bin/python3.14", "3.14"),
    "musl and busybox": Userland("trixie", "musl busybox-static", OWN, "3.13", "musl", "musllinux"),
    "Debian trixie, free-threaded Python": Userland("trixie", f"{BASE} zlib1g libffi8", OWN, "3.13t", "free-threaded"),
}
#: In the userland: the ordinary user has no right outside of /work.
INSTALL = """
mkdir -p /work/tmp; export HOME=/work TMPDIR=/work/tmp
for c in cc gcc clang tcc; do ! command -v $c || exit 9; done
{python} -m venv --without-pip /work/venv
/work/venv/bin/python "$(echo /wheels/pip-*.whl)"/pip install -q --no-index --find-links /wheels /wheels/{wheel} >&2
cd /src; PATH=/work/venv/bin:$PATH; exec python -B -m tests.machines.row
"""


def requirements(cache: Path, userland: Userland) -> Path:
    """Fetch pip and what rootlay imports, as wheels for that interpreter; return the directory.

    A wheel that no index has is built here, where a compiler is, with an interpreter that was built here.
    """
    place = cache / f"wheels-{userland.libc}-{userland.version}"
    if place.exists():
        return place
    part = place.with_name(place.name + ".part")
    shutil.rmtree(part, ignore_errors=True)
    digits = userland.version.removesuffix("t")
    abi = f"cp{userland.version.replace('.', '')}"
    command = [sys.executable, "-m", "pip", "download", "-q", "--dest", str(part), "--only-binary=:all:"]
    command += ["--implementation", "cp", "--python-version", digits]
    command += [word for name in (abi, "abi3", "none") for word in ("--abi", name)]
    command += [word for tag in PLATFORMS[userland.libc] for word in ("--platform", f"{tag}_x86_64")]
    old = "setuptools<81"  # the last with pkg_resources, which fs imports
    names = [
        name if name != "lmdb" else "lmdb>=3" for name in (*REQUIREMENTS, "pip")
    ]  # one of 1.7 is a wheel without code
    missing = [name for name in names if not fetched([*command, old, name])]
    if missing:
        build(cache / userland.built / "opt/python/bin/python3", missing, part)
    part.rename(place)
    return place


def fetched(command: list[str]) -> bool:
    return subprocess.run(command, check=False, timeout=600, stderr=subprocess.DEVNULL).returncode == 0


def build(python: Path, names: list[str], target: Path) -> None:
    """Build wheels from source with an interpreter of tests/prepare/interpreter, which has no TLS: pip here fetches."""
    sys.stderr.write(f"no wheel for this Python, built: {', '.join(names)}\n")
    with tempfile.TemporaryDirectory() as name:
        own, sdists = Path(name, "venv"), Path(name, "sdists")
        tools = ["setuptools<81", "wheel", "packaging"]
        pip = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--dest", str(sdists)]
        subprocess.run([*pip, *tools], check=True, timeout=600)
        subprocess.run([*pip, "--no-binary=:all:", "--no-build-isolation", *names], check=True, timeout=600)
        subprocess.run([str(python), "-m", "venv", "--without-pip", str(own)], check=True)
        inner = [str(own / "bin/python"), f"{next(target.glob('pip-*.whl'))}/pip"]
        offline = ["-q", "--no-index", "--find-links", str(sdists)]
        subprocess.run([*inner, "install", *offline, *tools], check=True, timeout=600)
        sources = [str(path) for path in sdists.glob("*.tar.gz")]
        command = [*inner, "wheel", *offline, "--no-deps", "--no-build-isolation", "--wheel-dir", str(target), *sources]
        subprocess.run(command, check=True, timeout=1200)


def make(cache: Path, userland: Userland, root: Path) -> None:
    """Fill an empty directory with the userland."""
    packages = userland.packages.split()
    name = f"userland-{userland.suite}-{packages[-1]}.tar"
    tar = debian.bootstrap(cache / name, "amd64", userland.suite, packages)
    subprocess.run(["tar", "-C", str(root), "-xf", str(tar), "--exclude=./dev/*"], check=True)
    for directory in ("proc", "dev", "sys", "tmp", "work", "src", "wheels", "etc", "bin", "opt"):
        (root / directory).mkdir(exist_ok=True)
    (root / "etc/passwd").write_text("root:x:0:0::/root:/bin/sh\ntest:x:1000:1000::/work:/bin/sh\n")
    (root / "etc/group").write_text("root:x:0:\ntest:x:1000:\n")
    if userland.libc == "musllinux":
        if not (root / "lib").exists():
            (root / "lib").symlink_to("usr/lib")
        busybox = next(path for path in (root / "bin/busybox", root / "usr/bin/busybox") if path.exists())
        for applet in APPLETS.split():
            if not (root / "bin" / applet).exists():
                (root / "bin" / applet).symlink_to("/" + str(busybox.relative_to(root)))
        (root / "bin/ldd").symlink_to("/lib/ld-musl-x86_64.so.1")
    if userland.built:
        subprocess.run([str(TREE / "tests/prepare/interpreter"), userland.built, str(cache)], check=True)
        subprocess.run(["cp", "-a", str(cache / userland.built / "opt/python"), str(root / "opt")], check=True)


def row(cache: Path, wheels: Path, userland: Userland, root: Path) -> dict[str, Any]:
    """Install, and run row.py."""
    make(cache, userland, root)
    (found,) = [path for path in wheels.glob("rootlay-*x86_64.whl") if userland.libc in path.name]
    for wheel in (*requirements(cache, userland).glob("*.whl"), found):
        shutil.copy(wheel, root / "wheels")
    work = Path(tempfile.mkdtemp(prefix="work-"))
    try:
        work.chmod(0o777)
        command = ["bwrap", "--unshare-user", "--unshare-net", "--uid", "1000", "--gid", "1000", "--cap-drop", "ALL"]
        command += ["--ro-bind", str(root), "/", "--proc", "/proc", "--dev", "/dev", "--bind", str(work), "/work"]
        command += ["--ro-bind", str(TREE), "/src", "--clearenv", "--setenv", "PATH", "/usr/bin:/bin:/usr/sbin:/sbin"]
        script = INSTALL.format(python=userland.python, wheel=found.name)
        return places.ask(command, f"set -e; {script}")
    finally:
        shutil.rmtree(work, ignore_errors=True)


def libc_of(root: Path) -> str:
    """The version of the C library, from its own text."""
    for path in (*root.glob("**/libc.so.6"), *root.glob("**/libc-2.*.so")):
        if found := re.search(rb"GNU C Library .*? version ([0-9.]+[0-9])", path.read_bytes()):
            return f"glibc {found[1].decode()}"
    loader = next(root.glob("usr/lib/*-linux-musl/libc.so"), None)
    said = subprocess.run([str(loader)], capture_output=True, text=True, check=False).stderr if loader else ""
    return f"musl {said.partition('Version ')[2].split()[0]}" if "Version" in said else "?"


def main() -> int:
    parser = argparse.ArgumentParser(prog="tests.machines.userlands")
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--wheels", type=Path, required=True)
    parser.add_argument("names", nargs="*", metavar="NAME")
    options = parser.parse_args()
    cache = options.cache.resolve()
    cache.mkdir(parents=True, exist_ok=True)
    bad = 0
    sys.stdout.write("| userland | C library | Python | doctor | runs | notes |\n|---|---|---|---|---|---|\n")
    for name, userland in USERLANDS.items():
        if options.names and name not in options.names:
            continue
        root = Path(tempfile.mkdtemp(prefix="userland-"))
        root.chmod(0o755)
        try:
            found = row(cache, options.wheels, userland, root)
            libc = libc_of(root)
        except (OSError, subprocess.SubprocessError) as error:
            found, libc = {"failures": [f"not tried: {error}"]}, ""
        finally:
            shutil.rmtree(root, ignore_errors=True)
        said = places.verdict(found)
        bad += said.startswith("fails")
        cells = (
            name,
            libc,
            found.get("python", userland.version),
            places.DOCTOR.get(found.get("doctor", -1), "does not run"),
        )
        sys.stdout.write(places.markdown(*cells, said, "; ".join(found.get("notes", []))) + "\n")
        sys.stdout.flush()
    return bool(bad)


if __name__ == "__main__":
    raise SystemExit(main())
