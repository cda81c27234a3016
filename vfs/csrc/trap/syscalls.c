/* The table of x86_64 (see syscalls.h). Order: by number, as in asm/unistd_64.h. */
#include "syscalls.h"

/* clang-format off */
#define N RL_NONE
#define OK(call) [__NR_##call] = {.name = #call, .action = RL_HARMLESS, .dir = N, .path = N, .dir2 = N, .path2 = N, .flag_arg = N, .pass = N}
#define NO(call, err) [__NR_##call] = {.name = #call, .action = RL_REFUSED, .error = err, .dir = N, .path = N, .dir2 = N, .path2 = N, .flag_arg = N, .pass = N}
/* runs, but for what its checks say; with CHECK_DO some of these lead to a handler */
#define CHECK(call, list) CHECK_DO(call, list, NULL)
#define CHECK_DO(call, list, do_) [__NR_##call] = {.name = #call, .action = RL_HARMLESS, .handler = do_, .checks = rl_check_##list, .dir = N, .path = N, .dir2 = N, .path2 = N, .flag_arg = N, .pass = N}
#define GUARD(call) GUARD_BUT(call, NULL)
#define GUARD_BUT(call, list) [__NR_##call] = {.name = #call, .action = RL_GUARDED, .checks = list, .dir = N, .path = N, .dir2 = N, .path2 = N, .flag_arg = N, .pass = N}
/* no path */
#define DO(call, do_, rest_) [__NR_##call] = {.name = #call, .action = RL_HANDLED, .handler = rl_do_##do_, .dir = N, .path = N, .dir2 = N, .path2 = N, .flag_arg = N, .rest = rest_, .pass = N}
/* waits in the program's context when argument pass_ points into a pass buffer; null_ok: not even trapped when it is NULL */
#define WAIT(call, do_, pass_, act) [__NR_##call] = {.name = #call, .action = act, .handler = rl_do_##do_, .dir = N, .path = N, .dir2 = N, .path2 = N, .flag_arg = N, .pass = pass_}
/* what comes may have to be translated; with pass_: not even trapped when that argument is NULL */
#define COME(call, do_, pass_) [__NR_##call] = {.name = #call, .action = pass_ == N ? RL_HANDLED : RL_HANDLED_IF, .handler = rl_do_##do_, .options = RL_MARK, .dir = N, .path = N, .dir2 = N, .path2 = N, .flag_arg = N, .pass = pass_}
/* one path (or, with path_ N, a descriptor), flags from argument flag_, of which fixed_ are valid,
 * or, with flag_ N, fixed_ themselves */
#define P1(call, do_, dir_, path_, rest_, flag_, fixed_, opt_, pass_) P1_CHECK(call, do_, dir_, path_, rest_, flag_, fixed_, opt_, pass_, NULL)
#define P1_CHECK(call, do_, dir_, path_, rest_, flag_, fixed_, opt_, pass_, list) [__NR_##call] = {.name = #call, .action = RL_HANDLED, .handler = rl_do_##do_, .dir = dir_, .path = path_, .dir2 = N, .path2 = N, .rest = rest_, .flag_arg = flag_, .fixed = fixed_, .options = opt_, .pass = pass_, .checks = list}
/* two paths */
#define P2(call, do_, dir_, path_, dir2_, path2_, flag_, fixed_) P2_CHECK(call, do_, dir_, path_, dir2_, path2_, flag_, fixed_, NULL)
#define P2_CHECK(call, do_, dir_, path_, dir2_, path2_, flag_, fixed_, list) [__NR_##call] = {.name = #call, .action = RL_HANDLED, .handler = rl_do_##do_, .dir = dir_, .path = path_, .dir2 = dir2_, .path2 = path2_, .flag_arg = flag_, .fixed = fixed_, .pass = N, .checks = list}

