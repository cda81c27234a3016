/* A descriptor for the core's own use when the program has none left: calls that need no descriptor outside (mkdir,
 * rename, chmod, …) still work at the program's limit.
 *
 * 1. The limit is raised for one call, as far as the hard limit allows; a descriptor above the limit stays valid.
 * 2. One thread at a time, or the second would take the raised limit for the program's own. An engine that handles the
 *    program's own changes of the limit takes turns, too. */
#include "../internal.h"

#define RLIMIT_NOFILE_ 7
#define MORE 64
#define PATIENCE 1000

static struct {
    u32 busy; /* rule 2; taken and released atomically */
} state;

int rl_limit_turn(void)
{
    for (int i = 0; i < PATIENCE; i++) {
        if (!__atomic_exchange_n(&state.busy, 1, __ATOMIC_ACQUIRE))
            return 1;
        k4(__NR_sched_yield, 0, 0, 0, 0);
    }
    return 0;
}

void rl_limit_turn_end(void)
{
    __atomic_store_n(&state.busy, 0, __ATOMIC_RELEASE);
}

long rl_reserve_open(const char *path, int flags, unsigned mode)
{
    u64 old[2], more[2];
    long r = k_open(path, flags, mode);
    if (r != -EMFILE || !rl_limit_turn())
        return r;
    if (k4(__NR_prlimit64, 0, RLIMIT_NOFILE_, 0, (long)old) == 0 && old[0] < old[1]) {
        more[0] = old[1] - old[0] < MORE ? old[1] : old[0] + MORE;
        more[1] = old[1];
        k4(__NR_prlimit64, 0, RLIMIT_NOFILE_, (long)more, 0);
        r = k_open(path, flags, mode);
        k4(__NR_prlimit64, 0, RLIMIT_NOFILE_, (long)old, 0);
    }
    rl_limit_turn_end();
    return r;
}
