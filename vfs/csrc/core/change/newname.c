/* New names: mkdir, mknod, symlink, link. */
#include "../internal.h"

struct thing {
    struct rl_owner owner;
    const char *target; /* of a symbolic link */
};

static long make(const struct thing *t, const char *path)
{
    u32 mode = rl_real_mode(t->owner.mode);
    if (rl_isdir(mode))
        return k_mkdir(path, mode & 07777);
    if (rl_islnk(mode))
        return k_symlink(t->target, path);
    return k_mknod(path, mode, 0);
}

/* Under a temporary name first: its record is an attribute, or it is opaque, from its first moment. */
static __attribute__((noinline)) long make_finished(struct rl_walk *w, const struct thing *t, const char *real, u32 len,
                                                    u32 record, int opaque)
{
    char temp[RL_REAL_MAX];
    u32 mode = rl_real_mode(t->owner.mode);
    long n = rl_temp_new_path(temp, sizeof temp, real, len);
    long r = n < 0 ? n : make(t, temp);
    if (r < 0)
        return r;
    r = rl_record_put(rl_vhash(w), -1, temp, mode, w->s->text, record);
    if (r > 0)
        r = rl_record_link(w, rl_vhash(w), real, len, w->s->text, (u32)r);
    if (r >= 0 && opaque)
        r = rl_opaque_make(temp, (u32)n, rl_vhash(w));
    if (r >= 0)
        r = rl_publish(w, temp, real);
    if (r < 0 && rl_isdir(mode))
        rl_dir_remove(temp, (u32)n, 0);
    else if (r < 0)
        k_unlink(temp, 0);
    return r;
}

static long make_marked(struct rl_walk *w, const struct thing *t, const char *real, u32 len)
{
    u32 mode = rl_real_mode(t->owner.mode);
    int white = w->hit.white, opaque = white && rl_isdir(mode);
    long n = rl_owner_text(w, &t->owner, mode);
    int held = n > 0 && rl_record_held(mode);
    long r = n < 0 ? n : held && !white ? 0 : rl_lock(w);
    if (r >= 0 && !held)
        r = k_exists(real) ? -EEXIST : rl_record_link(w, rl_vhash(w), real, len, w->s->text, (u32)n);
    if (r >= 0)
        r = held || opaque ? make_finished(w, t, real, len, held ? (u32)n : 0, opaque) : make(t, real);
    if (r >= 0 && white)
        rl_whiteout_drop(w);
    else if (r >= 0)
        rl_late(w);
    rl_unlock(w);
    return r;
}

static long make_in(struct rl_walk *w, int dirfd, const char *path, struct thing t)
{
    char real[RL_REAL_MAX];
    u32 mode = t.owner.mode;
    long r = rl_resolve(w, dirfd, path, RL_NAME, 0);
    if (r < 0)
        return r;
    if (w->hit.what != RL_NOTHING)
        return -EEXIST;
    if (w->slash && !rl_isdir(mode))
        return -ENOENT;
    r = rl_create_begin(w, real);
    if (r < 0)
        return r;
    if (rl_bind_records(w->dir.bind) && (mode & S_IFMT) != S_IFCHR && (mode & S_IFMT) != S_IFBLK) {
        struct rl_owner shown;
        rl_owner_new(w, mode, &shown);
        t.owner.mode = rl_volume_mode(shown.mode);
        r = make(&t, real);
        if (r >= 0)
            rl_volume_made(w, real, &shown);
        return r;
    }
    if (w->dir.bind >= 0 && !rl_islnk(mode))
        mode &= ~rl_me.umask;
    if (w->dir.bind >= 0) {
        if (rl_isdir(mode))
            return k_mkdir(real, mode & 01777);
        if ((mode & S_IFMT) == S_IFCHR || (mode & S_IFMT) == S_IFBLK)
            return -EPERM; /* as the kernel says without privileges; Landlock's error is another */
        return rl_islnk(mode) ? k_symlink(t.target, real)
                              : k_mknod(real, mode, rl_makedev(t.owner.major, t.owner.minor));
    }
    u32 major = t.owner.major, minor = t.owner.minor;
    rl_owner_new(w, mode, &t.owner);
    t.owner.major = major;
    t.owner.minor = minor;
    if (!rl_create_simple(w, &t.owner))
        return make_marked(w, &t, real, (u32)r);
    r = make(&t, real);
    if (r >= 0)
        rl_late(w);
    return r;
}

