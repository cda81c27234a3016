/* Working memory for one call that is too large for the stack of a program's thread.
 *
 * A mapping for each call would cost more than most calls do, so a few blocks are kept. In a child that was forked
 * while another thread used a block, that block stays taken; a caller that finds no free block maps its own memory. */
#include "../internal.h"

#define BLOCKS 6u
static u8 blocks[BLOCKS][RL_BLOCK] RL_BULK;
static u32 taken[BLOCKS];

void *rl_scratch_get(size_t n)
{
    for (u32 i = 0; n <= RL_BLOCK && i < BLOCKS; i++)
        if (!__atomic_exchange_n(&taken[i], 1, __ATOMIC_ACQUIRE))
            return blocks[i];
    return k_mmap(n);
}

void rl_scratch_put(void *p, size_t n)
{
    size_t at = (size_t)((u8 *)p - blocks[0]);
    if (at < sizeof blocks)
        __atomic_store_n(&taken[at / RL_BLOCK], 0, __ATOMIC_RELEASE);
    else
        k_munmap(p, n);
}
