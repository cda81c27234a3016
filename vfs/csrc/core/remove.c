/* unlink and rmdir. */
#include "inside.h"

long rl_empty(struct rl_walk *w)
{
    struct rl_list l;
    long r = rl_list_build(w, &l);
    if (r < 0)
        return r;
    r = l.count ? -ENOTEMPTY : 0;
    rl_list_free(&l);
    return r;
}

/* Remove the marks in a real directory. */
static long clear_marks(const char *real)
{
    char buf[4096];
    long fd = k_open(real, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0), n;
    if (fd < 0)
        return fd;
    while ((n = k_getdents(fd, buf, sizeof buf)) > 0)
        for (long o = 0; o < n;) {
            struct rl_dirent *e = (void *)(buf + o);
            o += e->reclen;
            if (rl_begins(e->name, RL_WH))
                k4(__NR_unlinkat, fd, (long)e->name, 0, 0);
        }
    k_close(fd);
    return n;
}

/* The marks go only once the directory has left its name: they still hide what is below. */
long rl_dir_remove(const char *real, u32 len)
{
    char temp[RL_REAL_MAX];
    long r = k_unlink(real, AT_REMOVEDIR);
    if (r != -ENOTEMPTY && r != -EEXIST)
        return r;
    r = rl_temp_path(temp, sizeof temp, real, len);
    if (r >= 0)
        r = k_rename(real, temp, 0);
    if (r < 0)
        return r;
    r = clear_marks(temp);
    if (r >= 0)
        r = k_unlink(temp, AT_REMOVEDIR);
    if (r < 0) /* somebody has made a file in it meanwhile */
        k_rename(temp, real, RL_RENAME_NOREPLACE);
    return r;
}

static long check(struct rl_walk *w, int rmdir)
{
    if (rmdir && w->dot)
        return w->dot == 1 ? -EINVAL : w->dot == 2 ? -ENOTEMPTY : -EBUSY;
    if (w->dot)
        return -EISDIR;
    if (rl_read_only(&w->dir))
        return -EROFS;
    if (w->hit.what == RL_NONE)
        return -ENOENT;
    if (w->slash && !rmdir)
        return rl_isdir(w->hit.mode) ? -EISDIR : -ENOTDIR;
    if (rl_bind_below(w->v, w->vlen))
        return -EBUSY;
    if (w->hit.what != RL_IN_BIND) {
        long r = rl_may_change(w, 1);
        if (r < 0)
            return r;
    }
    if (rmdir && !rl_isdir(w->hit.mode))
        return -ENOTDIR;
    return rl_isdir(w->hit.mode) && !rmdir ? -EISDIR : 0;
}

static long remove_bind(struct rl_walk *w, int flags)
{
    long r = rl_object_real(w, w->s->real);
    return r < 0 ? r : k_unlink(w->s->real, flags);
}

/* The lock is held. */
static long remove_locked(struct rl_walk *w, int rmdir)
{
    struct rl_ctx self;
    struct rl_hit below;
    char real[RL_REAL_MAX];
    int upper = w->hit.what == RL_IN_LAYER && w->hit.layer == 0, hide;
    long r = rmdir ? rl_empty(w) : 0;
    if (r >= 0)
        r = rl_step_lower(w, &self, &below);
    if (r < 0)
        return r;
    hide = below.what != RL_NONE;
    if (hide) {
        r = rl_copyup_parents(w);
        if (r >= 0)
            r = rl_whiteout_make(w);
        if (r < 0)
            return r;
    }
    if (!upper)
        return 0;
    long n = rl_upper_path(w->v, w->vlen, real);
    r = n < 0 ? n : rmdir ? rl_dir_remove(real, (u32)n) : k_unlink(real, 0);
    if (r < 0 && hide)
        rl_whiteout_drop(w);
    if (r >= 0)
        rl_record_drop(w, rl_vhash(w), real, (u32)n);
    return r;
}

long rl_unlink(int dirfd, const char *path, int flags)
{
    struct rl_scratch s;
    struct rl_walk w;
    int rmdir = flags & AT_REMOVEDIR;
    if (flags & ~AT_REMOVEDIR)
        return -EINVAL;
    rl_walk_start(&w, &s);
    long r = rl_resolve(&w, dirfd, path, RL_NAME, 0);
    if (r >= 0)
        r = check(&w, rmdir);
    if (r < 0)
        return r;
    if (w.hit.what == RL_IN_BIND)
        return remove_bind(&w, flags);
    r = rl_lock(&w);
    if (r < 0)
        return r;
    r = rl_again(&w);
    if (r >= 0)
        r = check(&w, rmdir);
    int seen = rmdir && w.hit.what == RL_IN_LAYER;
    if (seen)
        rl_changing();
    if (r >= 0)
        r = remove_locked(&w, rmdir);
    if (seen)
        rl_changed();
    rl_unlock(&w);
    return r;
}
