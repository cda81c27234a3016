/* The removal map of the writable upper (docs/format.md section 7a): which entries of the view were removed without a
 * whiteout so far.
 *
 * 1. A bit hides its entry as a whiteout in the upper would. It is set once, and cleared only by the process that has
 *    set it, if the removal fails.
 * 2. The count in the filter's header is raised before the bit is set: who compares the counts knows that whiteouts are
 *    missing (change/writethrough.c).
 * 3. A map that is missing, damaged or of another view is not used: removals make whiteouts. Whoever makes an upper makes
 *    its map, and never later, so that all processes agree. */
#include "../internal.h"

u64 *rl_removed_bits;
u32 rl_removed_entries;

/* Set by init, then only read; but for mine. */
static struct {
    u64 *written;
    u32 *counts; /* three: noted, written, times set */
    u32 mine;    /* this process has noted some. Any thread, no lock */
} state;

long rl_removed_path(const char *bloom, u32 len, char *out, size_t size)
{
    u32 name = len;
    while (name && bloom[name - 1] != '/')
        name--;
    if (len - name < 5 || memcmp(bloom + name, "bloom", 5))
        return -ENOENT;
    return rl_join(out, size, bloom, name, "removed", 7, bloom + name + 5, len - name - 5);
}

void rl_removed_init(void *counts)
{
    char path[RL_REAL_MAX];
    const struct rl_launch_dir *d = (const void *)((const char *)rl_launch + rl_launch->off_dirs);
    rl_removed_bits = NULL;
    rl_removed_entries = 0;
    state.mine = 0;
    if (!counts || !rl_nlayers || !(d->flags & RL_DIR_UPPER) || !rl_view_count() ||
        rl_removed_path(rl_launch_str(d->bloom), d->bloom.len, path, sizeof path) < 0)
        return;
    u32 words = (rl_view_count() + 63) / 64;
    u64 size = sizeof(struct rl_removed_header) + 16ull * words;
    const struct rl_removed_header *h = rl_map_file(path, 0, &size, 1);
    if (!h)
        return;
    if (memcmp(h->magic, RL_REMOVED_MAGIC, 8) || h->version != RL_REMOVED_VERSION || h->entries != rl_view_count() ||
        !rl_view_is_of(h->chain_id, h->base)) {
        k_munmap((void *)h, size);
        return;
    }
    rl_removed_bits = (u64 *)(void *)((u8 *)h + sizeof *h);
    state.written = rl_removed_bits + words;
    state.counts = counts;
    rl_removed_entries = h->entries;
}

void rl_removed_note(void)
{
    __atomic_fetch_add(&state.counts[0], 1, __ATOMIC_SEQ_CST);
    if (!state.mine)
        state.mine = 1;
}

int rl_removed_set(u32 id)
{
    u64 bit = 1ull << (id & 63);
    rl_removed_note();
    return (__atomic_fetch_or(&rl_removed_bits[id >> 6], bit, __ATOMIC_SEQ_CST) & bit) != 0;
}

void rl_removed_clear(u32 id)
{
    __atomic_fetch_and(&rl_removed_bits[id >> 6], ~(1ull << (id & 63)), __ATOMIC_SEQ_CST);
}

u32 rl_removed_times(void)
{
    return __atomic_load_n(&state.counts[2], __ATOMIC_SEQ_CST);
}

void rl_removed_timed(void)
{
    if (rl_removed_bits)
        __atomic_fetch_add(&state.counts[2], 1, __ATOMIC_SEQ_CST);
}

int rl_removed_all(u32 id)
{
    struct rl_children c = rl_view_children(id);
    for (u32 k = 0; k < c.count[0] + c.count[1]; k++)
        if (!rl_removed(rl_child(&c, k)) && !rl_view_hides(rl_child(&c, k)))
            return 0;
    return 1;
}

int rl_removed_mine(void)
{
    return state.mine;
}

int rl_removed_waits(u32 *noted)
{
    if (!rl_removed_bits)
        return 0;
    *noted = __atomic_load_n(&state.counts[0], __ATOMIC_SEQ_CST);
    return *noted != __atomic_load_n(&state.counts[1], __ATOMIC_SEQ_CST);
}

u32 rl_removed_next(u32 id)
{
    for (u32 w = id >> 6; w < (rl_removed_entries + 63) / 64; w++) {
        u64 bits = __atomic_load_n(&rl_removed_bits[w], __ATOMIC_RELAXED) & ~state.written[w];
        if (w == id >> 6)
            bits &= ~0ull << (id & 63);
        if (bits)
            return w * 64 + (u32)__builtin_ctzll(bits);
    }
    return 0;
}

void rl_removed_wrote(u32 id)
{
    state.written[id >> 6] |= 1ull << (id & 63);
}

int rl_removed_written(u32 id)
{
    return state.written[id >> 6] >> (id & 63) & 1;
}

void rl_removed_done(u32 noted)
{
    __atomic_store_n(&state.counts[1], noted, __ATOMIC_SEQ_CST);
    state.mine = 0;
}
