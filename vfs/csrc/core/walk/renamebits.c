/* Find out without a system call whether a path of the layers below may ever have been renamed, from the filters.
 *
 * Before a redirect is made, a bit is set for the path that it names (docs/format.md section 7), and one for "some
 * redirect exists": in a container without redirects, one test of that bit is enough. */
#include "../internal.h"

#define DEPTH 64

/* May a redirect of this layer name a path of this hash? */
static int named(const struct rl_layer *l, u64 hash)
{
    return (l->flags & RL_DIR_MARKS) && (!l->tells_moves || rl_bloom_test(l, rl_bloom_key(hash, RL_BLOOM_MOVED)));
}

void rl_renamebits_note(const char *path, u32 len)
{
    rl_bloom_set(&rl_layers[0], rl_bloom_key(RL_FNV_START, RL_BLOOM_MOVED));
    rl_bloom_set(&rl_layers[0], rl_bloom_key(rl_fnv(RL_FNV_START, path, len), RL_BLOOM_MOVED));
}

u32 rl_renamebits_layers(u32 below)
{
    u32 mask = 0;
    for (u32 i = 0; i < below && i < rl_nlayers; i++)
        mask |= (u32)named(&rl_layers[i], RL_FNV_START) << i;
    return mask;
}

static int any_named(u32 mask, u64 hash)
{
    for (; mask; mask &= mask - 1)
        if (named(&rl_layers[__builtin_ctz(mask)], hash))
            return 1;
    return 0;
}

int rl_renamebits_on(u32 below, const char *path, u32 len)
{
    u32 mask = rl_renamebits_layers(below), at = 0;
    u64 hash = RL_FNV_START;
    while (mask && at < len) {
        u32 end = at + 1;
        while (end < len && path[end] != '/')
            end++;
        hash = rl_fnv(hash, path + at, end - at);
        if (any_named(mask, hash))
            return 1;
        at = end;
    }
    return 0;
}

int rl_renamebits_entry(u32 id)
{
    u32 chain[DEPTH], n = 0, mask = rl_renamebits_layers(rl_nlayers);
    u64 hash = RL_FNV_START;
    if (!mask)
        return 0;
    for (; id > RL_VIEW_ROOT; id = rl_view_entry(id)->parent) {
        if (n == DEPTH || !rl_view_entry(id))
            return 1;
        chain[n++] = id;
    }
    while (n) {
        const struct rl_view_entry *e = rl_view_entry(chain[--n]);
        const char *name = rl_view_text(e->name, e->name_len);
        if (!name)
            return 1;
        hash = rl_fnv(rl_fnv(hash, "/", 1), name, e->name_len);
        if (any_named(mask, hash))
            return 1;
    }
    return 0;
}
