/* Owners, modes and ACLs in volumes, which an ordinary user cannot store on real files (docs/format.md section 13).
 *
 * 1. The record of a regular file or a directory is its attribute RL_XATTR_RECORD, that of another object an attribute
 *    of its directory, OF and the name.
 * 2. An object without a record belongs to root: a volume outlives containers, whose users differ.
 * 3. Real files can always be read and written by the real owner: the mode that programs see controls access.
 * 4. No lock is needed: each record is about one object. A program that dies between making an object and recording it
 *    leaves it to root. */
#include "../change/xattr.h"
#include "acl.h"

#define OF "user.rootlay.of."
#define PROC_FD "/proc/self/fd/" /* the path of a descriptor's object */
#define TEXT 128 /* of a record with owner and mode; ACLs make it longer */

int rl_bind_records(i32 bind)
{
    return bind >= 0 && (rl_bind((u32)bind).flags & RL_BIND_RECORDS) != 0;
}

/* The call about the record's attribute of the object at `real`, which is changed in between. `nr` is the call that
 * follows links, and the next number that of the one that does not. */
static long attribute(long nr, char *real, u32 mode, const void *text, size_t n, int flags)
{
    char name[256];
    if (rl_isreg(mode) || rl_isdir(mode))
        return rl_by_text(rl_begins(real, PROC_FD) ? nr : nr + 1, real, RL_XATTR_RECORD, text, n, flags);
    char *last = real + strlen(real);
    while (last > real && *last != '/')
        last--;
    if (last == real || strlen(last) + sizeof OF > sizeof name)
        return -ENODATA;
    rl_put(rl_put(name, OF), last + 1);
    *last = 0;
    long r = rl_by_text(nr, real, name, text, n, flags);
    *last = '/';
    return r;
}

/* The text of a record. n: its length, or -errno. */
struct text {
    char *p, few[TEXT];
    long n;
};

static void load(struct text *t, char *real, u32 mode)
{
    t->p = t->few;
    t->n = attribute(__NR_getxattr, real, mode, t->p, TEXT - 1, 0);
    if (t->n == -ERANGE) {
        char *more = rl_scratch_get(RL_PATH_MAX);
        t->p = more ? more : t->few;
        t->n = more ? attribute(__NR_getxattr, real, mode, more, RL_PATH_MAX - 1, 0) : -ENOMEM;
    }
    t->p[t->n < 0 ? 0 : t->n] = 0;
}

static void drop(struct text *t)
{
    if (t->p != t->few)
        rl_scratch_put(t->p, RL_PATH_MAX);
}

static int parse(const struct text *t, struct rl_record *rec)
{
    if (t->n > 0 && rl_record_parse(t->p, (u32)t->n, rec) == 0)
        return 1;
    *rec = (struct rl_record){.has = 0};
    return 0;
}

void rl_volume_show(const struct rl_bind *b, int top, char *real, struct rl_hit *h)
{
    struct text t;
    h->uid = h->gid = 0;
    h->mode = h->sx.stx_mode;
    h->acl = 0;
    load(&t, real, h->mode);
    if (t.n <= 0 && top && (b->flags & RL_BIND_GIVEN))
        rl_bind_owner(b, 1, &h->mode, &h->uid, &h->gid);
    if (parse(&t, &h->rec)) {
        if (h->rec.has & RL_HAS_UID)
            h->uid = h->rec.uid;
        if (h->rec.has & RL_HAS_GID)
            h->gid = h->rec.gid;
        if (h->rec.has & RL_HAS_MODE)
            h->mode = (h->sx.stx_mode & S_IFMT) | (h->rec.mode & 07777);
        rl_acl_judge(h, t.p);
    }
    h->rec.has = 0; /* it is no record of a layer */
    drop(&t);
}

u32 rl_volume_mode(u32 mode)
{
    return (mode & (S_IFMT | 01777)) | (rl_isdir(mode) ? 0700 : 0600);
}

/* The record of an object that is to show as `o`, with the x fields[0..n). */
static long store(char *real, const struct rl_owner *o, const char *fields, u32 n)
{
    struct rl_record rec = {.has = n ? RL_HAS_XATTR : 0, .uid = o->uid, .gid = o->gid, .mode = o->mode, .xattrs_len = n};
    char few[TEXT], *text = n ? rl_scratch_get(RL_PATH_MAX) : few;
    if (!text)
        return -ENOMEM;
    rec.has |= (o->uid ? RL_HAS_UID : 0) | (o->gid ? RL_HAS_GID : 0);
    rec.has |= !rl_islnk(o->mode) && o->mode != rl_volume_mode(o->mode) ? RL_HAS_MODE : 0;
    long r = rl_record_format(&rec, fields, "", text);
    /* An attribute that exists is never removed: the one of the volume's top says that there are records. */
    if (r >= 0)
        r = attribute(__NR_setxattr, real, o->mode, text, (size_t)r, r ? 0 : XATTR_REPLACE_);
    if (n)
        rl_scratch_put(text, RL_PATH_MAX);
    return r == -ENODATA ? 0 : r;
}

