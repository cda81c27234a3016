/* Real names of objects for the engine: programs to execute, sockets, watched files. */
#include "inside.h"

long rl_exec_find(int dirfd, const char *path, int flags, struct rl_exec *out)
{
    struct rl_scratch s;
    struct rl_walk w;
    rl_walk_start(&w, &s);
    u32 how = RL_EXISTS | (flags & AT_SYMLINK_NOFOLLOW ? 0 : RL_FOLLOW) | (flags & AT_EMPTY_PATH ? RL_EMPTY : 0);
    long r = rl_resolve(&w, dirfd, path, how, 0);
    if (r < 0)
        return r;
    struct rl_hit *h = &w.hit;
    if (rl_islnk(h->mode))
        return -ELOOP;
    if (!rl_isreg(h->mode))
        return -EACCES;
    r = rl_may(h, RL_X_OK);
    if (r < 0)
        return r;
    out->view = h->what == RL_IN_VIEW ? h->view : 0;
    r = out->view ? rl_view_real(out->view, out->real, sizeof out->real) : rl_object_real(&w, out->real);
    if (r < 0)
        return r;
    if (h->what == RL_IN_BIND) {
        r = k4(__NR_faccessat, AT_FDCWD, (long)out->real, RL_X_OK, 0);
        if (r < 0)
            return r;
    }
    rl_attr_of(&w.self, h, &out->attr);
    if (h->what == RL_IN_BIND)
        out->attr.mode &= ~(u32)06000;
    memcpy(out->vpath, w.v, w.vlen);
    out->vpath[w.vlen] = 0;
    return 0;
}

long rl_exec_open(const struct rl_exec *e)
{
    long fd = k_open(e->real, O_RDONLY | O_CLOEXEC, 0);
    if (!e->view || (fd != -ENOENT && fd != -ENOTDIR))
        return fd;
    long r = rl_hydrate(e->view);
    return r < 0 ? r : k_open(e->real, O_RDONLY | O_CLOEXEC, 0);
}

long rl_exec_prepare(int dirfd, const char *path, int flags, struct rl_exec *out)
{
    long r = rl_exec_find(dirfd, path, flags, out);
    return r < 0 || !out->view || k_exists(out->real) ? r : rl_hydrate(out->view);
}

/* Returns 1 when an object is there, 0 when only the name can be made (create). */
long rl_real_path(int dirfd, const char *path, int flags, int create, char *real, size_t size)
{
    struct rl_scratch s;
    struct rl_walk w;
    rl_walk_start(&w, &s);
    u32 how = (create ? 0 : RL_EXISTS) | (flags & AT_SYMLINK_NOFOLLOW ? 0 : RL_FOLLOW) |
              (flags & AT_EMPTY_PATH ? RL_EMPTY : 0);
    long r = rl_resolve(&w, dirfd, path, how, 0), n;
    if (r < 0)
        return r;
    int there = w.hit.what != RL_NONE;
    if (!there)
        n = rl_create_begin(&w, s.mark);
    else
        n = rl_isdir(w.hit.mode) ? rl_dir_real(&w, s.mark) : rl_object_real(&w, s.mark);
    if (n < 0)
        return n;
    if ((size_t)n >= size)
        return -ENAMETOOLONG;
    memcpy(real, s.mark, (size_t)n + 1);
    return there;
}

/* The name has been made by somebody else's system call: a whiteout goes, the owner is recorded. */
long rl_created(const char *real)
{
    struct rl_scratch s;
    struct rl_walk w;
    rl_walk_start(&w, &s);
    struct rl_real at = rl_classify(real, (u32)strlen(real));
    if (at.place != RL_PLACE_LAYER || at.index != 0 || !rl_writable())
        return 0;
    long r = rl_virtual_path(real, s.text, sizeof s.text);
    if (r < 0)
        return r;
    r = rl_resolve_plain(&w, s.text);
    if (r < 0)
        return r;
    struct rl_owner o;
    r = rl_lock(&w);
    if (r < 0)
        return r;
    rl_owner_new(&w, w.hit.sx.stx_mode, &o);
    r = rl_owner_store(&w, &o, w.hit.sx.stx_mode);
    rl_whiteout_drop(&w);
    rl_unlock(&w);
    return r;
}
