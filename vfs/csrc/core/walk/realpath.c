/* Translate the kernel's path of a file to the program's path, by the longest prefix.
 *
 * There is no table of descriptors: readlink of /proc/self/fd/N is right after dup, fork and exec. An object in a layer
 * below the upper keeps its real path permanently: renamedpath.c finds its new name. */
#include "../internal.h"

/* `path` is real[0..len) or a directory above it. Compared backwards: the trees of layers differ near
 * their ends. */
static int has_prefix(const char *real, u32 len, const char *path, u32 n)
{
    if (n > len || (real[n] && real[n] != '/'))
        return 0;
    while (n && real[n - 1] == path[n - 1])
        n--;
    return n == 0;
}

static void consider(struct rl_real *best, int place, u32 index, u32 n)
{
    if (best->place != RL_OUTSIDE && n < best->rest)
        return;
    best->place = place;
    best->index = index;
    best->rest = n;
}

struct rl_real rl_classify(const char *real, u32 len)
{
    struct rl_real best = {RL_OUTSIDE, 0, 0};
    const char *tree;
    if (real[0] != '/')
        return best;
    for (u32 i = 0; i < rl_nlayers; i++)
        if (has_prefix(real, len, rl_layers[i].path, rl_layers[i].len))
            consider(&best, RL_PLACE_LAYER, i, rl_layers[i].len);
    for (u32 i = 0; i < rl_launch->view_layers; i++) {
        u32 n = rl_tree(i, &tree);
        if (n && has_prefix(real, len, tree, n))
            consider(&best, RL_PLACE_TREE, i, n);
    }
    int named = best.place != RL_OUTSIDE; /* a shown bind has the name that it has elsewhere in the container, if any */
    for (u32 i = 0; i < rl_launch->binds; i++) {
        struct rl_bind b = rl_bind(i);
        int shown = (b.flags & RL_BIND_SHOWN) != 0;
        if ((shown && named) || (b.flags & RL_BIND_LINK) || !has_prefix(real, len, b.host, b.hlen))
            continue;
        if (!shown && !named)
            best.place = RL_OUTSIDE; /* so far it was only shown */
        named |= !shown;
        consider(&best, RL_PLACE_BIND, i, b.hlen);
    }
    return best;
}

/* Length of the real path of a descriptor (AT_FDCWD: the working directory). -ENOENT: it has been removed. */
long rl_fd_real(int fd, char *out, size_t size)
{
    char link[40], *p = rl_put(link, "/proc/thread-self/"); /* a thread may have its own (unshare) */
    if (fd == AT_FDCWD)
        rl_put(p, "cwd");
    else if (fd < 0)
        return -EBADF;
    else
        rl_put_u64(rl_put(p, "fd/"), (u64)fd, 10);
    long n = k_readlink(link, out, size - 1);
    if (n == -ENOENT)
        return -EBADF;
    if (n < 0)
        return n;
    out[n] = 0;
    static const char gone[] = " (deleted)";
    u32 k = sizeof gone - 1;
    if (n > (long)k && out[0] == '/' && rl_same(out + n - k, gone) && !k_exists(out))
        return -ENOENT;
    return n;
}

/* The view entry whose real file is at this path of a layer's tree. 0: none. */
u32 rl_view_of_tree(u32 layer, const char *rel, u32 len)
{
    u32 id = rl_view_at(rel, len);
    const struct rl_view_entry *e = rl_view_entry(id);
    /* Another layer's file of this name is another file; directories are the same one in every layer. */
    if (e && (e->type == 'd' || (e->layer == layer && !e->source_len)))
        return id;
    return rl_view_by_source(layer, rel, len);
}

static long view_name(const char *rel, u32 len, char *out, struct rl_origin *o)
{
    u32 id = o->id = rl_view_of_tree(o->index, rel, len);
    if (!id && !len)
        return rl_join(out, RL_PATH_MAX, "", 0, "", 0, "", 0);
    const struct rl_view_entry *e = rl_view_entry(id);
    o->directory = e && e->type == 'd';
    return e ? rl_view_path(id, out, RL_PATH_MAX) : -ENOENT;
}

long rl_real_virtual(const char *real, u32 len, const struct rl_real *at, char *out, struct rl_origin *o)
{
    const char *rest = real + at->rest;
    u32 n = len - at->rest;
    long r;
    o->place = at->place;
    o->index = at->index;
    o->id = 0;
    if (at->place == RL_OUTSIDE)
        return -ENOENT;
    if (n == 1 && rest[0] == '/')
        n = 0; /* the host's own root */
    if (at->place == RL_PLACE_BIND) {
        struct rl_bind b = rl_bind(at->index);
        return rl_join(out, RL_PATH_MAX, b.vpath, b.vlen, rest, n, "", 0);
    }
    if (at->place == RL_PLACE_TREE)
        r = view_name(rest, n, out, o);
    else
        r = rl_join(out, RL_PATH_MAX, rest, n, "", 0, "", 0);
    if (at->place == RL_PLACE_LAYER && at->index)
        o->hash = rl_fnv(RL_FNV_START, real, at->rest + n);
    return r < 0 ? r : rl_renamed_path(o, real, out, (u32)r);
}

long rl_fd_virtual(struct rl_scratch *s, int fd, char *out, struct rl_origin *o)
{
    char *real = s->real;
    o->place = RL_OUTSIDE;
    long n = rl_fd_real(fd, real, sizeof s->real);
    if (n < 0)
        return n;
    if (real[0] != '/')
        return -ENOTDIR; /* a pipe, a socket, … */
    struct rl_real at = rl_classify(real, (u32)n);
    return rl_real_virtual(real, (u32)n, &at, out, o);
}

int rl_same_object(const struct rl_walk *w, const struct rl_origin *o, const struct statx *sx)
{
    const struct rl_hit *h = &w->hit;
    if (rl_isdir(sx->stx_mode))
        return rl_isdir(h->mode) && rl_is_origin(w, &w->self, o);
    if (o->place == RL_PLACE_TREE)
        return o->id && rl_ino_of(&w->self, h) == RL_INO_BASE + rl_view_entry(o->id)->ino;
    if (h->what != RL_IN_LAYER)
        return 0;
    if (h->layer == (i32)o->index)
        return h->sx.stx_ino == sx->stx_ino && h->sx.stx_dev_major == sx->stx_dev_major &&
               h->sx.stx_dev_minor == sx->stx_dev_minor;
    return (h->rec.has & RL_HAS_INO) && h->rec.ino == sx->stx_ino;
}

long rl_virtual_path(const char *real, char *out, size_t size)
{
    struct rl_origin o;
    u32 len = (u32)strlen(real);
    struct rl_real at = rl_classify(real, len);
    char *v = rl_scratch_get(RL_PATH_MAX);
    if (!v)
        return -ENOMEM;
    long n = rl_real_virtual(real, len, &at, v, &o);
    if (n == -ENOENT && (o.id || o.place == RL_PLACE_LAYER))
        n = (long)strlen(v); /* removed: its only name is its last one in the layers below */
    if (!n)
        v[n++] = '/';
    if (n >= 0 && (size_t)n >= size)
        n = -ENAMETOOLONG;
    if (n >= 0) {
        memcpy(out, v, (size_t)n);
        out[n] = 0;
    }
    rl_scratch_put(v, RL_PATH_MAX);
    return n;
}
