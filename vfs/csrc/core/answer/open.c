/* open(2): all steps before the final system call, which may block and is made by the engine.
 *
 * 1. A lower file is copied up before it is opened for writing.
 * 2. A new file is made here, so that its name, its record and the removal of its whiteout are atomic; O_EXCL keeps two
 *    creators apart.
 * 3. No descriptor of ours is open while the program's own is made: the program gets the lowest number.
 * 4. The object of a relative path is opened here, relative to its directory's descriptor or while it is certain that
 *    no directory was renamed meanwhile. An object whose open may block is the exception.
 * 5. No call of ours truncates a file that it opens read-only, or uses access mode 3: the filter rejects both
 *    (trap/table/checks.c). The program then gets a read-only descriptor; a program that uses mode 3 wants ioctls only. */
#include "../internal.h"

static int wants_write(int flags)
{
    return (flags & O_ACCMODE) != O_RDONLY || (flags & O_TRUNC);
}

static int tmpfile_flags(int flags)
{
    return (flags & O_TMPFILE) == O_TMPFILE;
}

static long wanted(int flags)
{
    static const u8 want[4] = {RL_R_OK, RL_W_OK, RL_R_OK | RL_W_OK, RL_R_OK | RL_W_OK};
    return want[flags & O_ACCMODE] | (flags & O_TRUNC ? RL_W_OK : 0);
}

/* Rule 4. The object of a truncation must be certain first, so the truncation is done afterwards. */
static long open_here(struct rl_walk *w, struct rl_open *o)
{
    int early = w->at == RL_NO_AT && w->lock < 0, cut = early && (o->flags & O_TRUNC) && !(o->flags & O_PATH);
    long fd = k_open(o->real, cut ? o->flags & ~O_TRUNC : o->flags, o->mode), r = rl_sure(w);
    if (r >= 0 && fd >= 0 && cut)
        r = k4(__NR_ftruncate, fd, 0, 0, 0);
    if (r < 0 && fd >= 0)
        k_close(fd);
    if (r < 0)
        return r;
    if (fd >= 0)
        o->done_fd = (int)fd;
    return fd;
}

static long open_tmpfile(struct rl_walk *w, unsigned mode, struct rl_open *o)
{
    if (!rl_isdir(w->hit.mode))
        return -ENOTDIR;
    if ((o->flags & O_ACCMODE) == O_RDONLY)
        return -EINVAL;
    if (rl_read_only(&w->self))
        return -EROFS;
    if (rl_readable(o->flags) != o->flags)
        o->flags = rl_readable(o->flags) | O_RDWR; /* rule 4: the kernel never makes a nameless file that is read-only */
    long r = rl_may(&w->hit, RL_W_OK | RL_X_OK);
    if (r >= 0)
        r = rl_copyup(w, 1);
    if (r >= 0)
        r = rl_object_real(w, o->real);
    o->mode = mode & 07777;
    if (r < 0 || (w->hit.what == RL_IN_BIND && !rl_bind_records(w->self.bind))) {
        o->mode &= ~(RL_SET_ID | rl_me.umask);
        return r;
    }
    struct rl_owner owner;
    struct rl_ctx parent = w->dir;
    w->dir = w->self;
    rl_owner_new(w, S_IFREG | o->mode, &owner);
    if (w->hit.what == RL_IN_BIND) {
        o->done_fd = (int)rl_volume_nameless(w, o->real, o->flags, &owner);
        w->dir = parent;
        return o->done_fd < 0 ? o->done_fd : 0;
    }
    w->dir = parent;
    u32 real = rl_owner_plain(&owner, rl_real_mode(owner.mode)) ? rl_real_mode(owner.mode) : rl_written_mode(owner.mode);
    o->mode = real & 07777;
    r = open_here(w, o);
    w->dir = w->self;
    if (r >= 0)
        rl_nameless_made(w, o->done_fd, &owner, real);
    w->dir = parent;
    return r;
}

