/* Real paths of objects for the engine: programs to execute, sockets, watched files. */
#include "../internal.h"

/* A program whose path is too long for a text: by a name in the working directory, of the upper. */
static long deep_program(struct rl_walk *w, struct rl_exec *out, long r)
{
    if (w->hit.what == RL_IN_VIEW) {
        r = rl_copyup(w, 1);
        out->view = 0;
        if (r >= 0)
            r = rl_object_real(w, out->real);
    }
    return r < 0 ? r : *out->real == RL_AT ? -ENAMETOOLONG : 0;
}

static long exec_find(struct rl_walk *w, int dirfd, const char *path, int flags, struct rl_exec *out)
{
    long r = rl_resolve(w, dirfd, path, rl_existing(flags), 0);
    if (r < 0)
        return r;
    struct rl_hit *h = &w->hit;
    if (w->at != AT_FDCWD) /* the path must stay valid after that descriptor is closed */
        w->at = RL_NO_AT;
    if (rl_islnk(h->mode))
        return -ELOOP;
    if (!rl_isreg(h->mode))
        return -EACCES;
    r = rl_may(h, RL_X_OK);
    if (r < 0)
        return r;
    out->view = h->what == RL_IN_VIEW ? h->view : 0;
    r = out->view ? rl_view_real(out->view, out->real, sizeof out->real) : rl_object_real(w, out->real);
    if (r < 0 || *out->real == RL_AT || w->vlen >= RL_PATH_MAX)
        r = deep_program(w, out, r);
    if (r < 0)
        return r;
    if (h->what == RL_IN_BIND) {
        r = k4(__NR_faccessat, AT_FDCWD, (long)out->real, RL_X_OK, 0);
        if (r < 0)
            return r;
    }
    rl_attr_of(&w->self, h, &out->attr);
    if (h->what == RL_IN_BIND)
        out->attr.mode &= ~(u32)06000;
    u32 shown = w->vlen < RL_PATH_MAX ? w->vlen : 0; /* a longer one is no text for /proc/self/exe */
    memcpy(out->vpath, w->v, shown);
    out->vpath[shown] = 0;
    return rl_sure(w);
}

long rl_exec_find(int dirfd, const char *path, int flags, struct rl_exec *out)
{
    struct rl_scratch s;
    struct rl_walk w;
    long r;
    rl_walk_start(&w, &s);
    do
        r = exec_find(&w, dirfd, path, flags, out);
    while (rl_retry(&w, &r));
    return r;
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
    if (r >= 0)
        rl_running_note(&out->attr);
    return r < 0 || !out->view || k_exists(out->real) ? r : rl_hydrate(out->view);
}

static long real_path(struct rl_walk *w, int dirfd, const char *path, int flags, char *real, size_t size)
{
    char *mark = w->s->mark;
    long r = rl_resolve(w, dirfd, path, rl_existing(flags), 0);
    if (w->at != AT_FDCWD) /* the caller may keep it for longer */
        w->at = RL_NO_AT;
    if (r >= 0)
        r = rl_isdir(w->hit.mode) ? rl_dir_real(w, mark) : rl_object_real(w, mark);
    if (r >= 0)
        r = rl_sure(w);
    if (r < 0)
        return r;
    size_t n = strlen(mark);
    if (n >= size || *mark == RL_AT) /* its descriptor is closed with the walk */
        return -ENAMETOOLONG;
    memcpy(real, mark, n + 1);
    return 0;
}

long rl_real_path(int dirfd, const char *path, int flags, char *real, size_t size)
{
    struct rl_scratch s;
    struct rl_walk w;
    long r;
    rl_walk_start(&w, &s);
    do
        r = real_path(&w, dirfd, path, flags, real, size);
    while (rl_retry(&w, &r));
    return r;
}

/* The name is valid while the lock is held. */
static long name_begin(struct rl_walk *w, const char *path, char *real, size_t size)
{
    char *mark = w->s->mark;
    long r = rl_lock_now(w);
    if (r >= 0)
        r = rl_resolve(w, AT_FDCWD, path, RL_NAME, 0);
    if (r >= 0 && w->hit.what != RL_NOTHING)
        return -EADDRINUSE;
    if (r >= 0 && w->slash)
        return -ENOENT;
    if (w->at != AT_FDCWD || !w->deep)
        w->at = RL_NO_AT;
    if (r >= 0)
        r = rl_create_begin(w, mark);
    if (r >= 0 && ((size_t)r >= size || *mark == RL_AT))
        r = -ENAMETOOLONG;
    if (r >= 0)
        memcpy(real, mark, (size_t)r + 1);
    return r;
}

long rl_name_begin(const char *path, char *real, size_t size)
{
    struct rl_scratch s;
    struct rl_walk w;
    rl_walk_start(&w, &s);
    long r = name_begin(&w, path, real, size);
    rl_done(&w);
    if (r < 0)
        rl_unlock(&w);
    return r < 0 ? r : w.lock >= 0 ? w.lock : RL_NO_LOCK;
}

/* Another system call has made the name: remove its whiteout, record its owner. */
static long settle(struct rl_walk *w, const char *real)
{
    struct rl_owner o;
    struct rl_real at = rl_classify(real, (u32)strlen(real));
    long r;
    if (*real == '.') { /* in a deep working directory */
        r = rl_resolve(w, AT_FDCWD, real, RL_EXISTS | RL_NAME, 0);
    } else {
        if (at.place == RL_PLACE_BIND && rl_bind_records((i32)at.index)) {
            w->dir.mode = 0; /* no group of a directory counts for it */
            rl_put(w->s->real, real);
            rl_owner_made(w, S_IFSOCK | 0777, &o);
            rl_volume_made(w, w->s->real, &o);
        }
        if (at.place != RL_PLACE_LAYER || at.index != 0 || !rl_writable())
            return 0;
        r = rl_virtual_path(real, w->s->text, sizeof w->s->text);
        if (r >= 0)
            r = rl_resolve_plain(w, w->s->text);
    }
    if (r < 0)
        return r;
    rl_owner_made(w, w->hit.sx.stx_mode, &o);
    long n = rl_upper_path(w, w->vlen, w->s->real);
    r = n < 0 ? n : rl_owner_text(w, &o, w->hit.sx.stx_mode);
    if (r >= 0)
        r = rl_record_store(w, w->s->real, (u32)n, &w->hit.sx, 0, w->s->text, (u32)r);
    rl_whiteout_drop(w);
    return r;
}

long rl_name_end(const char *real, long lock, int made)
{
    struct rl_scratch s;
    struct rl_walk w;
    rl_walk_start(&w, &s);
    w.lock = lock == RL_NO_LOCK ? -1 : (i32)lock;
    long r = made ? settle(&w, real) : 0;
    rl_end(&w);
    return r;
}
