/* Change the record of an object, and find the object of a descriptor. */
#include "../internal.h"

long rl_edit_begin(struct rl_walk *w, struct rl_edit *e)
{
    long r = rl_lock(w);
    if (r < 0)
        return r;
    r = rl_upper_path(w, w->vlen, e->real);
    if (r >= 0) {
        e->len = (u32)r;
        e->fnv = rl_vhash(w);
        r = k_lstat(e->real, &e->sx); /* other processes may have linked it since the walk */
    }
    if (r >= 0)
        r = rl_record_read(w->s, &rl_layers[0], e->fnv, e->sx.stx_mode, e->real, e->len, e->text, &e->rec);
    if (r < 0) {
        rl_unlock(w);
        return r;
    }
    if (!r) {
        e->text[0] = 0;
        e->rec.xattrs = e->rec.redirect = 0; /* places in the text */
    }
    e->linked = e->rec.has & RL_HAS_LINKED ? e->rec.linked : 0;
    e->rec.has &= ~RL_HAS_LINKED;
    return 0;
}

/* `xattrs`: new x fields, or NULL to keep the old ones. */
long rl_edit_store(struct rl_walk *w, struct rl_edit *e, const char *xattrs, u32 n)
{
    const char *fields = e->text + e->rec.xattrs;
    if (xattrs) {
        fields = xattrs;
        e->rec.xattrs_len = n;
        e->rec.has = (e->rec.has & ~RL_HAS_XATTR) | (n ? RL_HAS_XATTR : 0);
    }
    long r = rl_record_format(&e->rec, fields, e->text + e->rec.redirect, w->s->text);
    if (r >= 0 && !rl_same(w->s->text, e->text)) {
        if (e->linked)
            return rl_linked_store(w->s, e->linked, w->s->text);
        r = rl_record_store(w, e->real, e->len, &e->sx, e->rec.has, w->s->text, (u32)r);
    }
    return r < 0 ? r : 0;
}

/* As the kernel does at each of these changes, though nothing else of the file itself has changed: backup programs read
 * ctime. The chown is to its own owner: network file systems do not pass on one that names no id. */
void rl_edit_stamp(const struct rl_edit *e)
{
    struct statx sx;
    if (k_lstat(e->real, &sx) >= 0)
        k_path(__NR_fchownat, AT_FDCWD, e->real, (i32)sx.stx_uid, -1, AT_SYMLINK_NOFOLLOW);
}

long rl_edit_end(struct rl_walk *w, struct rl_edit *e, const char *xattrs, u32 n)
{
    long r = rl_edit_store(w, e, xattrs, n);
    if (r >= 0)
        rl_edit_stamp(e);
    rl_unlock(w);
    return r;
}

/* The mode that is shown decides whether root or a group may write; the real file belongs to the host user, to whom its
 * own bits apply. From now on the record holds the mode. */
long rl_make_writable(struct rl_walk *w)
{
    struct rl_edit e;
    struct statx *sx = &w->hit.sx;
    if (w->hit.what != RL_IN_LAYER || w->hit.layer != 0 || !rl_isreg(w->hit.mode) || (w->hit.mode & sx->stx_mode & 0200))
        return 0;
    long r = rl_edit_begin(w, &e);
    if (r < 0)
        return r;
    r = k_lstat(e.real, sx);
    if (r >= 0 && !(sx->stx_mode & 0200)) {
        e.rec.mode = e.rec.has & RL_HAS_MODE ? e.rec.mode : sx->stx_mode;
        e.rec.has |= RL_HAS_MODE;
        r = rl_edit_store(w, &e, NULL, 0);
        if (r >= 0)
            r = k_chmod(e.real, (sx->stx_mode & 07777) | 0200);
    }
    rl_unlock(w);
    return r;
}

struct again {
    struct rl_scratch s;
    struct rl_walk w;
    char real[RL_REAL_MAX];
};

/* The same for a file of the upper that is opened once more through /proc. If it has no name any more, the kernel's
 * answer is final. */
void rl_make_writable_magic(const char *link, const struct statx *sx)
{
    struct again *m = rl_scratch_get(sizeof *m);
    if (!m)
        return;
    rl_walk_start(&m->w, &m->s);
    long n = k_readlink(link, m->real, sizeof m->real - 1);
    if (n > 0) {
        m->real[n] = 0;
        if (rl_virtual_path(m->real, m->s.text, sizeof m->s.text) >= 0 && rl_resolve_plain(&m->w, m->s.text) == 0 &&
            m->w.hit.what == RL_IN_LAYER && m->w.hit.sx.stx_ino == sx->stx_ino)
            rl_make_writable(&m->w);
        rl_end(&m->w);
    }
    rl_scratch_put(m, sizeof *m);
}