/* An O_PATH descriptor. */
static long open_path(struct rl_walk *w, struct rl_open *o)
{
    u32 type = w->hit.mode & S_IFMT;
    o->flags &= ~(O_TRUNC | O_ACCMODE); /* meaningless here (rule 5) */
    if (type == S_IFLNK && !w->hit.magic)
        o->flags |= O_NOFOLLOW; /* the object of a link of /proc */
    if (type == S_IFDIR)
        return rl_dir_real(w, o->real);
    if (w->hit.what == RL_IN_VIEW && type != S_IFREG && rl_writable()) {
        long r = rl_copyup(w, 1); /* a link or a FIFO of a view has no real object to open */
        if (r < 0)
            return r;
    }
    return rl_object_real(w, o->real);
}

/* The step that the program's own descriptor does not do (rule 4): truncate the file at o->real. */
static long cut(const struct rl_walk *w, const struct rl_open *o, int asked)
{
    if (!(asked & O_TRUNC) || (o->flags & O_TRUNC) || !rl_isreg(w->hit.mode))
        return 0;
    long fd = k_open(o->real, O_WRONLY | O_TRUNC | O_NONBLOCK | O_NOCTTY | O_CLOEXEC, 0);
    return fd < 0 ? fd : k_close(fd);
}

static long open_bind(struct rl_walk *w, struct rl_open *o, int asked)
{
    struct rl_bind b = rl_bind((u32)w->self.bind);
    if ((b.flags & RL_BIND_RO) && wants_write(asked) && (rl_isreg(w->hit.mode) || rl_isdir(w->hit.mode)))
        return -EROFS;
    long r = rl_object_real(w, o->real);
    if (r >= 0 && w->hit.magic && wants_write(asked) && !rl_me.fsuid && !(w->hit.sx.stx_mode & 0200))
        rl_make_writable_magic(o->real, &w->hit.sx);
    if (r >= 0 && !wants_write(asked) && rl_proc_maps(w)) {
        r = rl_maps_open(o->real, o->flags);
        if (r >= 0)
            o->done_fd = (int)r;
    }
    u64 pid;
    if (r >= 0 && !wants_write(asked) && rl_proc_status(w, &pid)) {
        r = rl_status_open(o, pid);
        if (r >= 0)
            o->done_fd = (int)r;
        r = r == -ENODATA ? 0 : r;
    }
    o->regular = !w->hit.magic && (w->hit.mode & S_IFMT) != S_IFIFO;
    return r < 0 ? r : cut(w, o, asked);
}

static long open_existing(struct rl_walk *w, struct rl_open *o)
{
    struct rl_hit *h = &w->hit;
    u32 type = h->mode & S_IFMT;
    int asked = o->flags, changes = wants_write(rl_readable(asked));
    long r = rl_may(h, (u32)wanted(asked));
    if (r >= 0 && (asked & O_NOATIME))
        r = rl_may_own(h);
    if (r < 0)
        return r;
    if (changes && rl_busy(w))
        return -ETXTBSY;
    o->flags = rl_readable(asked);
    if (type == S_IFIFO && o->flags != asked)
        return -EINVAL; /* neither end */
    if ((o->flags & O_ACCMODE) == O_RDONLY)
        o->flags &= ~O_TRUNC;
    if (h->what == RL_IN_BIND)
        return open_bind(w, o, asked);
    if (type == S_IFDIR) {
        r = rl_copyup_opened(w);
        return r < 0 ? (r == -ENOENT ? -ESTALE : r) : rl_dir_real(w, o->real);
    }
    if (type == S_IFCHR || type == S_IFBLK)
        return rl_open_device(w, o);
    if (type == S_IFSOCK)
        return -ENXIO;
    if (!changes && (r = rl_copyup_opened(w)) < 0)
        return r == -ENOENT ? -ESTALE : r;
    if (type == S_IFIFO ? h->what == RL_IN_VIEW : changes) {
        w->want = type == S_IFREG && wants_write(o->flags) && !rl_watched(&w->dir) ? o->flags : -1;
        r = rl_copyup(w, !(asked & O_TRUNC));
        if (r >= 0)
            r = rl_drop_setid(w);
        if (r >= 0 && w->fd < 0)
            r = rl_make_writable(w);
        if (r < 0)
            return r == -ENOENT ? -ESTALE : r;
        if (w->fd >= 0) {
            o->done_fd = w->fd;
            return rl_object_real(w, o->real);
        }
    }
    o->regular = type == S_IFREG;
    if (h->what != RL_IN_VIEW) {
        r = rl_object_real(w, o->real);
        return r < 0 ? r : cut(w, o, asked);
    }
    r = rl_view_openfd(w, h->view, o->real, o->flags);
    if (r >= 0)
        o->done_fd = (int)r;
    if (r >= 0 && w->vlen > RL_LONG && !rl_view_entry(h->view)->source_len) /* fstat may not find its name */
        rl_fdcache_opened((int)r, h->view, 0, w->self.hash, 0, 0);
    return r;
}

