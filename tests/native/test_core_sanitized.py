"""The core's unit tests with AddressSanitizer and UBSan in the core, outside of any handler.

The whole of test_core_*.py is run once more, in another Python that has the sanitizers' library loaded first. What they
find ends that process, or is in its output.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.native.conftest import CORE, FLAGS

pytestmark = [pytest.mark.slow, pytest.mark.once]

HERE = Path(__file__).parent
#: Of gcc: clang's needs its own runtime in the process, which not every distribution has as a shared library.
CHECKS = ["-fsanitize=address,undefined", "-fno-sanitize-recover=undefined", "-fno-omit-frame-pointer", "-O1", "-g"]
#: Itself.
LEFT_OUT = ("test_core_sanitized.py",)
#: Without ROOTLAY_TEST_LONG the first seed alone of what takes half of the time; the fuzzer's core has sanitizers, too.
SEEDS = "not (test_random_operations or test_descriptors_of_what) or 0]"


#: Must be found, or the rest means nothing: a write behind the end of a buffer.
CONTROL = """
import ctypes, sys
core, libc = ctypes.CDLL(sys.argv[1]), ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
core.rl_put(ctypes.c_void_p(libc.malloc(4)), b"longer than that")
"""


def runtime_of(compiler: str, name: str) -> str:
    done = subprocess.run([compiler, f"-print-file-name={name}"], capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.mark.timeout(600)
def test_the_core_under_asan_and_ubsan(tmp_path: Path) -> None:
    compiler = shutil.which("gcc")
    if compiler is None:
        pytest.skip("needs gcc (-fsanitize)")
    runtime = [runtime_of(compiler, name) for name in ("libasan.so", "libubsan.so")]
    if not all(os.path.isabs(path) for path in runtime):
        pytest.skip("needs gcc's sanitizers (Debian: libasan, libubsan)")
    library = tmp_path / "_core.so"
    sources = [*sorted(CORE.glob("*/*.c")), CORE.parent / "testlib" / "direct.c"]
    kept = [flag for flag in FLAGS if flag not in ("-O2", "-fno-stack-protector", "-mgeneral-regs-only")]
    # The core's memcpy and so on must not be the sanitizer's own interceptors' way to themselves.
    renamed = [f"-D{name}=core_{name}" for name in ("memcpy", "memmove", "memset", "memcmp", "strlen")]
    objects = []
    for source in sources:
        objects.append(tmp_path / f"{source.stem}.o")
        own = renamed if source.stem == "mem" else []
        checks = [] if source.stem == "plain" else CHECKS
        subprocess.run([compiler, *kept, *checks, *own, "-c", str(source), "-o", str(objects[-1])], check=True)
    subprocess.run([compiler, "-shared", "-fsanitize=address,undefined", *objects, "-o", str(library)], check=True)
    tests = [path for path in sorted(HERE.glob("test_core_*.py")) if path.name not in LEFT_OUT]
    environ = {
        **os.environ, "ROOTLAY_CORE_LIB": str(library), "LD_PRELOAD": " ".join(os.path.realpath(p) for p in runtime),
        "ASAN_OPTIONS": "detect_leaks=0:abort_on_error=0:halt_on_error=1", "UBSAN_OPTIONS": "print_stacktrace=1",
        "PYTHONMALLOC": "malloc",
    }  # fmt: skip
    control = subprocess.run(
        [sys.executable, "-c", CONTROL, str(library)], env=environ, capture_output=True, text=True, check=False
    )
    assert "AddressSanitizer: heap-buffer-overflow" in control.stderr, control
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-q", "-x", *map(str, tests)]
    command += [] if os.environ.get("ROOTLAY_TEST_LONG") else ["-k", SEEDS]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, check=False, cwd=HERE.parents[1])
    output = done.stdout + done.stderr
    assert done.returncode == 0, output[-6000:]
    assert "Sanitizer" not in output, output[-6000:]
    assert "runtime error" not in output, output[-6000:]
    passed = re.search(r"(\d+) passed", output)
    assert passed is not None
    assert int(passed[1]) > 300, output[-500:]