static long make_at(int dirfd, const char *path, const struct thing *t)
{
    struct rl_scratch s;
    struct rl_walk w;
    long r;
    rl_walk_start(&w, &s);
    do
        r = make_in(&w, dirfd, path, *t);
    while (rl_retry(&w, &r));
    return r;
}

long rl_mkdir(int dirfd, const char *path, unsigned mode)
{
    struct thing t = {{0, 0, S_IFDIR | (mode & 01777), 0, 0, 0}, NULL};
    return make_at(dirfd, path, &t);
}

long rl_mknod(int dirfd, const char *path, unsigned mode, u64 dev)
{
    u32 type = mode & S_IFMT;
    if (!type)
        type = S_IFREG;
    if (type == S_IFDIR)
        return -EPERM;
    if (type != S_IFREG && type != S_IFIFO && type != S_IFSOCK && type != S_IFCHR && type != S_IFBLK)
        return -EINVAL;
    if ((type == S_IFCHR || type == S_IFBLK) && rl_me.fsuid)
        return -EPERM;
    u32 major = (u32)(dev >> 8 & 0xfff) | (u32)(dev >> 32 & ~0xfffull);
    u32 minor = (u32)(dev & 0xff) | (u32)(dev >> 12 & 0xffffff00);
    struct thing t = {{0, 0, type | (mode & 07777), major, minor, 0}, NULL};
    return make_at(dirfd, path, &t);
}

long rl_symlink(const char *target, int dirfd, const char *path)
{
    struct thing t = {{0, 0, S_IFLNK | 0777, 0, 0, 0}, target};
    if (!target[0])
        return -ENOENT;
    if (strlen(target) >= RL_PATH_MAX)
        return -ENAMETOOLONG;
    return make_at(dirfd, path, &t);
}

/* The second name of an object of the upper. Without the lock if one step is enough: its record, if it has one, is in
 * the file, and no name has a mark. `held_before`: it was held when both were walked. */
static long link_upper(struct rl_walk *from, struct rl_walk *to, const char *real, u32 len, int held_before)
{
    char source[RL_REAL_MAX], text[RL_PATH_MAX];
    struct rl_record rec;
    u32 now;
    u64 old = rl_vhash(from), new = rl_vhash(to);
    int held = rl_record_held(from->hit.sx.stx_mode);
    int alone = held && rl_quiet(&now) && !to->hit.white && rl_unlinked(from) && rl_unrecorded(to);
    long n = rl_upper_path(from, from->vlen, source);
    if (alone)
        rl_record_moves(old, new);
    long r = n < 0 ? n : alone ? k_link(source, real, 0) : rl_lock(to);
    if (r >= 0 && alone && !rl_undisturbed(now)) {
        r = rl_lock_now(to); /* another process may have made its record meanwhile: wait for it */
        rl_record_moves(old, new);
        rl_unlock(to);
        return r < 0 ? r : 0;
    }
    if (r < 0 || alone)
        return r;
    if (!held_before && (to->lock >= 0 ? !rl_current(from) || !rl_current(to) : !rl_still(from)))
        return -ESTALE;
    r = k_exists(real) ? -EEXIST
                       : rl_record_read(to->s, &rl_layers[0], old, from->hit.sx.stx_mode, source, (u32)n, text, &rec);
    if (r > 0 && held && !(rec.has & RL_IN_FILE))
        r = rl_record_store(from, source, (u32)n, &from->hit.sx, rec.has, text, (u32)strlen(text));
    if (r >= 0)
        r = rl_record_beside(from, old, source, (u32)n, text);
    if (r >= 0 && !held)
        r = rl_linked_make(from, source, (u32)n, text);
    rl_record_moves(old, new);
    if (r >= 0)
        r = rl_record_link(to, new, real, len, text, (u32)r);
    if (r >= 0)
        r = k_link(source, real, 0);
    if (r >= 0 && to->hit.white)
        rl_whiteout_drop(to);
    rl_unlock(to);
    return r;
}

