/* Directories: their listings, the working directory, the root. */
#include <linux/capability.h>

#include "../engine.h"
#include "../table/syscalls.h"

#define RL_DENTS_BYTES 32768 /* at most this many bytes of a listing at a time */

struct rl_old_dirent {
    u64 ino, off;
    u16 bytes;
    char name[]; /* the type is the last byte of the record */
};

/* Is the program's buffer writable? Checked first, since a listing that cannot be copied out is lost. */
static long touch(struct rl_call *c, u64 at)
{
    u8 byte;
    long r = rl_user_read(c, &byte, at, 1);

    return r < 0 ? r : rl_user_write(c, at, &byte, 1);
}

long rl_do_getdents64(struct rl_call *c)
{
    u32 size = (u32)c->arg[2];
    long r = size && touch(c, c->arg[1]) < 0 ? -EFAULT : 0;

    if (r == 0)
        r = rl_getdents64((int)c->arg[0], c->slot->buf, size < RL_DENTS_BYTES ? size : RL_DENTS_BYTES);
    if (r > 0 && rl_user_write(c, c->arg[1], c->slot->buf, (size_t)r) < 0)
        return -EFAULT;
    return r;
}

/* The old form: a record is never longer than the new one's, so the same size is requested. */
long rl_do_getdents(struct rl_call *c)
{
    u32 size = (u32)c->arg[2];
    u8 *buf = c->slot->buf, *out = buf + RL_DENTS_BYTES;
    long r = size && touch(c, c->arg[1]) < 0 ? -EFAULT : 0, n = 0;

    if (r == 0)
        r = rl_getdents64((int)c->arg[0], buf, size < RL_DENTS_BYTES ? size : RL_DENTS_BYTES);
    for (long at = 0; at < r;) {
        const struct rl_dirent *from = (const struct rl_dirent *)(buf + at);
        struct rl_old_dirent *to = (struct rl_old_dirent *)(out + n);
        size_t len = strlen(from->name);

        to->ino = from->ino;
        to->off = (u64)from->off;
        to->bytes = (u16)((sizeof *to - 6 + len + 2 + 7) & ~7ull);
        memcpy(to->name, from->name, len + 1);
        ((u8 *)to)[to->bytes - 1] = from->type;
        n += to->bytes;
        at += from->reclen;
    }
    if (r <= 0)
        return r;
    return rl_user_write(c, c->arg[1], out, (size_t)n) < 0 ? -EFAULT : n;
}

long rl_do_chdir(struct rl_call *c) { return rl_chdir(c->path); }
long rl_do_fchdir(struct rl_call *c) { return rl_fchdir((int)c->arg[0]); }

long rl_do_getcwd(struct rl_call *c)
{
    u64 size = c->arg[1];
    long r = rl_getcwd(c->slot->path, size < RL_PATH_MAX ? size : RL_PATH_MAX);

    if (r > 0 && rl_user_write(c, c->arg[0], c->slot->path, (size_t)r) < 0)
        return -EFAULT;
    return r;
}

long rl_do_chroot(struct rl_call *c)
{
    rl_identity_borrow();
    return rl_chroot(c->path, rl_capable(CAP_SYS_CHROOT));
}
