"""The test builds: the shim, the engine and the core's library with numbered points."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from rootlay.vfs.detached.heir import monitor_path

HERE = Path(__file__).resolve().parent
CSRC = HERE.parents[1] / "vfs" / "csrc"
CORE_FLAGS = "-std=gnu11 -O2 -ffreestanding -fno-stack-protector -fno-asynchronous-unwind-tables".split()
CORE_FLAGS += (
    "-mgeneral-regs-only -fcf-protection=none".split() if os.uname().machine == "x86_64" else ["-mno-outline-atomics"]
)
MEMORY = ("rl_removed_set", "rl_removed_clear", "rl_removed_wrote", "rl_removed_done", "rl_bloom_set")
"""The functions that change memory which processes share. Each is a point, too (engine.c), except in its own file."""
ENGINE_FLAGS = (
    "-g0 -fPIE -fvisibility=hidden -fno-strict-aliasing -fno-builtin -fno-tree-loop-distribute-patterns "
    "-U_FORTIFY_SOURCE"
).split()
ENGINE_LINK = (
    "-nostdlib -static -Wl,-Ttext-segment=0x550e50000000 -Wl,-z,noexecstack -Wl,-z,norelro -Wl,--no-relax "
    "-Wl,--build-id=none"
).split()


def build_shim(out: Path) -> Path:
    """Build the LD_PRELOAD library that injects faults."""
    flags = ["-shared", "-fPIC", "-O2", "-U_FORTIFY_SOURCE", "-Wall", "-Wextra", "-Werror"]
    _cc(*flags, str(HERE / "shim.c"), "-o", str(out))
    return out


def build_recorder(out: Path) -> Path:
    """Build the LD_PRELOAD library of `python -m tests.faults.power`."""
    flags = ["-shared", "-fPIC", "-O2", "-U_FORTIFY_SOURCE", "-Wall", "-Wextra", "-Werror"]
    _cc(*flags, str(HERE / "recorder.c"), "-o", str(out))
    return out


def build_engine(out: Path, control: Path, log: Path) -> Path:
    """Build the trap engine, with the monitor next to it. `out` must be called `engine`: rootlay.vfs.run.processes
    identifies programs by that name."""
    other = {"x86_64", "aarch64"} - {os.uname().machine}
    trap = sorted(path for path in CSRC.glob("trap/*/*.[cS]") if path.parent.name not in other)
    objects = _core_objects(out.parent, control, log, ENGINE_FLAGS)
    for source in trap:
        objects.append(str(out.parent / f"trap-{source.name}.o"))
        _cc(*CORE_FLAGS, *ENGINE_FLAGS, "-c", str(source), "-o", objects[-1])
    _cc(*ENGINE_LINK, *objects, "-o", str(out))
    shutil.copy(monitor_path(), out.parent)
    return out


def build_steps(out: Path) -> None:
    """Build the program that some commands run (steps.c)."""
    _cc("-O1", "-Wall", "-Wextra", "-Werror", "-static", str(HERE / "steps.c"), "-o", str(out))


def build_core(out: Path, control: Path, log: Path) -> Path:
    """Build the resolver core as a library that tests call directly (tests/support/boxes/corelib.py)."""
    objects = _core_objects(out.parent, control, log, ["-fPIC"])
    objects.append(str(out.parent / "plain.o"))
    _cc(*CORE_FLAGS, "-fPIC", "-c", str(CSRC / "testlib" / "direct.c"), "-o", objects[-1])
    _cc("-shared", "-nostdlib", "-Wl,-Bsymbolic", *objects, "-o", str(out))
    return out


def _core_objects(place: Path, control: Path, log: Path, flags: list[str]) -> list[str]:
    """Compile the injector, and the core so that it makes its system calls through the injector."""
    objects = []
    names = [f'-DFAULT_CONTROL="{control}"', f'-DFAULT_LOG="{log}"']
    for source in [*sorted(CSRC.glob("core/*/*.c")), HERE / "engine.c"]:
        objects.append(str(place / f"core-{source.name}.o"))
        ours = names if source.parent == HERE else ["-Drl_sys=rl_sys_point"]
        if source.parent != HERE and source.name not in ("removed.c", "bloom.c"):
            ours += [f"-D{name}={name}_point" for name in MEMORY]
        _cc(*CORE_FLAGS, *flags, *ours, "-c", str(source), "-o", objects[-1])
    return objects


def _cc(*words: str) -> None:
    subprocess.run([os.environ.get("CC", "cc"), *words], check=True)
