/* A regular file of the upper that has no name: made by O_TMPFILE, or removed.
 *
 * Its record, if it needs one, is an attribute: every descriptor leads to it, and it stays when the file gets a name. On a file system without user.* attributes such a
 * file belongs to the container's user and has the real file's mode. */
#include "../internal.h"
#include "../layers/acl.h"
#include "xattr.h"

static void name_of(int fd, char out[40])
{
    rl_put_u64(rl_put(out, "/proc/self/fd/"), (u64)fd, 10);
}

long rl_nameless_record(const char *proc, char *text, struct rl_record *rec)
{
    if (!rl_writable() || !(rl_record_held(S_IFREG) || rl_shared_any(&rl_layers[0])))
        return -ENODATA;
    long n = k4(__NR_getxattr, (long)proc, (long)RL_XATTR_RECORD, (long)text, RL_PATH_MAX - 1);
    if (n <= 0)
        return -ENODATA;
    text[n] = 0;
    return rl_record_parse(text, (u32)n, rec) < 0 ? -EIO : n;
}

static long store(int fd, const struct rl_owner *o, u32 real_mode, struct rl_record *rec, const char *old, char *text)
{
    rl_owner_fields(o, real_mode, rec);
    long n = rl_record_format(rec, old + rec->xattrs, "", text);
    if (n < 0)
        return n;
    if (!n)
        return k4(__NR_fremovexattr, fd, (long)RL_XATTR_RECORD, 0, 0);
    if (!rl_record_held(S_IFREG))
        return -EOPNOTSUPP;
    return rl_sys(__NR_fsetxattr, fd, (long)RL_XATTR_RECORD, (long)text, n, 0, 0);
}

static __attribute__((noinline)) void store_inherited(struct rl_walk *w, int fd, const struct rl_owner *o, u32 real_mode)
{
    char fields[RL_PATH_MAX];
    long n = rl_inherited_fields(w, o->mode, fields);
    struct rl_record rec = {.has = n > 0 ? RL_HAS_XATTR : 0, .xattrs_len = n > 0 ? (u32)n : 0};
    store(fd, o, real_mode, &rec, fields, w->s->text);
}

void rl_nameless_made(struct rl_walk *w, int fd, const struct rl_owner *o, u32 real_mode)
{
    struct rl_record rec = {.has = 0};
    if (o->inherits)
        store_inherited(w, fd, o, real_mode);
    else if (!rl_owner_plain(o, real_mode))
        store(fd, o, real_mode, &rec, "", w->s->text);
}

void rl_nameless_show(struct rl_scratch *s, int fd, const struct statx *sx, struct rl_attr *a)
{
    struct rl_hit h;
    char proc[40];
    a->dev = rl_launch->st_dev;
    if (sx->stx_uid == rl_launch->host_uid)
        a->uid = rl_layers[0].uid;
    if (sx->stx_gid == rl_launch->host_gid)
        a->gid = rl_layers[0].gid;
    name_of(fd, proc);
    if (!rl_isreg(sx->stx_mode) || rl_nameless_record(proc, s->text, &h.rec) < 0)
        return;
    h.sx = *sx;
    rl_show_real(&rl_layers[0], &h);
    a->mode = h.mode;
    a->uid = h.uid;
    a->gid = h.gid;
}

/* The file of `fd`, if it is one, with its record, whose text is in s->mark. 0, or RL_MISS. */
static long find(struct rl_scratch *s, int fd, struct rl_hit *h)
{
    char proc[40];
    if (!rl_writable() || k_statx(fd, "", AT_EMPTY_PATH, &h->sx) < 0 || !rl_isreg(h->sx.stx_mode) || h->sx.stx_nlink ||
        rl_fd_real(fd, s->real, sizeof s->real) != -ENOENT)
        return RL_MISS;
    struct rl_real at = rl_classify(s->real, (u32)strlen(s->real));
    if (at.place != RL_PLACE_LAYER || at.index)
        return RL_MISS;
    name_of(fd, proc);
    h->what = RL_IN_LAYER;
    if (rl_nameless_record(proc, s->mark, &h->rec) < 0)
        h->rec = (struct rl_record){.has = 0};
    rl_show_real(&rl_layers[0], h);
    return 0;
}