#define NOFOLLOW RL_AT_SYMLINK_NOFOLLOW
#ifndef __NR_uretprobe
#define __NR_uretprobe 335
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
#ifndef __NR_uprobe
#define __NR_uprobe 336
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
    OK(read), OK(write), OK(close), OK(poll), OK(lseek), OK(brk), OK(rt_sigreturn), CHECK(ioctl, ioctl),
    P1_CHECK(open, open, N, 0, 1, N, 0, 0, 0, rl_check_open),
    P1(stat, stat, N, 0, 1, N, 0, 0, N),
    P1(fstat, fstat, 0, N, 1, N, 0, 0, N),
    P1(lstat, stat, N, 0, 1, N, NOFOLLOW, 0, N),
    GUARD(mmap), GUARD(mprotect), GUARD(munmap), GUARD(mremap), GUARD_BUT(madvise, rl_check_madvise),
    DO(rt_sigaction, rt_sigaction, 0), DO(rt_sigprocmask, rt_sigprocmask, 0),
    OK(pread64), OK(pwrite64), OK(readv), OK(writev),
    P1(access, access, N, 0, 1, N, 0, 0, N),
    OK(pipe), OK(select), OK(sched_yield), OK(msync), OK(mincore), OK(shmget), OK(shmat), OK(shmctl),
    OK(dup), OK(dup2), OK(pause), OK(nanosleep), OK(getitimer), OK(alarm), OK(setitimer), OK(getpid),
    OK(sendfile), CHECK(socket, socket),
    WAIT(connect, connect, 1, RL_HANDLED), COME(accept, accept, 1), WAIT(sendto, sendto, 4, RL_HANDLED_IF), COME(recvfrom, recvfrom, 4),
    WAIT(sendmsg, sendmsg, 1, RL_HANDLED), COME(recvmsg, recvmsg, N), OK(shutdown),
    DO(bind, bind, 0), OK(listen), DO(getsockname, getsockname, 0), DO(getpeername, getpeername, 0),
    CHECK(socketpair, socket), OK(setsockopt), CHECK_DO(getsockopt, getsockopt, rl_do_getsockopt),
    CHECK(clone, clone), OK(fork), OK(vfork), DO(execve, execve, 0), OK(exit), OK(wait4),
    CHECK(kill, kill),
    DO(uname, uname, 0), OK(semget), OK(semop), OK(semctl), OK(shmdt), OK(msgget), OK(msgsnd), OK(msgrcv), OK(msgctl),
    CHECK(fcntl, fcntl), OK(flock), OK(fsync), OK(fdatasync),
    P1(truncate, truncate, N, 0, 1, N, 0, RL_NO_GATE, N),
    OK(ftruncate), DO(getdents, getdents, 0), DO(getcwd, getcwd, 0),
    P1(chdir, chdir, N, 0, 1, N, 0, 0, N), DO(fchdir, fchdir, 0),
    P2(rename, rename, N, 0, N, 1, N, 0),
    P1_CHECK(mkdir, mkdir, N, 0, 1, N, 0, 0, N, rl_check_mode1), P1(rmdir, unlink, N, 0, 1, N, RL_AT_REMOVEDIR, 0, N),
    P1(creat, creat, N, 0, 1, N, 0, RL_NO_GATE, N),
    P2(link, link, N, 0, N, 1, N, 0), P1(unlink, unlink, N, 0, 1, N, 0, 0, N),
    P2(symlink, symlink, N, 1, N, 0, N, 0), P1(readlink, readlink, N, 0, 1, N, 0, 0, N),
    P1_CHECK(chmod, chmod, N, 0, 1, N, 0, 0, N, rl_check_mode1), P1_CHECK(fchmod, chmod, 0, N, 1, N, 0, 0, N, rl_check_mode1),
    P1(chown, chown, N, 0, 1, N, 0, 0, N), P1(fchown, chown, 0, N, 1, N, 0, 0, N),
    P1(lchown, chown, N, 0, 1, N, NOFOLLOW, 0, N),
    DO(umask, umask, 0), OK(gettimeofday), CHECK_DO(getrlimit, rlimit, rl_do_getrlimit), OK(getrusage), OK(sysinfo), OK(times),
    CHECK_DO(ptrace, ptrace, rl_do_ptrace),
    DO(getuid, getuid, 0), NO(syslog, EPERM), DO(getgid, getgid, 0), DO(setuid, setuid, 0), DO(setgid, setgid, 0),
    DO(geteuid, geteuid, 0), DO(getegid, getegid, 0), OK(setpgid), OK(getppid), OK(getpgrp), OK(setsid),
    DO(setreuid, setreuid, 0), DO(setregid, setregid, 0), DO(getgroups, getgroups, 0), DO(setgroups, setgroups, 0),
    DO(setresuid, setresuid, 0), DO(getresuid, getresuid, 0), DO(setresgid, setresgid, 0), DO(getresgid, getresgid, 0),
    OK(getpgid), DO(setfsuid, setfsuid, 0), DO(setfsgid, setfsgid, 0), OK(getsid),
    DO(capget, capget, 0), DO(capset, capset, 0),
    OK(rt_sigpending), OK(rt_sigtimedwait), OK(rt_sigqueueinfo), WAIT(rt_sigsuspend, rt_sigsuspend, 0, RL_HANDLED),
    WAIT(sigaltstack, sigaltstack, 0, RL_HANDLED_IF), P1(utime, utime, N, 0, 1, N, 0, 0, N),
    P1_CHECK(mknod, mknod, N, 0, 1, N, 0, 0, N, rl_check_mode1), NO(uselib, ENOSYS), OK(personality), OK(ustat),
    P1(statfs, statfs, N, 0, 1, N, 0, 0, N), OK(fstatfs), OK(sysfs),
    OK(getpriority), CHECK(setpriority, setpriority), OK(sched_setparam), OK(sched_getparam), OK(sched_setscheduler),
    OK(sched_getscheduler), OK(sched_get_priority_max), OK(sched_get_priority_min), OK(sched_rr_get_interval),
    OK(mlock), OK(munlock), OK(mlockall), OK(munlockall), NO(vhangup, EPERM), OK(modify_ldt), NO(pivot_root, EPERM),
    NO(_sysctl, ENOSYS), CHECK_DO(prctl, prctl, rl_do_prctl),
    OK(arch_prctl), OK(adjtimex), CHECK_DO(setrlimit, rlimit, rl_do_setrlimit), P1(chroot, chroot, N, 0, 1, N, 0, 0, N), OK(sync), NO(acct, EPERM),
    NO(settimeofday, EPERM), NO(mount, EPERM), NO(umount2, EPERM), NO(swapon, EPERM), NO(swapoff, EPERM),
    NO(reboot, EPERM), NO(sethostname, EPERM), NO(setdomainname, EPERM), NO(iopl, EPERM), NO(ioperm, EPERM),
    NO(create_module, ENOSYS), NO(init_module, EPERM), NO(delete_module, EPERM), NO(get_kernel_syms, ENOSYS),
    NO(query_module, ENOSYS), NO(quotactl, EPERM), NO(nfsservctl, ENOSYS), NO(getpmsg, ENOSYS), NO(putpmsg, ENOSYS),
    NO(afs_syscall, ENOSYS), NO(tuxcall, ENOSYS), NO(security, ENOSYS),
    OK(gettid), OK(readahead),
    P1(setxattr, setxattr, N, 0, 1, N, 0, 0, N), P1(lsetxattr, setxattr, N, 0, 1, N, NOFOLLOW, 0, N),
    P1(fsetxattr, setxattr, 0, N, 1, N, 0, 0, N),
    P1(getxattr, getxattr, N, 0, 1, N, 0, 0, N), P1(lgetxattr, getxattr, N, 0, 1, N, NOFOLLOW, 0, N),
    P1(fgetxattr, getxattr, 0, N, 1, N, 0, 0, N),
    P1(listxattr, listxattr, N, 0, 1, N, 0, 0, N), P1(llistxattr, listxattr, N, 0, 1, N, NOFOLLOW, 0, N),
    P1(flistxattr, listxattr, 0, N, 1, N, 0, 0, N),
    P1(removexattr, removexattr, N, 0, 1, N, 0, 0, N), P1(lremovexattr, removexattr, N, 0, 1, N, NOFOLLOW, 0, N),
    P1(fremovexattr, removexattr, 0, N, 1, N, 0, 0, N),
    OK(tkill), OK(time), OK(futex), OK(sched_setaffinity), OK(sched_getaffinity), OK(set_thread_area),
    OK(io_setup), OK(io_destroy), OK(io_getevents), OK(io_submit), OK(io_cancel), OK(get_thread_area),
    NO(lookup_dcookie, EPERM), OK(epoll_create), NO(epoll_ctl_old, ENOSYS), NO(epoll_wait_old, ENOSYS),
    OK(remap_file_pages), DO(getdents64, getdents64, 0), OK(set_tid_address), OK(restart_syscall), OK(semtimedop),
    OK(fadvise64), OK(timer_create), OK(timer_settime), OK(timer_gettime), OK(timer_getoverrun), OK(timer_delete),
    NO(clock_settime, EPERM), OK(clock_gettime), OK(clock_getres), OK(clock_nanosleep), OK(exit_group), OK(epoll_wait),
    OK(epoll_ctl), OK(tgkill), P1(utimes, utimes, N, 0, 1, N, 0, 0, N), NO(vserver, ENOSYS), OK(mbind),
    OK(set_mempolicy), OK(get_mempolicy), OK(mq_open), OK(mq_unlink), OK(mq_timedsend), OK(mq_timedreceive),
    OK(mq_notify), OK(mq_getsetattr), NO(kexec_load, EPERM), OK(waitid), NO(add_key, ENOSYS), NO(request_key, ENOSYS), NO(keyctl, ENOSYS),
    CHECK(ioprio_set, ioprio_set), OK(ioprio_get), OK(inotify_init),
    P1(inotify_add_watch, inotify_add_watch, N, 1, 2, N, 0, 0, N), OK(inotify_rm_watch), OK(migrate_pages),
    P1_CHECK(openat, open, 0, 1, 2, N, 0, 0, 1, rl_check_openat), P1_CHECK(mkdirat, mkdir, 0, 1, 2, N, 0, 0, N, rl_check_mode2), P1_CHECK(mknodat, mknod, 0, 1, 2, N, 0, 0, N, rl_check_mode2),
    P1(fchownat, chown, 0, 1, 2, 4, 0x1100, 0, N), P1(futimesat, utimes, 0, 1, 2, N, 0, RL_NULL_PATH, N),
    P1(newfstatat, stat, 0, 1, 2, 3, 0x7900, 0, N), P1(unlinkat, unlink, 0, 1, 2, 2, 0x200, 0, N),
    P2(renameat, rename, 0, 1, 2, 3, N, 0), P2(linkat, link, 0, 1, 2, 3, 4, 0x1400), P2(symlinkat, symlink, 1, 2, N, 0, N, 0),
    P1(readlinkat, readlink, 0, 1, 2, N, 0, 0, N), P1_CHECK(fchmodat, chmod, 0, 1, 2, N, 0, 0, N, rl_check_mode2),
    P1(faccessat, access, 0, 1, 2, N, 0, 0, N),
    WAIT(pselect6, pselect6, 5, RL_HANDLED_IF), WAIT(ppoll, ppoll, 3, RL_HANDLED_IF), CHECK(unshare, unshare),
    OK(set_robust_list), OK(get_robust_list), OK(splice), OK(tee), OK(sync_file_range), OK(vmsplice), OK(move_pages),
    P1(utimensat, utimensat, 0, 1, 2, 3, 0x1100, RL_NULL_PATH, N), WAIT(epoll_pwait, epoll_pwait, 4, RL_HANDLED_IF),
    OK(signalfd), OK(timerfd_create), OK(eventfd), OK(fallocate), OK(timerfd_settime), OK(timerfd_gettime), COME(accept4, accept, 1),
    OK(signalfd4), OK(eventfd2), OK(epoll_create1), OK(dup3), OK(pipe2), OK(inotify_init1), OK(preadv), OK(pwritev),
    OK(rt_tgsigqueueinfo), CHECK(perf_event_open, perf_event_open), COME(recvmmsg, recvmmsg, N), NO(fanotify_init, ENOSYS), NO(fanotify_mark, ENOSYS),
    CHECK_DO(prlimit64, prlimit64, rl_do_prlimit64), P1(name_to_handle_at, name_to_handle_at, 0, 1, 2, 4, 0x1600, RL_NO_GATE, N), NO(open_by_handle_at, EPERM), NO(clock_adjtime, EPERM), OK(syncfs),
    WAIT(sendmmsg, sendmmsg, N, RL_HANDLED), NO(setns, EPERM), OK(getcpu), OK(process_vm_readv), OK(process_vm_writev), OK(kcmp),
    NO(finit_module, EPERM), OK(sched_setattr), OK(sched_getattr), P2_CHECK(renameat2, rename, 0, 1, 2, 3, 4, 7, rl_check_renameat2),
    NO(seccomp, EINVAL), OK(getrandom), OK(memfd_create), NO(kexec_file_load, EPERM), NO(bpf, EPERM),
    DO(execveat, execveat, 0), CHECK(userfaultfd, userfaultfd), OK(membarrier), OK(mlock2), OK(copy_file_range), OK(preadv2), OK(pwritev2),
    GUARD(pkey_mprotect), OK(pkey_alloc), OK(pkey_free),
    P1(statx, statx, 0, 1, 3, 2, 0x7900, 0, N), NO(io_pgetevents, ENOSYS), /* its temporary mask */ OK(rseq), NO(uretprobe, ENOSYS), NO(uprobe, ENOSYS),
    OK(pidfd_send_signal), NO(io_uring_setup, ENOSYS), NO(io_uring_enter, ENOSYS), NO(io_uring_register, ENOSYS),
    NO(open_tree, EPERM), NO(move_mount, EPERM), NO(fsopen, EPERM), NO(fsconfig, EPERM), NO(fsmount, EPERM),
    NO(fspick, EPERM), OK(pidfd_open), NO(clone3, ENOSYS), OK(close_range),
    P1(openat2, openat2, 0, 1, 2, N, 0, RL_NO_GATE, N), OK(pidfd_getfd), P1(faccessat2, access, 0, 1, 2, 3, 0x1300, 0, N),
    OK(process_madvise), WAIT(epoll_pwait2, epoll_pwait, 4, RL_HANDLED_IF), NO(mount_setattr, EPERM),
    NO(quotactl_fd, EPERM), NO(landlock_create_ruleset, EOPNOTSUPP), NO(landlock_add_rule, EOPNOTSUPP),
    NO(landlock_restrict_self, EOPNOTSUPP), OK(memfd_secret), OK(process_mrelease), OK(futex_waitv),
    OK(set_mempolicy_home_node), OK(cachestat), P1_CHECK(fchmodat2, chmod, 0, 1, 2, 3, 0x1100, 0, N, rl_check_mode2), OK(map_shadow_stack),
    OK(futex_wake), OK(futex_wait), OK(futex_requeue), NO(statmount, ENOSYS), NO(listmount, ENOSYS),
    OK(lsm_get_self_attr), NO(lsm_set_self_attr, EPERM), OK(lsm_list_modules), OK(mseal),
    P1(setxattrat, setxattrat, 0, 1, 3, 2, 0x1100, 0, N), P1(getxattrat, getxattrat, 0, 1, 3, 2, 0x1100, 0, N),
    P1(listxattrat, listxattr, 0, 1, 3, 2, 0x1100, 0, N), P1(removexattrat, removexattr, 0, 1, 3, 2, 0x1100, 0, N),
    NO(open_tree_attr, EPERM), NO(file_getattr, ENOSYS), NO(file_setattr, ENOSYS), NO(listns, ENOSYS),
};
/* clang-format on */

const struct rl_syscall *rl_syscall_row(long nr)
{
    return nr >= 0 && nr < RL_SYSCALL_LIMIT ? &table[nr] : NULL;
}
