/* Attributes: convert the arguments of old and new forms, and the kernel's structures, to and from the core's. */
#include <asm/stat.h>

#include "../../core/answer/statpack.h"
#include "../engine.h"
#include "../table/syscalls.h"

#define RL_XATTR_NAME_MAX 255
#define RL_STATFS_BYTES 120
#define RL_ACCESS_BITS 7

static long put_stat(struct rl_call *c, u64 to, const struct rl_attr *a)
{
    struct stat st;

    rl_stat_fill(&st, a);
    return rl_user_write(c, to, &st, sizeof st);
}

static long put_statx(struct rl_call *c, u64 to, const struct rl_attr *a)
{
    struct statx sx;

    rl_statx_fill(&sx, a);
    return rl_user_write(c, to, &sx, sizeof sx);
}

static long attributes(struct rl_call *c, struct rl_attr *a)
{
    if (*c->path == 0 && (c->flags & AT_EMPTY_PATH) && c->dir != AT_FDCWD)
        return rl_fstat(c->dir, a);
    return rl_stat(c->dir, c->path, c->flags, a);
}

long rl_do_stat(struct rl_call *c)
{
    struct rl_attr a;
    long r = attributes(c, &a);

    return r < 0 ? r : put_stat(c, c->rest[0], &a);
}

long rl_do_fstat(struct rl_call *c)
{
    struct rl_attr a;
    long r = rl_fstat(c->dir, &a);

    return r < 0 ? r : put_stat(c, c->rest[0], &a);
}

long rl_do_statx(struct rl_call *c)
{
    struct rl_attr a;
    long r;

    if ((u32)c->rest[0] & STATX__RESERVED || (c->flags & AT_STATX_SYNC_TYPE) == AT_STATX_SYNC_TYPE)
        return -EINVAL;
    r = attributes(c, &a);
    return r < 0 ? r : put_statx(c, c->rest[1], &a);
}

long rl_do_access(struct rl_call *c)
{
    if (c->rest[0] & ~(u64)RL_ACCESS_BITS)
        return -EINVAL;
    return rl_access(c->dir, c->path, (int)c->rest[0], c->flags);
}

long rl_do_readlink(struct rl_call *c)
{
    int size = (int)c->rest[1];
    char *out = (char *)c->slot->buf;
    long r;

    if (size <= 0)
        return -EINVAL;
    r = rl_readlink(c->dir, c->path, out, size < RL_PATH_MAX ? (size_t)size : RL_PATH_MAX);
    if (r > 0 && rl_user_write(c, c->rest[0], out, (size_t)r) < 0)
        return -EFAULT;
    return r;
}

long rl_do_statfs(struct rl_call *c)
{
    long r = rl_statfs(c->path, c->slot->buf);

    return r < 0 ? r : rl_user_write(c, c->rest[0], c->slot->buf, RL_STATFS_BYTES);
}

long rl_do_chmod(struct rl_call *c)
{
    return rl_chmod(c->dir, c->path, (unsigned)c->rest[0] & 07777, c->flags);
}

long rl_do_chown(struct rl_call *c)
{
    return rl_chown(c->dir, c->path, (u32)c->rest[0], (u32)c->rest[1], c->flags);
}

/* ---- times --------------------------------------------------------------------------------------- */

long rl_do_utimensat(struct rl_call *c)
{
    i64 times[4];

    if (c->rest[0] && rl_user_read(c, times, c->rest[0], sizeof times) < 0)
        return -EFAULT;
    return rl_utimens(c->dir, c->path, c->rest[0] ? times : NULL, c->flags);
}

/* utime(2): two seconds. */
long rl_do_utime(struct rl_call *c)
{
    i64 seconds[2], times[4] = {0};

    if (c->rest[0] && rl_user_read(c, seconds, c->rest[0], sizeof seconds) < 0)
        return -EFAULT;
    if (c->rest[0]) {
        times[0] = seconds[0];
        times[2] = seconds[1];
    }
    return rl_utimens(c->dir, c->path, c->rest[0] ? times : NULL, 0);
}