static __attribute__((noinline)) long store_acl(struct rl_scratch *s, int fd, const struct rl_owner *o, u32 real,
                                                const struct rl_record *rec, const struct rl_xattr *acl)
{
    char fields[RL_PATH_MAX];
    struct rl_record new = *rec;
    long r = rl_acl_fields(s->mark, rec, o->mode, acl, fields, &new.xattrs_len);
    new.xattrs = 0;
    new.has = (rec->has & ~RL_HAS_XATTR) | (new.xattrs_len ? RL_HAS_XATTR : 0);
    return r < 0 ? r : store(fd, o, real, &new, fields, s->text);
}

static long change(struct rl_scratch *s, int fd, struct rl_hit *h, const struct rl_owner *o, const struct rl_xattr *acl)
{
    u32 real = rl_owner_plain(o, rl_real_mode(o->mode)) ? rl_real_mode(o->mode) : rl_written_mode(o->mode);
    k4(__NR_fchmod, fd, (real | 0200) & 01777, 0, 0); /* the attribute needs it */
    long r = acl || (h->rec.has & RL_HAS_ACL) ? store_acl(s, fd, o, real, &h->rec, acl)
                                              : store(fd, o, real, &h->rec, s->mark, s->text);
    long changed = k4(__NR_fchmod, fd, real & 01777, 0, 0);
    int silent = r == -ENODATA || (r == -EOPNOTSUPP && !(acl && acl->value));
    return r < 0 && !silent ? r : changed;
}

long rl_nameless_change(struct rl_walk *w, int fd, u32 mode, u32 uid, u32 gid)
{
    struct rl_hit h;
    long r = find(w->s, fd, &h);
    if (r < 0)
        return r;
    r = mode == ~0u ? rl_may_chown(&h, uid, gid) : rl_may_own(&h);
    if (r < 0)
        return r;
    struct rl_owner o = {uid == ~0u ? h.uid : uid, gid == ~0u ? h.gid : gid,
                         mode == ~0u ? h.mode : S_IFREG | (mode & 07777), 0, 0, 0};
    if (mode == ~0u)
        o.mode &= ~(u32)(S_ISUID | (o.mode & S_IXGRP ? S_ISGID : 0));
    else if (rl_me.fsuid && !rl_in_group(o.gid))
        o.mode &= ~(u32)S_ISGID;
    return change(w->s, fd, &h, &o, NULL);
}

long rl_nameless_acl(struct rl_walk *w, int fd, const char *name, void *value, size_t size)
{
    struct rl_hit h;
    struct rl_acl a;
    long r = find(w->s, fd, &h);
    if (r < 0)
        return r;
    if (!(h.rec.has & RL_HAS_XATTR) || !rl_acl_of_fields(w->s->mark + h.rec.xattrs, h.rec.xattrs_len, name, &a))
        return -ENODATA;
    u32 n = rl_acl_bytes(&a);
    if (size && n > size)
        return -ERANGE;
    if (size)
        memcpy(value, &a.version, n);
    return n;
}

long rl_nameless_acl_set(struct rl_walk *w, int fd, const struct rl_xattr *acl)
{
    struct rl_hit h;
    struct rl_acl a;
    struct rl_xattr new;
    long r = find(w->s, fd, &h);
    if (r >= 0)
        r = rl_acl_check(&h, acl, &a, &new);
    if (r <= 0)
        return r;
    struct rl_owner o = {h.uid, h.gid, h.mode, 0, 0, 0};
    rl_acl_mode(&a, &new, &o);
    return change(w->s, fd, &h, &o, &new);
}