/* What a record could not be stored for is not an error: the object then belongs to root. */
static long quiet(long r)
{
    return r == -EOPNOTSUPP || r == -EPERM || r == -ENOSPC || r == -EDQUOT ? 0 : r;
}

int rl_volume_default(struct rl_walk *w, struct rl_acl *out)
{
    struct rl_record rec;
    struct text t;
    if (!rl_bind_records(w->dir.bind) || rl_bind_real(w, &w->dir, w->dir.vlen, w->s->real) < 0)
        return 0;
    load(&t, w->s->real, S_IFDIR);
    int found = parse(&t, &rec) && (rec.has & RL_HAS_DEFAULT_ACL) &&
                rl_acl_of_fields(t.p + rec.xattrs, rec.xattrs_len, RL_XATTR_DEFAULT_ACL, out);
    drop(&t);
    return found;
}

static __attribute__((noinline)) void store_inherited(struct rl_walk *w, char *real, const struct rl_owner *o)
{
    char *fields = rl_scratch_get(RL_PATH_MAX);
    long n = fields ? rl_inherited_fields(w, o->mode, fields) : 0;
    if (store(real, o, fields, n > 0 ? (u32)n : 0) < 0)
        store(real, o, "", 0); /* no room for the ACLs */
    if (fields)
        rl_scratch_put(fields, RL_PATH_MAX);
}

void rl_volume_made(struct rl_walk *w, char *real, const struct rl_owner *o)
{
    if (o->inherits)
        store_inherited(w, real, o);
    else if (o->uid || o->gid || o->mode != rl_volume_mode(o->mode))
        store(real, o, "", 0);
}

long rl_volume_create(struct rl_walk *w, char *real, int flags, const struct rl_owner *o)
{
    long fd = k_open(real, flags | O_CREAT | O_EXCL, rl_volume_mode(o->mode) & 07777);
    if (fd >= 0)
        rl_volume_made(w, real, o);
    return fd == -EEXIST && !(flags & O_EXCL) ? -ESTALE : fd; /* another process made it: start again */
}

long rl_volume_nameless(struct rl_walk *w, char *real, int flags, const struct rl_owner *o)
{
    long fd = k_open(real, flags, rl_volume_mode(o->mode) & 07777);
    if (fd >= 0) {
        rl_put_u64(rl_put(real, PROC_FD), (u64)fd, 10);
        rl_volume_made(w, real, o);
    }
    return fd;
}

/* The mode of the real file, and the record with the ACLs as they are after a chmod to o->mode, or after the change of
 * one of them. */
static __attribute__((noinline)) long store_acls(char *real, const struct rl_owner *o, const struct rl_xattr *acl)
{
    struct rl_record rec;
    struct text t;
    u32 n = 0;
    char *fields = rl_scratch_get(RL_PATH_MAX);
    if (!fields)
        return -ENOMEM;
    load(&t, real, o->mode);
    parse(&t, &rec);
    long r = t.n == -ENOMEM ? -ENOMEM : rl_acl_fields(t.p, &rec, o->mode, acl, fields, &n);
    drop(&t);
    if (r >= 0)
        r = store(real, o, fields, n);
    rl_scratch_put(fields, RL_PATH_MAX);
    return r;
}

static long set_real_mode(char *real, const struct rl_hit *h, u32 mode)
{
    u32 real_mode = rl_volume_mode(mode);
    return !rl_islnk(mode) && (h->sx.stx_mode & 07777) != (real_mode & 07777) ? k_chmod(real, real_mode & 07777) : 0;
}

