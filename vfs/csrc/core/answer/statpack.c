/* Fill the kernel's structures from the core's attributes. The C libraries' structures are the same, so the hook engine
 * uses this file, too. */
#include <asm/stat.h>

#include "../base/base.h"
#include "statpack.h"

_Static_assert(sizeof(struct stat) == RL_STAT_BYTES, "the kernel's structure");

void rl_stat_fill(void *out, const struct rl_attr *a)
{
    struct stat *st = out;
    unsigned long *end = &st->st_ctime_nsec + 1;

    st->st_dev = a->dev;
    st->st_ino = a->ino;
    st->st_nlink = a->nlink;
    st->st_mode = a->mode;
    st->st_uid = a->uid;
    st->st_gid = a->gid;
    st->st_rdev = rl_makedev(a->rdev_major, a->rdev_minor);
    st->st_size = (long)a->size;
    st->st_blksize = a->blksize;
    st->st_blocks = (long)a->blocks;
    st->st_atime = (unsigned long)a->atime_s;
    st->st_atime_nsec = a->atime_ns;
    st->st_mtime = (unsigned long)a->mtime_s;
    st->st_mtime_nsec = a->mtime_ns;
    st->st_ctime = (unsigned long)a->ctime_s;
    st->st_ctime_nsec = a->ctime_ns;
#ifdef __x86_64__
    st->__pad0 = 0;
#else
    st->__pad1 = 0;
    st->__pad2 = 0;
#endif
    memset(end, 0, (size_t)((char *)(st + 1) - (char *)end)); /* all of it would cost more than the rest */
}

static struct statx_timestamp stamp(i64 s, u32 ns)
{
    return (struct statx_timestamp){.tv_sec = s, .tv_nsec = ns};
}

void rl_statx_fill(struct statx *sx, const struct rl_attr *a)
{
    memset(sx, 0, sizeof *sx);
    sx->stx_mask = STATX_BASIC_STATS | (a->has_btime ? STATX_BTIME : 0);
    sx->stx_blksize = a->blksize;
    sx->stx_nlink = a->nlink;
    sx->stx_uid = a->uid;
    sx->stx_gid = a->gid;
    sx->stx_mode = (u16)a->mode;
    sx->stx_ino = a->ino;
    sx->stx_size = a->size;
    sx->stx_blocks = a->blocks;
    sx->stx_atime = stamp(a->atime_s, a->atime_ns);
    sx->stx_mtime = stamp(a->mtime_s, a->mtime_ns);
    sx->stx_ctime = stamp(a->ctime_s, a->ctime_ns);
    sx->stx_btime = stamp(a->btime_s, a->btime_ns);
    sx->stx_rdev_major = a->rdev_major;
    sx->stx_rdev_minor = a->rdev_minor;
    sx->stx_dev_major = (u32)((a->dev >> 8 & 0xfff) | (a->dev >> 32 & ~0xfffull));
    sx->stx_dev_minor = (u32)((a->dev & 0xff) | (a->dev >> 12 & ~0xffull));
}
