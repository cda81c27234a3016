/* Store records in the upper: layers/recordfile.c says where. */
#include "xattr.h"

/* No room, or no such attributes (of a file system that lost them since it was tested). */
static int refused(long r)
{
    return r == -EOPNOTSUPP || r == -EPERM || r == -EACCES || r == -ENOSPC || r == -EDQUOT || r == -E2BIG;
}

static long set(const struct rl_walk *w, const char *real, const char *text, u32 n)
{
    return w->own >= 0 ? rl_sys(__NR_fsetxattr, w->own, (long)RL_XATTR_RECORD, (long)text, n, 0, 0)
                       : rl_by_text(__NR_lsetxattr, real, RL_XATTR_RECORD, text, n, 0);
}

/* The attribute needs write permission, which the file's mode might not grant. */
static long set_any(const struct rl_walk *w, const char *real, u32 mode, const char *text, u32 n)
{
    long r = set(w, real, text, n);
    if (r != -EACCES || k_chmod(real, (mode & 07777) | 0200) < 0)
        return r;
    r = set(w, real, text, n);
    k_chmod(real, mode & 07777);
    return r;
}

long rl_record_put(u64 fnv, long fd, const char *temp, u32 mode, const char *text, u32 n)
{
    if (!n || !rl_record_held(mode))
        return n;
    rl_bloom_set(&rl_layers[0], rl_bloom_key(fnv, RL_BLOOM_RECORD));
    long r = fd >= 0 ? rl_sys(__NR_fsetxattr, fd, (long)RL_XATTR_RECORD, (long)text, n, 0, 0)
                     : rl_by_text(__NR_lsetxattr, temp, RL_XATTR_RECORD, text, n, 0);
    return refused(r) ? n : r;
}

long rl_record_beside(struct rl_walk *w, u64 fnv, const char *real, u32 len, char *text)
{
    char *mark = w->s->mark;
    text[0] = 0;
    if (!rl_may_be_recorded(&rl_layers[0], fnv))
        return 0;
    long n = rl_record_path(mark, sizeof w->s->mark, real, len, rl_layers[0].len);
    if (n >= 0)
        n = k_readlink(mark, text, RL_PATH_MAX - 1);
    if (n < 0)
        return n == -ENOENT ? 0 : n;
    text[n] = 0;
    return n;
}

long rl_record_link(struct rl_walk *w, u64 fnv, const char *real, u32 len, const char *text, u32 n)
{
    struct rl_scratch *s = w->s;
    if (!n && !rl_may_be_recorded(&rl_layers[0], fnv))
        return 0;
    long r = rl_record_path(s->mark, sizeof s->mark, real, len, rl_layers[0].len);
    if (r < 0)
        return r;
    if (!n) {
        k_unlink(s->mark, 0);
        return 0;
    }
    rl_bloom_set(&rl_layers[0], rl_bloom_key(fnv, RL_BLOOM_RECORD));
    return rl_mark_put(s->mark, (u32)r, text);
}

/* A mark is not a change by the program: the directory keeps its times. */
static __attribute__((noinline)) long link_quietly(struct rl_walk *w, u64 fnv, const char *real, u32 len,
                                                   const char *text, u32 n)
{
    struct rl_keep keep;
    char *mark = w->s->mark;
    if (!n && !rl_may_be_recorded(&rl_layers[0], fnv))
        return 0;
    rl_keep_times(real, len, &keep, 0);
    if (!n && rl_watched(&w->dir) && rl_record_path(mark, sizeof w->s->mark, real, len, rl_layers[0].len) >= 0)
        k_utimens(AT_FDCWD, mark, NULL, AT_SYMLINK_NOFOLLOW); /* events.c, rule 3 */
    long r = rl_record_link(w, fnv, real, len, text, n);
    rl_keep_times(real, len, &keep, 1);
    return r;
}

long rl_record_store(struct rl_walk *w, const char *real, u32 len, const struct statx *sx, u32 had, const char *text,
                     u32 n)
{
    const struct rl_layer *l = &rl_layers[0];
    u64 fnv = rl_vhash(w);
    int many = rl_isreg(sx->stx_mode) && sx->stx_nlink > 1, linked = rl_may_be_recorded(l, fnv);
    if (!rl_record_held(sx->stx_mode) && !(had & RL_IN_FILE))
        return link_quietly(w, fnv, real, len, text, n);
    rl_bloom_set(l, rl_bloom_key(fnv, RL_BLOOM_RECORD));
    if (many)
        rl_bloom_set(l, rl_bloom_key(RL_FNV_START, RL_BLOOM_SHARED));
    if (!n && !many) { /* the link first: it would count again */
        if (linked)
            link_quietly(w, fnv, real, len, text, 0);
        long r = rl_by_text(__NR_lremovexattr, real, RL_XATTR_RECORD, NULL, 0, 0);
        return r == -EACCES ? set_any(w, real, sx->stx_mode, text, 0) : r == -ENODATA ? 0 : r;
    }
    long r = set_any(w, real, sx->stx_mode, text, n); /* an empty one hides the links of several names */
    if (refused(r)) /* next to an attribute a link would not count */
        return !(had & RL_IN_FILE) ? link_quietly(w, fnv, real, len, text, n) : r == -EDQUOT ? r : -ENOSPC;
    if (r >= 0 && linked && !(had & RL_IN_FILE))
        link_quietly(w, fnv, real, len, text, 0);
    return r == -ENOENT ? -ESTALE : r;
}

void rl_record_moves(u64 from, u64 to)
{
    if (rl_may_be_recorded(&rl_layers[0], from))
        rl_bloom_set(&rl_layers[0], rl_bloom_key(to, RL_BLOOM_RECORD));
}
