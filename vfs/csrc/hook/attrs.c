/* Attributes: stat's many forms, permissions, owners, times, extended attributes, handles. */
#define _GNU_SOURCE
#include <string.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <sys/time.h>
#include <sys/vfs.h>
#include <sys/xattr.h>
#include <utime.h>

#include "../core/answer/statpack.h"
#include "hook.h"

_Static_assert(sizeof(struct stat) == RL_STAT_BYTES, "libc's structure is the kernel's");

/* 1: `a` is filled; 0: call libc; -errno. */
static long attributes(struct rl_activation *here, int dirfd, const char *path, int flags, struct rl_attr *a)
{
    long r;

    if (!here || !path)
        return 0;
    if (!*path && (flags & AT_EMPTY_PATH) && dirfd != AT_FDCWD)
        return (r = RL_CORE(here)->fstat(dirfd, a)) < 0 ? r : 1;
    r = RL_CORE(here)->stat(dirfd, path, flags, a);
    if (r == -ENOENT && rl_outside(here, dirfd, path))
        return 0;
    return r < 0 ? r : 1;
}

int rl_h_fstatat(int dirfd, const char *path, struct stat *st, int flags)
{
    RL_INSIDE(here);
    struct rl_attr a;
    long r = attributes(here, dirfd, path, flags, &a);

    if (r == 0)
        return raw_fstatat(dirfd, path, st, flags);
    if (r < 0)
        return (int)rl_result(r);
    rl_stat_fill(st, &a);
    return 0;
}

int rl_h_stat(const char *path, struct stat *st) { return rl_h_fstatat(AT_FDCWD, path, st, 0); }
int rl_h_lstat(const char *path, struct stat *st) { return rl_h_fstatat(AT_FDCWD, path, st, AT_SYMLINK_NOFOLLOW); }

int rl_h_fstat(int fd, struct stat *st)
{
    RL_INSIDE(here);
    struct rl_attr a;
    long r;

    if (!here)
        return raw_fstat(fd, st);
    r = RL_CORE(here)->fstat(fd, &a);
    if (r < 0)
        return (int)rl_result(r);
    rl_stat_fill(st, &a);
    return 0;
}

int rl_h_xstat(int version, const char *path, struct stat *st) { (void)version; return rl_h_stat(path, st); }
int rl_h_lxstat(int version, const char *path, struct stat *st) { (void)version; return rl_h_lstat(path, st); }
int rl_h_fxstat(int version, int fd, struct stat *st) { (void)version; return rl_h_fstat(fd, st); }

int rl_h_fxstatat(int version, int dirfd, const char *path, struct stat *st, int flags)
{
    (void)version;
    return rl_h_fstatat(dirfd, path, st, flags);
}

int rl_h_statx(int dirfd, const char *path, int flags, unsigned mask, struct statx *sx)
{
    RL_INSIDE(here);
    struct rl_attr a;
    long r = attributes(here, dirfd, path, flags & ~(AT_STATX_FORCE_SYNC | AT_STATX_DONT_SYNC), &a);

    if (r == 0)
        return raw_statx(dirfd, path, flags, mask, sx);
    if (r < 0)
        return (int)rl_result(r);
    rl_statx_fill(sx, &a);
    return 0;
}

/* ---- access and links ------------------------------------------------------------------------------- */

int rl_h_faccessat(int dirfd, const char *path, int mode, int flags)
{
    RL_INSIDE(here);
    long r;

    if (!here || !path)
        return faccessat(dirfd, path, mode, flags);
    r = RL_CORE(here)->access(dirfd, path, mode, flags);
    if (r == -ENOENT && rl_outside(here, dirfd, path))
        return faccessat(dirfd, path, mode, flags);
    return (int)rl_result(r);
}

int rl_h_access(const char *path, int mode) { return rl_h_faccessat(AT_FDCWD, path, mode, 0); }
int rl_h_euidaccess(const char *path, int mode) { return rl_h_faccessat(AT_FDCWD, path, mode, AT_EACCESS); }

ssize_t rl_h_readlinkat(int dirfd, const char *path, char *out, size_t size)
{
    RL_BY_NAME(dirfd, path, readlinkat(dirfd, path, out, size), RL_CORE(here)->readlink(dirfd, path, out, size));
}

ssize_t rl_h_readlink(const char *path, char *out, size_t size) { return rl_h_readlinkat(AT_FDCWD, path, out, size); }

ssize_t rl_h_readlink_chk(const char *path, char *out, size_t size, size_t room)
{
    return rl_h_readlinkat(AT_FDCWD, path, out, size < room ? size : room);
}

ssize_t rl_h_readlinkat_chk(int dirfd, const char *path, char *out, size_t size, size_t room)
{
    return rl_h_readlinkat(dirfd, path, out, size < room ? size : room);
}

/* ---- modes, owners, times ---------------------------------------------------------------------------- */

int rl_h_fchmodat(int dirfd, const char *path, mode_t mode, int flags)
{
    RL_BY_NAME(dirfd, path, fchmodat(dirfd, path, mode, flags), RL_CORE(here)->chmod(dirfd, path, mode, flags));
}

