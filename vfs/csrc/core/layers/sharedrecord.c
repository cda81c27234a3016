/* The record of a regular file that has several names (docs/format.md section 6): an extended attribute of the file, so
 * that all names share one record.
 *
 * 1. If a file has the attribute, it counts instead of the records next to its names, and still does when one name is
 *    left.
 * 2. One key of the Bloom filter says whether an upper has such a record: other uppers pay nothing.
 * 3. No program sees the attribute. On a file system without user.* attributes, each name keeps a record. */
#include "../change/xattr.h"

static u64 key(void)
{
    return rl_bloom_key(RL_FNV_START, RL_BLOOM_SHARED);
}

int rl_shared_any(const struct rl_layer *l)
{
    return (l->flags & RL_DIR_MARKS) && rl_bloom_test(l, key());
}

/* The text of the shared record of the regular file `real`, into text[RL_PATH_MAX]. Length; -ENODATA: it has none. */
long rl_shared_load(const struct rl_layer *l, const char *real, char *text)
{
    if (!rl_shared_any(l))
        return -ENODATA;
    long n = rl_by_text(__NR_lgetxattr, real, RL_XATTR_SHARED, text, RL_PATH_MAX - 1, 0);
    if (n < 0)
        return n == -ERANGE ? -EIO : -ENODATA;
    text[n] = 0;
    return (long)strlen(text) == n ? n : -EIO;
}

/* The attribute needs write permission, which the file's mode might not grant. */
static long set(const char *real, u32 mode, const char *text, u32 n)
{
    long r = rl_by_text(__NR_lsetxattr, real, RL_XATTR_SHARED, text, n, 0);
    if (r != -EACCES || k_chmod(real, (mode & 07777) | 0200) < 0)
        return r;
    r = rl_by_text(__NR_lsetxattr, real, RL_XATTR_SHARED, text, n, 0);
    k_chmod(real, mode & 07777);
    return r;
}

/* 1: not here (rule 3). The lock is held. */
long rl_shared_store(const char *real, const char *text, u32 n)
{
    struct statx sx;
    rl_bloom_set(&rl_layers[0], key());
    long r = k_lstat(real, &sx);
    if (r >= 0)
        r = set(real, sx.stx_mode, text, n);
    return r == -EOPNOTSUPP || r == -EPERM || r == -EACCES || r == -ENOSPC || r == -EDQUOT || r == -E2BIG ? 1 : r;
}

/* The text of the record of the object at s->real[0..len) of layer l, whose real type is in `mode`, into s->text.
 * Length. */
long rl_record_text(struct rl_scratch *s, const struct rl_layer *l, u32 mode, u32 len)
{
    long n = rl_isreg(mode) ? rl_shared_load(l, s->real, s->text) : -ENODATA;
    if (n != -ENODATA)
        return n;
    struct rl_record rec;
    n = rl_record_path(s->mark, sizeof s->mark, s->real, len, l->len);
    if (n >= 0)
        n = k_readlink(s->mark, s->text, sizeof s->text - 1);
    if (n < 0)
        return n;
    s->text[n] = 0;
    return rl_linked_follow(s, l, n, &rec);
}
