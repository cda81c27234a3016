/* The mark that identifies a container's processes from outside, whatever they do (docs/adr/0013).
 *
 * 1. It is a limit that the kernel stores but does not use (RLIMIT_LOCKS, since Linux 2.6): inherited by all, shown in
 *    /proc/<pid>/limits to every process, and never raised again without privilege. `vfs/run/processes.py` reads it.
 * 2. The filter lets no call change or read it, not even from the gate. To programs it looks unlimited; setting it has
 *    no effect, as it has none in the kernel.
 * 3. An engine inside another container keeps that container's mark: the outer handler answers it.
 */
#include "../engine.h"
#include "../table/syscalls.h"

#define RL_MARK_DIGITS 15 /* of the container's ID, hexadecimal: less than 2^60, so that it is never "unlimited" */

struct limit {
    u64 soft, hard;
};
static const struct limit unlimited = {~0ull, ~0ull};

/* A container without an ID (tests) has no mark. A limit that the user has set already stays: then its processes must
 * be identified by other means. */
void rl_mark_process(void)
{
    static char digits[RL_MARK_DIGITS + 1];
    const char *p = digits;
    struct limit mark;

    if (rl_launch->container_id.len < RL_MARK_DIGITS)
        return;
    memcpy(digits, rl_launch_str(rl_launch->container_id), RL_MARK_DIGITS);
    if (!rl_number(&p, 16, &mark.soft))
        return;
    mark.hard = mark.soft;
    rl_sys4(__NR_prlimit64, 0, RL_RLIMIT_MARK, (long)&mark, 0);
}

/* The kernel writes a core file to the real working directory, past the engine: into a layer, without a confinement, or
 * over a file of the user. */
void rl_prevent_core_files(void)
{
    static const struct limit none = {0, 0};

    rl_sys4(__NR_prlimit64, 0, RL_RLIMIT_CORE, (long)&none, 0);
}

long rl_mark_exchange(struct rl_call *c, u64 set, u64 get)
{
    struct limit wanted;
    long r = set ? rl_user_read(c, &wanted, set, sizeof wanted) : 0;

    if (r >= 0 && set && wanted.soft > wanted.hard)
        r = -EINVAL;
    return r >= 0 && get ? rl_user_write(c, get, &unlimited, sizeof unlimited) : r;
}

long rl_do_getrlimit(struct rl_call *c) { return rl_mark_exchange(c, 0, c->arg[1]); }

long rl_do_setrlimit(struct rl_call *c)
{
    return (u32)c->arg[0] == RL_RLIMIT_MARK ? rl_mark_exchange(c, c->arg[1], 0) : rl_set_open_files(c, c->arg[1], 0);
}
