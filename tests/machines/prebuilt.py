"""What the tests compile, made here for another architecture: a compiler in an emulated machine takes an hour for it.

Needs the cross compiler, for musl's programs an unpacked `musl-dev` of that architecture, and `go` for those in Go.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tarfile
from collections.abc import Sequence
from pathlib import Path

from tests.machines.debian import need
from tests.native.conftest import CORE, core_flags
from tests.native.guest import HERE, PROGRAMS

COMPILERS = {"arm64": "aarch64-linux-gnu-gcc", "amd64": "x86_64-linux-gnu-gcc"}
MACHINES = {"arm64": "aarch64", "amd64": "x86_64"}
OPTIONS = ("-O1", "-static", "-pthread")


def programs(target: Path, architecture: str, names: Sequence[str] | None = None) -> None:
    """Compile the static test programs with glibc. `target` becomes what ROOTLAY_TEST_COMPILED names."""
    target.mkdir()
    compiler = need(COMPILERS[architecture], "gcc for that architecture")
    for name in names or PROGRAMS:
        command = [compiler, *OPTIONS, "-o", str(target / f"{name}-glibc"), str(HERE / f"{name}.c")]
        subprocess.run(command, check=True)


def musl_programs(target: Path, architecture: str, root: Path) -> None:
    """Compile the same programs with the musl of a root file system that has Debian's `musl-dev`."""
    compiler, machine = need(COMPILERS[architecture], "gcc for that architecture"), MACHINES[architecture]
    libraries = root / f"usr/lib/{machine}-linux-musl"
    own = subprocess.run([compiler, "-print-file-name=include"], capture_output=True, text=True, check=True)
    headers = ["-nostdinc", "-isystem", str(root / f"usr/include/{machine}-linux-musl"), "-isystem", own.stdout.strip()]
    headers += ["-idirafter", str(root / "usr/include"), "-idirafter", str(root / f"usr/include/{machine}-linux-gnu")]
    starts = [str(libraries / name) for name in ("crt1.o", "crti.o")]
    for name in PROGRAMS:
        command = [compiler, *OPTIONS, *headers, "-nostdlib", "-nostartfiles", "-o", str(target / f"{name}-musl")]
        command += [*starts, str(HERE / f"{name}.c"), f"-L{libraries}", "-Wl,--start-group", "-lc", "-lgcc", "-lgcc_eh"]
        subprocess.run([*command, "-Wl,--end-group", str(libraries / "crtn.o")], check=True)


def core_library(target: Path, architecture: str) -> None:
    """Compile the core for ROOTLAY_CORE_LIB, as the fixture of that name does."""
    sources = [*sorted(CORE.glob("*/*.c")), CORE.parent / "testlib" / "direct.c"]
    command = [need(COMPILERS[architecture], "gcc for that architecture"), *core_flags(MACHINES[architecture])]
    command += ["-shared", "-nostdlib", "-Wl,-Bsymbolic", "-Wl,--no-undefined", *map(str, sources), "-o", str(target)]
    subprocess.run(command, check=True)


def go_program(target: Path, architecture: str) -> bool:
    """Build the static program in Go; return whether `go` is there."""
    if not shutil.which("go"):
        return False
    environ = {**os.environ, "GOARCH": architecture, "CGO_ENABLED": "0", "GO111MODULE": "off"}
    command = ["go", "build", "-o", str(target), str(HERE / "peers.go")]
    subprocess.run(command, check=True, env=environ)
    return True


def image(tar: Path, target: Path) -> None:
    """Write a root file system as the tar that ROOTLAY_TEST_DEBIAN names, without devices and documentation."""
    left_out = (
        "./dev/",
        "./usr/share/doc/",
        "./usr/share/man/",
        "./usr/share/locale/",
        "./usr/lib/go",
        "./usr/share/go",
    )
    with tarfile.open(tar) as source, tarfile.open(target, "w") as made:
        for member in source:
            if not member.name.startswith(left_out) and not member.isdev():
                made.addfile(member, source.extractfile(member) if member.isreg() else None)
