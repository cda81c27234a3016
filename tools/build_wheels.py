"""Build the sdist and the wheels that need no compiler: `python tools/build_wheels.py DIRECTORY [MACHINE-LIBC …]`.

Rules:
1. Needs scikit-build-core, cmake and a C compiler; for the musllinux wheel Debian's `musl-tools` and the
   kernel's headers; for the manylinux wheel of aarch64 `gcc-aarch64-linux-gnu`; for its musllinux wheel an unpacked
   `musl-dev` of arm64, whose directory ROOTLAY_MUSL_AARCH64 names. A wheel whose tools are missing is not made, and a
   line says so.
2. A wheel gets its tag only after a check: no symbol is newer than the glibc of the tag, and no other library is needed
   than that libc and its loader. The engine is static and is in both wheels.
3. The hook engine changes the GOT of glibc's programs: the musllinux wheel is without it, and `activate()` says so.
4. The wheels are those of the sdist, so the sdist builds.
"""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import itertools
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Collection, Mapping
from pathlib import Path

GLIBC = (2, 17)
TAGS = {"glibc": "manylinux_2_17_{0}.manylinux2014_{0}", "musl": "musllinux_1_2_{0}"}
LIBRARIES = {"glibc": {"libc.so.6", "ld-linux-x86-64.so.2", "ld-linux-aarch64.so.1"}, "musl": {"libc.so"}}
MACHINES = {"x86_64": "Advanced Micro Devices X86-64", "aarch64": "AArch64"}
"""As readelf names them."""
CROSS = "aarch64-linux-gnu"
BINARIES = {
    "glibc": {"vfs/engine", "vfs/monitor", "vfs/wrapper", "vfs/_hook.so", "vfs/_hook_core.so"},
    "musl": {"vfs/engine", "vfs/monitor", "vfs/wrapper"},
}
LIBRARIES_OF_BOTH = {"store/view/_merge_c.so", "store/hydrate/_batchwrite_c.so"}
#: The kernel's headers, which belong to no libc.
MUSL = {"CC": "musl-gcc", "CFLAGS": "-idirafter /usr/include -idirafter /usr/include/x86_64-linux-gnu"}


def tools_for(machine: str, libc: str) -> Mapping[str, str] | str:
    """Return the build's environment, or what is missing."""
    if machine == "x86_64":
        if libc == "glibc":
            return {}
        return MUSL if shutil.which(MUSL["CC"]) else f"no {MUSL['CC']}"
    if not shutil.which(f"{CROSS}-gcc"):
        return f"no {CROSS}-gcc"
    options = ["-DCMAKE_SYSTEM_NAME=Linux", "-DCMAKE_SYSTEM_PROCESSOR=aarch64"]
    options += [f"-DCMAKE_{language}_COMPILER={CROSS}-gcc" for language in ("C", "ASM")]
    if libc == "musl":
        unpacked = os.environ.get("ROOTLAY_MUSL_AARCH64", "")
        headers, libraries = (f"{unpacked}/usr/{part}/aarch64-linux-musl" for part in ("include", "lib"))
        if not unpacked or not Path(headers).is_dir():
            return "no musl-dev of arm64 in ROOTLAY_MUSL_AARCH64"
        query = [f"{CROSS}-gcc", "-print-file-name=include"]
        own = subprocess.run(query, capture_output=True, text=True, check=True).stdout.strip()
        flags = f"-nostdinc -isystem {headers} -isystem {own} -idirafter /usr/{CROSS}/include"
        options += [f"-DCMAKE_C_FLAGS={flags}", "-DCMAKE_TRY_COMPILE_TARGET_TYPE=STATIC_LIBRARY"]
        options += [f"-DCMAKE_MODULE_LINKER_FLAGS=-nostdlib -L{libraries}", "-DCMAKE_C_STANDARD_LIBRARIES=-lc -lgcc"]
    return {"CMAKE_ARGS": shlex.join(options)}


def needs(binary: Path) -> tuple[str, set[str], set[str]]:
    """Return an ELF file's machine, the libraries and the versions of glibc's symbols that it needs."""
    command = ["readelf", "--wide", "--file-header", "--dynamic", "--version-info", str(binary)]
    text = subprocess.run(command, capture_output=True, text=True, check=True, env={**os.environ, "LC_ALL": "C"}).stdout
    machine = re.search(r"Machine: +(.*)", text)
    libraries = set(re.findall(r"Shared library: \[(.*?)\]", text))
    return machine[1] if machine else "", libraries, set(re.findall(r"Name: GLIBC_([0-9.]+)", text))