/* A name for a descriptor's nameless file (O_TMPFILE), through /proc. */
static long link_magic(struct rl_walk *to, const char *proc, const char *real, u32 len)
{
    struct rl_owner o;
    struct rl_record rec;
    struct statx sx;
    long r = k_statx(AT_FDCWD, proc, 0, &sx);
    if (r >= 0 && to->dir.bind >= 0)
        return k_link(proc, real, AT_SYMLINK_FOLLOW);
    if (r >= 0)
        r = rl_lock(to);
    if (r < 0)
        return r;
    rl_owner_made(to, sx.stx_mode, &o);
    r = k_exists(real) ? -EEXIST : 0;
    if (r >= 0 && rl_nameless_record(proc, to->s->text, &rec) >= 0)
        rl_bloom_set(&rl_layers[0], rl_bloom_key(rl_vhash(to), RL_BLOOM_RECORD));
    else if (r >= 0)
        r = rl_owner_text(to, &o, sx.stx_mode);
    if (r > 0)
        r = rl_record_link(to, rl_vhash(to), real, len, to->s->text, (u32)r);
    if (r >= 0)
        r = k_link(proc, real, AT_SYMLINK_FOLLOW);
    if (r >= 0 && to->hit.white)
        rl_whiteout_drop(to);
    rl_unlock(to);
    return r;
}

struct pair {
    struct rl_scratch s;
    struct rl_walk from, to;
    char source[RL_REAL_MAX], real[RL_REAL_MAX];
};

/* fs.protected_hardlinks, which every distribution sets: link another user's file only if it is writable. */
static long may_link(const struct rl_hit *h)
{
    if (rl_may_own(h) == 0)
        return 0;
    if (!rl_isreg(h->mode) || (h->mode & S_ISUID) || (h->mode & 02010) == 02010 || rl_may(h, RL_R_OK | RL_W_OK) < 0)
        return -EPERM;
    return 0;
}

static long link_pair(struct pair *p, int olddirfd, const char *oldpath, int newdirfd, const char *newpath, int flags)
{
    struct rl_walk *a = &p->from, *b = &p->to;
    int held = b->lock >= 0;
    int by_fd = (flags & AT_EMPTY_PATH) && !oldpath[0];
    int how = AT_EMPTY_PATH | (flags & AT_SYMLINK_FOLLOW ? 0 : AT_SYMLINK_NOFOLLOW);
    u32 follow = flags & AT_SYMLINK_FOLLOW ? RL_FOLLOW : 0;
    long r = by_fd ? rl_object(a, olddirfd, oldpath, how) : rl_resolve(a, olddirfd, oldpath, RL_EXISTS | follow, 0);
    if (r < 0)
        return r;
    r = by_fd ? r : 1;
    int nameless = r == 0 || a->hit.magic;
    if (r == 0) {
        rl_put_u64(rl_put(p->source, "/proc/self/fd/"), (u64)olddirfd, 10);
    } else if (nameless || a->hit.what == RL_IN_BIND) {
        long n = rl_object_real(a, p->source);
        if (n < 0)
            return n;
    }
    r = rl_resolve(b, newdirfd, newpath, RL_NAME, 0);
    if (r < 0)
        return r;
    if (b->hit.what != RL_NOTHING)
        return -EEXIST;
    if (b->slash)
        return -ENOENT;
    if (rl_read_only(&b->dir))
        return -EROFS;
    if (!nameless && a->self.bind != b->dir.bind)
        return -EXDEV;
    if (!nameless && may_link(&a->hit) < 0)
        return -EPERM;
    long n = rl_create_begin(b, p->real);
    if (n < 0)
        return n;
    if (!nameless && rl_isdir(a->hit.mode))
        return -EPERM;
    if (nameless) {
        a->lock = -1;
        return link_magic(b, p->source, p->real, (u32)n);
    }
    if (b->dir.bind >= 0)
        return k_link(p->source, p->real, 0);
    a->lock = b->lock;
    r = rl_copyup(a, 1);
    if (r >= 0)
        r = rl_hold(a);
    b->lock = a->lock;
    a->lock = -1;
    return r < 0 ? r : link_upper(a, b, p->real, (u32)n, held);
}

long rl_link(int olddirfd, const char *oldpath, int newdirfd, const char *newpath, int flags)
{
    if (flags & ~(AT_SYMLINK_FOLLOW | AT_EMPTY_PATH))
        return -EINVAL;
    struct pair *p = rl_scratch_get(sizeof *p);
    if (!p)
        return -ENOMEM;
    long r;
    rl_walk_start(&p->from, &p->s);
    rl_walk_start(&p->to, &p->s);
    do {
        rl_walk_start(&p->from, &p->s);
        p->from.lock = p->to.lock; /* one for both */
        r = link_pair(p, olddirfd, oldpath, newdirfd, newpath, flags);
        if (p->from.lock == p->to.lock)
            p->from.lock = -1;
        rl_end(&p->from);
    } while (rl_retry(&p->to, &r));
    rl_scratch_put(p, sizeof *p);
    return r;
}
