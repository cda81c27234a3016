"""The seccomp profiles that Docker and Podman put round a container without capabilities, and a launcher.

    python docker_seccomp.py PROFILE PROGRAM [ARGS…]

PROFILE is `docker`, what moby's seccomp/default.json says for x86_64 without a capability, or a
file of that format (Podman's is /usr/share/containers/seccomp.json).
"""

from __future__ import annotations

import ctypes
import json
import os
import re
import struct
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

ALLOWED = """
accept accept4 access adjtimex alarm arch_prctl bind brk cachestat capget capset chdir chmod chown clock_adjtime
clock_getres clock_gettime clock_nanosleep close close_range connect copy_file_range creat dup dup2 dup3 epoll_create
epoll_create1 epoll_ctl epoll_ctl_old epoll_pwait epoll_pwait2 epoll_wait epoll_wait_old eventfd eventfd2 execve
execveat exit exit_group faccessat faccessat2 fadvise64 fallocate fanotify_mark fchdir fchmod fchmodat fchmodat2
fchown fchownat fcntl fdatasync fgetxattr flistxattr flock fork fremovexattr fsetxattr fstat fstatfs fsync ftruncate
futex futex_requeue futex_wait futex_waitv futex_wake futimesat get_robust_list get_thread_area getcpu getcwd getdents
getdents64 getegid geteuid getgid getgroups getitimer getpeername getpgid getpgrp getpid getppid getpriority getrandom
getresgid getresuid getrlimit getrusage getsid getsockname getsockopt gettid gettimeofday getuid getxattr getxattrat
inotify_add_watch inotify_init inotify_init1 inotify_rm_watch io_cancel io_destroy io_getevents io_pgetevents io_setup
io_submit ioctl ioprio_get ioprio_set kill landlock_add_rule landlock_create_ruleset landlock_restrict_self lchown
lgetxattr link linkat listen listmount listxattr listxattrat llistxattr lremovexattr lseek lsetxattr lstat madvise
map_shadow_stack membarrier memfd_create memfd_secret mincore mkdir mkdirat mknod mknodat mlock mlock2 mlockall mmap
modify_ldt mprotect mq_getsetattr mq_notify mq_open mq_timedreceive mq_timedsend mq_unlink mremap mseal msgctl msgget
msgrcv msgsnd msync munlock munlockall munmap name_to_handle_at nanosleep newfstatat open openat openat2 pause
pidfd_open pidfd_send_signal pipe pipe2 pkey_alloc pkey_free pkey_mprotect poll ppoll prctl pread64 preadv preadv2
prlimit64 process_mrelease process_vm_readv process_vm_writev pselect6 ptrace pwrite64 pwritev pwritev2 read readahead
readlink readlinkat readv recvfrom recvmmsg recvmsg remap_file_pages removexattr removexattrat rename renameat
renameat2 restart_syscall rmdir rseq rt_sigaction rt_sigpending rt_sigprocmask rt_sigqueueinfo rt_sigreturn
rt_sigsuspend rt_sigtimedwait rt_tgsigqueueinfo sched_get_priority_max sched_get_priority_min sched_getaffinity
sched_getattr sched_getparam sched_getscheduler sched_rr_get_interval sched_setaffinity sched_setattr sched_setparam
sched_setscheduler sched_yield seccomp select semctl semget semop semtimedop sendfile sendmmsg sendmsg sendto
set_robust_list set_thread_area set_tid_address setfsgid setfsuid setgid setgroups setitimer setpgid setpriority
setregid setresgid setresuid setreuid setrlimit setsid setsockopt setuid setxattr setxattrat shmat shmctl shmdt shmget
shutdown sigaltstack signalfd signalfd4 socketpair splice stat statfs statmount statx symlink symlinkat sync
sync_file_range syncfs sysinfo tee tgkill time timer_create timer_delete timer_getoverrun timer_gettime timer_settime
timerfd_create timerfd_gettime timerfd_settime times tkill truncate umask uname unlink unlinkat uretprobe utime
utimensat utimes vfork vmsplice wait4 waitid write writev
""".split()
#: Socket families: all below 12, and these.
FAMILIES = (13, 14, 15, 16, 17, 18, 21, 22, 24, *range(26, 34), 35, 36, 39, 41, 42, 43, 44, 45)
PERSONALITIES = (0x0, 0x8, 0x20000, 0x20008, 0xFFFFFFFF)
NAMESPACES = 0x7E020000
ERRNO, ALLOW = 0x00050000, 0x7FFF0000
EPERM, ENOSYS = 1, 38
HEADERS = ("/usr/include/x86_64-linux-gnu/asm/unistd_64.h", "/usr/include/asm/unistd_64.h")
#: The filter's own comparison, and whether its opposite is meant.
COMPARISONS = {
    "SCMP_CMP_EQ": (0x15, False),
    "SCMP_CMP_NE": (0x15, True),
    "SCMP_CMP_GE": (0x35, False),
    "SCMP_CMP_LT": (0x35, True),
    "SCMP_CMP_GT": (0x25, False),
    "SCMP_CMP_LE": (0x25, True),
    "SCMP_CMP_MASKED_EQ": (0x15, False),
}

