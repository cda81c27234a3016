/* The fast path: calls that need no slot, answered from the view and the identity, on the program's own stack.
 *
 * 1. Nothing is held and nothing is blocked: see patch.c, rule 2.
 * 2. A bad pointer is EFAULT, through SIGSEGV. If a thread may have that signal blocked (the fault would end the
 *    process), the program's memory is not accessed here: RL_MISS (rl_faults_blocked, signals.c).
 * 3. Buffers are small: a path that does not fit takes the slow path.
 */
#include <asm/stat.h>

#include "../../core/answer/statpack.h"
#include "patch.h"

#define RL_PATH_BYTES 256 /* of a path */
#define RL_REAL_BYTES 640 /* of a real path, and of the path before it */
#define RL_LIST_BYTES 1024 /* of a directory with few entries */
#define RL_STAT_FLAGS (AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT)

typedef long fast_call(const struct rl_syscall *row, const u64 *arg);

/* The frame of a fault may be here, on this stack. A path of the program. 0, -EFAULT or RL_MISS. */
static long take_path(char *to, size_t size, u64 from)
{
    long n;

    if (rl_faults_blocked)
        return RL_MISS;
    n = rl_copy_text(to, (const char *)from, size, rl_here());
    return n < 0 ? n : n == (long)size ? RL_MISS : 0;
}

static int directory(const struct rl_syscall *row, const u64 *arg)
{
    return rl_dir_arg(arg, row->dir);
}

static long give(u64 to, const void *from, size_t n)
{
    return n ? rl_copy_raw((void *)to, from, n, rl_here()) : 0;
}

static long attributes(const struct rl_syscall *row, const u64 *arg, int more, struct rl_attr *a)
{
    char path[RL_PATH_BYTES];
    int flags = rl_flag_arg(row, arg);
    long r;

    if (flags & ~(RL_STAT_FLAGS | AT_EMPTY_PATH))
        return RL_MISS;
    r = take_path(path, sizeof path, rl_arg(arg, row->path));
    if (r == 0 && path[0] == 0 && flags & AT_EMPTY_PATH && (i32)arg[0] >= 0)
        return rl_fast_fstat((int)arg[0], a);
    return r < 0 ? r : rl_fast_stat(directory(row, arg), path, flags | more, a);
}

static long fast_stat(const struct rl_syscall *row, const u64 *arg)
{
    struct rl_attr a;
    long r = attributes(row, arg, RL_STAT_BASIC, &a);

    if (r >= 0) {
        struct stat st;

        rl_stat_fill(&st, &a);
        r = give(rl_arg(arg, row->rest), &st, sizeof st);
    }
    return r;
}

static long fast_fstat(const struct rl_syscall *row, const u64 *arg)
{
    struct rl_attr a;
    struct stat st;
    long r = rl_faults_blocked ? RL_MISS : rl_fast_fstat((int)arg[0], &a);

    (void)row;
    if (r < 0)
        return r;
    rl_stat_fill(&st, &a);
    return give(arg[1], &st, sizeof st);
}

static long fast_statx(const struct rl_syscall *row, const u64 *arg)
{
    struct rl_attr a;
    int more = (u32)arg[3] & STATX_BTIME ? 0 : RL_STAT_BASIC;
    long r = (u32)arg[3] & ~RL_STATX_PLAIN ? RL_MISS : attributes(row, arg, more, &a);

    if (r >= 0) {
        struct statx sx;

        rl_statx_fill(&sx, &a);
        r = give(arg[4], &sx, sizeof sx);
    }
    return r;
}

static long fast_access(const struct rl_syscall *row, const u64 *arg)
{
    char path[RL_PATH_BYTES];
    u64 mode = rl_arg(arg, row->rest);
    int flags = rl_flag_arg(row, arg);
    long r;

    if (mode & ~7ull || flags & ~(AT_SYMLINK_NOFOLLOW | AT_EACCESS))
        return RL_MISS;
    r = take_path(path, sizeof path, rl_arg(arg, row->path));
    return r < 0 ? r : rl_fast_access(directory(row, arg), path, (int)mode, flags);
}

static long fast_readlink(const struct rl_syscall *row, const u64 *arg)
{
    char path[RL_PATH_BYTES];
    const char *text = NULL;
    i32 size = (i32)rl_arg(arg, row->rest + 1);
    long r;

    if (size <= 0)
        return RL_MISS;
    r = take_path(path, sizeof path, rl_arg(arg, row->path));
    if (r >= 0)
        r = rl_fast_readlink(directory(row, arg), path, &text);
    if (r > size)
        r = size;
    return r > 0 && give(rl_arg(arg, row->rest), text, (size_t)r) < 0 ? -EFAULT : r;
}

static long fast_open(const struct rl_syscall *row, const u64 *arg)
{
    char real[RL_REAL_BYTES];
    long r = rl_keptdirs_pending ? RL_MISS : take_path(real, RL_PATH_BYTES, rl_arg(arg, row->path));

    return r < 0 ? r : rl_fast_open(directory(row, arg), real, (int)rl_arg(arg, row->rest), real, sizeof real);
}

