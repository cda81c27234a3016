/* chmod, chown, utimens, truncate. Attributes that the real file cannot hold are stored in its record. */
#include "../internal.h"

#define UTIME_OMIT_ ((1 << 30) - 2)

static long show_as(struct rl_walk *w, struct rl_owner *o, struct rl_edit *e, const struct rl_xattr *acl)
{
    u32 real = rl_real_mode(o->mode);
    int stamped = !rl_islnk(o->mode) && (w->hit.sx.stx_mode & 07777) != (real & 07777);
    rl_owner_fields(o, real, &e->rec);
    if (!w->vlen && (o->mode != real || w->dir.view || (w->dir.mask & ~1u))) {
        e->rec.has |= RL_HAS_MODE; /* the root's own: without it the lower root's shows */
        e->rec.mode = o->mode;
    }
    long r = acl || (e->rec.has & RL_HAS_ACL) ? rl_acl_store(w, e, o->mode, acl) : rl_edit_store(w, e, NULL, 0);
    if (r >= 0 && stamped)
        r = k_chmod(e->real, real & 07777);
    else if (r >= 0)
        rl_edit_stamp(e);
    return r;
}

/* A file without a record, with attributes that need none: one step, without the lock. A process that held the lock
 * meanwhile may have made a record: then all is done once more. RL_MISS: use the slow path. */
static long apply_alone(struct rl_walk *w, const struct rl_owner *o)
{
    const struct rl_hit *h = &w->hit;
    u32 mode = rl_real_mode(o->mode);
    if (!w->quiet || !rl_isreg(h->mode) || h->what != RL_IN_LAYER || h->layer || h->rec.has || h->sx.stx_nlink != 1 ||
        !rl_unrecorded(w) || !rl_owner_plain(o, mode))
        return RL_MISS;
    long r = w->own < 0 ? rl_hold(w) : 0;
    if (r >= 0)
        r = rl_upper_path(w, w->vlen, w->s->real);
    if (r >= 0)
        r = w->own < 0 ? k_chmod(w->s->real, mode & 07777) : k4(__NR_fchmod, w->own, mode & 07777, 0, 0);
    return r < 0 || rl_undisturbed(w->moment) ? r : RL_MISS;
}

long rl_owner_apply(struct rl_walk *w, struct rl_owner *o, const struct rl_xattr *acl)
{
    struct rl_edit e;
    int seen = rl_isdir(o->mode);
    long r = acl ? RL_MISS : apply_alone(w, o);
    if (r != RL_MISS)
        return r;
    r = rl_edit_begin(w, &e);
    if (r < 0)
        return r;
    if (seen)
        rl_changing();
    r = show_as(w, o, &e, acl);
    if (seen)
        rl_changed_one(e.fnv);
    rl_unlock(w);
    return r;
}

void rl_owner_now(const struct rl_walk *w, struct rl_owner *o)
{
    struct rl_attr a;
    rl_attr_of(&w->self, &w->hit, &a);
    o->uid = a.uid;
    o->gid = a.gid;
    o->mode = a.mode;
    o->major = a.rdev_major;
    o->minor = a.rdev_minor;
    o->inherits = 0;
}

/* The cached record of a descriptor's file of the upper: its name need not be looked up. */
static int own_file(int fd, struct rl_hit *h)
{
    if (k_near(fd, "", AT_EMPTY_PATH, &h->sx) < 0 || !rl_isreg(h->sx.stx_mode))
        return 0;
    rl_fdcache_asked();
    if (!rl_attrcache_find(&h->sx, &h->rec))
        return 0;
    h->what = RL_IN_LAYER;
    h->layer = 0;
    rl_show_real(&rl_layers[0], h);
    return 1;
}

/* Like apply_alone(). A record of the owner alone stays as it is. */
static __attribute__((noinline)) long chmod_own(int fd, u32 mode)
{
    struct rl_hit h;
    u32 now;
    if (!rl_quiet(&now) || !own_file(fd, &h) || (h.rec.has & ~(RL_IN_FILE | RL_HAS_UID | RL_HAS_GID | RL_HAS_INO)))
        return RL_MISS;
    mode = S_IFREG | (mode & 07777);
    if (rl_me.fsuid && !rl_in_group(h.gid))
        mode &= ~(u32)S_ISGID;
    if (rl_real_mode(mode) != mode)
        return RL_MISS;
    long r = rl_may_own(&h);
    if (r >= 0)
        r = k4(__NR_fchmod, fd, mode & 01777, 0, 0);
    return r < 0 || rl_undisturbed(now) ? r : RL_MISS;
}

