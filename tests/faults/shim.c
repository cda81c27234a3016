/* Fault injection below the store: an LD_PRELOAD library that numbers every call which changes something below one
 * directory, and at the n-th of them kills the process, or lets the call fail.
 *
 *   ROOTLAY_FAULT_ROOT     the directory, real path
 *   ROOTLAY_FAULT_CONTROL  a file of 4096 bytes, shared by all processes: struct control
 *   ROOTLAY_FAULT_LOG      a file to which each point is written: number, call, path (optional)
 *
 * 1. Python, LMDB and our C libraries reach the kernel through these functions; the engine does not (engine.c).
 * 2. With ENOSPC and EDQUOT, every call that takes space fails from the n-th on; with EROFS every change; with EIO
 *    only the n-th call.
 * 3. Nothing is counted unless `armed` is set.
 * The library calls the kernel by syscall(2); it does not need the wrapped functions. */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include "wrap.h"

static struct control *control;
static char root[4096];
static size_t root_len;
static const char *log_path;

__attribute__((constructor)) static void start(void)
{
    const char *r = getenv("ROOTLAY_FAULT_ROOT");
    if (!r)
        return;
    root_len = strlen(r);
    memcpy(root, r, root_len + 1);
    log_path = getenv("ROOTLAY_FAULT_LOG");
    control = map_control();
}

static int below(const char *path)
{
    return strncmp(path, root, root_len) == 0 && (path[root_len] == '/' || !path[root_len]);
}

/* Where a path leads, as text: absolute, not resolved. */
static const char *absolute(int dirfd, const char *path, char *out, size_t size)
{
    char link[64], base[4096];
    ssize_t n;
    if (!path)
        path = "";
    if (path[0] == '/') {
        int fd, at = 0;
        if (sscanf(path, "/proc/self/fd/%d%n", &fd, &at) != 1)
            return path;
        dirfd = fd;
        path += at + (path[at] == '/');
    }
    snprintf(link, sizeof link, dirfd == AT_FDCWD ? "/proc/self/cwd" : "/proc/self/fd/%d", dirfd);
    n = syscall(SYS_readlinkat, AT_FDCWD, link, base, sizeof base - 1);
    base[n < 0 ? 0 : n] = 0;
    snprintf(out, size, *path ? "%s/%s" : "%s%s", base, path);
    return out;
}

enum kind { TAKES = 1, GIVES = 2 }; /* takes space; gives some back, or changes nothing that is counted */

