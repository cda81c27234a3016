/* May one name be renamed to another? The errors of rename(2), in the kernel's order. */
#include "../internal.h"

static int inside(const struct rl_walk *w, const struct rl_walk *dir)
{
    return w->vlen > dir->vlen && !memcmp(w->v, dir->v, dir->vlen) && w->v[dir->vlen] == '/';
}

static long check_binds(const struct rl_walk *a, const struct rl_walk *b)
{
    if (rl_bind_below(a->v, a->vlen) || rl_bind_below(b->v, b->vlen))
        return -EBUSY;
    return 0;
}

static int same_file(const struct rl_walk *a, const struct rl_walk *b)
{
    if (a->vlen == b->vlen && !memcmp(a->v, b->v, a->vlen))
        return 1;
    if (rl_isdir(a->hit.mode) || rl_isdir(b->hit.mode) || a->hit.what != b->hit.what)
        return 0;
    if (a->hit.what == RL_IN_VIEW)
        return rl_view_entry(a->hit.view)->ino == rl_view_entry(b->hit.view)->ino;
    return a->hit.what == RL_IN_LAYER && a->hit.layer == b->hit.layer && a->hit.sx.stx_ino == b->hit.sx.stx_ino &&
           a->hit.sx.stx_dev_minor == b->hit.sx.stx_dev_minor;
}

/* What needs no permission: mounts, kinds, and places in the tree. */
static long check_names(const struct rl_walk *a, const struct rl_walk *b, unsigned flags)
{
    int dir = rl_isdir(a->hit.mode), there = b->hit.what != RL_NOTHING, swap = (flags & RENAME_EXCHANGE) != 0;
    if (a->dir.bind != b->dir.bind) /* the kernel compares mounts before names */
        return -EXDEV;
    if (a->dot)
        return -EBUSY;
    if (b->dot)
        return flags & RENAME_NOREPLACE ? -EEXIST : -EBUSY;
    if (rl_read_only(&a->dir))
        return -EROFS;
    if (a->hit.what == RL_NOTHING)
        return -ENOENT;
    if (there && (flags & RENAME_NOREPLACE))
        return -EEXIST;
    if (!there && swap)
        return -ENOENT;
    if (!dir && (a->slash || (b->slash && !swap)))
        return -ENOTDIR;
    if (swap && b->slash && !rl_isdir(b->hit.mode))
        return -ENOTDIR;
    if (inside(b, a))
        return -EINVAL;
    if (inside(a, b))
        return swap ? -EINVAL : -ENOTEMPTY;
    return check_binds(a, b);
}

long rl_rename_check(struct rl_walk *a, struct rl_walk *b, unsigned flags)
{
    int dir = rl_isdir(a->hit.mode), there = b->hit.what != RL_NOTHING, swap = (flags & RENAME_EXCHANGE) != 0;
    long r = check_names(a, b, flags);
    if (r < 0)
        return r;
    if (a->dir.bind >= 0 && !a->dir.given) {
        r = rl_may_change(a, 1);
        return r < 0 ? r : rl_may_change(b, there);
    }
    if (there && same_file(a, b))
        return 1;
    u32 name = b->dir.vlen + 1;
    if (!there && a->dir.bind < 0 && rl_reserved(b->v + name, b->vlen - name))
        return -EPERM;
    r = rl_may_change(a, 1);
    if (r >= 0)
        r = rl_may_change(b, there);
    if (r < 0)
        return r;
    if (there && !swap && dir != rl_isdir(b->hit.mode))
        return dir ? -ENOTDIR : -EISDIR;
    if (a->dir.vlen == b->dir.vlen && !memcmp(a->v, b->v, a->dir.vlen))
        return 0;
    if (dir) /* its `..` changes */
        r = rl_may(&a->hit, RL_W_OK);
    if (r >= 0 && swap && rl_isdir(b->hit.mode))
        r = rl_may(&b->hit, RL_W_OK);
    return r;
}
