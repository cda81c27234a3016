/* stat, fstat, access, readlink, statfs. A view entry is answered without a disk access. */
#include "../internal.h"
#include "statpack.h"

#define MOUNT 144 /* offset of stx_mnt_id, which old headers do not have */
#define DIRECT_IO 152 /* of stx_dio_mem_align and stx_dio_offset_align */

static __attribute__((noinline)) long stat_path(int dirfd, const char *path, int flags, struct rl_attr *out)
{
    struct rl_scratch s;
    struct rl_walk w;
    rl_walk_start(&w, &s);
    long r = rl_resolve(&w, dirfd, path, rl_existing(flags), 0);
    if (r >= 0)
        rl_attr_of(&w.self, &w.hit, out);
    rl_done(&w);
    return r < 0 ? r : 0;
}

long rl_stat(int dirfd, const char *path, int flags, struct rl_attr *out)
{
    if (!path[0] && (flags & AT_EMPTY_PATH) && dirfd != AT_FDCWD)
        return rl_fstat(dirfd, out);
    long r = rl_shown ? rl_shown_stat(path, flags, out) : RL_MISS;
    if (r == RL_MISS)
        r = rl_fast_stat(dirfd, path, flags, out);
    if (r == RL_MISS)
        r = stat_path(dirfd, path, flags, out);
    return r == -ENOENT && rl_same(path, ".") ? rl_fstat(dirfd, out) : r; /* a directory that was removed */
}

/* The kernel cannot tell its name. */
static long fstat_deep(struct rl_walk *w, const struct statx *sx, int fd, struct rl_attr *out)
{
    long r = rl_isdir(sx->stx_mode) ? rl_resolve(w, fd, "", RL_EMPTY, 0) : rl_deepfile_find(w, sx);
    if (r == 1)
        rl_attr_of(NULL, &w->hit, out);
    else if (r >= 0)
        rl_attr_of(&w->self, &w->hit, out);
    else if (r != -EXDEV)
        rl_nameless_show(w->s, fd, sx, out); /* or whose name was removed */
    if (r == -ENOENT && rl_isdir(sx->stx_mode))
        out->nlink = 0;
    return 0;
}

/* The descriptor was opened for reading before the file was copied up: it reads the old content for ever, so this is
 * told of it. All else is the file's: futimens, too, reaches the copy. */
static void content_of(const struct statx *sx, struct rl_attr *a)
{
    if (a->size != sx->stx_size) {
        a->size = sx->stx_size;
        a->blocks = sx->stx_blocks;
    }
}

static long fstat_walk(struct rl_walk *w, const struct statx *sx, int fd, struct rl_attr *out)
{
    struct rl_scratch *s = w->s;
    struct rl_since since = rl_since(w);
    rl_attr_real(sx, out);
    if (rl_isdir(sx->stx_mode) && rl_chain_has(sx))
        return fstat_deep(w, sx, fd, out);
    long n = rl_fd_real(fd, s->real, sizeof s->real);
    if (n == -ENAMETOOLONG)
        return fstat_deep(w, sx, fd, out);
    if (n < 0 || s->real[0] != '/') {
        int ours = n == -ENOENT && rl_classify(s->real, (u32)strlen(s->real)).place == RL_PLACE_LAYER; /* by another name */
        if (n == -ENOENT && rl_volume_fd(fd, s->real, &w->hit) == 0) {
            out->mode = w->hit.mode;
            out->uid = w->hit.uid;
            out->gid = w->hit.gid;
        } else if (sx->stx_nlink == 0 || n >= 0 || ours) {
            rl_nameless_show(s, fd, sx, out);
        }
        return 0;
    }
    struct rl_real at = rl_classify(s->real, (u32)n);
    if (at.place == RL_OUTSIDE)
        return 0;
    if (at.place == RL_PLACE_BIND) {
        struct rl_bind b = rl_bind(at.index);
        if ((b.flags & RL_BIND_RECORDS) && rl_volume_fd(fd, s->real, &w->hit) == 0) {
            out->mode = w->hit.mode;
            out->uid = w->hit.uid;
            out->gid = w->hit.gid;
            return 0;
        }
        rl_bind_owner(&b, (u32)n == at.rest, &out->mode, &out->uid, &out->gid);
        return 0;
    }
    struct rl_origin o;
    long r = rl_real_virtual(s->real, (u32)n, &at, s->text, &o);
    if (r == -ENAMETOOLONG || (r > RL_LONG && rl_isdir(sx->stx_mode)))
        return fstat_deep(w, sx, fd, out);
    if (r >= 0)
        r = rl_resolve_plain(w, s->text);
    if (r >= 0 && rl_same_object(w, &o, sx)) {
        rl_attr_of(&w->self, &w->hit, out);
        if (w->hit.what == RL_IN_LAYER && rl_isreg(out->mode) && w->hit.sx.stx_ino != sx->stx_ino)
            content_of(sx, out);
        if (w->hit.what == RL_IN_LAYER && w->hit.layer == 0 && !w->hit.rec.has && w->quiet)
            rl_attrcache_add(w->moment, &w->hit.sx, &w->hit.rec);
        return rl_and_still(w, since, 0);
    }
    if (o.id) { /* its name was removed or belongs to another file: the view's attributes are still right */
        w->hit.lower_ino = 0;
        rl_show_view(o.id, &w->hit);
        rl_attr_of(NULL, &w->hit, out);
    } else {
        rl_nameless_show(s, fd, sx, out);
    }
    if (rl_isdir(sx->stx_mode) && (r >= 0 || r == -ENOENT || r == -ENOTDIR))
        out->nlink = 0; /* removed: a directory has one name */
    return rl_and_still(w, since, 0);
}

