/* File handles: name_to_handle_at shows programs that two names are one file, and on which mount it is.
 *
 * 1. A handle is made here from the device and inode that stat shows: the kernel's own handle would name a real file,
 *    which changes at copy-up.
 * 2. A handle opens nothing: open_by_handle_at is refused, as it is to every process without CAP_DAC_READ_SEARCH.
 * 3. The mount is that of the container's upper, or that of the bind. */
#include "../internal.h"

#define HANDLE_FID 0x200 /* AT_HANDLE_FID: only for comparison, which is the only use of our handles */
#define FLAGS (AT_EMPTY_PATH | AT_SYMLINK_FOLLOW | HANDLE_FID)

static long mount_id(long dir, const char *real, int flags)
{
    struct statx sx;
    long r = rl_sys(__NR_statx, dir, (long)real, flags, STATX_MNT_ID, (long)&sx, 0);
    if (r < 0)
        return r;
    return sx.stx_mask & STATX_MNT_ID ? (long)sx.stx_mnt_id : -EOPNOTSUPP; /* before Linux 5.8 */
}

static long mount_of(int dirfd, const char *path, int flags, const struct rl_attr *a)
{
    if (a->dev == rl_launch->st_dev && rl_nlayers && rl_layers[0].len)
        return mount_id(AT_FDCWD, rl_layers[0].path, 0);
    if (!path[0]) /* a descriptor */
        return mount_id(dirfd, "", AT_EMPTY_PATH);
    char *real = rl_scratch_get(RL_REAL_MAX);
    if (!real)
        return -ENOMEM;
    long r = rl_real_path(dirfd, path, flags, real, RL_REAL_MAX);
    if (r >= 0)
        r = mount_id(AT_FDCWD, real, AT_SYMLINK_NOFOLLOW);
    rl_scratch_put(real, RL_REAL_MAX);
    return r;
}

long rl_handle(int dirfd, const char *path, int flags, struct rl_handle *h)
{
    struct rl_attr a;
    if (flags & ~FLAGS)
        return -EINVAL;
    flags = (flags & AT_EMPTY_PATH) | (flags & AT_SYMLINK_FOLLOW ? 0 : AT_SYMLINK_NOFOLLOW);
    long r = rl_stat(dirfd, path, flags, &a);
    if (r < 0)
        return r;
    *h = (struct rl_handle){RL_HANDLE_BYTES, RL_HANDLE_TYPE, a.dev, a.ino};
    return mount_of(dirfd, path, flags, &a);
}
