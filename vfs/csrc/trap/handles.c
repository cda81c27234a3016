/* File handles: name_to_handle_at tells programs that two names are one file, and on which mount it is.
 *
 * 1. A handle is made here, of the device and inode that stat tells: the kernel's own would be of a real file, which
 *    is another one after a copy-up.
 * 2. It opens nothing: open_by_handle_at is refused, as it is to everybody without CAP_DAC_READ_SEARCH.
 * 3. The mount is that of the container's upper, or that of the bind.
 */
#include <linux/stat.h>

#include "engine.h"
#include "syscalls.h"

#define RL_MAX_HANDLE_BYTES 128 /* MAX_HANDLE_SZ */
#define RL_HANDLE_TYPE 0x72     /* none of the kernel's FILEID_* */

struct rl_handle {
    u32 bytes;
    i32 type;
    u64 dev, ino;
};
#define RL_HEAD_BYTES 8
#define RL_OWN_BYTES 16

static long mount_id(int dir, const char *real, int flags)
{
    struct statx sx;
    long r = rl_sys(__NR_statx, dir, (long)real, flags, STATX_MNT_ID, (long)&sx, 0);

    if (r < 0)
        return r;
    return sx.stx_mask & STATX_MNT_ID ? (long)sx.stx_mnt_id : -EOPNOTSUPP; /* before Linux 5.8 */
}

static long mount_of(struct rl_call *c, const struct rl_attr *a, int flags)
{
    const struct rl_launch_dir *upper = (const void *)((const char *)rl_launch + rl_launch->off_dirs);
    char *real = (char *)c->slot->buf;
    long r;

    if (a->dev == rl_launch->st_dev && rl_launch->dirs && upper->path.len)
        return mount_id(RL_AT_FDCWD, rl_launch_str(upper->path), 0);
    if (*c->path == 0) /* a descriptor */
        return mount_id(c->dir, "", RL_AT_EMPTY_PATH);
    r = rl_real_path(c->dir, c->path, flags, 0, real, RL_BUF_BYTES);
    return r < 0 ? r : mount_id(RL_AT_FDCWD, real, RL_AT_SYMLINK_NOFOLLOW);
}

long rl_do_name_to_handle_at(struct rl_call *c)
{
    int flags = (c->flags & RL_AT_EMPTY_PATH) | (c->flags & RL_AT_SYMLINK_FOLLOW ? 0 : RL_AT_SYMLINK_NOFOLLOW);
    struct rl_handle h;
    struct rl_attr a;
    long mount, r;
    u32 room;
    i32 id;

    if (*c->path == 0 && c->dir != RL_AT_FDCWD && flags & RL_AT_EMPTY_PATH)
        r = rl_fstat(c->dir, &a);
    else
        r = rl_stat(c->dir, c->path, flags, &a);
    if (r < 0)
        return r;
    if (rl_guest_read(c, &room, c->rest[0], sizeof room) < 0)
        return -EFAULT;
    if (room > RL_MAX_HANDLE_BYTES)
        return -EINVAL;
    mount = mount_of(c, &a, flags);
    if (mount < 0)
        return mount;
    id = (i32)mount;
    h = (struct rl_handle){RL_OWN_BYTES, RL_HANDLE_TYPE, a.dev, a.ino};
    if (rl_guest_write(c, c->rest[1], &id, sizeof id) < 0 ||
        rl_guest_write(c, c->rest[0], &h, room < RL_OWN_BYTES ? RL_HEAD_BYTES : sizeof h) < 0)
        return -EFAULT;
    return room < RL_OWN_BYTES ? -EOVERFLOW : 0;
}
