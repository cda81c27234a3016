"""Builds the harnesses of our C with libFuzzer, AddressSanitizer and UBSan: one `.c` here for each target."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

SOURCES = Path(__file__).resolve().parents[3] / "vfs" / "csrc"
CORE = SOURCES / "core"
STORE = SOURCES.parents[1] / "store" / "csrc"
HERE = Path(__file__).resolve().parent
#: core: the resolver core; program: what the trap engine reads of programs; library: what the hook engine reads of
#: shared libraries; merge: the merge of layer indexes into a view.
HARNESSES = ("core", "program", "library", "merge")
_FLAGS = ["-std=gnu11", "-O1", "-g"]
_CHECKS = ["-fsanitize=address,undefined", "-fno-sanitize-recover=undefined"]
# The core's own, in the place of which the sanitizer's are wanted: those check what they touch.
_LIBC = ("memcpy", "memmove", "memset", "memcmp", "strlen")


def find_clang() -> str | None:
    """A clang that has libFuzzer, or None."""
    for name in ("clang", *(f"clang-{version}" for version in range(25, 13, -1))):
        found = shutil.which(name)
        if found and _has_fuzzer(found):
            return found
    return None


def _has_fuzzer(clang: str) -> bool:
    source = "int LLVMFuzzerTestOneInput(const char *d, unsigned long n) { return 0; }"
    command = [clang, "-x", "c", "-", "-fsanitize=fuzzer,address,undefined", "-o", "/dev/null"]
    return subprocess.run(command, input=source.encode(), capture_output=True, check=False).returncode == 0


def build_core(compiler: str, directory: Path, extra: tuple[str, ...] = ()) -> list[Path]:
    """Objects of the core with the sanitizers, and its plain way to the kernel as plain_sys(). CalledProcessError."""
    renamed = [f"-D{name}=core_{name}" for name in _LIBC]
    objects = []
    for source in [*sorted(CORE.glob("*/*.c")), CORE.parent / "testlib" / "direct.c"]:
        objects.append(directory / f"{source.stem}.o")
        flags = ["-ffreestanding", "-fPIC", "-c", str(source), "-o", str(objects[-1])]
        if source.stem == "direct":  # its rl_sys() is the harness's way to the kernel
            flags += ["-Drl_sys=plain_sys"]
        else:
            flags += [*extra, *_CHECKS, *(renamed if source.stem == "mem" else [])]
        subprocess.run([compiler, *_FLAGS, *flags], check=True)
    return objects


def build(clang: str, directory: Path, harness: str = "core") -> Path:
    """A harness, built in a directory. Raises CalledProcessError."""
    objects: list[Path] = []
    if harness == "core":
        objects = build_core(clang, directory, ("-fsanitize=fuzzer-no-link",))
    elif harness == "merge":
        objects = sorted((STORE / "viewbuild").glob("*.c"))
    program = directory / f"{harness}-fuzz"
    warnings = ["-Wall", "-Wextra", "-Werror", "-Wno-unused-function"]
    flags = [*_FLAGS, *warnings, "-fsanitize=fuzzer", *_CHECKS, f"-I{CORE}", f"-I{SOURCES}", f"-I{STORE}"]
    subprocess.run([clang, *flags, HERE / f"{harness}.c", *objects, "-o", program, "-ldl", "-lpthread"], check=True)
    return program
