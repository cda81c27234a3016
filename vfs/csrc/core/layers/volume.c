/* Owners and modes in volumes, which an ordinary user cannot store on real files (docs/format.md section 13).
 *
 * 1. The record of a regular file or a directory is its attribute RL_XATTR_RECORD, that of another object an attribute
 *    of its directory, OF and the name.
 * 2. An object without a record belongs to root: a volume outlives containers, whose users differ.
 * 3. Real files can always be read and written by the real owner: the mode that programs see controls access.
 * 4. No lock is needed: each record is about one object. A program that dies between making an object and recording it
 *    leaves it to root. */
#include "../change/xattr.h"

#define OF "user.rootlay.of."
#define PROC_FD "/proc/self/fd/" /* the path of a descriptor's object */
#define TEXT 128 /* of a record with owner and mode */

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

static long load(char *real, u32 mode, char text[TEXT])
{
    long n = attribute(__NR_getxattr, real, mode, text, TEXT - 1, 0);
    text[n < 0 ? 0 : n] = 0;
    return n;
}

void rl_volume_show(const struct rl_bind *b, int top, char *real, u32 real_mode, struct rl_owner *o)
{
    struct rl_record rec = {.has = 0};
    char text[TEXT] = "";
    o->uid = o->gid = 0;
    o->mode = real_mode;
    long n = load(real, real_mode, text);
    if (n <= 0 && top && (b->flags & RL_BIND_GIVEN))
        rl_bind_owner(b, 1, &o->mode, &o->uid, &o->gid);
    if (n <= 0 || rl_record_parse(text, (u32)n, &rec) < 0)
        return;
    if (rec.has & RL_HAS_UID)
        o->uid = rec.uid;
    if (rec.has & RL_HAS_GID)
        o->gid = rec.gid;
    if (rec.has & RL_HAS_MODE)
        o->mode = (real_mode & S_IFMT) | (rec.mode & 07777);
}

u32 rl_volume_mode(u32 mode)
{
    return (mode & (S_IFMT | 01777)) | (rl_isdir(mode) ? 0700 : 0600);
}

static long store(char *real, u32 real_mode, const struct rl_owner *o)
{
    char text[TEXT], *p = text;
    if (o->uid)
        p = rl_put(rl_put_u64(rl_put(p, "u="), o->uid, 10), ";");
    if (o->gid)
        p = rl_put(rl_put_u64(rl_put(p, "g="), o->gid, 10), ";");
    if (!rl_islnk(o->mode) && o->mode != real_mode)
        p = rl_put(rl_put_u64(rl_put(p, "m="), o->mode, 8), ";");
    /* An attribute that exists is never removed: the one of the volume's top says that there are records. */
    size_t n = p > text ? (size_t)(p - text) - 1 : 0;
    long r = attribute(__NR_setxattr, real, o->mode, text, n, n ? 0 : XATTR_REPLACE_);
    return r == -ENODATA || r == -EOPNOTSUPP || r == -EPERM || r == -ENOSPC || r == -EDQUOT ? 0 : r;
}

void rl_volume_made(const struct rl_walk *w, char *real, u32 mode)
{
    struct rl_owner o;
    rl_owner_made(w, mode, &o);
    if (o.uid || o.gid || o.mode != rl_volume_mode(o.mode))
        store(real, rl_volume_mode(o.mode), &o);
}

long rl_volume_create(const struct rl_walk *w, char *real, int flags, u32 mode)
{
    long fd = k_open(real, flags | O_CREAT | O_EXCL, rl_volume_mode(S_IFREG | mode) & 07777);
    if (fd >= 0)
        rl_volume_made(w, real, S_IFREG | mode);
    return fd == -EEXIST && !(flags & O_EXCL) ? -ESTALE : fd; /* another process made it: start again */
}

long rl_volume_nameless(char *real, int flags, const struct rl_owner *o)
{
    long fd = k_open(real, flags, rl_volume_mode(o->mode) & 07777);
    if (fd >= 0) {
        rl_put_u64(rl_put(real, PROC_FD), (u64)fd, 10);
        store(real, rl_volume_mode(o->mode), o);
    }
    return fd;
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
    u32 real_mode = rl_volume_mode(o.mode);
    if (!rl_islnk(o.mode) && (h->sx.stx_mode & 07777) != (real_mode & 07777))
        r = k_chmod(real, real_mode & 07777);
    return r < 0 ? r : store(real, real_mode, &o);
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
    struct rl_owner o;
    if (rl_isreg(h->sx.stx_mode) || rl_isdir(h->sx.stx_mode))
        rl_put_u64(rl_put(real, PROC_FD), (u64)fd, 10);
    rl_volume_show(&b, (u32)n == at.rest, real, h->sx.stx_mode, &o);
    h->what = RL_IN_BIND;
    h->given = 1;
    h->mode = o.mode;
    h->uid = o.uid;
    h->gid = o.gid;
    return 0;
}

static void put(char *real, u32 mode, const char *text, long n)
{
    attribute(n > 0 ? __NR_setxattr : __NR_removexattr, real, mode, text, n > 0 ? (size_t)n : 0, 0);
}

static int beside(u32 mode)
{
    return mode && !rl_isreg(mode) && !rl_isdir(mode);
}

void rl_volume_removed(char *real, u32 mode)
{
    if (beside(mode))
        put(real, mode, "", 0);
}

long rl_volume_rename(char *from, u32 mode, char *to, u32 target, unsigned flags)
{
    char old[TEXT] = "", replaced[TEXT] = "";
    long n = beside(mode) ? load(from, mode, old) : 0, m = beside(target) ? load(to, target, replaced) : 0;
    long r = k_rename(from, to, flags);
    if (r < 0)
        return r;
    if (n > 0 || m > 0)
        put(to, S_IFLNK, old, n);
    if (n > 0 || (m > 0 && (flags & RENAME_EXCHANGE)))
        put(from, S_IFLNK, replaced, flags & RENAME_EXCHANGE ? m : 0);
    return r;
}