Rule = dict[str, Any]
Step = tuple[int, int, int, int]


def _allow(names: list[str], *args: Rule) -> Rule:
    return {"names": names, "action": "SCMP_ACT_ALLOW", "args": list(args)}


def _argument(value: int, op: str = "EQ") -> Rule:
    return {"index": 0, "value": value, "op": f"SCMP_CMP_{op}"}


def docker() -> Rule:
    """Docker's default profile."""
    rules = [
        _allow(ALLOWED),
        _allow(["socket"], _argument(12, "LT")),
        _allow(["clone"], _argument(NAMESPACES, "MASKED_EQ")),
    ]
    rules += [_allow(["socket"], _argument(family)) for family in FAMILIES]
    rules += [_allow(["personality"], _argument(value)) for value in PERSONALITIES]
    rules += [{"names": ["clone3"], "action": "SCMP_ACT_ERRNO", "errnoRet": ENOSYS}]
    return {"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": EPERM, "syscalls": rules}


def only(names: list[str]) -> Rule:
    """A profile that allows these calls."""
    return {"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": EPERM, "syscalls": [_allow(names)]}


def numbers() -> dict[str, int]:
    text = next(Path(path).read_text() for path in HEADERS if Path(path).exists())
    return {name: int(number) for name, number in re.findall(r"#define __NR_(\w+) (\d+)", text)}


def _applies(rule: Rule) -> bool:
    """Here: x86_64, no capability, any kernel."""
    includes, excludes = rule.get("includes") or {}, rule.get("excludes") or {}
    arches = includes.get("arches")
    return not includes.get("caps") and (not arches or "amd64" in arches) and "amd64" not in excludes.get("arches", ())


def _result(action: str, number: int | None) -> int:
    return ALLOW if action == "SCMP_ACT_ALLOW" else ERRNO | (EPERM if number is None else number)


def _test(arg: Rule) -> list[Step]:
    """Steps that skip the one behind them when the argument is as it is to be."""
    operation, opposite = COMPARISONS[arg["op"]]
    load = [(0x20, 0, 0, 16 + 8 * arg["index"])]
    if arg["op"] == "SCMP_CMP_MASKED_EQ":
        return [*load, (0x54, 0, 0, arg["value"]), (operation, 1, 0, arg.get("valueTwo", 0))]
    return [*load, (operation, 0 if opposite else 1, 1 if opposite else 0, arg["value"])]


def _rule(rule: Rule) -> list[Step]:
    """Steps that return the rule's action if all its arguments are as they are to be, and else go on behind."""
    steps: list[Step] = [(0x06, 0, 0, _result(rule["action"], rule.get("errnoRet")))]
    for arg in reversed(rule.get("args") or ()):
        steps = [*_test(arg), (0x05, 0, 0, len(steps)), *steps]
    return steps


def build(profile: Rule) -> bytes:
    """The program."""
    number = numbers()
    default = _result(profile["defaultAction"], profile.get("defaultErrnoRet"))
    rules: dict[str, list[Rule]] = {}
    for rule in profile["syscalls"]:
        if _applies(rule):
            for name in rule["names"]:
                if name in number:
                    rules.setdefault(name, []).append(rule)
    steps: list[Step] = [(0x20, 0, 0, 0)]
    for name, found in rules.items():
        then = [step for rule in found for step in _rule(rule)]
        steps += [(0x15, 1, 0, number[name]), (0x05, 0, 0, len(then) + 1), *then, (0x06, 0, 0, default)]
    steps.append((0x06, 0, 0, default))
    return b"".join(struct.pack("<HBBI", *step) for step in steps)


class Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_void_p))


def install(profile: Mapping[str, Any]) -> None:
    code = build(dict(profile))
    buffer = ctypes.create_string_buffer(code)
    program = Program(len(code) // 8, ctypes.addressof(buffer))
    libc = ctypes.CDLL(None, use_errno=True)
    zero = ctypes.c_ulong(0)
    for words in ((38, 1, 0), (22, 2, ctypes.addressof(program))):
        if libc.prctl(*[ctypes.c_ulong(word) for word in words], zero, zero):
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


if __name__ == "__main__":
    install(docker() if sys.argv[1] == "docker" else json.loads(Path(sys.argv[1]).read_text()))
    os.execvp(sys.argv[2], sys.argv[2:])