long rl_volume_change(char *real, const struct rl_hit *h, u32 mode, u32 uid, u32 gid)
{
    long r = mode == ~0u ? rl_may_chown(h, uid, gid) : rl_may_own(h);
    if (r < 0)
        return r;
    struct rl_owner o = {uid == ~0u ? h->uid : uid, gid == ~0u ? h->gid : gid,
                         mode == ~0u ? h->mode : (h->mode & S_IFMT) | (mode & 07777), 0, 0, 0};
    if (mode != ~0u && rl_me.fsuid && !rl_in_group(o.gid))
        o.mode &= ~(u32)S_ISGID;
    if (mode == ~0u && !rl_isdir(o.mode) && !rl_islnk(o.mode))
        o.mode &= ~(u32)(S_ISUID | (o.mode & S_IXGRP ? S_ISGID : 0));
    r = set_real_mode(real, h, o.mode);
    return r < 0 ? r : quiet(h->acl ? store_acls(real, &o, NULL) : store(real, &o, "", 0));
}

long rl_volume_acl(char *real, const struct rl_hit *h, const char *name, void *value, size_t size)
{
    struct rl_record rec;
    struct text t;
    struct rl_acl *a;
    if (rl_islnk(h->mode))
        return -EOPNOTSUPP;
    if (!(h->acl & (rl_same(name, RL_XATTR_ACL) ? RL_ACL_ACCESS : RL_ACL_DEFAULT)))
        return -ENODATA;
    a = rl_scratch_get(sizeof *a);
    if (!a)
        return -ENOMEM;
    load(&t, real, h->mode);
    long n = parse(&t, &rec) && rl_acl_of_fields(t.p + rec.xattrs, rec.xattrs_len, name, a) ? (long)rl_acl_bytes(a) : -ENODATA;
    drop(&t);
    if (n > 0 && size && (size_t)n > size)
        n = -ERANGE;
    else if (n > 0 && size)
        memcpy(value, &a->version, (size_t)n);
    rl_scratch_put(a, sizeof *a);
    return n;
}

__attribute__((noinline)) long rl_volume_acl_set(char *real, const struct rl_hit *h, const struct rl_xattr *acl)
{
    struct rl_acl a;
    struct rl_xattr new;
    long r = rl_acl_check(h, acl, &a, &new);
    if (r <= 0 || (!new.value && !(h->acl & (rl_same(acl->name, RL_XATTR_ACL) ? RL_ACL_ACCESS : RL_ACL_DEFAULT))))
        return r < 0 ? r : 0;
    struct rl_owner o = {h->uid, h->gid, h->mode, 0, 0, 0};
    rl_acl_mode(&a, &new, &o);
    r = set_real_mode(real, h, o.mode);
    return r < 0 ? r : store_acls(real, &o, &new);
}

long rl_volume_fd(int fd, char *real, struct rl_hit *h)
{
    long n = rl_fd_real(fd, real, RL_REAL_MAX);
    if (n < 0 && n != -ENOENT) /* removed: the text is the last name */
        return RL_MISS;
    n = (long)strlen(real);
    struct rl_real at = rl_classify(real, (u32)n);
    if (at.place != RL_PLACE_BIND || !rl_bind_records((i32)at.index) || k_statx(fd, "", AT_EMPTY_PATH, &h->sx) < 0)
        return RL_MISS;
    struct rl_bind b = rl_bind(at.index);
    if (rl_isreg(h->sx.stx_mode) || rl_isdir(h->sx.stx_mode))
        rl_put_u64(rl_put(real, PROC_FD), (u64)fd, 10);
    rl_volume_show(&b, (u32)n == at.rest, real, h);
    h->what = RL_IN_BIND;
    h->given = 1;
    return 0;
}

static void put(char *real, const struct text *t)
{
    long n = t && t->n > 0 ? t->n : 0;
    attribute(n ? __NR_setxattr : __NR_removexattr, real, S_IFLNK, n ? t->p : "", (size_t)n, 0);
}

static int beside(u32 mode)
{
    return mode && !rl_isreg(mode) && !rl_isdir(mode);
}

void rl_volume_removed(char *real, u32 mode)
{
    if (beside(mode))
        put(real, NULL);
}

long rl_volume_rename(char *from, u32 mode, char *to, u32 target, unsigned flags)
{
    struct text old = {.p = old.few}, replaced = {.p = replaced.few};
    if (beside(mode))
        load(&old, from, mode);
    if (beside(target))
        load(&replaced, to, target);
    int exchange = (flags & RENAME_EXCHANGE) != 0;
    long r = k_rename(from, to, flags);
    if (r >= 0 && (old.n > 0 || replaced.n > 0))
        put(to, &old);
    if (r >= 0 && (old.n > 0 || (replaced.n > 0 && exchange)))
        put(from, exchange ? &replaced : NULL);
    drop(&old);
    drop(&replaced);
    return r;
}
