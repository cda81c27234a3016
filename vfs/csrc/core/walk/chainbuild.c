/* Find the path of a deep directory: up by `..`, then down by names (chain.c, rules 1 and 3). */
#include "chain.h"

#define CLOSE 128 /* bytes of a path between two descriptors */

/* The name in `up` of the directory with this inode, into out[RL_NAME_MAX + 1]. Length. */
static long name_in(struct chain *k, long up, u64 ino, char *out)
{
    long n;
    while ((n = k_getdents(up, k->entries, sizeof k->entries)) > 0)
        for (long o = 0; o < n;) {
            const struct rl_dirent *e = (const void *)(k->entries + o);
            o += e->reclen;
            if (e->ino == ino && !rl_same(e->name, ".") && !rl_same(e->name, ".."))
                return rl_put(out, e->name) - out;
        }
    return n < 0 ? n : -ENOENT;
}

static long put_name(struct chain *k, const char *name, u32 n, const struct statx *sx)
{
    if (n + 1 > k->tail_at || k->climbed == LEVELS)
        return -ENAMETOOLONG;
    k->tail_at -= n;
    memcpy(k->tail + k->tail_at, name, n);
    k->tail[--k->tail_at] = '/';
    k->seen[k->climbed++] = rl_inode_of(sx);
    return 0;
}

static long link_of(long fd, char *out, size_t size)
{
    char link[40];
    rl_put_u64(rl_put(link, "/proc/self/fd/"), (u64)fd, 10);
    return k4(__NR_readlinkat, AT_FDCWD, (long)link, (long)out, (long)size);
}