def complaints(wheel: Path, libc: str, machine: str = "x86_64") -> list[str]:
    """Return what keeps a wheel from its tag."""
    found: list[str] = []
    seen: set[str] = set()
    with tempfile.TemporaryDirectory() as name, zipfile.ZipFile(wheel) as archive:
        archive.extractall(name)
        for path in sorted(Path(name).rglob("*")):
            if not path.is_file() or path.read_bytes()[:4] != b"\x7fELF":
                continue
            label = str(path.relative_to(Path(name, "rootlay")))
            seen.add(label)
            built_for, libraries, versions = needs(path)
            if built_for != MACHINES[machine]:
                found.append(f"{label}: built for {built_for}")
            found += [f"{label}: needs {library}" for library in sorted(libraries - LIBRARIES[libc])]
            for version in sorted(versions):
                if libc == "musl" or tuple(map(int, version.split("."))) > GLIBC:
                    found.append(f"{label}: needs a symbol of glibc {version}")
    if seen != BINARIES[libc] | LIBRARIES_OF_BOTH:
        found.append(f"the wheel has {', '.join(sorted(seen))}")
    return found


def retag(wheel: Path, tag: str, out: Path) -> Path:
    """Write the wheel again, with the tag in its name and metadata."""
    name, version, *_ = wheel.name.split("-")
    target = out / f"{name}-{version}-py3-none-{tag}.whl"
    record = io.StringIO()
    rows = csv.writer(record, lineterminator="\n")
    with zipfile.ZipFile(wheel) as source, zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as made:
        for info in source.infolist():
            data = source.read(info)
            if info.filename.endswith(".dist-info/RECORD"):
                place = info
                continue
            if info.filename.endswith(".dist-info/WHEEL"):
                tags = b"".join(b"Tag: py3-none-%b\n" % one.encode() for one in tag.split("."))
                data = re.sub(rb"(?m)(^Tag: .*\n)+", tags, data)
            made.writestr(info, data)
            digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
            rows.writerow((info.filename, f"sha256={digest}", len(data)))
        rows.writerow((place.filename, "", ""))
        made.writestr(place, record.getvalue())
    return target


def call_backend(kind: str, source: Path, out: Path, environ: Mapping[str, str]) -> None:
    """Call the build backend as pip does: `kind` is `wheel` or `sdist`."""
    code = f"import sys; from scikit_build_core import build; build.build_{kind}(sys.argv[1])"
    command = [sys.executable, "-c", code, str(out)]
    subprocess.run(command, cwd=source, env={**os.environ, **environ}, check=True, stdout=sys.stderr)


def build(tree: Path, out: Path, machine: str, libc: str, environ: Mapping[str, str]) -> Path:
    """Build, check and tag one wheel of an unpacked sdist."""
    raw = tree / f"wheel-{machine}-{libc}"
    raw.mkdir()
    tag = TAGS[libc].format(machine)
    source = next(tree.glob("rootlay-*"))
    shutil.rmtree(source / "build", ignore_errors=True)  # that of another libc or machine
    call_backend("wheel", source, raw, environ)
    wheel = next(raw.glob("*.whl"))
    if wrong := complaints(wheel, libc, machine):
        raise SystemExit(f"{wheel.name} cannot be {tag}: {'; '.join(wrong)}")
    return retag(wheel, tag, out)


def main(out: Path, wanted: Collection[str] = ()) -> list[Path]:
    """Make the files in a directory; return their paths, the sdist first.

    Args:
        wanted: the wheels to make, as `aarch64-glibc`; all if empty.
    """
    out.mkdir(parents=True, exist_ok=True)
    out = out.resolve()
    call_backend("sdist", Path(__file__).parents[1], out, {})
    made = [max(out.glob("*.tar.gz"), key=lambda path: path.stat().st_mtime_ns)]
    with tempfile.TemporaryDirectory() as name:
        subprocess.run(["tar", "-C", name, "-xzf", str(made[0])], check=True)
        for machine, libc in itertools.product(MACHINES, TAGS):
            if wanted and f"{machine}-{libc}" not in wanted:
                continue
            environ = tools_for(machine, libc)
            if isinstance(environ, str):
                sys.stderr.write(f"{environ}: the wheel for {machine} and {libc} is not made\n")
            else:
                made.append(build(Path(name), out, machine, libc, environ))
    return made


if __name__ == "__main__":
    known = [f"{machine}-{libc}" for machine, libc in itertools.product(MACHINES, TAGS)]
    if len(sys.argv) < 2 or not set(sys.argv[2:]) <= set(known):
        raise SystemExit(f"usage: python tools/build_wheels.py DIRECTORY [{' '.join(known)}]")
    for path in main(Path(sys.argv[1]), sys.argv[2:]):
        sys.stdout.write(f"{path}\n")