void rl_edit_cancel(struct rl_walk *w)
{
    rl_unlock(w);
}

/* The kernel cannot tell its name: a directory is found upwards, a file if this process opened it. */
static long by_deep_fd(struct rl_walk *w, int fd, const struct statx *sx, int *ours)
{
    if (!rl_isdir(sx->stx_mode)) {
        int found = rl_deepfile_find(w, sx) == 0;
        *ours = found && rl_writable();
        w->own = found ? fd : -1;
        return found;
    }
    long r = rl_resolve(w, fd, "", RL_EMPTY, 0);
    if (r < 0)
        return r == -ENOENT || r == -EXDEV ? 0 : r;
    if (w->hit.what == RL_IN_BIND)
        return rl_bind((u32)w->self.bind).flags & RL_BIND_RO ? -EROFS : 0;
    *ours = rl_writable();
    if (w->at != RL_NO_AT)
        w->own = fd;
    return 1;
}

static long by_fd(struct rl_walk *w, int fd, int *ours)
{
    struct rl_scratch *s = w->s;
    struct statx sx;
    long r = k_statx(fd, "", AT_EMPTY_PATH, &sx);
    if (r < 0)
        return r;
    u32 id = rl_fdcache_entry(&sx);
    if (id && rl_view_path(id, s->text, sizeof s->text) >= 0 && rl_resolve_plain(w, s->text) == 0 &&
        w->hit.what == RL_IN_VIEW && w->hit.view == id)
        return 1;
    long n = rl_isdir(sx.stx_mode) && rl_chain_has(&sx) ? -ENAMETOOLONG : rl_fd_real(fd, s->real, sizeof s->real);
    if (n == -ENAMETOOLONG)
        return by_deep_fd(w, fd, &sx, ours);
    if (n == -ENOENT)
        return 0;
    if (n < 0)
        return n;
    if (s->real[0] != '/')
        return 0;
    struct rl_real at = rl_classify(s->real, (u32)n);
    if (at.place == RL_OUTSIDE || at.place == RL_PLACE_BIND)
        return at.place == RL_PLACE_BIND && (rl_bind(at.index).flags & RL_BIND_RO) ? -EROFS : 0;
    int upper = at.place == RL_PLACE_LAYER && at.index == 0 && rl_writable();
    *ours = rl_writable();
    struct rl_origin o;
    r = rl_real_virtual(s->real, (u32)n, &at, s->text, &o);
    if (r == -ENAMETOOLONG)
        return by_deep_fd(w, fd, &sx, ours);
    if (r >= 0)
        r = rl_resolve_plain(w, s->text);
    if (r < 0 || !rl_same_object(w, &o, &sx))
        return upper ? 0 : -EROFS;
    if (upper)
        w->own = fd;
    if (upper && rl_isdir(sx.stx_mode))
        rl_begin_at(w, fd);
    return 1;
}

long rl_by_fd(struct rl_walk *w, int fd)
{
    struct rl_since since = rl_since(w);
    int ours = 0;
    long r = by_fd(w, fd, &ours);
    return ours ? rl_and_still(w, since, r) : r;
}

long rl_only_named(int fd)
{
    long flags = k4(__NR_fcntl, fd, F_GETFL, 0, 0);
    return flags < 0 ? flags : flags & O_PATH ? -EBADF : 0;
}

long rl_object(struct rl_walk *w, int dirfd, const char *path, int flags)
{
    long only = path ? 0 : rl_only_named(dirfd);
    if (only < 0)
        return only;
    if (!path || (!path[0] && (flags & AT_EMPTY_PATH) && dirfd != AT_FDCWD)) {
        long r = rl_by_fd(w, dirfd);
        if (path) /* it may be an O_PATH descriptor */
            w->own = -1;
        return r == 1 && w->hit.what != RL_IN_BIND && !rl_writable() ? -EROFS : r;
    }
    long r = rl_resolve(w, dirfd, path, rl_existing(flags), 0);
    if (r < 0)
        return r;
    if (w->hit.what == RL_IN_BIND ? rl_bind((u32)w->self.bind).flags & RL_BIND_RO : !rl_writable())
        return -EROFS;
    return 1;
}
