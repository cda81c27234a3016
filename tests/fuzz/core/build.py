"""Builds the harness of the resolver core with libFuzzer, AddressSanitizer and UBSan."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

CORE = Path(__file__).resolve().parents[3] / "vfs" / "csrc" / "core"
HARNESS = Path(__file__).with_name("fuzz.c")
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


def build(clang: str, directory: Path) -> Path:
    """The harness, built in a directory. Raises CalledProcessError."""
    renamed = [f"-D{name}=core_{name}" for name in _LIBC]
    objects = []
    for source in [*sorted(CORE.glob("*.c")), CORE / "plain" / "plain.c"]:
        objects.append(directory / f"{source.stem}.o")
        flags = ["-ffreestanding", "-c", str(source), "-o", str(objects[-1])]
        if source.stem == "plain":  # its rl_sys() is the harness's way to the kernel
            flags += ["-Drl_sys=plain_sys"]
        else:
            flags += ["-fsanitize=fuzzer-no-link", *_CHECKS, *(renamed if source.stem == "mem" else [])]
        subprocess.run([clang, *_FLAGS, *flags], check=True)
    harness = directory / "core-fuzz"
    warnings = ["-Wall", "-Wextra", "-Werror"]
    subprocess.run(
        [clang, *_FLAGS, *warnings, "-fsanitize=fuzzer", *_CHECKS, f"-I{CORE}", HARNESS, *objects, "-o", harness],
        check=True,
    )
    return harness
