/* Rows of the table of calls (../table/syscalls.c) for those that newer architectures do not have. Order: by number. */
/* clang-format off */
#ifndef __NR_uretprobe
#define __NR_uretprobe 335
#endif
#ifndef __NR_uprobe
#define __NR_uprobe 336
#endif
    HARMLESS(poll),
    HANDLED(open, open, .path = A0, .rest = A1, .pass = A0, .checks = rl_check_open),
    HANDLED(stat, stat, .path = A0, .rest = A1),
    HANDLED(lstat, stat, .path = A0, .rest = A1, .fixed = NOFOLLOW),
    HANDLED(access, access, .path = A0, .rest = A1),
    HARMLESS(pipe), HARMLESS(select), HARMLESS(dup2, .handler = rl_do_dup), HARMLESS(pause), HARMLESS(alarm), HARMLESS(fork),
    HARMLESS(vfork),
    HANDLED(getdents, getdents),
    HANDLED(rename, rename, .path = A0, .path2 = A1),
    HANDLED(mkdir, mkdir, .path = A0, .rest = A1, .checks = rl_check_mode1),
    HANDLED(rmdir, unlink, .path = A0, .rest = A1, .fixed = AT_REMOVEDIR),
    HANDLED(creat, creat, .path = A0, .rest = A1, .options = RL_NO_GATE),
    HANDLED(link, link, .path = A0, .path2 = A1),
    HANDLED(unlink, unlink, .path = A0, .rest = A1),
    HANDLED(symlink, symlink, .path = A1, .path2 = A0),
    HANDLED(readlink, readlink, .path = A0, .rest = A1),
    HANDLED(chmod, chmod, .path = A0, .rest = A1, .checks = rl_check_mode1),
    HANDLED(chown, chown, .path = A0, .rest = A1),
    HANDLED(lchown, chown, .path = A0, .rest = A1, .fixed = NOFOLLOW),
    HARMLESS(getpgrp),
    HANDLED(utime, utime, .path = A0, .rest = A1),
    HANDLED(mknod, mknod, .path = A0, .rest = A1, .checks = rl_check_mode1),
    REFUSED(uselib, ENOSYS), HARMLESS(ustat), HARMLESS(sysfs), HARMLESS(modify_ldt), REFUSED(_sysctl, ENOSYS),
    HARMLESS(arch_prctl), REFUSED(iopl, EPERM), REFUSED(ioperm, EPERM), REFUSED(create_module, ENOSYS),
    REFUSED(get_kernel_syms, ENOSYS), REFUSED(query_module, ENOSYS), REFUSED(getpmsg, ENOSYS),
    REFUSED(putpmsg, ENOSYS), REFUSED(afs_syscall, ENOSYS), REFUSED(tuxcall, ENOSYS), REFUSED(security, ENOSYS),
    HARMLESS(time), HARMLESS(set_thread_area), HARMLESS(get_thread_area), HARMLESS(epoll_create),
    REFUSED(epoll_ctl_old, ENOSYS), REFUSED(epoll_wait_old, ENOSYS), HARMLESS(epoll_wait),
    HANDLED(utimes, utimes, .path = A0, .rest = A1),
    REFUSED(vserver, ENOSYS), HARMLESS(inotify_init),
    HANDLED(futimesat, utimes, .dir = A0, .path = A1, .rest = A2, .options = RL_NULL_PATH),
    HARMLESS(signalfd), HARMLESS(eventfd), REFUSED(uretprobe, ENOSYS), REFUSED(uprobe, ENOSYS),
/* clang-format on */