static __attribute__((noinline)) long fstat_named(const struct statx *sx, int fd, struct rl_attr *out)
{
    struct rl_scratch s;
    struct rl_walk w;
    long r;
    rl_walk_start(&w, &s);
    do
        r = fstat_walk(&w, sx, fd, out);
    while (rl_retry(&w, &r));
    return r;
}

/* 0: out holds the result for the program; RL_MISS: it holds the kernel's attributes of a file that may be ours. */
static long fstat_quick(int fd, struct statx *sx, struct rl_attr *out)
{
    long r = k_near(fd, "", AT_EMPTY_PATH, sx);
    if (r < 0)
        return r;
    rl_attr_real(sx, out);
    if (!rl_own_device(out->dev))
        return 0;
    if (rl_attrcache_attr(sx, out)) {
        rl_fdcache_asked();
        return 0;
    }
    if (rl_isdir(sx->stx_mode) && rl_dircache_plain(sx)) {
        rl_attr_plain(sx, out);
        return 0;
    }
    return rl_fdcache_file(fd, sx, out);
}

long rl_fast_fstat(int fd, struct rl_attr *out)
{
    struct statx sx;
    return fstat_quick(fd, &sx, out);
}

long rl_fstat(int fd, struct rl_attr *out)
{
    struct statx sx;
    long r = fstat_quick(fd, &sx, out);
    return r == RL_MISS ? fstat_named(&sx, fd, out) : r;
}

static long access_at(struct rl_walk *w, int dirfd, const char *path, int mode, int flags)
{
    char *real = w->s->real;
    long r = rl_resolve(w, dirfd, path, rl_existing(flags), 0);
    if (r < 0)
        return r;
    struct rl_hit *h = &w->hit;
    if (h->what == RL_IN_BIND) {
        struct rl_bind b = rl_bind((u32)w->self.bind);
        if ((mode & RL_W_OK) && (b.flags & RL_BIND_RO) && !rl_isdir(h->mode) && !rl_isreg(h->mode))
            mode &= ~RL_W_OK; /* devices and FIFOs can be written through a read-only mount */
        else if ((mode & RL_W_OK) && (b.flags & RL_BIND_RO))
            return -EROFS;
        r = h->given ? rl_hit_permit(h, (u32)mode, !(flags & AT_EACCESS)) : 0;
        if (r < 0 || (b.flags & RL_BIND_RECORDS))
            return r;
        r = rl_object_real(w, real);
        return r < 0 ? r : k_path(__NR_faccessat, AT_FDCWD, real, mode, 0, 0);
    }
    r = rl_hit_permit(h, (u32)mode, !(flags & AT_EACCESS));
    if (r == 0 && h->what == RL_IN_LAYER && !rl_islnk(h->mode) && !(rl_layers[h->layer].flags & RL_DIR_MARKS)) {
        r = rl_object_real(w, real); /* another user's directory: the kernel's permissions count, too */
        if (r >= 0)
            r = k_path(__NR_faccessat, AT_FDCWD, real, mode & ~RL_W_OK, 0, 0);
    }
    if (r == 0 && (mode & RL_W_OK) && !rl_writable())
        r = -EROFS;
    return r;
}

static __attribute__((noinline)) long access_path(int dirfd, const char *path, int mode, int flags)
{
    struct rl_scratch s;
    struct rl_walk w;
    rl_walk_start(&w, &s);
    long r = access_at(&w, dirfd, path, mode, flags);
    rl_done(&w);
    return r;
}

