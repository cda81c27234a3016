"""Docker's default seccomp profile for a container without capabilities, and a launcher that puts it on a command.

    python docker_seccomp.py PROGRAM [ARGS…]

The names are those that moby's profiles/seccomp/default.json allows on x86_64 (kernel 4.8 or newer, no capability);
everything else fails with EPERM, clone3 with ENOSYS, clone with a namespace flag with EPERM.
"""

from __future__ import annotations

import ctypes
import os
import re
import struct
import sys
from pathlib import Path

ALLOWED = """
accept accept4 access adjtimex alarm bind brk cachestat capget capset chdir chmod chown clock_getres clock_gettime
clock_nanosleep close close_range connect copy_file_range creat dup dup2 dup3 epoll_create epoll_create1 epoll_ctl
epoll_ctl_old epoll_pwait epoll_pwait2 epoll_wait epoll_wait_old eventfd eventfd2 execve execveat exit exit_group
faccessat faccessat2 fadvise64 fallocate fanotify_mark fchdir fchmod fchmodat fchmodat2 fchown fchownat fcntl fdatasync
fgetxattr flistxattr flock fork fremovexattr fsetxattr fstat fstatfs fsync ftruncate futex futex_requeue futex_wait
futex_waitv futex_wake futimesat getcpu getcwd getdents getdents64 getegid geteuid getgid getgroups getitimer
getpeername getpgid getpgrp getpid getppid getpriority getrandom getresgid getresuid getrlimit get_robust_list getrusage
getsid getsockname getsockopt get_thread_area gettid gettimeofday getuid getxattr inotify_add_watch inotify_init
inotify_init1 inotify_rm_watch io_cancel ioctl io_destroy io_getevents io_pgetevents ioprio_get ioprio_set io_setup
io_submit kill landlock_add_rule landlock_create_ruleset landlock_restrict_self lchown lgetxattr link linkat listen
listxattr llistxattr lremovexattr lseek lsetxattr lstat madvise map_shadow_stack membarrier memfd_create memfd_secret
mincore mkdir mkdirat mknod mknodat mlock mlock2 mlockall mmap mprotect mq_getsetattr mq_notify mq_open mq_timedreceive
mq_timedsend mq_unlink mremap msgctl msgget msgrcv msgsnd msync munlock munlockall munmap name_to_handle_at nanosleep
newfstatat open openat openat2 pause pidfd_open pidfd_send_signal pipe pipe2 pkey_alloc pkey_free pkey_mprotect poll
ppoll prctl pread64 preadv preadv2 prlimit64 process_mrelease pselect6 pwrite64 pwritev pwritev2 read readahead readlink
readlinkat readv recvfrom recvmmsg recvmsg remap_file_pages removexattr rename renameat renameat2 restart_syscall rmdir
rseq rt_sigaction rt_sigpending rt_sigprocmask rt_sigqueueinfo rt_sigreturn rt_sigsuspend rt_sigtimedwait
rt_tgsigqueueinfo sched_getaffinity sched_getattr sched_getparam sched_get_priority_max sched_get_priority_min
sched_getscheduler sched_rr_get_interval sched_setaffinity sched_setattr sched_setparam sched_setscheduler sched_yield
seccomp select semctl semget semop semtimedop sendfile sendmmsg sendmsg sendto setfsgid setfsuid setgid setgroups
setitimer setpgid setpriority setregid setresgid setresuid setreuid setrlimit set_robust_list setsid setsockopt
set_thread_area set_tid_address setuid setxattr shmat shmctl shmdt shmget shutdown sigaltstack signalfd signalfd4
socketpair splice stat statfs statx symlink symlinkat sync sync_file_range syncfs sysinfo tee tgkill time timer_create
timer_delete timer_getoverrun timer_gettime timer_settime timerfd_create timerfd_gettime timerfd_settime times tkill
truncate umask uname unlink unlinkat utime utimensat utimes vfork vmsplice wait4 waitid write writev
process_vm_readv process_vm_writev ptrace arch_prctl modify_ldt socket
""".split()
PERSONALITIES = (0x0, 0x8, 0x20000, 0x20008, 0xFFFFFFFF)
NAMESPACES = 0x7E020000
ALLOW, EPERM, ENOSYS = 0x7FFF0000, 0x00050001, 0x00050026
HEADERS = ("/usr/include/x86_64-linux-gnu/asm/unistd_64.h", "/usr/include/asm/unistd_64.h")


def numbers() -> dict[str, int]:
    text = next(Path(path).read_text() for path in HEADERS if Path(path).exists())
    return {name: int(number) for name, number in re.findall(r"#define __NR_(\w+) (\d+)", text)}


def build() -> bytes:
    number = numbers()
    steps: list[tuple[int, int, int, int]] = [(0x20, 0, 0, 0)]

    def when(value: int, *then: tuple[int, int, int, int]) -> None:
        steps.append((0x15, 0, len(then), value))
        steps.extend(then)

    when(number["clone3"], (0x06, 0, 0, ENOSYS))
    when(number["clone"], (0x20, 0, 0, 16), (0x45, 0, 1, NAMESPACES), (0x06, 0, 0, EPERM), (0x06, 0, 0, ALLOW))
    checks = [(0x15, len(PERSONALITIES) - i, 0, value) for i, value in enumerate(PERSONALITIES)]
    when(number["personality"], (0x20, 0, 0, 16), *checks, (0x06, 0, 0, EPERM), (0x06, 0, 0, ALLOW))
    for name in ALLOWED:
        if name in number:
            when(number[name], (0x06, 0, 0, ALLOW))
    steps.append((0x06, 0, 0, EPERM))
    return b"".join(struct.pack("<HBBI", *step) for step in steps)


class Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_void_p))


def install() -> None:
    code = build()
    buffer = ctypes.create_string_buffer(code)
    program = Program(len(code) // 8, ctypes.addressof(buffer))
    libc = ctypes.CDLL(None, use_errno=True)
    zero = ctypes.c_ulong(0)
    for words in ((38, 1, 0), (22, 2, ctypes.addressof(program))):
        if libc.prctl(*[ctypes.c_ulong(word) for word in words], zero, zero):
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


if __name__ == "__main__":
    install()
    os.execvp(sys.argv[1], sys.argv[1:])
