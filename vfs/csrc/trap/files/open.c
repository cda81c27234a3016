/* Opening. The core does all steps but the last; that step is made here, or, if it may block, by the program itself
 * (resume.c). */
#include <asm/fcntl.h>
#include <linux/openat2.h>
#include <linux/stat.h>

#include "../engine.h"
#include "../table/syscalls.h"

#define RL_MAY_NOT_BLOCK (O_NONBLOCK | O_PATH | O_DIRECTORY | O_EXCL)

/* VALID_OPEN_FLAGS and O_PATH_FLAGS of the kernel: openat2 rejects all others. */
#define RL_PATH_FLAGS (O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
#define RL_OPEN_FLAGS \
    (O_ACCMODE | O_CREAT | O_EXCL | O_NOCTTY | O_TRUNC | O_APPEND | O_NDELAY | __O_SYNC | O_DSYNC | FASYNC | O_DIRECT | \
     O_LARGEFILE | O_NOATIME | __O_TMPFILE | RL_PATH_FLAGS)

static int is_fifo(const char *real)
{
    struct statx sx;

    return rl_sys(__NR_statx, AT_FDCWD, (long)real, 0, STATX_TYPE, (long)&sx, 0) == 0 &&
           (sx.stx_mode & S_IFMT) == S_IFIFO;
}

/* A FIFO waits for its other end: the program waits, not the handler. */
static long open_fifo(struct rl_call *c, const struct rl_open *o)
{
    char *real = (char *)rl_pass_buffer();
    u64 arg[6];

    memcpy(arg, c->arg, sizeof arg);
    rl_put(real, o->real);
    if (c->row->pass) { /* the same call again, at its own site */
        u32 path = c->row->path - 1u;

        arg[path] = (u64)real;
        arg[path + 1] = (u32)o->flags;
        arg[path + 2] = o->mode;
        return rl_resume(c, c->nr, arg);
    }
    arg[0] = (u64)(i64)AT_FDCWD;
    arg[1] = (u64)real;
    arg[2] = (u32)o->flags;
    arg[3] = o->mode;
    return rl_resume(c, __NR_openat, arg);
}

static long open_file(struct rl_call *c, int flags, unsigned mode, u64 resolve)
{
    struct rl_open *o = &c->slot->open;
    long fd;

    if (rl_keptdirs_pending)
        rl_keptdirs_settle();
    o->blocked = &c->uc->sigmask;
    fd = rl_open_prepare(c->dir, c->path, flags, mode, resolve, o);

    if (fd < 0)
        return fd;
    if (o->done_fd >= 0)
        return rl_open_finish(o, o->done_fd);
    if (!o->regular && !(o->flags & RL_MAY_NOT_BLOCK) && (o->flags & O_ACCMODE) != O_RDWR && is_fifo(o->real)) {
        rl_open_finish(o, -EINTR); /* no step is left: it exists */
        return open_fifo(c, o);
    }
    fd = rl_sys4(__NR_openat, AT_FDCWD, (long)o->real, o->flags, o->mode);
    return rl_open_finish(o, fd);
}

long rl_do_open(struct rl_call *c)
{
    return open_file(c, (int)c->rest[0], (unsigned)c->rest[1], 0);
}

long rl_do_creat(struct rl_call *c)
{
    return open_file(c, O_CREAT | O_WRONLY | O_TRUNC, (unsigned)c->rest[0], 0);
}

long rl_do_openat2(struct rl_call *c)
{
    struct open_how how = {0};
    u64 size = c->rest[1];

    if (size < sizeof how)
        return -EINVAL;
    if (size > sizeof c->slot->buf)
        return -E2BIG;
    if (rl_user_read(c, c->slot->buf, c->rest[0], size) < 0)
        return -EFAULT;
    for (u64 i = sizeof how; i < size; i++)
        if (c->slot->buf[i])
            return -E2BIG;
    memcpy(&how, c->slot->buf, sizeof how);
    if (how.flags & ~(u64)RL_OPEN_FLAGS || (how.flags & O_PATH && how.flags & ~(u64)RL_PATH_FLAGS) ||
        ((how.flags & __O_TMPFILE) && ((how.flags & O_TMPFILE) != O_TMPFILE || !(how.flags & O_ACCMODE))) ||
        (how.mode & ~07777ull) || (how.mode && !(how.flags & (O_CREAT | __O_TMPFILE))))
        return -EINVAL;
    return open_file(c, (int)how.flags, (unsigned)how.mode, how.resolve);
}

long rl_do_truncate(struct rl_call *c)
{
    return rl_truncate(c->path, (i64)c->rest[0]);
}
