"""`rootlay doctor`: checks of this machine, with advice for each problem.

Rules:
1. A check reports `ok`, `warn` (works, with a cost or a limit) or `fail` (programs cannot run here, or not safely). For
   the last two it also gives advice. Facts that only help to understand a report are `ok`.
2. Features are tested by trial (probes.py) where possible, not guessed from version numbers.
3. A check that itself fails is a finding, not a traceback.
"""

from __future__ import annotations

import errno
import os
import re
import resource
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Literal

from rootlay.store.disk.filesystem import NETWORK, file_system_of, ignores_case
from rootlay.store.model.value import value
from rootlay.vfs.doctor.probes import landlock_abi, try_no_new_privs, try_program, try_seccomp, try_statx, try_store
from rootlay.vfs.run.session import ARCHITECTURES, EngineMissing, engine_path

Status = Literal["ok", "warn", "fail"]
OLDEST_KERNEL = (4, 19)
FAST_KERNEL = (5, 11)  # the kernel skips the filter for calls that it always allows
FEW_MAPPINGS = 65530
LITTLE_SPACE_BYTES = 1 << 30
#: Below these, or where there is any limit at all, programs fail in ways that are hard to understand.
LIMITS = (
    ("open files", resource.RLIMIT_NOFILE, 1024),
    ("processes", resource.RLIMIT_NPROC, 256),
    ("file size", resource.RLIMIT_FSIZE, resource.RLIM_INFINITY),
    ("address space", resource.RLIMIT_AS, resource.RLIM_INFINITY),
)


@value
class Finding:
    """One line of the report. `advice` is empty if there is nothing to do."""

    name: str
    status: Status
    text: str
    advice: str = ""


def examine(root: Path, environ: Mapping[str, str]) -> list[Finding]:
    """Make all checks. `root` is the store's root, which need not exist; `environ` the caller's environment."""
    folder = root
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    checks: tuple[Callable[[], Iterator[Finding]], ...] = (
        _machine,
        _kernel,
        _python,
        _seccomp,
        _statx,
        _proc,
        _traced,
        lambda: _trial(folder),
        _landlock,
        lambda: _store(root, folder),
        lambda: _space(folder),
        _limits,
        lambda: _surroundings(environ),
    )
    found: list[Finding] = []
    for check in checks:
        try:
            found += check()
        except (OSError, ValueError, LookupError) as error:
            found.append(Finding("check", "warn", f"cannot be made: {error}"))
    return found


def _machine() -> Iterator[Finding]:
    machine = os.uname().machine
    if machine not in ARCHITECTURES:
        names = " and ".join(ARCHITECTURES)
        yield Finding("architecture", "fail", machine, f"programs run on {names} only; images can be stored")
    else:
        yield Finding("architecture", "ok", machine)


def _kernel() -> Iterator[Finding]:
    release = os.uname().release
    numbers = re.match(r"(\d+)\.(\d+)", release)
    version = (int(numbers[1]), int(numbers[2])) if numbers else OLDEST_KERNEL
    if version < OLDEST_KERNEL:
        yield Finding("kernel", "warn", release, "older than what rootlay is tested with (4.19)")
    elif version < FAST_KERNEL:
        yield Finding("kernel", "warn", release, "before Linux 5.11 every system call passes the filter: slower")
    else:
        yield Finding("kernel", "ok", release)


def _python() -> Iterator[Finding]:
    yield Finding("python", "ok", f"{sys.version.split()[0]} ({sys.executable})")


def _seccomp() -> Iterator[Finding]:
    failed = try_no_new_privs()
    if failed:
        yield Finding("no_new_privs", "fail", os.strerror(failed), "the kernel, or a sandbox around us, refuses prctl")
    else:
        yield Finding("no_new_privs", "ok", "can be set")
    failed = try_seccomp()
    if failed == errno.EREMOTEIO:
        advice = "a sandbox around us (gVisor?) emulates seccomp: run outside of it"
        yield Finding("seccomp", "fail", "a filter is accepted, but no SIGSYS comes", advice)
    elif failed:
        advice = "the kernel needs CONFIG_SECCOMP_FILTER, and a container around us must allow seccomp"
        yield Finding("seccomp", "fail", f"no filter: {os.strerror(failed)}", advice)
    else:
        yield Finding("seccomp", "ok", "filter installed, SIGSYS delivered")