static long open_object(struct rl_walk *w, int flags, unsigned mode, struct rl_open *o)
{
    struct rl_hit *h = &w->hit;
    if (tmpfile_flags(flags) && !(flags & O_PATH)) /* O_EXCL: the file never gets a name */
        return open_tmpfile(w, mode, o);
    o->flags &= ~(O_CREAT | O_EXCL); /* it exists: never create another by accident */
    if (flags & O_PATH)
        return open_path(w, o);
    if (rl_islnk(h->mode))
        return -ELOOP;
    if (rl_isdir(h->mode) && wants_write(flags))
        return -EISDIR;
    return open_existing(w, o);
}

static long attempt(struct rl_walk *w, int dirfd, const char *path, unsigned mode, u64 resolve, struct rl_open *o)
{
    int flags = o->flags, path_only = flags & O_PATH, creat = (flags & O_CREAT) && !path_only;
    int excl = creat && (flags & O_EXCL);
    u32 how = ((flags & O_NOFOLLOW) || excl ? 0 : RL_FOLLOW) | (creat ? RL_NAME : 0);
    long r = rl_resolve(w, dirfd, path, how, resolve);
    if (r < 0)
        return r;
    struct rl_hit *h = &w->hit;
    if (creat && w->slash)
        return -EISDIR;
    if (h->what == RL_NOTHING)
        return creat ? rl_open_new(w, mode, o) : -ENOENT;
    if (excl)
        return -EEXIST;
    if (creat && rl_isdir(h->mode))
        return -EISDIR;
    if ((w->slash || (flags & O_DIRECTORY)) && !rl_isdir(h->mode))
        return -ENOTDIR;
    u32 type = h->mode & S_IFMT;
    int may_block = !path_only && type != S_IFREG && type != S_IFDIR;
    r = open_object(w, flags, mode, o);
    int far = w->vlen + 512 > RL_PATH_MAX; /* too long for the engine, perhaps */
    int theirs = h->what == RL_IN_BIND && rl_is_text(o->real);
    if (r < 0 || o->done_fd >= 0 || !(w->relative || far) || theirs)
        return r;
    if (!may_block)
        return open_here(w, o);
    if (w->pin >= 0) {
        w->at = RL_NO_AT; /* it is opened when that descriptor is closed */
        r = rl_object_real(w, o->real);
    }
    if (r < 0 || *o->real != RL_AT || w->at == dirfd)
        return r;
    /* Deep: the descriptor is closed, too. It is opened here, if that cannot block. */
    int waits = !(o->flags & O_NONBLOCK) && (o->flags & O_ACCMODE) != O_RDWR;
    return type == S_IFIFO && waits ? -ENAMETOOLONG : open_here(w, o);
}