int rl_h_chmod(const char *path, mode_t mode) { return rl_h_fchmodat(AT_FDCWD, path, mode, 0); }
int rl_h_lchmod(const char *path, mode_t mode) { return rl_h_fchmodat(AT_FDCWD, path, mode, AT_SYMLINK_NOFOLLOW); }

int rl_h_fchownat(int dirfd, const char *path, uid_t uid, gid_t gid, int flags)
{
    RL_BY_NAME(dirfd, path, fchownat(dirfd, path, uid, gid, flags), RL_CORE(here)->chown(dirfd, path, uid, gid, flags));
}

int rl_h_chown(const char *path, uid_t uid, gid_t gid) { return rl_h_fchownat(AT_FDCWD, path, uid, gid, 0); }

int rl_h_lchown(const char *path, uid_t uid, gid_t gid)
{
    return rl_h_fchownat(AT_FDCWD, path, uid, gid, AT_SYMLINK_NOFOLLOW);
}

/* By descriptor. The core leaves a descriptor that is not the container's to the kernel. */
int rl_h_fchmod(int fd, mode_t mode)
{
    RL_INSIDE(here);
    return here ? (int)rl_result(RL_CORE(here)->chmod(fd, NULL, mode, 0)) : fchmod(fd, mode);
}

int rl_h_fchown(int fd, uid_t uid, gid_t gid)
{
    RL_INSIDE(here);
    return here ? (int)rl_result(RL_CORE(here)->chown(fd, NULL, uid, gid, 0)) : fchown(fd, uid, gid);
}

int rl_h_futimens(int fd, const struct timespec times[2])
{
    RL_INSIDE(here);
    return here ? (int)rl_result(RL_CORE(here)->utimens(fd, NULL, (const i64 *)times, 0)) : futimens(fd, times);
}

int rl_h_utimensat(int dirfd, const char *path, const struct timespec times[2], int flags)
{
    if (!path)
        return rl_h_futimens(dirfd, times);
    RL_BY_NAME(dirfd, path, utimensat(dirfd, path, times, flags),
              RL_CORE(here)->utimens(dirfd, path, (const i64 *)times, flags));
}

static const struct timespec *precise(const struct timeval *from, struct timespec to[2])
{
    if (!from)
        return NULL;
    for (int i = 0; i < 2; i++)
        to[i] = (struct timespec){from[i].tv_sec, from[i].tv_usec * 1000};
    return to;
}

int rl_h_utimes(const char *path, const struct timeval times[2])
{
    struct timespec t[2];
    return rl_h_utimensat(AT_FDCWD, path, precise(times, t), 0);
}

int rl_h_lutimes(const char *path, const struct timeval times[2])
{
    struct timespec t[2];
    return rl_h_utimensat(AT_FDCWD, path, precise(times, t), AT_SYMLINK_NOFOLLOW);
}

int rl_h_futimes(int fd, const struct timeval times[2])
{
    struct timespec t[2];
    return rl_h_futimens(fd, precise(times, t));
}

int rl_h_futimesat(int dirfd, const char *path, const struct timeval times[2])
{
    struct timespec t[2];
    return rl_h_utimensat(dirfd, path, precise(times, t), 0);
}

int rl_h_utime(const char *path, const struct utimbuf *times)
{
    struct timespec t[2];

    if (times) {
        t[0] = (struct timespec){times->actime, 0};
        t[1] = (struct timespec){times->modtime, 0};
    }
    return rl_h_utimensat(AT_FDCWD, path, times ? t : NULL, 0);
}

int rl_h_truncate(const char *path, off_t size)
{
    RL_BY_NAME(AT_FDCWD, path, truncate(path, size), RL_CORE(here)->truncate(path, size));
}

/* ---- file systems ------------------------------------------------------------------------------------ */

int rl_h_statfs(const char *path, struct statfs *out)
{
    RL_BY_NAME(AT_FDCWD, path, statfs(path, out), RL_CORE(here)->statfs(path, out));
}

/* libc's statvfs of the real file, which the core finds. */
int rl_h_statvfs(const char *path, struct statvfs *out)
{
    RL_INSIDE(here);
    struct statfs fs;
    long r;

    if (!here || !path)
        return statvfs(path, out);
    r = RL_CORE(here)->statfs(path, &fs);
    if (r < 0)
        return (int)rl_result(r);
    memset(out, 0, sizeof *out);
    out->f_bsize = (unsigned long)fs.f_bsize;
    out->f_frsize = fs.f_frsize ? (unsigned long)fs.f_frsize : (unsigned long)fs.f_bsize;
    out->f_blocks = fs.f_blocks;
    out->f_bfree = fs.f_bfree;
    out->f_bavail = fs.f_bavail;
    out->f_files = fs.f_files;
    out->f_ffree = out->f_favail = fs.f_ffree;
    memcpy(&out->f_fsid, &fs.f_fsid, sizeof fs.f_fsid < sizeof out->f_fsid ? sizeof fs.f_fsid : sizeof out->f_fsid);
    out->f_flag = (unsigned long)fs.f_flags & ~0x20ul; /* ST_VALID, which libc clears */
    out->f_namemax = (unsigned long)fs.f_namelen;
    return 0;
}

