/* Calls that act on the whole process but concern the engine: its descriptors, the umask, raw system calls. */
#define _GNU_SOURCE
#include <grp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/syscall.h>

#include "hook.h"

/* A program that closes every unknown descriptor must not close that of a working directory. */
int rl_h_close(int fd)
{
    if (fd >= rl_lowest_private && rl_reservedfd(fd)) {
        struct rl_thread *t = rl_thread();
        if (!t || !t->bypass)
            return rl_fail(EBADF);
        rl_reservedfd_forget(fd);
    }
    return close(fd);
}

int rl_h_fcntl(int fd, int command, ...)
{
    va_list list;
    long argument;
    int r;

    va_start(list, command);
    argument = va_arg(list, long);
    va_end(list);
    r = fcntl(fd, command, argument);
    return command == F_DUPFD_CLOEXEC ? rl_kept(r) : r; /* Python's mmap keeps a copy */
}

int rl_h_close_range(unsigned first, unsigned last, int flags)
{
    unsigned from = first;

    for (unsigned fd = first > (unsigned)rl_lowest_private ? first : (unsigned)rl_lowest_private;
         fd <= last && fd < (unsigned)rl_lowest_private + RL_PRIVATE_MAX; fd++) {
        if (!rl_reservedfd((int)fd))
            continue;
        if (fd > from && raw_close_range(from, fd - 1, flags) != 0)
            return -1;
        from = fd + 1;
    }
    return from <= last ? raw_close_range(from, last, flags) : 0;
}

mode_t rl_h_umask(mode_t mask)
{
    mode_t old = umask(mask);

    rl_note_umask(mask & 0777);
    return old;
}

/* The identity that a forked child has inside, before it starts a program: subprocess.Popen(user=, group=,
 * extra_groups=). The process that loaded the engine keeps its identity, and so does one that shares its memory. */
static struct rl_identity *own_identity(struct rl_activation *here)
{
    return here && getpid() == rl_process && rl_process != rl_first_process ? RL_CORE(here)->me : NULL;
}

/* `id`: real, effective, saved, of file access. */
static int set_ids(const struct rl_identity *me, u32 *id, u32 real, u32 effective)
{
    const u32 keep = (u32)-1;

    if (me->euid && ((real != keep && real != id[0]) || (effective != keep && effective != id[1])))
        return rl_fail(EPERM);
    id[0] = real == keep ? id[0] : real;
    id[1] = id[2] = id[3] = effective == keep ? id[1] : effective;
    return 0;
}

int rl_h_setreuid(uid_t real, uid_t effective)
{
    RL_INSIDE(here);
    struct rl_identity *me = own_identity(here);

    return me ? set_ids(me, me->uids, real, effective) : setreuid(real, effective);
}

int rl_h_setregid(gid_t real, gid_t effective)
{
    RL_INSIDE(here);
    struct rl_identity *me = own_identity(here);

    return me ? set_ids(me, me->gids, real, effective) : setregid(real, effective);
}

int rl_h_setgroups(size_t n, const gid_t *list)
{
    RL_INSIDE(here);
    struct rl_identity *me = own_identity(here);

    if (!me)
        return setgroups(n, list);
    if (me->euid)
        return rl_fail(EPERM);
    if (n > sizeof me->group / sizeof me->group[0])
        return rl_fail(EINVAL);
    memcpy(me->group, list, n * sizeof *list);
    me->groups = (u32)n;
    return 0;
}

/* Raw calls with a path: those that libraries are known to make. */
long rl_h_syscall(long nr, ...)
{
    va_list list;
    long a, b, c, d, e, f;

    va_start(list, nr);
    a = va_arg(list, long);
    b = va_arg(list, long);
    c = va_arg(list, long);
    d = va_arg(list, long);
    e = va_arg(list, long);
    f = va_arg(list, long);
    va_end(list);
    switch (nr) {
    case SYS_openat:
        return rl_h_openat((int)a, (const char *)b, (int)c, (unsigned)d);
    case SYS_newfstatat:
        return rl_h_fstatat((int)a, (const char *)b, (struct stat *)c, (int)d);
    case SYS_faccessat2:
        return rl_h_faccessat((int)a, (const char *)b, (int)c, (int)d);
    case SYS_renameat2:
        return rl_h_renameat2((int)a, (const char *)b, (int)c, (const char *)d, (unsigned)e);
    case SYS_getdents64:
        return rl_h_getdents64((int)a, (void *)b, (size_t)c);
    case SYS_name_to_handle_at:
        return rl_h_name_to_handle_at((int)a, (const char *)b, (struct file_handle *)c, (int *)d, (int)e);
    case SYS_statx:
        return rl_h_statx((int)a, (const char *)b, (int)c, (unsigned)d, (struct statx *)e);
#ifdef SYS_open
    case SYS_open:
        return rl_h_open((const char *)a, (int)b, (unsigned)c);
#endif
    default:
        return syscall(nr, a, b, c, d, e, f);
    }
}
