/* The Bloom filter of a directory layer (docs/format.md section 7). */
#include "../internal.h"

#define MASK ((1u << RL_BLOOM_LOG2) - 1)

u64 rl_bloom_key(u64 fnv, int kind)
{
    char one = (char)kind;
    return rl_mix(kind == RL_KEY_PATH ? fnv : rl_fnv(fnv, &one, 1));
}

int rl_bloom_test(const struct rl_layer *l, u64 key)
{
    if (!l->bloom)
        return 1;
    u32 a = (u32)key & l->near, b = (u32)(key >> 32) & MASK;
    return (__atomic_load_n(&l->bloom[a >> 6], __ATOMIC_ACQUIRE) >> (a & 63) & 1) &&
           (__atomic_load_n(&l->bloom[b >> 6], __ATOMIC_ACQUIRE) >> (b & 63) & 1);
}

void rl_bloom_set(const struct rl_layer *l, u64 key)
{
    if (!l->bloom)
        return;
    u32 a = (u32)key & l->near, b = (u32)(key >> 32) & MASK;
    __atomic_fetch_or(&l->bloom[a >> 6], 1ull << (a & 63), __ATOMIC_SEQ_CST);
    __atomic_fetch_or(&l->bloom[b >> 6], 1ull << (b & 63), __ATOMIC_SEQ_CST);
}