def _statx() -> Iterator[Finding]:
    failed = try_statx()
    if failed:
        advice = "a sandbox around us refuses the call (Docker before 18.04, libseccomp before 2.3.3?): update it"
        yield Finding("statx", "fail", os.strerror(failed), advice)
    else:
        yield Finding("statx", "ok", "allowed")


def _proc() -> Iterator[Finding]:
    if not os.path.exists("/proc/self/fd"):
        yield Finding("/proc", "fail", "not mounted", "mount it: the engine and most programs need it")
    if not os.path.exists(os.devnull):
        yield Finding("/dev", "warn", "has no /dev/null", "mount a /dev: many programs need one")


def _tracer() -> str:
    """Return the name of the program that traces this one; empty: none."""
    pid = next(
        (line.split()[1] for line in _read("/proc/self/status").splitlines() if line.startswith("TracerPid")), "0"
    )
    return "" if pid == "0" else _read(f"/proc/{pid}/comm").strip() or "unknown"


def _traced() -> Iterator[Finding]:
    if _tracer() == "proot":
        advice = "run rootlay outside of it: rootlay itself shows an image's files"
        yield Finding("tracer", "fail", "PRoot changes the system calls of the engine", advice)


def _trial(folder: Path) -> Iterator[Finding]:
    try:
        engine = engine_path()
    except EngineMissing as error:
        yield Finding("engine", "fail", str(error), "reinstall rootlay on this machine: pip install --force-reinstall")
        return
    try:
        wrong = try_program(engine, folder)
    except OSError as error:
        yield Finding("engine", "warn", f"not tried: {error}", "choose a store that you can write to with --root")
        return
    if wrong:
        advice = "is the installation on a file system mounted noexec?" if "ermission" in wrong else ""
        known = (
            "see the other lines of this report"
            if "rootlay doctor" in wrong or "outside" in wrong or _tracer() == "proot"
            else ""
        )
        advice = advice or known or "please report this, with this whole output"
        yield Finding("engine", "fail", f"{engine}: {wrong}", advice)
    else:
        yield Finding("engine", "ok", "a program runs in a copy-on-write view of this machine")


def _landlock() -> Iterator[Finding]:
    abi = landlock_abi()
    if abi < 2:
        text = f"ABI {abi}" if abi else "not in this kernel"
        advice = (
            "programs are not confined: run only what you would run as yourself (Linux 5.19 or newer with `landlock` "
            "in its lsm= list confines; a container around us must allow the calls, as Docker's profile does)"
        )
        yield Finding("landlock", "warn", text, advice)
    elif abi < 6:
        advice = "signals and abstract UNIX sockets reach your processes outside (held back from Linux 6.12 on)"
        yield Finding("landlock", "warn", f"ABI {abi}", advice)
    else:
        yield Finding("landlock", "ok", f"ABI {abi}")


def _store(root: Path, folder: Path) -> Iterator[Finding]:
    kind, options = file_system_of(folder)
    where = f"{root} ({kind})"
    if not os.access(folder, os.W_OK):
        yield Finding("store", "fail", f"{where}: cannot be written", "choose another one with --root or ROOTLAY_ROOT")
        return
    can = try_store(folder)
    missing = [name for name in ("link", "symlink", "lock", "map", "mode") if can.get(name)]
    if ignores_case(folder):
        advice = "files of images would replace each other: choose a store on ext4 (without `chattr +F`), xfs or btrfs"
        yield Finding("store", "fail", f"{where}: names do not distinguish upper and lower case", advice)
    elif can.get("execute"):
        advice = "programs of images are run from the store: choose one that is not mounted `noexec` with --root"
        yield Finding("store", "fail", f"{where}: nothing there may be executed", advice)
    elif missing:
        advice = "choose a store on a local file system (ext4, xfs, btrfs, tmpfs) with --root"
        yield Finding("store", "fail", f"{where}: no {', '.join(missing)}", advice)
    elif kind == "lustre" and "flock" not in options:
        advice = (
            "Lustre is mounted without `flock`: locks hold on one machine only, so use the store from one machine, or "
            "run a bundle (`rootlay bundle`) from there and keep containers on a local --root"
        )
        yield Finding("store", "warn", where, advice)
    elif kind in NETWORK:
        advice = (
            "a network file system: slow for many small files, and containers of other machines cannot be stopped from "
            "here. "
            "Keep containers on a local --root, and link images from here (`load --link`) or bundle them"
        )
        yield Finding("store", "warn", where, advice)
    else:
        yield Finding("store", "ok", where)
    if can.get("xattr"):
        yield Finding("user xattrs", "ok", f"none on {kind}; rootlay keeps them in records of its own")
    else:
        yield Finding("user xattrs", "ok", f"on {kind}")


