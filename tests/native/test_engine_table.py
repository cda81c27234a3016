"""The table of system calls against the kernel's own list."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from tests.native.guest import table_text

MACHINE = os.uname().machine
KERNEL_LIST = next(
    (p for p in map(Path, [f"/usr/include/{MACHINE}-linux-gnu/asm/unistd_64.h", "/usr/include/asm/unistd_64.h"])
     if p.exists()), None,
)  # fmt: skip
ROW = re.compile(r"\b(HARMLESS|REFUSED|GUARDED|HANDLED|TRAPPED(?:_IF)?)\((\w+)")

#: Names of the kernel's functions for calls that the table has under the name of the number.
OTHER_NAMES = {"newfstat", "newlstat", "newstat", "newuname", "sendfile64", "umount"}
#: Entry points of i386 and others, which the x86_64 table of the kernel does not hold (arch/x86/entry/syscalls).
OTHER_ARCHITECTURES = set(
    """
    adjtimex_time32 chown16 clock_adjtime32 clock_getres_time32 clock_gettime32 clock_nanosleep_time32 clock_settime32
    fadvise64_64 fchown16 fstatfs64 futex_time32 futimesat_time32 getegid16 geteuid16 getgid16 getgroups16 gethostname
    getresgid16 getresuid16 getuid16 ia32_fadvise64 ia32_fadvise64_64 ia32_fallocate ia32_ftruncate64 ia32_pread64
    ia32_pwrite64 ia32_readahead ia32_sync_file_range ia32_truncate64 io_getevents_time32 io_pgetevents_time32 ipc
    lchown16 llseek mmap_pgoff mq_timedreceive_time32 mq_timedsend_time32 nanosleep_time32 ni_syscall nice
    old_getrlimit old_mmap old_msgctl old_readdir old_select old_semctl old_shmctl oldumount olduname pciconfig_iobase
    pciconfig_read pciconfig_write ppoll_time32 pselect6_time32 recv recvmmsg_time32 rt_sigtimedwait_time32 rtas
    s390_ipc s390_pci_mmio_read s390_pci_mmio_write sched_rr_get_interval_time32 semtimedop_time32 send setfsgid16
    setfsuid16 setgid16 setgroups16 setregid16 setresgid16 setresuid16 setreuid16 setuid16 sgetmask signal sigpending
    sigprocmask sigsuspend socketcall spu_create spu_run ssetmask statfs64 stime stime32 subpage_prot sync_file_range2
    time32 timer_gettime32 timer_settime32 timerfd_gettime32 timerfd_settime32 utime32 utimensat_time32 utimes_time32
    vm86 vm86old waitpid
    arm64_personality fstat64 fstatat64 lstat64 stat64
    """.split()
)


def rows(machine: str = MACHINE) -> list[tuple[str, str]]:
    return [
        (m[1], m[2]) for m in ROW.finditer(table_text(machine).partition("static const struct rl_syscall table")[2])
    ]


def test_every_call_of_the_kernel_is_handled_harmless_or_refused() -> None:
    if KERNEL_LIST is None:
        pytest.skip("the kernel's headers are not installed")
    known = set(re.findall(r"#define __NR_(\w+) \d+", KERNEL_LIST.read_text()))
    assert known - {name for _, name in rows()} == set()


def test_every_call_of_the_running_kernel_has_a_row() -> None:
    """Headers may be older than the kernel, whose symbol table names what it has, old architectures' forms included."""
    prefix = "x64" if MACHINE == "x86_64" else "arm64"
    symbols = re.findall(rf" __{prefix}_sys_(\w+)$", Path("/proc/kallsyms").read_text(), re.MULTILINE)
    if not symbols:
        pytest.skip("/proc/kallsyms shows no names")
    known = {name for _, name in (*rows(), *rows("x86_64"))}  # arm64's kernel has the old calls for 32-bit programs
    assert set(symbols) - known - OTHER_ARCHITECTURES - OTHER_NAMES == set()


def test_no_call_has_two_rows() -> None:
    names = [name for _, name in rows()]
    assert sorted(names) == sorted(set(names))


@pytest.mark.parametrize("name", ["clone3", "io_uring_setup", "mount", "pivot_root", "setns", "fsopen"])
def test_what_could_leave_the_container_is_refused(name: str) -> None:
    assert ("REFUSED", name) in rows()


def test_calls_that_take_a_path_are_not_harmless() -> None:
    takes_path = re.compile(r"^(open|creat|.*stat(x|fs|at)?$|access|readlink|mk(dir|nod)|rmdir|.*link(at)?$|rename"
                            r"|name_to|ch(mod|own|dir|root)|lchown|truncate|utime|.*xattr$|exec"
                            r"|inotify_add)")  # fmt: skip
    harmless = {name for kind, name in rows() if kind == "HARMLESS" and takes_path.match(name)}
    assert harmless - {"ustat"} == {"cachestat", "fstatfs"}


def test_what_blocks_or_does_not_return_is_never_patched() -> None:
    """A patched call runs below the program's own frame, where it could not be interrupted."""
    patched = {name for kind, name in rows() if kind == "HANDLED"}
    waits = re.compile(r"exec|connect|accept|send|recv(from|mmsg)|suspend|select|poll|sigaltstack")
    assert {name for name in patched if waits.search(name)} == set()
    assert {"openat", "newfstatat", "getdents64", "recvmsg"} <= patched
