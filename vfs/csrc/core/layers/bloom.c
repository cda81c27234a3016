/* The Bloom filter of a directory layer (docs/format.md section 7). */
#include "../internal.h"

int rl_bloom_set(const struct rl_layer *l, u64 key)
{
    if (!l->bloom)
        return 0;
    u32 a = rl_bloom_first(l, key), b = rl_bloom_second(key);
    __atomic_fetch_or(&l->bloom[a >> 6], 1ull << (a & 63), __ATOMIC_SEQ_CST);
    u64 bit = 1ull << (b & 63);
    return !(__atomic_fetch_or(&l->bloom[b >> 6], bit, __ATOMIC_SEQ_CST) & bit);
}
