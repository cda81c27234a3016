/* Names: make, link, rename, remove; and syncing. */
#include "../engine.h"
#include "../table/syscalls.h"

long rl_do_mkdir(struct rl_call *c) { return rl_mkdir(c->dir, c->path, (unsigned)c->rest[0]); }
long rl_do_mknod(struct rl_call *c) { return rl_mknod(c->dir, c->path, (unsigned)c->rest[0], (u32)c->rest[1]); }
long rl_do_symlink(struct rl_call *c) { return rl_symlink(c->path2, c->dir, c->path); }
long rl_do_link(struct rl_call *c) { return rl_link(c->dir, c->path, c->dir2, c->path2, c->flags); }
long rl_do_unlink(struct rl_call *c) { return rl_unlink(c->dir, c->path, c->flags); }
/* fsync and the like: what was removed stays removed after a power failure. The kernel syncs even if that fails, and
 * names the error, which it meets, too. */
long rl_do_sync(struct rl_call *c)
{
    long r = rl_removals_sync(), synced = rl_sys1(c->nr, (long)c->arg[0]);

    return synced < 0 || r >= 0 ? synced : r;
}

long rl_do_rename(struct rl_call *c) { return rl_rename(c->dir, c->path, c->dir2, c->path2, (unsigned)c->flags); }
