/* fgetxattr and flistxattr of files that have no attributes, as nearly all of an image: with nothing held, for the
 * fast path. `cp -a` asks four times for each file. */
#include "xattr.h"

/* A descriptor of a layer's file that nothing covers. Its entry, an error of the descriptor, or RL_MISS. */
static long entry_of(int fd)
{
    struct statx sx;
    long r = rl_only_named(fd);
    if (r >= 0)
        r = k_near(fd, "", AT_EMPTY_PATH, &sx);
    u32 id = r < 0 ? 0 : rl_fdcache_entry(&sx);
    return r < 0 ? r : id ? (long)id : RL_MISS;
}

long rl_fast_fgetxattr(int fd, const char *name)
{
    long id = entry_of(fd), r = id < 0 ? id : rl_xattr_bad_name(name);
    if (r < 0 || rl_xattr_ours(name))
        return r < 0 ? r : -ENODATA;
    const struct rl_view_entry *e = rl_view_entry((u32)id);
    if (e->xattrs_len)
        return RL_MISS;
    if (rl_xattr_user(name))
        r = rl_entry_permit(e, RL_R_OK, 0);
    return r < 0 ? r : -ENODATA;
}

long rl_fast_flistxattr(int fd)
{
    long id = entry_of(fd);
    return id < 0 ? id : rl_view_entry((u32)id)->xattrs_len ? RL_MISS : 0;
}
