/* The attributes of an object that stat(2) shows. */
#include "../internal.h"

void rl_attr_real(const struct statx *sx, struct rl_attr *a)
{
    a->dev = rl_makedev(sx->stx_dev_major, sx->stx_dev_minor);
    a->ino = sx->stx_ino;
    a->mode = sx->stx_mode;
    a->nlink = sx->stx_nlink;
    a->uid = sx->stx_uid;
    a->gid = sx->stx_gid;
    a->rdev_major = sx->stx_rdev_major;
    a->rdev_minor = sx->stx_rdev_minor;
    a->size = sx->stx_size;
    a->blocks = sx->stx_blocks;
    a->blksize = sx->stx_blksize;
    a->atime_s = sx->stx_atime.tv_sec;
    a->atime_ns = sx->stx_atime.tv_nsec;
    a->mtime_s = sx->stx_mtime.tv_sec;
    a->mtime_ns = sx->stx_mtime.tv_nsec;
    a->ctime_s = sx->stx_ctime.tv_sec;
    a->ctime_ns = sx->stx_ctime.tv_nsec;
    a->btime_s = sx->stx_btime.tv_sec;
    a->btime_ns = sx->stx_btime.tv_nsec;
    a->has_btime = (sx->stx_mask & STATX_BTIME) != 0;
}

void rl_attr_plain(const struct statx *sx, struct rl_attr *a)
{
    rl_attr_real(sx, a);
    a->uid = rl_layers[0].uid;
    a->gid = rl_layers[0].gid;
    a->dev = rl_launch->st_dev;
}

/* Inode number: the recorded one, that of a directory's read-only part, or the real one. */
u64 rl_ino_of(const struct rl_ctx *self, const struct rl_hit *h)
{
    if (h->rec.has & RL_HAS_INO)
        return h->rec.ino;
    if (self && rl_isdir(h->mode) && h->lower_ino)
        return h->lower_ino;
    if (h->what == RL_IN_VIEW)
        return RL_INO_BASE + rl_view_entry(h->view)->ino;
    return h->sx.stx_ino;
}

static void from_view(const struct rl_view_entry *e, struct rl_attr *a)
{
    i64 s = e->mtime_ns / 1000000000, ns = e->mtime_ns % 1000000000;
    if (ns < 0) {
        ns += 1000000000;
        s--;
    }
    a->nlink = e->nlink;
    a->rdev_major = e->rdev_major;
    a->rdev_minor = e->rdev_minor;
    a->size = e->type == 'd' ? 4096 : e->size;
    a->blocks = e->type == 'f' ? (e->size + 511) / 512 : e->type == 'd' ? 8 : 0;
    a->blksize = 4096;
    a->atime_s = a->mtime_s = a->ctime_s = s;
    a->atime_ns = a->mtime_ns = a->ctime_ns = (u32)ns;
    a->btime_s = a->btime_ns = a->has_btime = 0;
}

void rl_attr_view(u32 id, struct rl_attr *a)
{
    const struct rl_view_entry *e = rl_view_entry(id);
    from_view(e, a);
    a->mode = e->mode;
    a->uid = e->uid;
    a->gid = e->gid;
    a->dev = rl_launch->st_dev;
    a->ino = RL_INO_BASE + e->ino;
}

void rl_attr_of(const struct rl_ctx *self, const struct rl_hit *h, struct rl_attr *a)
{
    if (h->what == RL_IN_VIEW)
        from_view(rl_view_entry(h->view), a);
    else
        rl_attr_real(&h->sx, a);
    a->mode = h->mode;
    a->uid = h->uid;
    a->gid = h->gid;
    if (h->what == RL_IN_BIND)
        return;
    a->dev = rl_launch->st_dev;
    a->ino = rl_ino_of(self, h);
    if (h->rec.has & RL_HAS_DEV) {
        a->rdev_major = h->rec.major;
        a->rdev_minor = h->rec.minor;
    }
    /* The number of a merged directory's subdirectories is not stored: 1 tells find(1) and fts(3) not to rely on it. */
    if (self && rl_isdir(a->mode) && (self->mask & (self->mask - 1) || (self->mask && self->view)))
        a->nlink = 1;
}
