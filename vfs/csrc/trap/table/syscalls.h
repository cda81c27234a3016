/* Every system call of the architecture and how it is handled. The table is data: the filter (filter.c) is made from
 * it, the dispatcher (sigsys.c) reads it, and a test compares it with the kernel's own list.
 */
#ifndef RL_SYSCALLS_H
#define RL_SYSCALLS_H

#include "../engine.h"

enum rl_action {
    RL_UNKNOWN = 0, /* not in the table: ENOSYS, never run */
    RL_HARMLESS,    /* the filter allows it */
    RL_HANDLED,     /* trapped, handler */
    RL_HANDLED_IF,  /* trapped only if argument `pass` is not NULL */
    RL_REFUSED,     /* fails with `error` */
    RL_GUARDED      /* runs, unless argument 0 is an address in the engine: then EINVAL */
};

/* A test of the low 32 bits of an argument, and the action for a call that matches (checks.c). */
struct rl_check {
    u8 arg;
    u8 test;
    u32 mask, value;
    u32 what; /* one of the following, or an errno */
};
enum rl_test {
    RL_NO_TEST = 0, /* the end of the list */
    RL_EQUAL, RL_OTHER,
    RL_MASKED, /* with the bits of `mask` alone it is `value` */
    RL_ANY_OF, /* it has one of the bits of `value` */
    RL_LEAST,  /* it is not less than `value`, unsigned */
    RL_NULL,   /* all its 64 bits are 0 */
    RL_MARKED, /* its upper half is that of RL_PASS_MARK */
    RL_ALWAYS
};
#define RL_RUNS 0x10000
#define RL_TRAPS 0x10001     /* but not from the gate */
#define RL_TRAPS_ALL 0x10002 /* from the gate as well */

/* An argument in the columns of a row: 0 is none. */
#define RL_ARG(n) ((n) + 1)

#define RL_NO_GATE 2       /* the engine never makes it: trapped from the gate as well */
#define RL_MARK 8          /* runs with RL_PASS_MARK in argument 0 */
#define RL_RLIMIT_CORE 4
#define RL_RLIMIT_NOFILE 7
#define RL_RLIMIT_MARK 10 /* RLIMIT_LOCKS, see mark.c */
#define RL_NULL_PATH 1 /* a NULL path means the descriptor itself */

struct rl_syscall {
    const char *name;
    long (*handler)(struct rl_call *c);
    const struct rl_check *checks; /* or NULL; before everything else */
    i32 fixed; /* flags if there is no flags argument, else its valid flags */
    u16 error;
    u8 action;
    u8 options;
    u8 patch;     /* its call sites may be patched (patch.c) */
    u8 dir, path; /* RL_ARG(n) or 0, and so are the rest */
    u8 dir2, path2;
    u8 flag_arg;
    u8 rest; /* the first argument that is not one of these */
    u8 pass; /* argument that allows the call if it points into a pass buffer */
};

static inline u64 rl_arg(const u64 *arg, size_t column) { return arg[column - 1]; }
static inline int rl_dir_arg(const u64 *arg, u8 column) { return column ? (int)rl_arg(arg, column) : AT_FDCWD; }
static inline int rl_flag_arg(const struct rl_syscall *row, const u64 *arg)
{
    return row->flag_arg ? (int)rl_arg(arg, row->flag_arg) : row->fixed;
}

#define RL_SYSCALL_LIMIT 512
/* NULL for numbers outside the table. */
const struct rl_syscall *rl_syscall_row(long nr);

