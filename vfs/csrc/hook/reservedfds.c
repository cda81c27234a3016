/* The engine's own descriptors: working directories, and a box's open files. Their numbers are reserved away from the
 * program's, and no program may close them. A box's are forgotten before it closes them: their numbers may be reused
 * then.
 */
#define _GNU_SOURCE
#include <sys/resource.h>

#include "hook.h"

static struct {
    struct rl_container *owner[RL_PRIVATE_MAX]; /* by number, from rl_lowest_private. Any thread, atomically */
    struct rl_container nobody;                 /* owner of descriptors that belong to no box; only its address is used */
} state;
int rl_lowest_private = 1 << 30; /* set by init, then only read */

void rl_reservedfd_init(void)
{
    struct rlimit limit;

    rl_lowest_private = 512;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < 1024)
        rl_lowest_private = (int)(limit.rlim_cur / 2);
}

int rl_reservedfd(int fd)
{
    unsigned n = (unsigned)(fd - rl_lowest_private);

    return fd >= rl_lowest_private && n < RL_PRIVATE_MAX && __atomic_load_n(&state.owner[n], __ATOMIC_RELAXED);
}

int rl_reservedfd_keep(struct rl_container *box, int fd)
{
    int up = fcntl(fd, F_DUPFD_CLOEXEC, rl_lowest_private);
    unsigned n = (unsigned)(up - rl_lowest_private);

    if (up < 0)
        return fd;
    close(fd);
    if (n < RL_PRIVATE_MAX)
        __atomic_store_n(&state.owner[n], box, __ATOMIC_RELAXED);
    return up;
}

int rl_kept(int fd)
{
    struct rl_thread *t = rl_installed && fd >= 0 ? rl_thread() : NULL;

    return t && t->owner ? rl_reservedfd_keep(t->owner, fd) : fd;
}

void rl_reservedfd_forget(int fd)
{
    unsigned n = (unsigned)(fd - rl_lowest_private);

    if (fd >= rl_lowest_private && n < RL_PRIVATE_MAX)
        __atomic_store_n(&state.owner[n], NULL, __ATOMIC_RELAXED);
}

void rl_reservedfd_end(const struct rl_container *box)
{
    for (int n = 0; n < RL_PRIVATE_MAX; n++)
        if (state.owner[n] == box)
            __atomic_store_n(&state.owner[n], NULL, __ATOMIC_RELAXED);
}

/* `box` NULL: until rl_hook_public. */
RL_PUBLIC int rl_hook_private(struct rl_container *box, int fd)
{
    return rl_reservedfd_keep(box ? box : &state.nobody, fd);
}

RL_PUBLIC void rl_hook_public(int fd)
{
    rl_reservedfd_forget(fd);
    close(fd);
}