static long chmod_at(struct rl_walk *w, int dirfd, const char *path, unsigned mode, int flags)
{
    struct rl_owner o;
    long r = rl_object(w, dirfd, path, flags);
    if (r < 0)
        return r;
    if (r == 0) {
        r = rl_nameless_change(w, dirfd, mode, ~0u, ~0u);
        if (r == RL_MISS && rl_volume_fd(dirfd, w->s->real, &w->hit) == 0)
            r = rl_volume_change(w->s->real, &w->hit, mode, ~0u, ~0u);
        return r != RL_MISS ? r : k4(__NR_fchmod, dirfd, mode & 01777, 0, 0);
    }
    if (w->hit.what == RL_IN_BIND) {
        r = rl_object_real(w, w->s->real);
        if (r >= 0 && rl_bind_records(w->self.bind) && !rl_islnk(w->hit.mode))
            return rl_volume_change(w->s->real, &w->hit, mode, ~0u, ~0u);
        return r < 0 ? r : rl_chmod_bind(w->s->real, w->hit.sx.stx_mode, mode & 07777, w->s->text);
    }
    if (rl_islnk(w->hit.mode))
        return -EOPNOTSUPP;
    r = rl_may_own(&w->hit);
    if (r >= 0)
        r = rl_copyup(w, 1);
    if (r < 0)
        return r;
    rl_owner_now(w, &o);
    o.mode = (o.mode & S_IFMT) | (mode & 07777);
    if (rl_me.fsuid && !rl_in_group(o.gid))
        o.mode &= ~(u32)S_ISGID;
    return rl_owner_apply(w, &o, NULL);
}

long rl_fast_fchmod(int fd, unsigned mode)
{
    return chmod_own(fd, mode);
}

long rl_chmod(int dirfd, const char *path, unsigned mode, int flags)
{
    struct rl_scratch s;
    struct rl_walk w;
    long r = path ? RL_MISS : chmod_own(dirfd, mode);
    if (r != RL_MISS)
        return r;
    rl_walk_start(&w, &s);
    do
        r = chmod_at(&w, dirfd, path, mode, flags);
    while (rl_retry(&w, &r));
    return r;
}

long rl_may_chown(const struct rl_hit *h, u32 uid, u32 gid)
{
    if (!rl_me.fsuid)
        return 0;
    if (uid != ~0u && (uid != h->uid || rl_me.fsuid != h->uid))
        return -EPERM;
    if (gid != ~0u && (rl_me.fsuid != h->uid || (gid != h->gid && !rl_in_group(gid))))
        return -EPERM;
    return 0;
}

/* A change that virtual root may make and the kernel refuses to the caller has no effect and is not an error: the owner
 * of a host file cannot be recorded, and `tar x` as root must not fail over it. */
static long chown_quiet(long r)
{
    return (r == -EPERM || r == -EINVAL) && !rl_me.fsuid ? 0 : r;
}

static long chown_bind(struct rl_walk *w, u32 uid, u32 gid)
{
    u32 flags = rl_bind((u32)w->self.bind).flags;
    if ((flags & RL_BIND_OWNER) && !(flags & RL_BIND_RECORDS)) {
        uid = uid == rl_me.fsuid ? rl_launch->host_uid : uid;
        gid = gid == rl_me.fsgid ? rl_launch->host_gid : gid;
    }
    long r = rl_object_real(w, w->s->real);
    if (r >= 0 && (flags & RL_BIND_RECORDS))
        return rl_volume_change(w->s->real, &w->hit, ~0u, uid, gid);
    if (r >= 0)
        r = k_path(__NR_fchownat, AT_FDCWD, w->s->real, (i32)uid, (i32)gid, w->hit.magic ? 0 : AT_SYMLINK_NOFOLLOW);
    return flags & RL_BIND_PROC ? r : chown_quiet(r);
}

