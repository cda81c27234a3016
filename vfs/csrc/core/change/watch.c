/* Watched objects (inotify): docs/adr/0028.
 *
 * 1. A watched object is in the upper: it is copied up when the watch is added. The kernel then reports every change,
 *    and the watch stays valid, because the real object is never replaced.
 * 2. A bit of the Bloom filter for the path of each watched directory tells every process of the container: a name in
 *    it changes only when its object is in the upper, so that the kernel reports that change, too. A directory that is
 *    renamed takes the bit along (bloombits.c). A second bit tells that opens are watched, too: then a file or directory
 *    in it is copied up before it is opened for reading.
 * 3. What the engine itself does there has reserved names. events.c removes it from what the program reads. */
#include "../internal.h"

static int is_full(long r)
{
    return r == -ENOSPC || r == -EDQUOT || r == -EIO;
}

static int has(u64 dir, int kind)
{
    return rl_bloom_test(&rl_layers[0], rl_bloom_key(dir, kind));
}

static void set(u64 dir, int kind)
{
    rl_bloom_set(&rl_layers[0], rl_bloom_key(RL_FNV_START, kind));
    rl_bloom_set(&rl_layers[0], rl_bloom_key(dir, kind));
}

int rl_watched(const struct rl_ctx *dir)
{
    return rl_layers[0].bloom && dir->bind < 0 && has(dir->hash, RL_BLOOM_WATCHED);
}

void rl_watched_moved(u64 dir)
{
    for (int kind = RL_BLOOM_WATCHED; kind <= RL_BLOOM_OPENED; kind++)
        if (has(RL_FNV_START, kind))
            set(dir, kind);
}

int rl_anything_watched(void)
{
    return rl_nlayers && rl_layers[0].bloom && has(RL_FNV_START, RL_BLOOM_WATCHED);
}

/* The watch of the directory, and its parent's, report an IN_ATTRIB, each after a name that events.c knows. The parent's
 * times change anyway. */
static __attribute__((noinline)) long store_watched(struct rl_walk *w, const char *real, u32 len, const struct statx *sx,
                                                    u32 had, const char *text, u32 n)
{
    struct rl_keep keep;
    char mark[RL_REAL_MAX];
    u32 parent = len;
    while (parent && real[parent - 1] != '/')
        parent--;
    long below = rl_temp_quiet_path(mark, sizeof mark, real, len);
    if (below >= 0) {
        rl_keep_times(mark, (u32)below, &keep, 0);
        below = k_symlink(".", mark);
    }
    if (parent && rl_temp_quiet_path(w->s->mark, sizeof w->s->mark, real, parent - 1) >= 0 &&
        k_symlink(".", w->s->mark) >= 0)
        k_unlink(w->s->mark, 0);
    long r = rl_record_store(w, real, len, sx, had, text, n);
    if (below >= 0) {
        k_utimens(AT_FDCWD, mark, NULL, AT_SYMLINK_NOFOLLOW);
        k_unlink(mark, 0);
        rl_keep_times(mark, len, &keep, 1);
    }
    return r;
}

long rl_record_store_quietly(struct rl_walk *w, const char *real, u32 len, const struct statx *sx, u32 had,
                             const char *text, u32 n)
{
    int watched = rl_isdir(sx->stx_mode) && rl_layers[0].bloom && (rl_watched(&w->dir) || has(rl_vhash(w), RL_BLOOM_WATCHED));
    return watched ? store_watched(w, real, len, sx, had, text, n) : rl_record_store(w, real, len, sx, had, text, n);
}

long rl_copyup_watched(struct rl_walk *w)
{
    int lower = w->hit.what == RL_IN_VIEW || (w->hit.what == RL_IN_LAYER && w->hit.layer != 0);
    return lower && rl_watched(&w->dir) ? rl_copyup(w, 1) : 0;
}

long rl_copyup_opened(struct rl_walk *w)
{
    int lower = w->hit.what == RL_IN_VIEW || (w->hit.what == RL_IN_LAYER && w->hit.layer != 0);
    if (!lower || !(rl_isreg(w->hit.mode) || rl_isdir(w->hit.mode)) || !rl_writable() || !rl_opens_watched() || !has(w->dir.hash, RL_BLOOM_OPENED))
        return 0;
    long r = rl_copyup(w, 1);
    return is_full(r) ? 0 : r;
}

/* Descriptors of this process that were opened for reading before the copy-up refer to the layer's file. A program that
 * watches what it reads (tail -F) reads the copy from now on, from the same position. Descriptor `fd`, which may be of
 * that file. */
