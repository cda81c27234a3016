/* The directories of a walk: by cache, by a look-up, again from the root, and `..` (resolve.c, rule 2). */
#include "course.h"

int rl_course_cached(const struct course *c, u32 len)
{
    const struct rl_ctx *cur = &c->cur;
    if (cur->bind >= 0)
        return 0;
    u64 h = rl_fnv(cur->hash, c->w->v + cur->vlen, len - cur->vlen);
    int bind = !(c->resolve & RESOLVE_NO_XDEV) && rl_bind_seen(h, c->w->v, len, &c->w->self);
    return bind || rl_dircache_find(h, &c->w->self);
}

/* Look w->v[0..len) up in the current directory. */
long rl_course_look(struct course *c, u32 len)
{
    struct rl_walk *w = c->w;
    u32 now;
    int keep = rl_moment(&now);
    long r = rl_step(w, &c->cur, w->v, len, &w->self, &w->hit);
    /* The directory that contains it was looked up before: at that moment its name may have belonged to another one. */
    if (r >= 0 && keep && w->steady && now == w->began && w->hit.what == RL_IN_LAYER && rl_isdir(w->hit.mode))
        rl_dircache_add(now, &w->self);
    return r;
}

long rl_walk_again(struct course *c, u32 len)
{
    struct rl_walk *w = c->w;
    rl_to_root(c);
    for (u32 end = 0; end < len;) {
        u32 n = rl_next_name(c, w->v + end + 1);
        if (end + 1 + n > len) /* it leads to a shown bind */
            for (n = 0; end + 1 + n < len && w->v[end + 1 + n] != '/';)
                n++;
        end += 1 + n;
        if (!rl_course_cached(c, end)) {
            long r = rl_course_look(c, end);
            if (r < 0)
                return r;
            if (w->hit.what == RL_NOTHING)
                return -ENOENT;
            if (!rl_isdir(w->hit.mode))
                return -ENOTDIR;
        }
        rl_descend(c, &w->self);
        w->vlen = end;
    }
    return 0;
}

long rl_to_own_root(struct course *c)
{
    rl_to_root(c);
    if (!rl_root_len)
        return 0;
    memcpy(c->w->v, rl_root, rl_root_len + 1);
    return rl_walk_again(c, rl_root_len);
}

long rl_go_up(struct course *c)
{
    struct rl_walk *w = c->w;
    if (c->depth <= c->floor) {
        if (c->resolve & RESOLVE_BENEATH)
            return -EXDEV;
        return 0;
    }
    if (rl_root_len && rl_is_root(w->v, w->vlen))
        return 0;
    int bind = c->cur.bind;
    u32 n = rl_parent_len(w);
    if (c->depth - 1 - c->first < KEPT) {
        c->depth--;
        c->cur = c->st[c->depth - c->first];
    } else {
        long r = rl_walk_again(c, n);
        if (r < 0)
            return r;
    }
    w->vlen = n;
    if (n < w->at_len && w->at != RL_NO_AT) {
        if (w->deep)
            rl_deep_up(w, n);
        else
            w->at = RL_NO_AT;
    }
    return (c->resolve & RESOLVE_NO_XDEV) && bind != c->cur.bind ? -EXDEV : 0;
}