/* utimes(2), futimesat(2): two struct timeval. */
long rl_do_utimes(struct rl_call *c)
{
    i64 times[4];

    if (c->rest[0]) {
        if (rl_user_read(c, times, c->rest[0], sizeof times) < 0)
            return -EFAULT;
        if (times[1] < 0 || times[1] >= 1000000 || times[3] < 0 || times[3] >= 1000000)
            return -EINVAL;
        times[1] *= 1000;
        times[3] *= 1000;
    }
    return rl_utimens(c->dir, c->path, c->rest[0] ? times : NULL, 0);
}

/* ---- extended attributes -------------------------------------------------------------------------- */

static long take_name(struct rl_call *c, char *name, u64 from)
{
    long n = rl_user_text(c, name, from, RL_XATTR_NAME_MAX + 1, -ERANGE);

    return n == 0 ? -ERANGE : n;
}

static size_t room(u64 size) { return size < RL_BUF_BYTES ? size : RL_BUF_BYTES; }

static long give_value(struct rl_call *c, long n, u64 to, u64 size)
{
    if (n > 0 && size != 0 && rl_user_write(c, to, c->slot->buf, (size_t)n) < 0)
        return -EFAULT;
    return n;
}

/* struct xattr_args of setxattrat and getxattrat (Linux 6.13). */
struct rl_xattr_args {
    u64 value;
    u32 size, flags;
};

static long take_args(struct rl_call *c, u64 from, u64 bytes, struct rl_xattr_args *a)
{
    if (bytes < sizeof *a)
        return -EINVAL;
    if (bytes > RL_PATH_MAX)
        return -E2BIG;
    if (rl_user_read(c, c->slot->buf, from, bytes) < 0)
        return -EFAULT;
    for (u64 i = sizeof *a; i < bytes; i++)
        if (c->slot->buf[i])
            return -E2BIG;
    memcpy(a, c->slot->buf, sizeof *a);
    return 0;
}

static long get_value(struct rl_call *c, u64 to, u64 size)
{
    char name[RL_XATTR_NAME_MAX + 1];
    long r = take_name(c, name, c->rest[0]);

    if (r < 0)
        return r;
    r = rl_getxattr(c->dir, c->path, name, c->slot->buf, room(size), c->flags);
    return give_value(c, r, to, size);
}

long rl_do_getxattr(struct rl_call *c) { return get_value(c, c->rest[1], c->rest[2]); }

long rl_do_getxattrat(struct rl_call *c)
{
    struct rl_xattr_args a;
    long r = take_args(c, c->rest[1], c->rest[2], &a);

    if (r >= 0 && a.flags)
        r = -EINVAL;
    return r < 0 ? r : get_value(c, a.value, a.size);
}

long rl_do_listxattr(struct rl_call *c)
{
    long r = rl_listxattr(c->dir, c->path, (char *)c->slot->buf, room(c->rest[1]), c->flags);

    return give_value(c, r, c->rest[0], c->rest[1]);
}

static long set_value(struct rl_call *c, u64 from, u64 size, int how)
{
    char name[RL_XATTR_NAME_MAX + 1];
    long r = take_name(c, name, c->rest[0]);

    if (r < 0)
        return r;
    if (size > RL_BUF_BYTES)
        return -E2BIG;
    if (rl_user_read(c, c->slot->buf, from, size) < 0)
        return -EFAULT;
    return rl_setxattr(c->dir, c->path, name, c->slot->buf, size, how, c->flags);
}

long rl_do_setxattr(struct rl_call *c) { return set_value(c, c->rest[1], c->rest[2], (int)c->rest[3]); }

long rl_do_setxattrat(struct rl_call *c)
{
    struct rl_xattr_args a;
    long r = take_args(c, c->rest[1], c->rest[2], &a);

    return r < 0 ? r : set_value(c, a.value, a.size, (int)a.flags);
}

long rl_do_removexattr(struct rl_call *c)
{
    char name[RL_XATTR_NAME_MAX + 1];
    long r = take_name(c, name, c->rest[0]);

    return r < 0 ? r : rl_removexattr(c->dir, c->path, name, c->flags);
}