def _space(folder: Path) -> Iterator[Finding]:
    import tempfile

    for name, path in (("space", folder), ("temporary space", Path(tempfile.gettempdir()))):
        state = os.statvfs(path)
        free = state.f_bavail * state.f_frsize
        text = f"{free / (1 << 30):.1f} GiB free in {path}"
        if state.f_files and state.f_favail < 10000:
            yield Finding(name, "warn", f"{text}, {state.f_favail} inodes", "images have tens of thousands of files")
        elif free < LITTLE_SPACE_BYTES:
            yield Finding(name, "warn", text, "`rootlay prune` frees what nothing needs; or choose another --root")
        else:
            yield Finding(name, "ok", text)


def _limits() -> Iterator[Finding]:
    limits = [(name, resource.getrlimit(number)[0], enough) for name, number, enough in LIMITS]
    low = [name for name, limit, enough in limits if _is_below(limit, enough)]
    text = ", ".join(f"{name} {limit}" for name, limit, _ in limits if limit != resource.RLIM_INFINITY) or "none"
    advice = f"programs may fail for it: raise the limit of {', '.join(low)} (ulimit)" if low else ""
    yield Finding("limits", "warn" if low else "ok", text, advice)
    yield _enforced()
    count = int(_read("/proc/sys/vm/max_map_count") or FEW_MAPPINGS)
    advice = "large programs may run out of mappings: sysctl vm.max_map_count=262144" if count < FEW_MAPPINGS else ""
    yield Finding("max_map_count", "warn" if advice else "ok", str(count), advice)
    level = _read("/proc/sys/kernel/randomize_va_space")
    text = {"0": "off", "1": "without the heap", "2": "full"}.get(level, "unknown")
    yield Finding("address randomisation", "ok", text)
    maps = _read("/proc/self/maps").splitlines()
    line = next((line for line in maps if "[vsyscall]" in line), "")
    text = "none" if not line else "emulated" if "--x" in line.split()[1] or "r-x" in line.split()[1] else "unknown"
    yield Finding("vsyscall", "ok", text)
    scope = _read("/proc/sys/kernel/yama/ptrace_scope")
    yield Finding("ptrace", "ok", f"scope {scope or '0'} (not needed; gdb and strace inside follow it)")
    most = _read("/proc/sys/user/max_user_namespaces")
    locked = _read("/proc/sys/kernel/apparmor_restrict_unprivileged_userns") == "1"
    userns = "restricted" if locked or most == "0" else "allowed"
    yield Finding("user namespaces", "ok", f"{userns} (not needed)")


def _enforced() -> Finding:
    """Return the means by which the limits of programs are enforced: memory and processes."""
    from rootlay.vfs.held.limits import Limits, cgroup_parent, means

    parent = cgroup_parent(Limits(memory=1, pids=1))
    how = means(parent is not None)
    text = "; ".join(f"{name}: {how[name]}" for name in ("memory", "pids", "disk"))
    advice = "" if parent else "start rootlay in a delegated cgroup (systemd-run --user) for exact ones"
    return Finding("limits of programs", "ok", text, advice)


def _surroundings(environ: Mapping[str, str]) -> Iterator[Finding]:
    pod = "KUBERNETES_SERVICE_HOST" in environ
    inside = (
        "Kubernetes" if pod
        else "Docker" if Path("/.dockerenv").exists()
        else "Podman" if Path("/run/.containerenv").exists()
        else environ.get("container", "")
    )  # fmt: skip
    if inside:
        text = f"inside {inside}: rootlay needs no capability and no privileged mode there"
        yield Finding("container", "ok", text, "give the store a volume: --root /path/on/a/volume" if pod else "")
    else:
        yield Finding("container", "ok", "none around us")
    if os.geteuid() == 0:
        advice = "programs can do what root can, but for what --confine holds back: use an ordinary user"
        yield Finding("user", "warn", "root", advice)
    else:
        yield Finding("user", "ok", f"uid {os.geteuid()}")


def _is_below(limit: int, enough: int) -> bool:
    return limit != resource.RLIM_INFINITY and (enough == resource.RLIM_INFINITY or limit < enough)


def _read(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""
