/* The table (see syscalls.h): the calls of all architectures, in the order of x86_64's numbers, then the older ones. */
#include <linux/fcntl.h>
#include <linux/fs.h>

#include "syscalls.h"

/* clang-format off */
/* The field names are those of struct rl_syscall; a field that a row omits is 0: none. */
#define ROW(call, ...) [__NR_##call] = {.name = #call, __VA_ARGS__}
#define HARMLESS(call, ...) ROW(call, .action = RL_HARMLESS, ##__VA_ARGS__)
#define REFUSED(call, errno_) ROW(call, .action = RL_REFUSED, .error = errno_)
#define GUARDED(call, ...) ROW(call, .action = RL_GUARDED, ##__VA_ARGS__)
#define HANDLED(call, do_, ...) ROW(call, .action = RL_HANDLED, .patch = 1, .handler = rl_do_##do_, ##__VA_ARGS__)
/* handled, too, but the call blocks, swaps the signal mask or does not return (rule 4 of patch.c) */
#define TRAPPED(call, do_, ...) ROW(call, .action = RL_HANDLED, .handler = rl_do_##do_, ##__VA_ARGS__)
#define TRAPPED_IF(call, do_, pass_, ...) \
    ROW(call, .action = RL_HANDLED_IF, .handler = rl_do_##do_, .pass = pass_, ##__VA_ARGS__)

#define A0 RL_ARG(0)
#define A1 RL_ARG(1)
#define A2 RL_ARG(2)
#define A3 RL_ARG(3)
#define A4 RL_ARG(4)
#define A5 RL_ARG(5)
#define NOFOLLOW AT_SYMLINK_NOFOLLOW
#define EMPTY AT_EMPTY_PATH
#define STAT_FLAGS (NOFOLLOW | EMPTY | AT_NO_AUTOMOUNT | AT_STATX_SYNC_TYPE)
#define RENAMES (RENAME_NOREPLACE | RENAME_EXCHANGE | RENAME_WHITEOUT)
#ifndef AT_HANDLE_FID
#define AT_HANDLE_FID 0x200
#endif
#ifndef __NR_mseal
#define __NR_mseal 462
#endif
#ifndef __NR_lsm_get_self_attr
#define __NR_statmount 457
#define __NR_listmount 458
#define __NR_lsm_get_self_attr 459
#define __NR_lsm_set_self_attr 460
#define __NR_lsm_list_modules 461
#endif
#ifndef __NR_map_shadow_stack
#define __NR_fchmodat2 452
#define __NR_map_shadow_stack 453
#define __NR_futex_wake 454
#define __NR_futex_wait 455
#define __NR_futex_requeue 456
#endif
#ifndef __NR_cachestat
#define __NR_cachestat 451
#endif
#ifndef __NR_setxattrat
#define __NR_setxattrat 463
#define __NR_getxattrat 464
#define __NR_listxattrat 465
#define __NR_removexattrat 466
#endif
#ifndef __NR_open_tree_attr
#define __NR_open_tree_attr 467
#endif
#ifndef __NR_file_getattr
#define __NR_file_getattr 468
#define __NR_file_setattr 469
#endif
#ifndef __NR_listns
#define __NR_listns 470
#endif

static const struct rl_syscall table[RL_SYSCALL_LIMIT] = {
    HARMLESS(read, .handler = rl_do_read, .options = RL_MARK), HARMLESS(write), HARMLESS(close), HARMLESS(lseek),
    HARMLESS(brk),
    HARMLESS(rt_sigreturn),
    HARMLESS(ioctl, .checks = rl_check_ioctl),
    HANDLED(fstat, fstat, .dir = A0, .rest = A1),
    GUARDED(mmap), GUARDED(mprotect), GUARDED(munmap), GUARDED(mremap),
    GUARDED(madvise, .checks = rl_check_madvise),
    HANDLED(rt_sigaction, rt_sigaction), HANDLED(rt_sigprocmask, rt_sigprocmask), HARMLESS(pread64),
    HARMLESS(pwrite64), HARMLESS(readv, .handler = rl_do_readv, .options = RL_MARK),
    HARMLESS(writev), HARMLESS(sched_yield), HARMLESS(msync), HARMLESS(mincore),
    HARMLESS(shmget),
    HARMLESS(shmat), HARMLESS(shmctl), HARMLESS(dup, .handler = rl_do_dup), HARMLESS(nanosleep),
    HARMLESS(getitimer), HARMLESS(setitimer), HARMLESS(getpid), HARMLESS(sendfile),
    HARMLESS(socket, .checks = rl_check_socket),
    TRAPPED(connect, connect, .pass = A1),
    TRAPPED_IF(accept, accept, A1, .options = RL_MARK),
    TRAPPED_IF(sendto, sendto, A4),
    TRAPPED_IF(recvfrom, recvfrom, A4, .options = RL_MARK),
    TRAPPED(sendmsg, sendmsg, .pass = A1),
    HANDLED(recvmsg, recvmsg, .options = RL_MARK),
    HARMLESS(shutdown), HANDLED(bind, bind), HARMLESS(listen), HANDLED(getsockname, getsockname),
    HANDLED(getpeername, getpeername),
    HARMLESS(socketpair, .checks = rl_check_socket),
    HARMLESS(setsockopt),
    HARMLESS(getsockopt, .checks = rl_check_getsockopt, .handler = rl_do_getsockopt),
    HARMLESS(clone, .checks = rl_check_clone, .handler = rl_do_clone), TRAPPED(execve, execve), HARMLESS(exit), HARMLESS(wait4),
    HARMLESS(kill, .checks = rl_check_kill, .handler = rl_do_kill),
    HANDLED(uname, uname), HARMLESS(semget), HARMLESS(semop), HARMLESS(semctl), HARMLESS(shmdt), HARMLESS(msgget),
    HARMLESS(msgsnd), HARMLESS(msgrcv), HARMLESS(msgctl),
    HARMLESS(fcntl, .checks = rl_check_fcntl, .handler = rl_do_dup),
    HARMLESS(flock), TRAPPED(fsync, sync), TRAPPED(fdatasync, sync),
    HANDLED(truncate, truncate, .path = A0, .rest = A1, .options = RL_NO_GATE),
    HARMLESS(ftruncate), HANDLED(getcwd, getcwd),
    HANDLED(chdir, chdir, .path = A0, .rest = A1),
    HANDLED(fchdir, fchdir),
    HANDLED(fchmod, chmod, .dir = A0, .rest = A1, .checks = rl_check_mode1),
    HANDLED(fchown, chown, .dir = A0, .rest = A1),
    HANDLED(umask, umask), HARMLESS(gettimeofday),
    HARMLESS(getrlimit, .checks = rl_check_getrlimit, .handler = rl_do_getrlimit),
    HARMLESS(getrusage), HARMLESS(sysinfo), HARMLESS(times),
    HARMLESS(ptrace, .checks = rl_check_ptrace, .handler = rl_do_ptrace),
    HANDLED(getuid, getuid), REFUSED(syslog, EPERM), HANDLED(getgid, getgid), HANDLED(setuid, setuid),
    HANDLED(setgid, setgid), HANDLED(geteuid, geteuid), HANDLED(getegid, getegid), HARMLESS(setpgid),
    HARMLESS(getppid), HARMLESS(setsid), HANDLED(setreuid, setreuid), HANDLED(setregid, setregid),
    HANDLED(getgroups, getgroups), HANDLED(setgroups, setgroups), HANDLED(setresuid, setresuid),
    HANDLED(getresuid, getresuid), HANDLED(setresgid, setresgid), HANDLED(getresgid, getresgid), HARMLESS(getpgid),
    HANDLED(setfsuid, setfsuid), HANDLED(setfsgid, setfsgid), HARMLESS(getsid), HANDLED(capget, capget),
    HANDLED(capset, capset), HARMLESS(rt_sigpending), HARMLESS(rt_sigtimedwait), HARMLESS(rt_sigqueueinfo, .handler = rl_do_signal_process),
    TRAPPED(rt_sigsuspend, rt_sigsuspend, .pass = A0),
    TRAPPED_IF(sigaltstack, sigaltstack, A0), HARMLESS(personality),
    HANDLED(statfs, statfs, .path = A0, .rest = A1),
    HARMLESS(fstatfs), HARMLESS(getpriority),
    HARMLESS(setpriority, .checks = rl_check_setpriority),
    HARMLESS(sched_setparam), HARMLESS(sched_getparam), HARMLESS(sched_setscheduler), HARMLESS(sched_getscheduler),
    HARMLESS(sched_get_priority_max), HARMLESS(sched_get_priority_min), HARMLESS(sched_rr_get_interval),
    HARMLESS(mlock), HARMLESS(munlock), TRAPPED(mlockall, mlockall), HARMLESS(munlockall), REFUSED(vhangup, EPERM),
    REFUSED(pivot_root, EPERM),
    HARMLESS(prctl, .checks = rl_check_prctl, .handler = rl_do_prctl), HARMLESS(adjtimex),
    HARMLESS(setrlimit, .checks = rl_check_setrlimit, .handler = rl_do_setrlimit),
    HANDLED(chroot, chroot, .path = A0, .rest = A1),
    TRAPPED(sync, sync), REFUSED(acct, EPERM), REFUSED(settimeofday, EPERM), REFUSED(mount, EPERM),
    REFUSED(umount2, EPERM), REFUSED(swapon, EPERM), REFUSED(swapoff, EPERM), REFUSED(reboot, EPERM),
    REFUSED(sethostname, EPERM), REFUSED(setdomainname, EPERM), REFUSED(init_module, EPERM),
    REFUSED(delete_module, EPERM), REFUSED(quotactl, EPERM),
    REFUSED(nfsservctl, ENOSYS), HARMLESS(gettid), HARMLESS(readahead),
    HANDLED(setxattr, setxattr, .path = A0, .rest = A1),
    HANDLED(lsetxattr, setxattr, .path = A0, .rest = A1, .fixed = NOFOLLOW),
    HANDLED(fsetxattr, setxattr, .dir = A0, .rest = A1),
    HANDLED(getxattr, getxattr, .path = A0, .rest = A1),
    HANDLED(lgetxattr, getxattr, .path = A0, .rest = A1, .fixed = NOFOLLOW),
    HANDLED(fgetxattr, getxattr, .dir = A0, .rest = A1),
    HANDLED(listxattr, listxattr, .path = A0, .rest = A1),
    HANDLED(llistxattr, listxattr, .path = A0, .rest = A1, .fixed = NOFOLLOW),
    HANDLED(flistxattr, listxattr, .dir = A0, .rest = A1),
    HANDLED(removexattr, removexattr, .path = A0, .rest = A1),
    HANDLED(lremovexattr, removexattr, .path = A0, .rest = A1, .fixed = NOFOLLOW),
    HANDLED(fremovexattr, removexattr, .dir = A0, .rest = A1),
    HARMLESS(tkill, .handler = rl_do_signal_process), HARMLESS(futex), HARMLESS(sched_setaffinity), HARMLESS(sched_getaffinity), HARMLESS(io_setup),
    HARMLESS(io_destroy), HARMLESS(io_getevents), HARMLESS(io_submit),
    HARMLESS(io_cancel), REFUSED(lookup_dcookie, EPERM), HARMLESS(remap_file_pages),
    HANDLED(getdents64, getdents64), HARMLESS(set_tid_address), HARMLESS(restart_syscall), HARMLESS(semtimedop),
    HARMLESS(fadvise64), HARMLESS(timer_create), HARMLESS(timer_settime), HARMLESS(timer_gettime),
    HARMLESS(timer_getoverrun), HARMLESS(timer_delete), REFUSED(clock_settime, EPERM), HARMLESS(clock_gettime),
    HARMLESS(clock_getres), HARMLESS(clock_nanosleep),
    HARMLESS(exit_group, .checks = rl_check_exit_group, .handler = rl_do_exit_group),
    HARMLESS(epoll_ctl), HARMLESS(tgkill, .handler = rl_do_signal_thread), HARMLESS(mbind), HARMLESS(set_mempolicy), HARMLESS(get_mempolicy),
    REFUSED(mq_open, ENOSYS),
    REFUSED(mq_unlink, ENOSYS), HARMLESS(mq_timedsend), HARMLESS(mq_timedreceive), HARMLESS(mq_notify),
    HARMLESS(mq_getsetattr), REFUSED(kexec_load, EPERM), HARMLESS(waitid), REFUSED(add_key, ENOSYS),
    REFUSED(request_key, ENOSYS), REFUSED(keyctl, ENOSYS),
    HARMLESS(ioprio_set, .checks = rl_check_ioprio_set),
    HARMLESS(ioprio_get),
    HANDLED(inotify_add_watch, inotify_add_watch, .path = A1, .rest = A2),
    HARMLESS(inotify_rm_watch), HARMLESS(migrate_pages),
    HANDLED(openat, open, .dir = A0, .path = A1, .rest = A2, .pass = A1, .checks = rl_check_openat),
    HANDLED(mkdirat, mkdir, .dir = A0, .path = A1, .rest = A2, .checks = rl_check_mode2),
    HANDLED(mknodat, mknod, .dir = A0, .path = A1, .rest = A2, .checks = rl_check_mode2),
    HANDLED(fchownat, chown, .dir = A0, .path = A1, .rest = A2, .flag_arg = A4, .fixed = NOFOLLOW | EMPTY),
    HANDLED(newfstatat, stat, .dir = A0, .path = A1, .rest = A2, .flag_arg = A3, .fixed = STAT_FLAGS),
    HANDLED(unlinkat, unlink, .dir = A0, .path = A1, .rest = A2, .flag_arg = A2, .fixed = AT_REMOVEDIR),
    HANDLED(renameat, rename, .dir = A0, .path = A1, .dir2 = A2, .path2 = A3),
    HANDLED(linkat, link, .dir = A0, .path = A1, .dir2 = A2, .path2 = A3, .flag_arg = A4,
        .fixed = AT_SYMLINK_FOLLOW | EMPTY),
    HANDLED(symlinkat, symlink, .dir = A1, .path = A2, .path2 = A0),
    HANDLED(readlinkat, readlink, .dir = A0, .path = A1, .rest = A2),
    HANDLED(fchmodat, chmod, .dir = A0, .path = A1, .rest = A2, .checks = rl_check_mode2),
    HANDLED(faccessat, access, .dir = A0, .path = A1, .rest = A2),
    TRAPPED_IF(pselect6, pselect6, A5),
    TRAPPED_IF(ppoll, ppoll, A3),
    HARMLESS(unshare, .checks = rl_check_unshare),
    HARMLESS(set_robust_list), HARMLESS(get_robust_list), HARMLESS(splice), HARMLESS(tee), HARMLESS(sync_file_range),
    HARMLESS(vmsplice), HARMLESS(move_pages),
    HANDLED(utimensat, utimensat, .dir = A0, .path = A1, .rest = A2, .flag_arg = A3,
        .fixed = NOFOLLOW | EMPTY, .options = RL_NULL_PATH),
    TRAPPED_IF(epoll_pwait, epoll_pwait, A4), HARMLESS(timerfd_create), HARMLESS(fallocate), HARMLESS(timerfd_settime),
    HARMLESS(timerfd_gettime),
    TRAPPED_IF(accept4, accept, A1, .options = RL_MARK),
    HARMLESS(signalfd4), HARMLESS(eventfd2), HARMLESS(epoll_create1), HARMLESS(dup3, .handler = rl_do_dup), HARMLESS(pipe2),
    HARMLESS(inotify_init1), HARMLESS(preadv), HARMLESS(pwritev), HARMLESS(rt_tgsigqueueinfo, .handler = rl_do_signal_thread),
    HARMLESS(perf_event_open, .checks = rl_check_perf_event_open),
    TRAPPED(recvmmsg, recvmmsg, .options = RL_MARK),
    REFUSED(fanotify_init, ENOSYS), REFUSED(fanotify_mark, ENOSYS),
    HARMLESS(prlimit64, .checks = rl_check_prlimit64, .handler = rl_do_prlimit64),
    HANDLED(name_to_handle_at, name_to_handle_at, .dir = A0, .path = A1, .rest = A2, .flag_arg = A4,
        .fixed = AT_HANDLE_FID | AT_SYMLINK_FOLLOW | EMPTY, .options = RL_NO_GATE),
    REFUSED(open_by_handle_at, EPERM), REFUSED(clock_adjtime, EPERM), TRAPPED(syncfs, sync),
    TRAPPED(sendmmsg, sendmmsg),
    REFUSED(setns, EPERM), HARMLESS(getcpu), HARMLESS(process_vm_readv, .handler = rl_do_memory_of), HARMLESS(process_vm_writev, .handler = rl_do_memory_of), HARMLESS(kcmp),
    REFUSED(finit_module, EPERM), HARMLESS(sched_setattr), HARMLESS(sched_getattr),
    HANDLED(renameat2, rename, .dir = A0, .path = A1, .dir2 = A2, .path2 = A3, .flag_arg = A4,
        .fixed = RENAMES, .checks = rl_check_renameat2),
    TRAPPED(seccomp, seccomp, .checks = rl_check_seccomp), HARMLESS(getrandom), HARMLESS(memfd_create),
    REFUSED(kexec_file_load, EPERM),
    REFUSED(bpf, EPERM), TRAPPED(execveat, execveat),
    HARMLESS(userfaultfd, .checks = rl_check_userfaultfd),
    HARMLESS(membarrier), HARMLESS(mlock2), HARMLESS(copy_file_range), HARMLESS(preadv2, .handler = rl_do_readv, .options = RL_MARK), HARMLESS(pwritev2),
    GUARDED(pkey_mprotect), HARMLESS(pkey_alloc), HARMLESS(pkey_free),
    HANDLED(statx, statx, .dir = A0, .path = A1, .rest = A3, .flag_arg = A2, .fixed = STAT_FLAGS),
    REFUSED(io_pgetevents, ENOSYS), /* its temporary mask */ HARMLESS(rseq), HARMLESS(pidfd_send_signal, .handler = rl_do_signal_pidfd),
    REFUSED(io_uring_setup, ENOSYS),
    REFUSED(io_uring_enter, ENOSYS), REFUSED(io_uring_register, ENOSYS), REFUSED(open_tree, EPERM),
    REFUSED(move_mount, EPERM), REFUSED(fsopen, EPERM), REFUSED(fsconfig, EPERM), REFUSED(fsmount, EPERM),
    REFUSED(fspick, EPERM), HARMLESS(pidfd_open), REFUSED(clone3, ENOSYS), HARMLESS(close_range),
    HANDLED(openat2, openat2, .dir = A0, .path = A1, .rest = A2, .options = RL_NO_GATE),
    HARMLESS(pidfd_getfd),
    HANDLED(faccessat2, access, .dir = A0, .path = A1, .rest = A2, .flag_arg = A3,
        .fixed = NOFOLLOW | AT_EACCESS | EMPTY),
    HARMLESS(process_madvise),
    TRAPPED_IF(epoll_pwait2, epoll_pwait, A4),
    REFUSED(mount_setattr, EPERM), REFUSED(quotactl_fd, EPERM), REFUSED(landlock_create_ruleset, EOPNOTSUPP),
    REFUSED(landlock_add_rule, EOPNOTSUPP), REFUSED(landlock_restrict_self, EOPNOTSUPP), HARMLESS(memfd_secret),
    HARMLESS(process_mrelease), HARMLESS(futex_waitv), HARMLESS(set_mempolicy_home_node), HARMLESS(cachestat),
    HANDLED(fchmodat2, chmod, .dir = A0, .path = A1, .rest = A2, .flag_arg = A3,
        .fixed = NOFOLLOW | EMPTY, .checks = rl_check_mode2),
    HARMLESS(map_shadow_stack), HARMLESS(futex_wake), HARMLESS(futex_wait), HARMLESS(futex_requeue),
    REFUSED(statmount, ENOSYS), REFUSED(listmount, ENOSYS), HARMLESS(lsm_get_self_attr),
    REFUSED(lsm_set_self_attr, EPERM), HARMLESS(lsm_list_modules), HARMLESS(mseal),
    HANDLED(setxattrat, setxattrat, .dir = A0, .path = A1, .rest = A3, .flag_arg = A2, .fixed = NOFOLLOW | EMPTY),
    HANDLED(getxattrat, getxattrat, .dir = A0, .path = A1, .rest = A3, .flag_arg = A2, .fixed = NOFOLLOW | EMPTY),
    HANDLED(listxattrat, listxattr, .dir = A0, .path = A1, .rest = A3, .flag_arg = A2, .fixed = NOFOLLOW | EMPTY),
    HANDLED(removexattrat, removexattr, .dir = A0, .path = A1, .rest = A3, .flag_arg = A2, .fixed = NOFOLLOW | EMPTY),
    REFUSED(open_tree_attr, EPERM), REFUSED(file_getattr, ENOSYS), REFUSED(file_setattr, ENOSYS),
    REFUSED(listns, ENOSYS),
#include RL_OLD_CALLS
};
/* clang-format on */

const struct rl_syscall *rl_syscall_row(long nr)
{
    return nr >= 0 && nr < RL_SYSCALL_LIMIT ? &table[nr] : NULL;
}