static void read_copy(int fd, const struct statx *lower, const char *real)
{
    struct statx sx;
    long flags, keep;
    if (k_statx(fd, "", AT_EMPTY_PATH, &sx) < 0 || sx.stx_ino != lower->stx_ino ||
        sx.stx_dev_major != lower->stx_dev_major || sx.stx_dev_minor != lower->stx_dev_minor)
        return;
    flags = k4(__NR_fcntl, fd, F_GETFL, 0, 0);
    keep = k4(__NR_fcntl, fd, F_GETFD, 0, 0);
    if (flags < 0 || (flags & (O_PATH | O_ACCMODE)) != O_RDONLY)
        return;
    long copy = rl_reserve_open(real, (int)(flags & ~(O_CREAT | O_EXCL | O_TRUNC)) | O_CLOEXEC, 0);
    if (copy < 0)
        return;
    k4(__NR_lseek, copy, k4(__NR_lseek, fd, 0, 1 /* SEEK_CUR */, 0), 0, 0);
    k4(__NR_dup3, copy, fd, keep & 1 /* FD_CLOEXEC */ ? O_CLOEXEC : 0, 0);
    k_close(copy);
}

static void read_copies(const struct statx *lower, const char *real)
{
    char buf[1024];
    long dir = rl_reserve_open("/proc/self/fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0), n;
    if (dir < 0)
        return;
    while ((n = k_getdents(dir, buf, sizeof buf)) > 0)
        for (long o = 0; o < n;) {
            const struct rl_dirent *e = (void *)(buf + o);
            const char *p = e->name;
            u64 fd;
            o += e->reclen;
            if (rl_number(&p, 10, &fd) && fd != (u64)dir)
                read_copy((int)fd, lower, real);
        }
    k_close(dir);
}

/* The layer's own file, if a descriptor may refer to it. */
static int lower_file(struct rl_walk *w, struct statx *sx)
{
    int lower = w->hit.what == RL_IN_VIEW || (w->hit.what == RL_IN_LAYER && w->hit.layer != 0);
    return lower && rl_isreg(w->hit.mode) && rl_object_real(w, w->s->real) >= 0 && k_lstat(w->s->real, sx) >= 0;
}

static long watch_path(struct rl_walk *w, const char *path, int flags, char *real, size_t size)
{
    char *out = w->s->real;
    long r = rl_resolve(w, AT_FDCWD, path, rl_existing(flags & ~RL_WATCH_OPENS), 0);
    if (r < 0)
        return r;
    if (w->hit.what == RL_IN_BIND || !rl_writable()) /* nothing is ever copied up */
        return RL_MISS;
    r = rl_may(&w->hit, RL_R_OK);
    if (r < 0)
        return r;
    struct statx lower;
    int dir = rl_isdir(w->hit.mode), opened = lower_file(w, &lower);
    r = rl_copyup(w, 1);
    if (r < 0)
        return is_full(r) ? RL_MISS : r;
    if (dir) {
        set(w->self.hash, RL_BLOOM_WATCHED);
        if (flags & RL_WATCH_OPENS)
            set(w->self.hash, RL_BLOOM_OPENED);
    }
    if (w->at != AT_FDCWD) /* the caller uses it after the walk */
        w->at = RL_NO_AT;
    r = rl_upper_path(w, w->vlen, out);
    if (r >= 0)
        r = rl_sure(w);
    if (r < 0)
        return r;
    size_t n = strlen(out);
    if (n >= size || *out == RL_AT)
        return -ENAMETOOLONG;
    memcpy(real, out, n + 1);
    if (opened)
        read_copies(&lower, real);
    return 0;
}

static __attribute__((noinline)) long watch_path_apart(const char *path, int flags, char *real, size_t size)
{
    struct rl_scratch s;
    struct rl_walk w;
    long r;
    rl_walk_start(&w, &s);
    do
        r = watch_path(&w, path, flags, real, size);
    while (rl_retry(&w, &r));
    return r;
}

/* The first walk's memory is given back before the others: the stack has room for one. */
long rl_watch_path(const char *path, int flags, char *real, size_t size)
{
    long r = watch_path_apart(path, flags, real, size);
    if (r != RL_MISS)
        return r;
    flags &= ~RL_WATCH_OPENS;
    r = rl_real_path(AT_FDCWD, path, flags, real, size);
    return r < 0 ? r : rl_access(AT_FDCWD, path, RL_R_OK, flags | AT_EACCESS);
}
