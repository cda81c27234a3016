/* Where a walk begins: at the root, or at the directory of a descriptor (resolve.c, rules 3 and 5). */
#include "course.h"

/* root may search the root whatever its bits are; other users need the bits. */
static long enter_root(struct rl_walk *w)
{
    u32 now;
    if (!rl_me.fsuid)
        return rl_step_root(w, 0, &w->root, &w->hit);
    if (rl_dircache_find(RL_FNV_START, &w->root))
        return 0;
    int keep = rl_moment(&now);
    long r = rl_root_hit(w, &w->root, &w->hit, 0);
    if (r >= 0 && keep)
        rl_dircache_add(now, &w->root);
    return r;
}

/* The same, if its path is too long for the kernel to tell. */
long rl_start_deep(struct course *c, int dirfd)
{
    struct rl_walk *w = c->w;
    struct rl_chained at;
    long r = rl_chain_at(w, dirfd, &at);
    if (r < 0)
        return r;
    u32 known = at.depth < KEPT ? at.depth : KEPT;
    c->cur = at.cur;
    c->depth = at.depth;
    c->first = at.depth - known;
    for (u32 i = 0; i < known; i++)
        c->st[known - 1 - i] = at.above[i];
    if (rl_shown) /* not every level is a name */
        c->depth = KEPT + 1, c->first = 0;
    w->relative = rl_writable() && (at.place.place == RL_PLACE_LAYER || at.place.place == RL_PLACE_TREE);
    if (w->relative && at.place.place == RL_PLACE_LAYER && !at.place.index)
        rl_begin_at(w, dirfd);
    return 0;
}

/* Go to the directory w->v[0..len), if it is cached, without a walk to it. As in rl_descend(), `..` walks. */
static int enter_cached(struct course *c, u64 hash, u32 len)
{
    struct rl_walk *w = c->w;
    if (c->resolve || !len || !rl_dircache_find(hash, &w->self) || w->self.vlen != len)
        return 0;
    rl_to_root(c);
    rl_push(c, &w->self);
    c->depth = KEPT + 1;
    w->vlen = len;
    return 1;
}

/* The descriptor's directory, of the upper, is w->v. */
static void keep_name(struct rl_walk *w, int fd, const struct rl_ctx *dir)
{
    if (w->steady && k_statx(fd, "", AT_EMPTY_PATH, &w->s->sx) == 0)
        rl_dircache_add_name(w->began, &w->s->sx, w->v, w->vlen, rl_dir_plain(dir));
}

/* Go to the directory of a descriptor. */
static long start_at(struct course *c, int dirfd)
{
    struct rl_walk *w = c->w;
    struct rl_base b;
    struct rl_origin o;
    long r = rl_fdcache_named(dirfd, &b, w->v, RL_PATH_MAX) ? rl_base_virtual(&b, w->v, &o)
             : b.deep                                         ? -ENAMETOOLONG
                                                              : rl_fd_virtual(w->s, dirfd, w->v, &o);
    if (r == -ENAMETOOLONG || r > RL_LONG)
        return rl_start_deep(c, dirfd);
    if (r < 0 && r != -ENOENT)
        return r;
    w->relative = rl_writable() && (o.place == RL_PLACE_LAYER || o.place == RL_PLACE_TREE);
    if (r < 0)
        return r;
    u32 len = (u32)r;
    r = enter_cached(c, b.kind == RL_BASE_UPPER ? b.hash : rl_fnv(RL_FNV_START, w->v, len), len) ? 0 : rl_walk_again(c, len);
    if (r == -ENOTDIR) { /* the descriptor is not a directory's, or its directory was removed and a file has the name */
        struct statx *sx = &w->s->sx;
        return k_statx(dirfd, "", AT_EMPTY_PATH, sx) == 0 && rl_isdir(sx->stx_mode) ? -ENOENT : r;
    }
    if (r < 0 || !rl_is_origin(w, &c->cur, &o))
        return r < 0 ? r : -ENOENT;
    if (!w->relative || o.place != RL_PLACE_LAYER || o.index)
        return r;
    if (b.kind == RL_BASE_OTHER || (!b.plain && rl_dir_plain(&c->cur)))
        keep_name(w, dirfd, &c->cur);
    rl_begin_at(w, dirfd);
    return r;
}

long rl_start(struct course *c, int dirfd, const char *path)
{
    struct rl_walk *w = c->w;
    long r = enter_root(w);
    if (r < 0)
        return r;
    rl_to_root(c);
    c->p = path;
    int boxed = (c->resolve & (RESOLVE_BENEATH | RESOLVE_IN_ROOT)) != 0;
    if (path[0] == '/' && (c->resolve & RESOLVE_BENEATH))
        return -EXDEV;
    if (path[0] == '/' && !boxed)
        return c->flags & RL_WHOLE ? 0 : rl_to_own_root(c);
    r = start_at(c, dirfd);
    if (r == -EXDEV && !(c->flags & RL_EMPTY)) /* outside */
        r = -ENOENT;
    c->floor = boxed ? c->depth : 0;
    return r;
}
