/* mlockall(2) of a user without the privilege counts the engine's memory as well: when that is the reason for its
 * failure, the program's own mappings are locked one by one. */
#include "../engine.h"
#include "../table/syscalls.h"

#define RL_MCL_CURRENT 1u
#define RL_MCL_ONFAULT 4u
#define RL_MLOCK_ONFAULT 1
#define RL_RLIMIT_MEMLOCK 8

struct work {
    u64 bytes;
    int lock; /* 0: count them */
    long how; /* of mlock2 */
};

static void each(u64 from, u64 to, void *data)
{
    struct work *w = data;

    if (to > RL_PROGRAM_END || (from < (u64)rl_image_end && to > (u64)rl_image_start))
        return;
    w->bytes += to - from;
    if (w->lock) /* the kernel, too, goes on when one fails */
        rl_sys3(__NR_mlock2, (long)from, (long)(to - from), w->how);
}

long rl_do_mlockall(struct rl_call *c)
{
    u32 flags = (u32)c->arg[0];
    struct work w = {.how = flags & RL_MCL_ONFAULT ? RL_MLOCK_ONFAULT : 0};
    u64 limit[2];
    long r = rl_sys1(__NR_mlockall, flags), next;

    if (r != -ENOMEM || !(flags & RL_MCL_CURRENT))
        return r;
    next = rl_sys4(__NR_prlimit64, 0, RL_RLIMIT_MEMLOCK, 0, (long)limit);
    if (next >= 0)
        next = rl_maps_each(each, &w);
    if (next < 0 || w.bytes > limit[0])
        return r;
    if (flags & ~(RL_MCL_CURRENT | RL_MCL_ONFAULT))
        rl_sys1(__NR_mlockall, flags & ~RL_MCL_CURRENT); /* of future ones; it never counts */
    w.lock = 1;
    return rl_maps_each(each, &w);
}
