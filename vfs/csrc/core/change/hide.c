/* Hide an entry of the view: by its bit in the removal map, or by a whiteout.
 *
 * 1. A bit is enough where the entry has its own path, in a directory that the upper has: writethrough.c finds it there.
 *    Elsewhere (below a renamed directory) a whiteout is made.
 * 2. The bit of an entry that the upper has hidden before, and whose name was made again since, says nothing new: a
 *    whiteout is made.
 * 3. A whiteout is a change of its directory, and so is a bit: the directory gets the time of the removal. The kernel's
 *    times are those of its clock's ticks, so this is done once in a tick for a directory in which names are removed one
 *    after another; unless a program has set its times, or some process has held the lock meanwhile. */
#include "../internal.h"

#define CLOCK_REALTIME_COARSE_ 5

static struct {
    u64 stamped; /* hash of the directory, the tick, and what must not change. Any thread, no lock */
} state;

/* Is the entry the one that the walk's last name shows? */
int rl_hides(const struct rl_walk *w, u32 id)
{
    const struct rl_view_entry *e = rl_removed_bits ? rl_view_entry(id) : NULL;
    return e && e->parent == w->dir.view && !w->deep && rl_bits_count(w, &w->dir, w->v);
}

void rl_hide_stamp(struct rl_walk *w, int again)
{
    char *real = w->s->real;
    i64 now[4] = {0, UTIME_OMIT_, 0, UTIME_NOW_}, tick[2] = {0, 0};
    u64 now_is = ((u64)rl_removed_times() << 32 | rl_sections()) + 1;
    int known = k4(__NR_clock_gettime, CLOCK_REALTIME_COARSE_, (long)tick, 0, 0) == 0;
    now_is = rl_mix(rl_mix(w->dir.hash + now_is) + (u64)tick[0] * 1000000000 + (u64)tick[1]);
    if (known && !again && __atomic_load_n(&state.stamped, __ATOMIC_RELAXED) == now_is)
        return;
    if (w->at != RL_NO_AT && w->at_len == w->dir.vlen)
        rl_put(rl_put_at(w, real), ".");
    else if (rl_upper_path(w, w->dir.vlen, real) < 0)
        return;
    __atomic_store_n(&state.stamped, k_utimens(AT_FDCWD, real, now, 0) == 0 ? now_is : 0, __ATOMIC_RELAXED);
}

long rl_hide(struct rl_walk *w, u32 id, int again)
{
    if (!rl_hides(w, id))
        return rl_whiteout_make(w);
    rl_bloom_set(&rl_layers[0], rl_bloom_key(rl_vhash(w), RL_KEY_PATH));
    if (!rl_removed_set(id))
        return RL_HIDDEN_BIT;
    return again ? rl_whiteout_make(w) : RL_HIDDEN_BEFORE;
}
