/* Names: make, link, rename, remove. */
#define _GNU_SOURCE
#include <string.h>

#include "hook.h"

int rl_h_mkdirat(int dirfd, const char *path, mode_t mode)
{
    RL_BY_NAME(dirfd, path, mkdirat(dirfd, path, mode), RL_CORE(here)->mkdir(dirfd, path, mode));
}

int rl_h_mkdir(const char *path, mode_t mode) { return rl_h_mkdirat(AT_FDCWD, path, mode); }

int rl_h_mknodat(int dirfd, const char *path, mode_t mode, dev_t dev)
{
    RL_BY_NAME(dirfd, path, raw_mknodat(dirfd, path, mode, dev), RL_CORE(here)->mknod(dirfd, path, mode, dev));
}

int rl_h_mknod(const char *path, mode_t mode, dev_t dev) { return rl_h_mknodat(AT_FDCWD, path, mode, dev); }
int rl_h_mkfifo(const char *path, mode_t mode) { return rl_h_mknodat(AT_FDCWD, path, mode | S_IFIFO, 0); }

int rl_h_mkfifoat(int dirfd, const char *path, mode_t mode)
{
    return rl_h_mknodat(dirfd, path, mode | S_IFIFO, 0);
}

int rl_h_xmknod(int version, const char *path, mode_t mode, dev_t *dev)
{
    (void)version;
    return rl_h_mknodat(AT_FDCWD, path, mode, *dev);
}

int rl_h_unlinkat(int dirfd, const char *path, int flags)
{
    RL_BY_NAME(dirfd, path, unlinkat(dirfd, path, flags), RL_CORE(here)->unlink(dirfd, path, flags));
}

int rl_h_unlink(const char *path) { return rl_h_unlinkat(AT_FDCWD, path, 0); }
int rl_h_rmdir(const char *path) { return rl_h_unlinkat(AT_FDCWD, path, AT_REMOVEDIR); }

int rl_h_remove(const char *path)
{
    int saved = errno;

    if (rl_h_unlinkat(AT_FDCWD, path, 0) == 0)
        return 0;
    if (errno != EISDIR)
        return -1;
    errno = saved;
    return rl_h_unlinkat(AT_FDCWD, path, AT_REMOVEDIR);
}

int rl_h_symlinkat(const char *target, int dirfd, const char *path)
{
    if (!target)
        return rl_fail(EFAULT);
    RL_BY_NAME(dirfd, path, symlinkat(target, dirfd, path), RL_CORE(here)->symlink(target, dirfd, path));
}

int rl_h_symlink(const char *target, const char *path) { return rl_h_symlinkat(target, AT_FDCWD, path); }

/* Two names: both in the container, both outside, or on two file systems. */
enum { INSIDE, OUTSIDE, APART };

static int sides(const struct rl_activation *here, int a, const char *one, int b, const char *other)
{
    int x, y;

    if (!here || !one || !other)
        return OUTSIDE;
    x = rl_outside(here, a, one);
    y = rl_outside(here, b, other);
    return x != y ? APART : x ? OUTSIDE : INSIDE;
}

int rl_h_renameat2(int from, const char *old, int to, const char *new, unsigned flags)
{
    RL_INSIDE(here);

    switch (sides(here, from, old, to, new)) {
    case OUTSIDE: return raw_renameat2(from, old, to, new, flags);
    case APART: return rl_fail(EXDEV);
    default: return (int)rl_result(RL_CORE(here)->rename(from, old, to, new, flags));
    }
}

int rl_h_renameat(int from, const char *old, int to, const char *new) { return rl_h_renameat2(from, old, to, new, 0); }
int rl_h_rename(const char *old, const char *new) { return rl_h_renameat2(AT_FDCWD, old, AT_FDCWD, new, 0); }

int rl_h_linkat(int from, const char *old, int to, const char *new, int flags)
{
    RL_INSIDE(here);

    switch (sides(here, from, old, to, new)) {
    case OUTSIDE: return linkat(from, old, to, new, flags);
    case APART: return rl_fail(EXDEV);
    default: return (int)rl_result(RL_CORE(here)->link(from, old, to, new, flags));
    }
}

int rl_h_link(const char *old, const char *new) { return rl_h_linkat(AT_FDCWD, old, AT_FDCWD, new, 0); }