#define RESOLVE_KNOWN 0x1fu
#define RESOLVE_CACHED_ 0x20u /* no different: nearly all look-ups are answered from memory */
#define RESOLVE_ONE_ROOT 0x18u /* RESOLVE_BENEATH | RESOLVE_IN_ROOT */

/* Does this descriptor refer to a layer's directory? */
static int is_of_a_layer(int fd, struct rl_scratch *s)
{
    struct statx sx;
    long n = rl_fd_real(fd, s->real, sizeof s->real); /* -ENOENT: removed; the kernel still shows its name */
    if (n == -ENAMETOOLONG)
        return k_near(fd, "", AT_EMPTY_PATH, &sx) == 0 && rl_own_device(rl_makedev(sx.stx_dev_major, sx.stx_dev_minor));
    if (n < 0 && n != -ENOENT)
        return 0;
    int place = rl_classify(s->real, (u32)strlen(s->real)).place;
    return place == RL_PLACE_LAYER || place == RL_PLACE_TREE;
}

/* A removed directory can still be opened by a process that is in it; it is empty. */
static long open_removed(int dirfd, const char *path, struct rl_open *o, struct rl_scratch *s)
{
    if (!rl_same(path, ".") || tmpfile_flags(o->flags) || !is_of_a_layer(dirfd, s))
        return -ENOENT;
    if ((o->flags & O_CREAT) || wants_write(o->flags))
        return -EISDIR;
    long r = k4(__NR_openat, dirfd, (long)".", o->flags, 0);
    o->done_fd = r < 0 ? -1 : (int)r;
    return r;
}

/* A separate function, so that the fast path does not reach below these buffers: a page or two more. */
static __attribute__((noinline)) long prepare(int dirfd, const char *path, int flags, unsigned mode, u64 resolve,
                                              struct rl_open *o)
{
    struct rl_scratch s;
    struct rl_walk w;
    long r;
    rl_walk_start(&w, &s);
    do {
        o->flags = flags;
        o->mode = 0;
        o->done_fd = -1;
        o->regular = 0;
        r = attempt(&w, dirfd, path, mode, resolve, o);
        if (r >= 0)
            o->done_fd = (int)rl_lowest(&w, o->done_fd, flags);
        if (r >= 0 && o->done_fd >= 0 && w.vlen > RL_LONG)
            rl_deepfile_add(&w, o->done_fd);
    } while (rl_retry(&w, &r));
    rl_path_text(o->real);
    r = r == -ENOENT ? open_removed(dirfd, path, o, &s) : r;
    return r < 0 ? r : 0;
}

long rl_open_prepare(int dirfd, const char *path, int flags, unsigned mode, u64 resolve, struct rl_open *o)
{
    long r;
    if (resolve & ~(u64)(RESOLVE_KNOWN | RESOLVE_CACHED_) || (resolve & RESOLVE_ONE_ROOT) == RESOLVE_ONE_ROOT)
        return -EINVAL;
    if ((resolve & RESOLVE_CACHED_) && flags & (O_TRUNC | O_CREAT | (O_TMPFILE & ~O_DIRECTORY)))
        return -EAGAIN;
    if ((flags & (O_CREAT | O_DIRECTORY)) == (O_CREAT | O_DIRECTORY) && !(flags & O_PATH))
        return -EINVAL;
    int quick = !resolve && !(rl_launch->flags & RL_LAUNCH_TRACE); /* the fast path returns no real path */
    if (quick && ((r = rl_fast_open(dirfd, path, flags, o->real, sizeof o->real)) != RL_MISS ||
                  (rl_shown && (r = rl_shown_open(path, flags)) != RL_MISS))) {
        o->flags = flags;
        o->mode = 0;
        o->done_fd = (int)r;
        return r < 0 ? r : 0;
    }
    return prepare(dirfd, path, flags, mode, resolve, o);
}

/* Names, records and whiteouts were complete before the descriptor existed. */
long rl_open_finish(struct rl_open *o, long fd)
{
    (void)o;
    return fd;
}
