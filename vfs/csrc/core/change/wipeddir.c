/* See wipeddir.h. A directory that is not certainly wiped is not one: rl_empty() knows every case. */
#include "wipeddir.h"

/* How many names of the view an entry hides: 0 or 1, or -1: it is not a mark, its name is stored elsewhere, or
 * it may be a directory. */
static int hides(const char *name, u32 view)
{
    if (!rl_begins(name, RL_WH) || rl_begins(name, RL_WH_LONG) || rl_begins(name, RL_WH_TEMP))
        return -1;
    if (rl_begins(name, RL_WH RL_WH))
        return 0; /* a record */
    name += sizeof RL_WH - 1;
    return rl_view_find(view, name, (u32)strlen(name)) != 0;
}

static int is_dots(const char *name)
{
    return rl_same(name, ".") || rl_same(name, "..");
}

static int all_hidden(const struct rl_wiped_dir *h, u32 view)
{
    u32 hidden = 0;
    for (long o = 0; o < h->bytes;) {
        const struct rl_dirent *e = (const void *)(h->entries + o);
        o += e->reclen;
        if (is_dots(e->name))
            continue;
        int one = hides(e->name, view);
        if (one < 0)
            return 0;
        hidden += (u32)one;
    }
    return hidden == rl_view_count_children(view);
}

static long read_all(struct rl_wiped_dir *h)
{
    long n;
    h->bytes = 0;
    while ((n = k_getdents(h->fd, h->entries + h->bytes, RL_BLOCK - (size_t)h->bytes)) > 0)
        h->bytes += n;
    return n; /* -EINVAL: there are more than fit */
}

int rl_wiped_dir_open(const struct rl_walk *w, struct rl_wiped_dir *h)
{
    const struct rl_ctx *d = &w->self;
    int r = 0;
    if (w->hit.what != RL_IN_LAYER || d->mask != 1 || !d->view || d->alias[0] || !rl_writable() ||
        rl_bind_in(w->v, w->vlen) || rl_upper_path(w, w->vlen, w->s->real) < 0 || !(h->entries = rl_scratch_get(RL_BLOCK)))
        return 0;
    h->fd = rl_reserve_open(w->s->real, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
    if (h->fd >= 0)
        r = read_all(h) == 0 && all_hidden(h, d->view);
    if (!r)
        rl_wiped_dir_close(h);
    return r;
}

long rl_wiped_dir_clear(const struct rl_wiped_dir *h)
{
    long r = 0;
    for (long o = 0; o < h->bytes && (r >= 0 || r == -ENOENT);) {
        const struct rl_dirent *e = (const void *)(h->entries + o);
        o += e->reclen;
        if (!is_dots(e->name))
            r = k4(__NR_unlinkat, h->fd, (long)e->name, 0, 0);
    }
    return r == -ENOENT ? 0 : r;
}

void rl_wiped_dir_close(struct rl_wiped_dir *h)
{
    if (h->fd >= 0)
        k_close(h->fd);
    rl_scratch_put(h->entries, RL_BLOCK);
}
