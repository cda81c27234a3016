/* The working directory of a process: chdir, fchdir, getcwd. The real working directory is the real directory. */
#include "../internal.h"

/* Is the walk's lower directory at its own path? Its path is too long for rl_virtual_path(). */
static int far_own(const struct rl_walk *w)
{
    const struct rl_hit *h = &w->hit;
    if (h->what != RL_IN_VIEW)
        return !w->dir.alias[h->layer];
    char *path = rl_scratch_get(RL_DEEP_MAX);
    long n = path ? rl_view_path(h->view, path, RL_DEEP_MAX) : -ENOMEM;
    int own = n == (long)w->vlen && !memcmp(path, w->v, w->vlen);
    if (path)
        rl_scratch_put(path, RL_DEEP_MAX);
    return own;
}

long rl_dir_real(struct rl_walk *w, char *out)
{
    struct rl_hit *h = &w->hit;
    int upper = h->what == RL_IN_LAYER && h->layer == 0;
    if (upper && w->vlen > RL_LONG)
        rl_chain_add(w);
    if (h->what == RL_IN_BIND || upper || !rl_writable())
        return rl_object_real(w, out);
    /* A descriptor of a lower directory must lead back to the name here, as it does through a redirect (renamedpath.c);
     * if it does not, copy the directory up. */
    long n = h->what == RL_IN_VIEW ? rl_view_real(h->view, out, RL_REAL_MAX) : rl_object_real(w, out);
    if (n == -ENAMETOOLONG || (n >= 0 && *out == RL_AT)) {
        n = far_own(w) ? 0 : rl_copyup(w, 1);
        return n < 0 ? n : rl_object_real(w, out);
    }
    if (n < 0)
        return n;
    n = rl_virtual_path(out, w->s->text, sizeof w->s->text);
    if (n == -ENAMETOOLONG && far_own(w))
        return rl_object_real(w, out);
    if (n < 0 || !rl_same(w->s->text, w->vlen ? w->v : "/")) {
        long r = rl_copyup(w, 1);
        if (r < 0)
            return r;
    }
    return rl_object_real(w, out);
}

long rl_resolve_directory(struct rl_walk *w, const char *path)
{
    long r = rl_resolve(w, AT_FDCWD, path, RL_EXISTS | RL_FOLLOW, 0);
    if (r < 0)
        return r;
    return rl_isdir(w->hit.mode) ? rl_may(&w->hit, RL_X_OK) : -ENOTDIR;
}

static long change(long nr, long to)
{
    rl_cwd_changing();
    long r = k4(nr, to, 0, 0, 0);
    rl_cwd_changed();
    return r;
}

static long chdir_to(struct rl_walk *w, const char *path)
{
    char *real = w->s->real;
    long r = rl_resolve_directory(w, path);
    if (r < 0)
        return r;
    r = rl_dir_real(w, real);
    if (r >= 0 && w->hit.what == RL_IN_LAYER && w->hit.layer == 0) {
        r = rl_hold_object(w);
        if (r >= 0)
            r = rl_object_real(w, real);
    }
    if (r < 0)
        return r;
    if (strlen(real) + 64 < RL_PATH_MAX) {
        rl_path_text(real);
        return change(__NR_chdir, (long)real);
    }
    long fd = k_open(real, O_PATH | O_DIRECTORY | O_CLOEXEC, 0);
    r = fd < 0 ? fd : change(__NR_fchdir, fd);
    if (fd >= 0)
        k_close(fd);
    return r;
}

long rl_chdir(const char *path)
{
    struct rl_scratch s;
    struct rl_walk w;
    long r;
    rl_walk_start(&w, &s);
    do
        r = chdir_to(&w, path);
    while (rl_retry(&w, &r));
    return r;
}

/* May this user enter the directory of a descriptor by its ACL? */
static __attribute__((noinline)) long enter_by_acl(int fd)
{
    struct rl_scratch s;
    struct rl_walk w;
    rl_walk_start(&w, &s);
    long r = rl_by_fd(&w, fd);
    r = r == 1 ? rl_may(&w.hit, RL_X_OK) : -EACCES;
    rl_end(&w);
    return r;
}

long rl_fchdir(int fd)
{
    struct rl_attr a;
    long r = rl_fstat(fd, &a);
    if (r < 0)
        return r;
    if (!rl_isdir(a.mode))
        return -ENOTDIR;
    if (a.dev == rl_launch->st_dev) {
        r = rl_permit(a.mode, a.uid, a.gid, RL_X_OK, 0);
        if (r < 0 && enter_by_acl(fd) < 0)
            return r;
    }
    return change(__NR_fchdir, fd);
}

/* The working directory's name, into w->v. */
static long here(struct rl_walk *w)
{
    struct rl_origin o;
    struct rl_since since = rl_since(w);
    long n = rl_fd_virtual(w->s, AT_FDCWD, w->s->text, &o);
    if (n == -ENAMETOOLONG || n > RL_LONG) /* without the layer's path it may be shorter */
        return rl_and_still(w, since, rl_resolve(w, AT_FDCWD, "", RL_EMPTY, 0));
    if (n >= 0)
        n = rl_resolve_plain(w, w->s->text);
    if (n >= 0 && (!rl_isdir(w->hit.mode) || !rl_is_origin(w, &w->self, &o)))
        n = -ENOENT;
    return rl_and_still(w, since, n == -ENOTDIR ? -ENOENT : n);
}

long rl_getcwd(char *buf, size_t size)
{
    struct rl_scratch s;
    struct rl_walk w;
    long r;
    rl_walk_start(&w, &s);
    do
        r = here(&w);
    while (rl_retry(&w, &r));
    if (r < 0)
        return r;
    if (w.vlen >= RL_PATH_MAX)
        return -ENAMETOOLONG;
    if (!w.vlen)
        w.v[w.vlen++] = '/';
    w.v[w.vlen] = 0;
    const char *shown = rl_below_root(w.v), *mark = rl_root_len && shown == w.v ? "(unreachable)" : "";
    size_t len = strlen(shown), k = strlen(mark);
    if (k + len + 1 > size)
        return -ERANGE;
    memcpy(buf, mark, k);
    memcpy(buf + k, shown, len + 1);
    return (long)(k + len) + 1;
}
