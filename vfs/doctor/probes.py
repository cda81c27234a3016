"""Trials for `rootlay doctor`: a kernel can report a feature and still forbid its use.

Each trial runs in a separate child process, since most of them cannot be undone.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import signal
import struct
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

from rootlay.vfs.run.launch import DIR_MARKS, DIR_UPPER, FLAG_CONFINE, FLAG_UPPER, Launch, LaunchBind, LaunchDir

PR_SET_NO_NEW_PRIVS = 38
PR_SET_SECCOMP = 22
SECCOMP_MODE_FILTER = 2
SYS_LANDLOCK_CREATE_RULESET = 444
SYS_GETPGID, SYS_STATX = {"aarch64": (155, 291)}.get(os.uname().machine, (121, 332))
AT_FDCWD, STATX_BASIC, STATX_BYTES = -100, 0x7FF, 256
RET_TRAP, RET_ALLOW = 0x00030000, 0x7FFF0000
PATIENCE_S = 20


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_void_p))


def try_no_new_privs() -> int:
    """Try to set no_new_privs. Return 0 or an errno."""
    return _in_child(lambda: _prctl(PR_SET_NO_NEW_PRIVS, 1))


def try_seccomp() -> int:
    """Install a filter that traps one call, make the call, and test whether SIGSYS arrives.

    Returns:
        0; an errno of the installation; or EREMOTEIO if the filter was accepted and no signal arrived.
    """
    return _in_child(_trap_one_call)


def try_statx() -> int:
    """Ask for the attributes of the root with statx. Return 0 or an errno."""
    libc = ctypes.CDLL(None, use_errno=True)
    buffer = ctypes.create_string_buffer(STATX_BYTES)
    failed = libc.syscall(SYS_STATX, AT_FDCWD, b"/", 0, ctypes.c_uint(STATX_BASIC), buffer)
    return ctypes.get_errno() if failed else 0


def landlock_abi() -> int:
    """Return the version of Landlock; 0 without Landlock."""
    libc = ctypes.CDLL(None, use_errno=True)
    version: int = libc.syscall(SYS_LANDLOCK_CREATE_RULESET, None, ctypes.c_size_t(0), 1)
    return max(0, version)


def try_program(engine: Path, folder: Path) -> str:
    """Run this machine's `true` in a copy-on-write view of its root. Return the error, or an empty text.

    Raises:
        OSError: `folder` is not writable.
    """
    from rootlay.store.containers.bloom import create_bloom

    program = next((path for path in ("/bin/true", "/usr/bin/true") if os.access(path, os.X_OK)), "/bin/true")
    with tempfile.TemporaryDirectory(dir=folder, prefix="doctor-") as name:
        box = Path(os.path.realpath(name))
        (box / "upper").mkdir()
        create_bloom(box / "bloom", None)
        (box / "lock").touch()
        launch = Launch(
            engine=os.fsencode(engine),
            dirs=(LaunchDir(bytes(box / "upper"), bytes(box / "bloom"), DIR_UPPER | DIR_MARKS), LaunchDir(b"")),
            binds=tuple(LaunchBind(path, path, 2 if path == b"/proc" else 0) for path in (b"/proc", b"/sys", b"/dev")),
            lock=bytes(box / "lock"),
            host_uid=os.geteuid(),
            host_gid=os.getegid(),
            st_dev=box.stat().st_dev,
            flags=FLAG_UPPER | FLAG_CONFINE,
        )
        (box / "launch-1").write_bytes(launch.pack())
        command = [str(engine), "--run", str(box / "launch-1"), "0:0:022:", "/", program]
        try:
            done = subprocess.run(command, capture_output=True, timeout=PATIENCE_S, check=False, env={})
        except (OSError, subprocess.TimeoutExpired) as error:
            return str(error)
    if done.returncode == 0:
        return ""
    said = done.stderr.decode(errors="replace").strip().removeprefix("rootlay: ")
    return said or (f"signal {-done.returncode}" if done.returncode < 0 else f"exit code {done.returncode}")


def try_store(folder: Path) -> dict[str, int]:
    """Return the features that a file system allows, each as 0 or an errno."""
    import fcntl
    import mmap

    found: dict[str, int] = {}

    def attempt(name: str, action: Callable[[], object]) -> None:
        try:
            action()
            found[name] = 0
        except OSError as error:
            found[name] = error.errno or errno.EIO

    with tempfile.TemporaryDirectory(dir=folder, prefix="doctor-") as name:
        box = Path(name)
        with open(box / "a", "w+b") as file:
            file.write(b"x" * mmap.PAGESIZE)
            file.flush()
            attempt("link", lambda: os.link(box / "a", box / "b"))
            attempt("symlink", lambda: os.symlink("u=0;g=0", box / "c"))
            attempt("lock", lambda: fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB))
            attempt("map", lambda: mmap.mmap(file.fileno(), mmap.PAGESIZE).close())
            executable = mmap.PROT_READ | mmap.PROT_EXEC
            attempt("execute", lambda: mmap.mmap(file.fileno(), mmap.PAGESIZE, prot=executable).close())
            attempt("xattr", lambda: os.setxattr(box / "a", b"user.rootlay", b"1"))
            attempt("mode", lambda: os.chmod(box / "a", 0o700))
    return found


def _prctl(*numbers: int) -> int:
    libc = ctypes.CDLL(None, use_errno=True)
    words = [ctypes.c_ulong(number) for number in (*numbers, *[0] * (5 - len(numbers)))]
    return ctypes.get_errno() if libc.prctl(*words) else 0


def _trap_one_call() -> int:
    seen: list[int] = []
    signal.signal(signal.SIGSYS, lambda number, frame: seen.append(number))
    code = b"".join(
        struct.pack("<HBBI", *step)
        for step in ((0x20, 0, 0, 0), (0x15, 0, 1, SYS_GETPGID), (0x06, 0, 0, RET_TRAP), (0x06, 0, 0, RET_ALLOW))
    )
    buffer = ctypes.create_string_buffer(code)
    program = _Program(4, ctypes.addressof(buffer))
    failed = _prctl(PR_SET_NO_NEW_PRIVS, 1) or _prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.addressof(program))
    if failed:
        return failed
    ctypes.CDLL(None).syscall(SYS_GETPGID, 0)
    for _ in range(10):  # Python's handlers run between two of its instructions
        if seen:
            return 0
    return errno.EREMOTEIO


def _in_child(action: Callable[[], int]) -> int:
    """Run an action in a child and return its result, an errno; EFAULT when the child died."""
    pid = os.fork()
    if pid == 0:
        code = errno.EFAULT
        with contextlib.suppress(BaseException):
            code = action()
        os._exit(code)
    _, status = os.waitpid(pid, 0)
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else errno.EFAULT