static int point_at(const char *call, enum kind kind, const char *path)
{
    if (!below(path))
        return 0;
    uint32_t n = __atomic_add_fetch(&control->count, 1, __ATOMIC_SEQ_CST);
    if (log_path) { /* opened each time: the hydrator closes every descriptor that it does not know */
        char line[4400];
        int len = snprintf(line, sizeof line, "%u\t%s\t%s\n", n, call, path + root_len);
        long fd = syscall(SYS_openat, AT_FDCWD, log_path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
        syscall(SYS_write, fd, line, (size_t)len);
        syscall(SYS_close, fd);
    }
    return fault_of(control, n, kind == TAKES);
}

/* 0, or -1 with errno. */
static int point(const char *call, enum kind kind, int dirfd, const char *path)
{
    char text[8200];
    int saved = errno;
    if (!control || !control->armed)
        return 0;
    int e = point_at(call, kind, absolute(dirfd, path, text, sizeof text));
    if (e == FAULT_KILL) {
        syscall(SYS_kill, getpid(), SIGKILL);
        for (;;)
            pause();
    }
    errno = e ? e : saved;
    return e ? -1 : 0;
}

#define POINT(...)                                                                                                     \
    if (point(__VA_ARGS__) < 0)                                                                                        \
    return -1

static int opened(int dirfd, const char *path, int flags, mode_t mode)
{
    int writes = (flags & O_ACCMODE) != O_RDONLY;
    if ((flags & (O_CREAT | O_TRUNC)) || (flags & O_TMPFILE) == O_TMPFILE) {
        POINT("open", TAKES, dirfd, path);
    } else if (writes && control && control->armed && read_only(control)) {
        char text[8200];
        if (below(absolute(dirfd, path, text, sizeof text))) {
            errno = EROFS;
            return -1;
        }
    }
    return (int)syscall(SYS_openat, dirfd, path, flags, mode);
}

/* A call that the kernel has by the same name and arguments. */
#define CALL(type, name, kind, dirfd, path, parameters, ...)                                                           \
    type name parameters                                                                                               \
    {                                                                                                                  \
        POINT(#name, kind, dirfd, path);                                                                               \
        return (type)syscall(SYS_##name, __VA_ARGS__);                                                                 \
    }
CALL(ssize_t, write, TAKES, fd, "", (int fd, const void *data, size_t n), fd, data, n)
CALL(ssize_t, writev, TAKES, fd, "", (int fd, const struct iovec *v, int n), fd, v, n)
CALL(int, fsync, TAKES, fd, "", (int fd), fd)
CALL(int, fdatasync, TAKES, fd, "", (int fd), fd)
CALL(int, rename, TAKES, AT_FDCWD, to, (const char *from, const char *to), from, to)
CALL(int, renameat, TAKES, todir, to, (int fromdir, const char *from, int todir, const char *to), fromdir, from, todir, to)
CALL(int, renameat2, TAKES, todir, to, (int fromdir, const char *from, int todir, const char *to, unsigned flags), fromdir,
     from, todir, to, flags)
CALL(int, link, TAKES, AT_FDCWD, to, (const char *from, const char *to), from, to)
CALL(int, linkat, TAKES, todir, to, (int fromdir, const char *from, int todir, const char *to, int flags), fromdir, from,
     todir, to, flags)
CALL(int, symlink, TAKES, AT_FDCWD, path, (const char *text, const char *path), text, path)
CALL(int, symlinkat, TAKES, dir, path, (const char *text, int dir, const char *path), text, dir, path)
CALL(int, unlink, GIVES, AT_FDCWD, path, (const char *path), path)
CALL(int, unlinkat, GIVES, dir, path, (int dir, const char *path, int flags), dir, path, flags)
CALL(int, rmdir, GIVES, AT_FDCWD, path, (const char *path), path)
CALL(int, mkdir, TAKES, AT_FDCWD, path, (const char *path, mode_t mode), path, mode)
CALL(int, mkdirat, TAKES, dir, path, (int dir, const char *path, mode_t mode), dir, path, mode)
CALL(int, mknod, TAKES, AT_FDCWD, path, (const char *path, mode_t mode, dev_t dev), path, mode, dev)
CALL(int, mknodat, TAKES, dir, path, (int dir, const char *path, mode_t mode, dev_t dev), dir, path, mode, dev)
CALL(int, chmod, GIVES, AT_FDCWD, path, (const char *path, mode_t mode), path, mode)
CALL(int, fchmod, GIVES, fd, "", (int fd, mode_t mode), fd, mode)
CALL(int, setxattr, TAKES, AT_FDCWD, path, (const char *path, const char *name, const void *v, size_t n, int flags), path, name,
     v, n, flags)
CALL(int, lsetxattr, TAKES, AT_FDCWD, path, (const char *path, const char *name, const void *v, size_t n, int flags), path, name,
     v, n, flags)
CALL(int, fsetxattr, TAKES, fd, "", (int fd, const char *name, const void *v, size_t n, int flags), fd, name, v, n, flags)
CALL(ssize_t, copy_file_range, TAKES, to, "",
     (int from, off64_t *at_from, int to, off64_t *at_to, size_t n, unsigned flags), from, at_from, to, at_to, n, flags)

/* A call whose name or arguments differ. */
#define OTHER(type, name, kind, dirfd, path, parameters, call)                                                         \
    type name parameters                                                                                               \
    {                                                                                                                  \
        POINT(#name, kind, dirfd, path);                                                                               \
        return (type)(call);                                                                                           \
    }
OTHER(int, fchmodat, GIVES, dir, path, (int dir, const char *path, mode_t mode, int flags),
      syscall(flags ? 452 /* fchmodat2 */ : SYS_fchmodat, dir, path, mode, flags))
OTHER(int, utimensat, GIVES, dir, path, (int dir, const char *path, const struct timespec t[2], int flags),
      syscall(SYS_utimensat, dir, path, t, flags))
OTHER(int, futimens, GIVES, fd, "", (int fd, const struct timespec t[2]), syscall(SYS_utimensat, fd, NULL, t, 0))
OTHER(ssize_t, pwrite, TAKES, fd, "", (int fd, const void *p, size_t n, off_t at), syscall(SYS_pwrite64, fd, p, n, at))
OTHER(ssize_t, pwrite64, TAKES, fd, "", (int fd, const void *p, size_t n, off64_t at), syscall(SYS_pwrite64, fd, p, n, at))
OTHER(ssize_t, pwritev, TAKES, fd, "", (int fd, const struct iovec *v, int n, off_t at), syscall(SYS_pwritev, fd, v, n, at, 0L))
OTHER(ssize_t, pwritev64, TAKES, fd, "", (int fd, const struct iovec *v, int n, off64_t at),
      syscall(SYS_pwritev, fd, v, n, at, 0L))
OTHER(int, ftruncate, TAKES, fd, "", (int fd, off_t n), syscall(SYS_ftruncate, fd, n))
OTHER(int, ftruncate64, TAKES, fd, "", (int fd, off64_t n), syscall(SYS_ftruncate, fd, n))
OTHER(int, fallocate, TAKES, fd, "", (int fd, int mode, off_t at, off_t n), syscall(SYS_fallocate, fd, mode, at, n))
OTHER(int, fallocate64, TAKES, fd, "", (int fd, int mode, off64_t at, off64_t n), syscall(SYS_fallocate, fd, mode, at, n))
OTHER(int, truncate, TAKES, AT_FDCWD, path, (const char *path, off_t n), syscall(SYS_truncate, path, n))
OTHER(int, truncate64, TAKES, AT_FDCWD, path, (const char *path, off64_t n), syscall(SYS_truncate, path, n))
OTHER(ssize_t, sendfile, TAKES, to, "", (int to, int from, off_t *at, size_t n), syscall(SYS_sendfile, to, from, at, n))
OTHER(ssize_t, sendfile64, TAKES, to, "", (int to, int from, off64_t *at, size_t n), syscall(SYS_sendfile, to, from, at, n))

/* This one returns its error. */
int posix_fallocate(int fd, off_t at, off_t n)
{
    if (point("posix_fallocate", TAKES, fd, "") < 0 || syscall(SYS_fallocate, fd, 0, at, n) < 0)
        return errno;
    return 0;
}
int posix_fallocate64(int fd, off64_t at, off64_t n)
{
    return posix_fallocate(fd, at, n);
}
