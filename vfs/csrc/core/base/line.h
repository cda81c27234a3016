/* A line of a lock-free cache, and the inode that it describes.
 *
 * The version works like a seqlock: it is 0 before the first write, and odd during a write. A reader reads between
 * rl_line_version() and rl_line_kept(), a writer writes between rl_line_open() and rl_line_close(). If a writer never
 * finishes, the line is lost. */
#ifndef RL_LINE_H
#define RL_LINE_H

#include "../internal.h"

/* 0: never written, or being written. */
static inline u32 rl_line_version(const u32 *version)
{
    u32 now = __atomic_load_n(version, __ATOMIC_ACQUIRE);
    return now & 1 ? 0 : now;
}

static inline int rl_line_kept(const u32 *version, u32 before)
{
    __atomic_thread_fence(__ATOMIC_ACQUIRE);
    return __atomic_load_n(version, __ATOMIC_RELAXED) == before;
}

/* 0: another thread is writing. */
static inline int rl_line_open(u32 *version)
{
    u32 now = __atomic_load_n(version, __ATOMIC_RELAXED);
    if (now & 1 || !__atomic_compare_exchange_n(version, &now, now + 1, 0, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
        return 0;
    __atomic_thread_fence(__ATOMIC_RELEASE); /* what is written next is not seen before the odd version */
    return 1;
}

static inline void rl_line_close(u32 *version)
{
    __atomic_store_n(version, *version + 1, __ATOMIC_RELEASE);
}

/* Device, inode number and birth time: never shared by another file's inode. */
struct rl_inode {
    u64 dev, ino;
    i64 btime_s;
    u32 btime_ns;
};

static inline struct rl_inode rl_inode_of(const struct statx *sx)
{
    struct rl_inode i = {rl_makedev(sx->stx_dev_major, sx->stx_dev_minor), sx->stx_ino, sx->stx_btime.tv_sec,
                         sx->stx_btime.tv_nsec};
    return i;
}

static inline int rl_inode_is(const struct rl_inode *i, const struct statx *sx)
{
    return i->ino == sx->stx_ino && i->dev == rl_makedev(sx->stx_dev_major, sx->stx_dev_minor) &&
           i->btime_s == sx->stx_btime.tv_sec && i->btime_ns == sx->stx_btime.tv_nsec;
}

#endif