/* Like chmod_own(), to the owner that it has: only ctime changes. A refusal needs no walk either. */
static __attribute__((noinline)) long chown_own(int fd, u32 uid, u32 gid)
{
    struct rl_hit h;
    if (!own_file(fd, &h))
        return RL_MISS;
    long r = rl_may_chown(&h, uid, gid);
    if (r >= 0 && (h.mode & (S_ISUID | S_ISGID) || (uid != ~0u && uid != h.uid) || (gid != ~0u && gid != h.gid)))
        return RL_MISS;
    return r < 0 ? r : k4(__NR_fchown, fd, (i32)h.sx.stx_uid, -1, 0); /* like rl_edit_stamp() */
}

static long chown_at(struct rl_walk *w, int dirfd, const char *path, u32 uid, u32 gid, int flags)
{
    struct rl_owner o;
    long r = rl_object(w, dirfd, path, flags);
    if (r < 0)
        return r;
    if (r == 0 && (r = rl_nameless_change(w, dirfd, ~0u, uid, gid)) != RL_MISS)
        return r;
    if (r == RL_MISS && rl_volume_fd(dirfd, w->s->real, &w->hit) == 0)
        return rl_volume_change(w->s->real, &w->hit, ~0u, uid, gid);
    if (r == RL_MISS) {
        u32 u = uid == rl_layers[0].uid || uid == rl_me.fsuid ? rl_launch->host_uid : uid;
        u32 g = gid == rl_layers[0].gid || gid == rl_me.fsgid ? rl_launch->host_gid : gid;
        return chown_quiet(k4(__NR_fchown, dirfd, (i32)u, (i32)g, 0));
    }
    if (w->hit.what == RL_IN_BIND)
        return chown_bind(w, uid, gid);
    r = rl_may_chown(&w->hit, uid, gid);
    if (r >= 0)
        r = rl_copyup(w, 1);
    if (r < 0)
        return r;
    rl_owner_now(w, &o);
    if (uid != ~0u)
        o.uid = uid;
    if (gid != ~0u)
        o.gid = gid;
    if (!rl_isdir(o.mode) && !rl_islnk(o.mode)) /* as the kernel does: a new owner must not get a set-id program */
        o.mode &= ~(u32)(S_ISUID | ((o.mode & S_IXGRP) ? S_ISGID : 0));
    return rl_owner_apply(w, &o, NULL);
}

long rl_fast_fchown(int fd, u32 uid, u32 gid)
{
    return chown_own(fd, uid, gid);
}

long rl_chown(int dirfd, const char *path, u32 uid, u32 gid, int flags)
{
    struct rl_scratch s;
    struct rl_walk w;
    long r = path ? RL_MISS : chown_own(dirfd, uid, gid);
    if (r != RL_MISS)
        return r;
    rl_walk_start(&w, &s);
    do
        r = chown_at(&w, dirfd, path, uid, gid, flags);
    while (rl_retry(&w, &r));
    return r;
}

static int bad_ns(i64 ns)
{
    return ns != UTIME_NOW_ && ns != UTIME_OMIT_ && (ns < 0 || ns > 999999999);
}

static int bad_times(const i64 *t)
{
    return t && (bad_ns(t[1]) || bad_ns(t[3]));
}

static long may_touch(const struct rl_hit *h, const i64 *t)
{
    int now = !t || (t[1] == UTIME_NOW_ && t[3] == UTIME_NOW_);
    if (t && t[1] == UTIME_OMIT_ && t[3] == UTIME_OMIT_)
        return 0;
    if (rl_may_own(h) == 0)
        return 0;
    return now ? rl_may(h, RL_W_OK) : -EPERM;
}

static long utimens_at(struct rl_walk *w, int dirfd, const char *path, const i64 *times, int flags)
{
    long r = rl_object(w, dirfd, path, flags);
    if (r < 0)
        return r;
    if (bad_times(times))
        return -EINVAL;
    if (r == 0)
        return k_utimens(dirfd, NULL, times, 0);
    r = may_touch(&w->hit, times);
    if (r >= 0)
        r = rl_copyup(w, 1);
    if (r >= 0 && w->own >= 0)
        return k_utimens(w->own, NULL, times, 0);
    if (r >= 0)
        r = rl_hold_object(w);
    if (r >= 0)
        r = rl_object_real(w, w->s->real);
    return r < 0 ? r : k_utimens(AT_FDCWD, w->s->real, times, w->hit.magic ? 0 : AT_SYMLINK_NOFOLLOW);
}