/* Make the kernel's own call, unless it is about the signals that the engine uses. */
static long fast_sigprocmask(const struct rl_syscall *row, const u64 *arg)
{
    u64 set;

    (void)row;
    if (arg[3] != 8 || rl_faults_blocked)
        return RL_MISS;
    if (arg[1] && rl_copy_raw(&set, (const void *)arg[1], 8, rl_here()) < 0)
        return -EFAULT;
    if (arg[1] && (i32)arg[0] != RL_SIG_UNBLOCK) {
        if (rl_blocks_faults(set))
            return RL_MISS;
        set &= ~RL_SIG_NEVER;
    }
    return rl_sys4(__NR_rt_sigprocmask, (long)arg[0], arg[1] ? (long)&set : 0, (long)arg[2], 8);
}

/* posix_spawn reads or sets all 64 signals in each child. The three that the engine handles take the slow path, and so
 * does a mask with SIGSYS in it. */
static long fast_sigaction(const struct rl_syscall *row, const u64 *arg)
{
    struct rl_sigaction want;

    (void)row;
    if (arg[3] != 8 || rl_virtual_action((int)arg[0]) || rl_holds_sigsys((int)arg[0]))
        return RL_MISS;
    if (arg[1]) {
        if (rl_faults_blocked)
            return RL_MISS;
        if (rl_copy_raw(&want, (const void *)arg[1], sizeof want, rl_here()) < 0)
            return -EFAULT;
        if (want.mask & RL_SIGBIT(RL_SIGSYS))
            return RL_MISS;
        rl_note_mask(want.mask);
    }
    return rl_sys4(__NR_rt_sigaction, (long)arg[0], arg[1] ? (long)&want : 0, (long)arg[2], 8);
}

static long fast_getdents64(const struct rl_syscall *row, const u64 *arg)
{
    char list[RL_LIST_BYTES];
    u32 room = (u32)arg[2];
    long r = rl_faults_blocked ? RL_MISS : rl_fast_list((int)arg[0], list, room < sizeof list ? room : sizeof list);

    (void)row;
    if (r > 0 && give(arg[1], list, (size_t)r) < 0) {
        rl_fast_list_again((int)arg[0]);
        return -EFAULT;
    }
    return r;
}

static long fast_fchmod(const struct rl_syscall *row, const u64 *arg)
{
    (void)row;
    return rl_fast_fchmod((int)arg[0], (unsigned)arg[1] & 07777);
}

static long fast_fchown(const struct rl_syscall *row, const u64 *arg)
{
    (void)row;
    return rl_fast_fchown((int)arg[0], (u32)arg[1], (u32)arg[2]);
}

static long fast_utimensat(const struct rl_syscall *row, const u64 *arg)
{
    i64 times[4];

    (void)row;
    if (arg[1] || (u32)arg[3] || rl_faults_blocked)
        return RL_MISS;
    if (arg[2] && rl_copy_raw(times, (const void *)arg[2], sizeof times, rl_here()) < 0)
        return -EFAULT;
    return rl_fast_futimens((int)arg[0], arg[2] ? times : NULL);
}

static long fast_fgetxattr(const struct rl_syscall *row, const u64 *arg)
{
    char name[RL_PATH_BYTES];
    long r = take_path(name, sizeof name, arg[1]);

    (void)row;
    return r < 0 ? r : rl_fast_fgetxattr((int)arg[0], name);
}

static long fast_flistxattr(const struct rl_syscall *row, const u64 *arg)
{
    (void)row;
    return rl_fast_flistxattr((int)arg[0]);
}

static long fast_getuid(const struct rl_syscall *row, const u64 *arg) { (void)row, (void)arg; return rl_me.uid; }
static long fast_geteuid(const struct rl_syscall *row, const u64 *arg) { (void)row, (void)arg; return rl_me.euid; }
static long fast_getgid(const struct rl_syscall *row, const u64 *arg) { (void)row, (void)arg; return rl_me.gid; }
static long fast_getegid(const struct rl_syscall *row, const u64 *arg) { (void)row, (void)arg; return rl_me.egid; }

/* clang-format off */
static fast_call *const calls[RL_SYSCALL_LIMIT] = {
#ifdef __NR_open
    [__NR_open] = fast_open, [__NR_stat] = fast_stat, [__NR_lstat] = fast_stat, [__NR_access] = fast_access,
    [__NR_readlink] = fast_readlink,
#endif
    [__NR_openat] = fast_open, [__NR_newfstatat] = fast_stat, [__NR_fstat] = fast_fstat, [__NR_statx] = fast_statx,
    [__NR_faccessat] = fast_access, [__NR_faccessat2] = fast_access, [__NR_readlinkat] = fast_readlink,
    [__NR_fchmod] = fast_fchmod, [__NR_fchown] = fast_fchown, [__NR_utimensat] = fast_utimensat,
    [__NR_fgetxattr] = fast_fgetxattr, [__NR_flistxattr] = fast_flistxattr,
    [__NR_getdents64] = fast_getdents64, [__NR_rt_sigaction] = fast_sigaction, [__NR_rt_sigprocmask] = fast_sigprocmask, [__NR_getuid] = fast_getuid, [__NR_geteuid] = fast_geteuid,
    [__NR_getgid] = fast_getgid, [__NR_getegid] = fast_getegid,
};
/* clang-format on */

long rl_fast(const struct rl_patched *p)
{
    fast_call *call = p->nr < RL_SYSCALL_LIMIT ? calls[p->nr] : NULL;

    return call && !rl_identity_lent ? call(rl_syscall_row((long)p->nr), p->arg) : RL_MISS;
}
