/* Where records are (docs/format.md section 6).
 *
 * 1. The record of a regular file or directory is an attribute of the real file: all names share it, and it moves with
 *    them. On a file system without user.* attributes, and for all other types, it is a symbolic link next to the name.
 * 2. An attribute counts instead of a link: older uppers have links for all types. A change replaces them.
 * 3. The bit of a path says that it may have a record of either kind. A change of a file with several names sets a bit
 *    of the root, too, since the other names are not known.
 * 4. No program sees the attribute. A layer is searched for it only if it is the upper, if its root is marked as one
 *    (RL_DIR_ATTRS), or if its filter says so. */
#include "../change/xattr.h"

static int can_hold(u32 mode)
{
    return rl_isreg(mode) || rl_isdir(mode);
}

int rl_record_held(u32 real_mode)
{
    return (rl_layers[0].flags & RL_DIR_ATTRS) && can_hold(real_mode);
}

int rl_shared_any(const struct rl_layer *l)
{
    u64 key = rl_bloom_key(RL_FNV_START, RL_BLOOM_SHARED);
    return (l->flags & RL_DIR_MARKS) && (l->bloom ? rl_bloom_test(l, key) : (l->flags & RL_DIR_ATTRS) != 0);
}

static long attribute(const char *real, char *text)
{
    long n = rl_by_text(__NR_lgetxattr, real, RL_XATTR_RECORD, text, RL_PATH_MAX - 1, 0);
    if (n < 0)
        return n == -ERANGE ? -EIO : -ENODATA;
    text[n] = 0;
    return (long)strlen(text) == n ? n : -EIO;
}

/* Length of the text, or -ENODATA. */
static long find(const struct rl_layer *l, const char *real, u32 len, int in_file, int beside, char *mark, char *text,
                 struct rl_record *rec)
{
    long n = in_file ? attribute(real, text) : -ENODATA;
    if (n >= 0) {
        n = rl_record_parse(text, (u32)n, rec) < 0 ? -EIO : n;
        rec->has |= RL_IN_FILE;
    }
    if (n != -ENODATA || !beside || rl_record_path(mark, RL_REAL_MAX, real, len, l->len) < 0)
        return n;
    n = k_readlink(mark, text, RL_PATH_MAX - 1);
    if (n < 0)
        return -ENODATA;
    text[n] = 0;
    return rl_linked_follow(l, n, mark, text, rec);
}

long rl_record_read(struct rl_scratch *s, const struct rl_layer *l, u64 fnv, u32 mode, const char *real, u32 len,
                    char *text, struct rl_record *rec)
{
    int own = rl_may_be_recorded(l, fnv);
    int in_file = (own && (l->flags & (RL_DIR_ATTRS | RL_DIR_UPPER)) && can_hold(mode)) || (rl_isreg(mode) && rl_shared_any(l));
    rec->has = rec->xattrs = rec->xattrs_len = rec->redirect = rec->redirect_len = 0; /* offsets into text: read with has 0 */
    if (!(l->flags & RL_DIR_MARKS) || !(own || in_file))
        return 0;
    long n = find(l, real, len, in_file, own, s->mark, text, rec);
    return n == -ENODATA ? 0 : n < 0 ? -EIO : 1;
}

long rl_record_text(struct rl_scratch *s, const struct rl_layer *l, u32 mode, u32 len)
{
    struct rl_record rec;
    return find(l, s->real, len, can_hold(mode), 1, s->mark, s->text, &rec);
}