#define RL_CHECK(name) extern const struct rl_check rl_check_##name[]
RL_CHECK(open); RL_CHECK(openat); RL_CHECK(mode1); RL_CHECK(mode2); RL_CHECK(renameat2);
RL_CHECK(clone); RL_CHECK(exit_group); RL_CHECK(unshare); RL_CHECK(kill); RL_CHECK(setpriority); RL_CHECK(ioprio_set); RL_CHECK(prlimit64); RL_CHECK(getrlimit); RL_CHECK(setrlimit);
RL_CHECK(perf_event_open); RL_CHECK(userfaultfd); RL_CHECK(fcntl); RL_CHECK(ioctl);
RL_CHECK(socket); RL_CHECK(socket_alone); /* the latter replaces the former in a container without network */
RL_CHECK(getsockopt); RL_CHECK(ptrace); RL_CHECK(madvise); RL_CHECK(prctl); RL_CHECK(seccomp);

#define RL_HANDLER(name) long rl_do_##name(struct rl_call *c)
RL_HANDLER(open); RL_HANDLER(creat); RL_HANDLER(openat2);
RL_HANDLER(stat); RL_HANDLER(fstat); RL_HANDLER(statx); RL_HANDLER(access); RL_HANDLER(readlink);
RL_HANDLER(statfs); RL_HANDLER(truncate);
RL_HANDLER(chmod); RL_HANDLER(chown); RL_HANDLER(utimensat); RL_HANDLER(utime); RL_HANDLER(utimes);
RL_HANDLER(setxattr); RL_HANDLER(getxattr); RL_HANDLER(listxattr); RL_HANDLER(removexattr);
RL_HANDLER(setxattrat); RL_HANDLER(getxattrat);
RL_HANDLER(mkdir); RL_HANDLER(mknod); RL_HANDLER(symlink); RL_HANDLER(link); RL_HANDLER(unlink); RL_HANDLER(rename);
RL_HANDLER(getdents64); RL_HANDLER(getdents); RL_HANDLER(chdir); RL_HANDLER(fchdir); RL_HANDLER(getcwd);
RL_HANDLER(clone); RL_HANDLER(exit_group); RL_HANDLER(sync); RL_HANDLER(read); RL_HANDLER(readv); RL_HANDLER(dup); RL_HANDLER(seccomp); RL_HANDLER(chroot); RL_HANDLER(inotify_add_watch); RL_HANDLER(name_to_handle_at);
RL_HANDLER(connect); RL_HANDLER(bind); RL_HANDLER(sendto); RL_HANDLER(sendmsg); RL_HANDLER(sendmmsg);
RL_HANDLER(getsockname); RL_HANDLER(getpeername);
RL_HANDLER(execve); RL_HANDLER(execveat);
RL_HANDLER(rt_sigaction); RL_HANDLER(rt_sigprocmask); RL_HANDLER(rt_sigsuspend); RL_HANDLER(ppoll);
RL_HANDLER(pselect6); RL_HANDLER(epoll_pwait); RL_HANDLER(sigaltstack);
RL_HANDLER(getuid); RL_HANDLER(geteuid); RL_HANDLER(getgid); RL_HANDLER(getegid);
RL_HANDLER(getresuid); RL_HANDLER(getresgid); RL_HANDLER(setuid); RL_HANDLER(setgid);
RL_HANDLER(setreuid); RL_HANDLER(setregid); RL_HANDLER(setresuid); RL_HANDLER(setresgid);
RL_HANDLER(setfsuid); RL_HANDLER(setfsgid); RL_HANDLER(getgroups); RL_HANDLER(setgroups);
RL_HANDLER(umask); RL_HANDLER(mlockall); RL_HANDLER(capget); RL_HANDLER(capset); RL_HANDLER(prctl); RL_HANDLER(uname);
RL_HANDLER(ptrace); RL_HANDLER(getsockopt); RL_HANDLER(getrlimit); RL_HANDLER(setrlimit); RL_HANDLER(prlimit64);
RL_HANDLER(kill); RL_HANDLER(signal_process); RL_HANDLER(signal_thread); RL_HANDLER(signal_pidfd);
RL_HANDLER(memory_of);
RL_HANDLER(accept); RL_HANDLER(recvfrom); RL_HANDLER(recvmsg); RL_HANDLER(recvmmsg);

#endif