long rl_access(int dirfd, const char *path, int mode, int flags)
{
    if (mode & ~7)
        return -EINVAL;
    long r = rl_fast_access(dirfd, path, mode, flags);
    return r != RL_MISS ? r : access_path(dirfd, path, mode, flags);
}

static long copy_out(char *buf, size_t size, const char *text, long n)
{
    if (n < 0)
        return n;
    if ((size_t)n > size)
        n = (long)size;
    memcpy(buf, text, (size_t)n);
    return n;
}

static long readlink_at(struct rl_walk *w, int dirfd, const char *path, char *buf, size_t size)
{
    long r = rl_resolve(w, dirfd, path, RL_EXISTS | RL_EMPTY, 0);
    if (r < 0)
        return r;
    if (!rl_islnk(w->hit.mode))
        return path[0] ? -EINVAL : -ENOENT;
    if (w->hit.what == RL_IN_VIEW) {
        const struct rl_view_entry *e = rl_view_entry(w->hit.view);
        const char *text = rl_view_text(e->link, e->link_len);
        return text ? copy_out(buf, size, text, e->link_len) : -EIO;
    }
    u32 n = 0;
    const char *link = w->hit.what == RL_IN_BIND ? rl_bind_link(w, &n) : NULL;
    if (link)
        return copy_out(buf, size, link, n);
    if (w->hit.what == RL_IN_BIND && rl_proc_magic(w, &w->self, w->vlen)) {
        r = rl_proc_link(w, w->vlen);
        if (r >= 0)
            return copy_out(buf, size, w->s->mark, r);
        if (r != -ENOLINK)
            return r;
    }
    r = rl_object_real(w, w->s->real);
    if (r >= 0)
        r = k_readlink(w->s->real, buf, size);
    return rl_sure(w) < 0 ? -ESTALE : r;
}

static __attribute__((noinline)) long readlink_path(int dirfd, const char *path, char *buf, size_t size)
{
    struct rl_scratch s;
    struct rl_walk w;
    long r;
    rl_walk_start(&w, &s);
    do
        r = readlink_at(&w, dirfd, path, buf, size);
    while (rl_retry(&w, &r));
    return r;
}

long rl_readlink(int dirfd, const char *path, char *buf, size_t size)
{
    const char *quick;
    if ((long)size <= 0)
        return -EINVAL;
    long r = rl_fast_readlink(dirfd, path, &quick);
    return r != RL_MISS ? copy_out(buf, size, quick, r) : readlink_path(dirfd, path, buf, size);
}

long rl_statfs(const char *path, void *out)
{
    struct rl_scratch s;
    struct rl_walk w;
    rl_walk_start(&w, &s);
    long r = rl_resolve(&w, AT_FDCWD, path, RL_EXISTS | RL_FOLLOW, 0);
    /* Everything in the container is on the upper's file system, where its changes use space. */
    if (r >= 0 && w.hit.what != RL_IN_BIND && rl_nlayers)
        rl_put(s.real, rl_layers[0].len ? rl_layers[0].path : "/");
    else if (r >= 0)
        r = rl_object_real(&w, s.real);
    if (r >= 0) {
        rl_path_text(s.real);
        r = k4(__NR_statfs, (long)s.real, (long)out, 0, 0);
    }
    rl_done(&w);
    return r;
}

/* A file of the container has these as the upper's file system does, and the lock is a file there. Those of a host file
 * are left out. */
void rl_statx_more(struct statx *sx, const struct rl_attr *a, unsigned mask)
{
    struct statx lock;
    u32 more = mask & ~RL_STATX_PLAIN & ~(rl_isreg(a->mode) ? 0 : RL_STATX_DIOALIGN);
    if (!(mask & ~RL_STATX_PLAIN) || !rl_launch->lock.len || a->dev != rl_launch->st_dev ||
        rl_sys(__NR_statx, AT_FDCWD, (long)rl_launch_str(rl_launch->lock), 0, mask, (long)&lock, 0) < 0)
        return;
    sx->stx_mask |= lock.stx_mask & more;
    sx->stx_attributes_mask = lock.stx_attributes_mask;
    memcpy((char *)sx + MOUNT, (char *)&lock + MOUNT, DIRECT_IO - MOUNT);
    if (more & RL_STATX_DIOALIGN)
        memcpy((char *)sx + DIRECT_IO, (char *)&lock + DIRECT_IO, 8);
}
