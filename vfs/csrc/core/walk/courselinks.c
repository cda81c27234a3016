/* Symbolic links on a walk (resolve.c, rule 1), and the links of /proc. */
#include "course.h"

/* The end of the buffer for a rest of n bytes; NULL without memory. */
static char *rest_end(struct course *c, u32 n)
{
    if (!c->long_rest && n > REST)
        c->long_rest = k_mmap(REST_MAX);
    else if (!c->long_rest)
        return c->rest + REST;
    return c->long_rest ? c->long_rest + REST_MAX : NULL;
}

long rl_splice(struct course *c, const char *text, u32 n, const char *tail)
{
    if (!n)
        return -ENOENT;
    if (n >= RL_PATH_MAX)
        return -ENAMETOOLONG;
    u32 left = (u32)strlen(tail);
    char *end = rest_end(c, left + n + 1);
    if (!end)
        return -ENOMEM;
    char *at = end - 1 - left;
    memmove(at, tail, left + 1);
    memmove(at - n, text, n);
    c->p = at - n;
    c->object = c->magic ? at : NULL;
    if (c->p[0] != '/')
        return 0;
    if (c->resolve & RESOLVE_BENEATH)
        return -EXDEV;
    if (c->floor) {
        while (c->depth > c->floor) {
            long r = rl_go_up(c);
            if (r < 0)
                return r;
        }
        return 0;
    }
    int bind = c->cur.bind;
    long r = 0;
    if (c->magic)
        rl_to_root(c);
    else
        r = rl_to_own_root(c);
    if (r < 0)
        return r;
    return (c->resolve & RESOLVE_NO_XDEV) && bind >= 0 ? -EXDEV : 0;
}

long rl_link_text(struct course *c, u32 len, const char **text)
{
    struct rl_walk *w = c->w;
    struct rl_hit *h = &w->hit;
    c->magic = 0;
    if (h->what == RL_IN_VIEW) {
        const struct rl_view_entry *e = rl_view_entry(h->view);
        *text = rl_view_text(e->link, e->link_len);
        return *text ? (long)e->link_len : -EIO;
    }
    *text = w->s->text;
    if (h->what == RL_IN_BIND) {
        if (rl_proc_magic(w, &w->self, len)) {
            if (c->resolve & RESOLVE_NO_MAGICLINKS)
                return -ELOOP;
            *text = w->s->mark;
            c->magic = 1;
            return rl_proc_target(w, len);
        }
        u32 n;
        const char *link = rl_bind_link(w, &n);
        if (link) {
            *text = link;
            return (long)n;
        }
        long r = rl_bind_real(w, &w->self, len, w->s->real);
        if (r < 0)
            return r;
    } else {
        long r = rl_layer_path(w, &c->cur, w->v, len, (u32)h->layer, w->s->real);
        if (r < 0)
            return r;
    }
    return k_readlink(w->s->real, w->s->text, sizeof w->s->text);
}

long rl_kernel_link(struct course *c, u32 len)
{
    struct rl_walk *w = c->w;
    struct rl_hit *h = &w->hit;
    long r = rl_bind_real(w, &w->self, len, w->s->real);
    if (r >= 0)
        r = k_statx(AT_FDCWD, w->s->real, 0, &h->sx);
    if (r < 0)
        return r;
    h->magic = 1;
    h->mode = h->sx.stx_mode;
    h->uid = h->sx.stx_uid;
    h->gid = h->sx.stx_gid;
    w->dir = c->cur;
    w->vlen = len;
    return 1;
}

long rl_enter_link(struct course *c, u32 len, int last)
{
    struct rl_walk *w = c->w;
    long r = rl_bind_real(w, &w->self, len, w->s->real);
    long fd = r < 0 ? r : rl_deep_open(w, w->s->real);
    if (fd == -ENOTDIR && last)
        return rl_kernel_link(c, len);
    r = fd < 0 ? fd : rl_start_deep(c, (int)fd);
    return r == -EXDEV ? -ENAMETOOLONG : r;
}