#define NO_LEVEL RL_MISS
/* Rule 1. The level, or NO_LEVEL: the real path of *top is in k->real, of *len bytes. *top is a descriptor. */
static long climb(struct chain *k, long fd, struct statx *sx, long *top, u32 *len)
{
    char name[RL_NAME_MAX + 1];
    long r;
    k->climbed = 0;
    k->tail_at = sizeof k->tail;
    for (;;) {
        long found = rl_chain_known(k, sx);
        if (found >= 0)
            return found;
        r = link_of(*top, k->real, sizeof k->real - 1);
        if (r >= 0)
            break;
        if (r != -ENAMETOOLONG)
            return r;
        long up = k4(__NR_openat, *top, (long)"..", O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
        if (up < 0)
            return up;
        r = name_in(k, up, sx->stx_ino, name);
        if (r >= 0)
            r = put_name(k, name, (u32)r, sx);
        if (r >= 0)
            r = k_near(up, "", AT_EMPTY_PATH, sx);
        if (*top != fd)
            k_close(*top);
        *top = up;
        if (r < 0)
            return r;
    }
    *len = (u32)r;
    return NO_LEVEL;
}

/* The visible path of k->real[0..len), into w->v. Length. */
static long visible(struct chain *k, struct rl_walk *w, u32 len)
{
    k->real[len] = 0;
    k->place = rl_classify(k->real, len);
    if (k->place.place == RL_OUTSIDE)
        return -EXDEV;
    return rl_real_virtual(k->real, len, &k->place, w->v, &k->origin);
}

/* How many levels are above the directory w->v[0..len). */
static u32 shared(const struct chain *k, const struct rl_walk *w, u32 len)
{
    u32 same = 0, n = 0;
    while (same < len && k->v[same] == w->v[same])
        same++;
    while (n < k->levels && k->level[n].end <= same && w->v[k->level[n].end] == '/')
        n++;
    return n;
}

/* The names below the first directory that is known, behind w->v[0..end). */
static long put_tail(const struct chain *k, struct rl_walk *w, u32 *end)
{
    u32 tail = (u32)sizeof k->tail - k->tail_at;
    long r = rl_deep_room(w, *end + tail + 1);
    if (r < 0)
        return r;
    memcpy(w->v + *end, k->tail + k->tail_at, tail);
    *end += tail;
    w->v[*end] = 0;
    return 0;
}

/* Where the name after v[0..at) ends. */
static u32 name_end(const char *v, u32 at, u32 len)
{
    u32 n = rl_shown && !at ? rl_shown_prefix(v + 1) : 0;
    if (n && at + 1 + n <= len)
        return at + 1 + n;
    for (at++; at < len && v[at] != '/';)
        at++;
    return at;
}

/* A descriptor for the next names, *pin if it is ours. */
static void follow(struct rl_walk *w, const struct rl_ctx *dir, u32 end, i32 *pin)
{
    if (!(dir->mask & 1) || dir->bind >= 0 || (w->at != RL_NO_AT && end - w->at_len < CLOSE))
        return;
    long n = rl_upper_path(w, end, w->s->real);
    long fd = n < 0 ? n : k_open(w->s->real, O_PATH | O_DIRECTORY | O_CLOEXEC, 0);
    if (fd < 0)
        return;
    if (*pin >= 0)
        k_close(*pin);
    *pin = w->at = (i32)fd;
    w->at_len = end;
}

/* Walk w->v[0..len) downwards from the last level. */
static long descend(struct chain *k, struct rl_walk *w, u32 len)
{
    i32 pin = -1;
    long r = 0;
    while (r >= 0) {
        struct level *from = &k->level[k->levels - 1], *to = from + 1;
        if (from->end == len)
            break;
        if (k->levels == LEVELS) {
            r = -ENAMETOOLONG;
            break;
        }
        follow(w, &from->ctx, from->end, &pin);
        to->end = name_end(w->v, from->end, len);
        to->inode.btime_ns = NO_INODE;
        r = rl_step(w, &from->ctx, w->v, to->end, &to->ctx, &w->hit);
        if (r >= 0 && (w->hit.what == RL_NOTHING || !rl_isdir(w->hit.mode)))
            r = -ENOENT;
        if (r >= 0)
            k->levels++;
    }
    if (pin >= 0)
        k_close(pin);
    w->at = RL_NO_AT;
    return r;
}

static void name_inode(struct chain *k, u32 level, struct rl_inode inode)
{
    k->level[level].inode = inode;
    k->level[level].place = k->place;
}

/* The deepest levels are the directories that were seen on the way up. */
static void name_inodes(struct chain *k, const struct statx *sx)
{
    name_inode(k, k->levels - 1, rl_inode_of(sx));
    for (u32 i = 1; i < k->climbed && i + 1 < k->levels; i++)
        name_inode(k, k->levels - 1 - i, k->seen[i]);
}

/* Is the last level the directory that was asked for, and not another of its name? */
static int is_it(const struct chain *k, const struct rl_walk *w, const struct statx *sx)
{
    const struct rl_ctx *c = &k->level[k->levels - 1].ctx;
    const struct rl_hit *h = &w->hit;
    if (!k->climbed && (k->place.place != RL_PLACE_LAYER || k->place.index))
        return rl_is_origin(w, c, &k->origin);
    if (k->place.place == RL_PLACE_TREE)
        return c->view != 0;
    if (k->place.place != RL_PLACE_LAYER)
        return c->bind >= 0;
    if (k->place.index)
        return (int)(c->mask >> k->place.index & 1);
    return h->what == RL_IN_LAYER && h->layer == 0 && h->sx.stx_ino == sx->stx_ino &&
           h->sx.stx_dev_major == sx->stx_dev_major && h->sx.stx_dev_minor == sx->stx_dev_minor;
}

/* From this level, or from the root. */
static long begin_at(struct chain *k, struct rl_walk *w, long level, long top, u32 *len)
{
    long r = rl_deep_room(w, RL_PATH_MAX + 1);
    w->at = RL_NO_AT;
    if (r < 0)
        return r;
    if (level == NO_LEVEL) {
        r = visible(k, w, *len);
        if (r < 0)
            return r;
        *len = (u32)r;
        r = put_tail(k, w, len);
        if (r < 0)
            return r;
        k->levels = k->levels ? shared(k, w, *len) : 0;
        if (k->levels)
            return 0;
        k->levels = 1;
        k->level[0].end = 0;
        k->level[0].inode.btime_ns = NO_INODE;
        return rl_root_hit(w, &k->level[0].ctx, &w->hit, 0);
    }
    u32 end = *len = k->level[level].end;
    memcpy(w->v, k->v, end);
    k->place = k->level[level].place;
    r = put_tail(k, w, len);
    if (r < 0)
        return r;
    k->levels = (u32)level + 1;
    if (k->place.place == RL_PLACE_LAYER && !k->place.index) {
        w->at = (i32)top;
        w->at_len = end;
    }
    return 0;
}

long rl_chain_build(struct chain *k, struct rl_walk *w, long fd, const struct statx *sx)
{
    struct statx at = *sx;
    u32 len = 0;
    long top = fd, r = climb(k, fd, &at, &top, &len);
    if (r >= 0 || r == NO_LEVEL)
        r = begin_at(k, w, r, top, &len);
    if (r >= 0)
        r = descend(k, w, len);
    if (top != fd)
        k_close(top);
    if (r >= 0 && !is_it(k, w, sx))
        r = -ENOENT;
    if (r < 0) {
        k->levels = 0;
        return r;
    }
    name_inodes(k, sx);
    memcpy(k->v, w->v, len + 1);
    return k->levels - 1;
}