static __attribute__((noinline)) long utimens_own(int fd, const i64 *times)
{
    struct rl_hit h;
    if (bad_times(times) || !own_file(fd, &h))
        return RL_MISS;
    long r = may_touch(&h, times);
    return r < 0 ? r : k_utimens(fd, NULL, times, 0);
}

long rl_fast_futimens(int fd, const i64 *times)
{
    return fd == AT_FDCWD ? RL_MISS : utimens_own(fd, times);
}

long rl_utimens(int dirfd, const char *path, const i64 times[4], int flags)
{
    struct rl_scratch s;
    struct rl_walk w;
    long r = RL_MISS;
    if (!path && dirfd == AT_FDCWD)
        return -EFAULT;
    if (!path && flags)
        return -EINVAL;
    if (!path)
        r = utimens_own(dirfd, times);
    if (r == RL_MISS) {
        rl_walk_start(&w, &s);
        do
            r = utimens_at(&w, dirfd, path, times, flags);
        while (rl_retry(&w, &r));
    }
    rl_removed_timed();
    return r;
}

/* A user other than root is about to write to the file: it must not stay a set-id program. The kernel drops the bits at
 * the first write, which we do not see. */
long rl_drop_setid(struct rl_walk *w)
{
    struct rl_owner o;
    u32 mode = w->hit.mode;
    if (!rl_me.fsuid || w->hit.what == RL_IN_BIND || !rl_isreg(mode))
        return 0;
    u32 drop = (mode & S_ISUID) | ((mode & S_IXGRP) ? mode & S_ISGID : 0);
    if (!drop)
        return 0;
    rl_owner_now(w, &o);
    o.mode &= ~drop;
    return rl_owner_apply(w, &o, NULL);
}

/* A truncate(2) to the current size changes the time on ext4 and its predecessors alone (POSIX: it changes nothing);
 * ftruncate(2) does so everywhere. */
static int truncate_stamps(long fd)
{
    i64 fs[15];
    return k4(__NR_fstatfs, fd, (long)fs, 0, 0) == 0 && fs[0] == 0xef53;
}

static long truncate_at(struct rl_walk *w, const char *path, i64 size)
{
    struct statx sx;
    long r = rl_resolve(w, AT_FDCWD, path, RL_EXISTS | RL_FOLLOW, 0);
    if (r < 0)
        return r;
    if (!rl_isreg(w->hit.mode))
        return rl_isdir(w->hit.mode) ? -EISDIR : -EINVAL;
    if (w->hit.what == RL_IN_BIND && rl_read_only(&w->self))
        return -EROFS;
    r = rl_may(&w->hit, RL_W_OK);
    if (r >= 0 && rl_busy(w))
        r = -ETXTBSY;
    if (r >= 0)
        r = rl_copyup(w, size != 0);
    if (r >= 0)
        r = rl_drop_setid(w);
    if (r >= 0)
        r = rl_make_writable(w);
    if (r >= 0)
        r = rl_hold(w);
    if (r >= 0)
        r = rl_object_real(w, w->s->real);
    if (r < 0)
        return r;
    /* Not by truncate(2): it would be open to every process that finds the gate (trap/start/confine.c). */
    long fd = k_open(w->s->real, O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC, 0);
    if (fd < 0)
        return fd;
    r = k_statx(fd, "", AT_EMPTY_PATH, &sx);
    if (r < 0 || sx.stx_size != (u64)size || truncate_stamps(fd))
        r = k4(__NR_ftruncate, fd, size, 0, 0);
    k_close(fd);
    return r;
}

long rl_truncate(const char *path, i64 size)
{
    struct rl_scratch s;
    struct rl_walk w;
    long r;
    if (size < 0)
        return -EINVAL;
    rl_walk_start(&w, &s);
    do
        r = truncate_at(&w, path, size);
    while (rl_retry(&w, &r));
    return r;
}