long rl_h_pathconf(const char *path, int name)
{
    RL_INSIDE(here);
    char real[RL_PATH_MAX + 512];
    long r;

    if (!here || !path)
        return pathconf(path, name);
    r = RL_CORE(here)->real_path(AT_FDCWD, path, 0, real, sizeof real);
    return r < 0 ? rl_result(r) : pathconf(real, name);
}

/* ---- extended attributes ------------------------------------------------------------------------------ */

#define NOFOLLOW AT_SYMLINK_NOFOLLOW

ssize_t rl_h_getxattr(const char *path, const char *name, void *value, size_t size)
{
    RL_BY_NAME(AT_FDCWD, path, getxattr(path, name, value, size),
            RL_CORE(here)->getxattr(AT_FDCWD, path, name, value, size, 0));
}

ssize_t rl_h_lgetxattr(const char *path, const char *name, void *value, size_t size)
{
    RL_BY_NAME(AT_FDCWD, path, lgetxattr(path, name, value, size),
            RL_CORE(here)->getxattr(AT_FDCWD, path, name, value, size, NOFOLLOW));
}

ssize_t rl_h_fgetxattr(int fd, const char *name, void *value, size_t size)
{
    RL_INSIDE(here);
    return here ? rl_result(RL_CORE(here)->getxattr(fd, NULL, name, value, size, 0)) : fgetxattr(fd, name, value, size);
}

ssize_t rl_h_listxattr(const char *path, char *list, size_t size)
{
    RL_BY_NAME(AT_FDCWD, path, listxattr(path, list, size), RL_CORE(here)->listxattr(AT_FDCWD, path, list, size, 0));
}

ssize_t rl_h_llistxattr(const char *path, char *list, size_t size)
{
    RL_BY_NAME(AT_FDCWD, path, llistxattr(path, list, size),
            RL_CORE(here)->listxattr(AT_FDCWD, path, list, size, NOFOLLOW));
}

ssize_t rl_h_flistxattr(int fd, char *list, size_t size)
{
    RL_INSIDE(here);
    return here ? rl_result(RL_CORE(here)->listxattr(fd, NULL, list, size, 0)) : flistxattr(fd, list, size);
}

int rl_h_setxattr(const char *path, const char *name, const void *value, size_t size, int flags)
{
    RL_BY_NAME(AT_FDCWD, path, setxattr(path, name, value, size, flags),
              RL_CORE(here)->setxattr(AT_FDCWD, path, name, value, size, flags, 0));
}

int rl_h_lsetxattr(const char *path, const char *name, const void *value, size_t size, int flags)
{
    RL_BY_NAME(AT_FDCWD, path, lsetxattr(path, name, value, size, flags),
              RL_CORE(here)->setxattr(AT_FDCWD, path, name, value, size, flags, NOFOLLOW));
}

int rl_h_fsetxattr(int fd, const char *name, const void *value, size_t size, int flags)
{
    RL_INSIDE(here);
    return here ? (int)rl_result(RL_CORE(here)->setxattr(fd, NULL, name, value, size, flags, 0))
                : fsetxattr(fd, name, value, size, flags);
}

int rl_h_removexattr(const char *path, const char *name)
{
    RL_BY_NAME(AT_FDCWD, path, removexattr(path, name), RL_CORE(here)->removexattr(AT_FDCWD, path, name, 0));
}

int rl_h_lremovexattr(const char *path, const char *name)
{
    RL_BY_NAME(AT_FDCWD, path, lremovexattr(path, name), RL_CORE(here)->removexattr(AT_FDCWD, path, name, NOFOLLOW));
}

int rl_h_fremovexattr(int fd, const char *name)
{
    RL_INSIDE(here);
    return here ? (int)rl_result(RL_CORE(here)->removexattr(fd, NULL, name, 0)) : fremovexattr(fd, name);
}

/* ---- handles ------------------------------------------------------------------------------------------- */

int rl_h_name_to_handle_at(int dirfd, const char *path, struct file_handle *out, int *mount, int flags)
{
    RL_INSIDE(here);
    struct rl_handle h;
    unsigned room;
    long r;

    if (!here || !path)
        return name_to_handle_at(dirfd, path, out, mount, flags);
    if (!*path && (flags & AT_EMPTY_PATH) && rl_outside(here, dirfd, path))
        return name_to_handle_at(dirfd, path, out, mount, flags);
    r = RL_CORE(here)->handle(dirfd, path, flags, &h);
    if (r == -ENOENT && rl_outside(here, dirfd, path))
        return name_to_handle_at(dirfd, path, out, mount, flags);
    if (r < 0)
        return (int)rl_result(r);
    room = out->handle_bytes;
    if (room > RL_HANDLE_MAX)
        return rl_fail(EINVAL);
    *mount = (int)r;
    memcpy(out, &h, room < RL_HANDLE_BYTES ? RL_HANDLE_HEAD : sizeof h);
    return room < RL_HANDLE_BYTES ? rl_fail(EOVERFLOW) : 0;
}
