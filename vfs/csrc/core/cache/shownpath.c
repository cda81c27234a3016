/* The fast path below a shown host path (RL_BIND_SHOWN: the files of a Python process's own interpreter).
 *
 * 1. The kernel walks the whole path in one call, which fails if a symbolic link is in it: a link counts from the
 *    container's root. Anything but a plain path of names, below a mount of its own in particular, is RL_MISS.
 * 2. openat2 is for the hook engine alone: in the trap engine it traps from the gate as well. */
#include <linux/openat2.h>

#include "../internal.h"

#define LONGEST 1024 /* bytes of a host path */

/* The host path of a visible path below a shown one, into real[LONGEST]. Number of names below; 0: RL_MISS. */
static u32 names_below(const char *path, struct rl_bind *b, char *real)
{
    u32 names = 0;
    if (rl_root_len || path[0] != '/' || path[1] == '/' || !rl_shown_bind(path + 1, b))
        return 0;
    const char *p = path + b->vlen;
    u64 hash = rl_fnv(RL_FNV_START, b->vpath, b->vlen);
    for (; *p; names++) {
        const char *name = ++p;
        for (hash = rl_fnv_byte(hash, '/'); *p && *p != '/'; p++)
            hash = rl_fnv_byte(hash, *p);
        if (p == name || rl_dots(name, (u32)(p - name)) || rl_bind_hash(hash))
            return 0;
    }
    size_t n = (size_t)(p - path) - b->vlen;
    return rl_join(real, LONGEST, b->host, b->hlen, path + b->vlen, (u32)n, "", 0) < 0 ? 0 : names;
}

int rl_has_openat2;

static long open_plain(const char *real, int flags)
{
    struct open_how how = {.flags = (u32)flags, .resolve = RESOLVE_NO_SYMLINKS};
    return k4(__NR_openat2, AT_FDCWD, (long)real, (long)&how, sizeof how);
}

long rl_shown_stat(const char *path, int flags, struct rl_attr *out)
{
    char real[LONGEST];
    struct statx sx;
    struct rl_bind b;
    u32 names = names_below(path, &b, real);
    if (!names || (names > 1 && !rl_has_openat2))
        return RL_MISS;
    long fd = names > 1 ? open_plain(real, O_PATH | O_NOFOLLOW | O_CLOEXEC) : AT_FDCWD, r = fd;
    if (names == 1)
        r = k_near(fd, real, AT_SYMLINK_NOFOLLOW, &sx);
    else if (fd >= 0) {
        r = k_near(fd, "", AT_EMPTY_PATH, &sx);
        k_close(fd);
    }
    if (r == -ENOENT)
        return r;
    if (r < 0 || (rl_islnk(sx.stx_mode) && !(flags & AT_SYMLINK_NOFOLLOW)))
        return RL_MISS;
    rl_attr_real(&sx, out);
    rl_bind_owner(&b, 0, &out->mode, &out->uid, &out->gid);
    return 0;
}

#define READING (O_CLOEXEC | O_NOFOLLOW | O_DIRECTORY | O_LARGEFILE)

/* Not a FIFO or a device: their opens may block, or need the caller. */
static int plain_kind(long fd)
{
    struct statx sx;
    return k_near(fd, "", AT_EMPTY_PATH, &sx) == 0 && (rl_isreg(sx.stx_mode) || rl_isdir(sx.stx_mode));
}

long rl_shown_open(const char *path, int flags)
{
    char real[LONGEST];
    struct rl_bind b;
    if (!rl_has_openat2 || (flags & ~READING) || !names_below(path, &b, real))
        return RL_MISS;
    long fd = open_plain(real, flags | O_NONBLOCK | O_LARGEFILE); /* which openat sets by itself */
    if (fd == -ENOENT)
        return fd;
    if (fd >= 0 && plain_kind(fd) && k4(__NR_fcntl, fd, F_SETFL, 0, 0) == 0)
        return fd;
    if (fd >= 0)
        k_close(fd);
    return RL_MISS;
}
