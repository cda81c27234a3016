/* Records the order in which a command creates, renames, removes and syncs files below one directory: an LD_PRELOAD
 * library. From the record, disk.py makes the disk states that a power failure may leave.
 *
 *   ROOTLAY_FAULT_ROOT, ROOTLAY_FAULT_CONTROL   as for shim.c; records while `armed`
 *   ROOTLAY_FAULT_RECORD                        a directory: `events`, and a copy of each file as it was synced
 *
 * An event is a line of fields between tabs, written when the call has succeeded: name, then
 *
 *   open INODE MODE PATH       a new file (PATH empty: without a name yet)
 *   mkdir INODE MODE PATH | symlink INODE TARGET PATH
 *   rename FROM TO | link INODE PATH | unlink PATH
 *   chmod INODE MODE
 *   sync INODE MODE COPY       a file; COPY is its name in the directory
 *   syncdir PATH
 *
 * Paths are relative to the root. Data that is not synced needs no event: it is lost. */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include "wrap.h"

static struct control *control;
static const char *root, *record;
static size_t root_len;
static uint32_t copies;

__attribute__((constructor)) static void start(void)
{
    root = getenv("ROOTLAY_FAULT_ROOT");
    record = getenv("ROOTLAY_FAULT_RECORD");
    if (!root || !record)
        return;
    root_len = strlen(root);
    control = map_control();
}

static int recording(void)
{
    return control && control->armed;
}

/* A path below the root, relative to it; NULL elsewhere. */
static const char *inside(int dirfd, const char *path, char *out, size_t size)
{
    char link[64], base[4096];
    int fd, at = 0;
    if (sscanf(path, "/proc/self/fd/%d%n", &fd, &at) == 1) {
        dirfd = fd;
        path += at + (path[at] == '/');
    }
    if (path[0] != '/') {
        snprintf(link, sizeof link, dirfd == AT_FDCWD ? "/proc/self/cwd" : "/proc/self/fd/%d", dirfd);
        ssize_t n = syscall(SYS_readlinkat, AT_FDCWD, link, base, sizeof base - 1);
        base[n < 0 ? 0 : n] = 0;
        snprintf(out, size, *path ? "%s/%s" : "%s%s", base, path);
    } else {
        snprintf(out, size, "%s", path);
    }
    return strncmp(out, root, root_len) == 0 && (out[root_len] == '/' || !out[root_len]) ? out + root_len : NULL;
}

static void note(const char *format, ...)
{
    char line[9000], name[4200];
    va_list list;
    va_start(list, format);
    int n = vsnprintf(line, sizeof line, format, list);
    va_end(list);
    snprintf(name, sizeof name, "%s/events", record);
    long fd = syscall(SYS_openat, AT_FDCWD, name, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    syscall(SYS_write, fd, line, (size_t)n);
    syscall(SYS_close, fd);
}

static void copy_of(int fd, const char *name)
{
    char path[4200], data[65536];
    off_t at = 0;
    ssize_t n;
    snprintf(path, sizeof path, "%s/%s", record, name);
    long out = syscall(SYS_openat, AT_FDCWD, path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd); /* ours may not be open for reading */
    long in = syscall(SYS_openat, AT_FDCWD, link, O_RDONLY | O_CLOEXEC, 0);
    while ((n = syscall(SYS_pread64, in, data, sizeof data, at)) > 0) {
        syscall(SYS_write, out, data, (size_t)n);
        at += n;
    }
    syscall(SYS_close, in);
    syscall(SYS_close, out);
}

static void linked_to(const char *target, int dirfd, const char *path)
{
    char text[8300];
    const char *in = inside(dirfd, path, text, sizeof text);
    if (in)
        note("symlink\t0\t%s\t%s\n", target, in);
}

static void made(const char *what, int dirfd, const char *path)
{
    char text[8300];
    struct stat s;
    const char *in = inside(dirfd, path, text, sizeof text);
    if (in && syscall(SYS_newfstatat, AT_FDCWD, text, &s, AT_SYMLINK_NOFOLLOW) == 0)
        note("%s\t%lu\t%o\t%s\n", what, (unsigned long)s.st_ino, s.st_mode, in);
}

static int opened(int dirfd, const char *path, int flags, mode_t mode)
{
    int nameless = (flags & O_TMPFILE) == O_TMPFILE;
    struct stat s;
    int is_new = recording() && (nameless || ((flags & O_CREAT) && syscall(SYS_newfstatat, dirfd, path, &s, 0) < 0));
    int fd = (int)syscall(SYS_openat, dirfd, path, flags, mode);
    if (fd >= 0 && is_new) {
        int saved = errno;
        char text[8300];
        if (nameless && inside(dirfd, path, text, sizeof text) && syscall(SYS_fstat, fd, &s) == 0)
            note("open\t%lu\t%o\t\n", (unsigned long)s.st_ino, s.st_mode);
        else if (!nameless)
            made("open", dirfd, path);
        errno = saved;
    }
    return fd;
}

/* Does `call`, and `noted` if the call has succeeded. */
#define CALL(name, parameters, call, noted)                                                                            \
    int name parameters                                                                                                \
    {                                                                                                                  \
        int done = (int)(call);                                                                                        \
        if (done == 0 && recording()) {                                                                                \
            int saved = errno;                                                                                         \
            noted;                                                                                                     \
            errno = saved;                                                                                             \
        }                                                                                                              \
        return done;                                                                                                   \
    }

static void renamed(int fromdir, const char *from, int todir, const char *to)
{
    char a[8300], b[8300];
    const char *x = inside(fromdir, from, a, sizeof a), *y = inside(todir, to, b, sizeof b);
    if (x && y)
        note("rename\t%s\t%s\n", x, y);
}

static void linked(int dir, const char *to)
{
    char text[8300];
    struct stat s;
    const char *in = inside(dir, to, text, sizeof text);
    if (in && syscall(SYS_newfstatat, AT_FDCWD, text, &s, AT_SYMLINK_NOFOLLOW) == 0)
        note("link\t%lu\t%s\n", (unsigned long)s.st_ino, in);
}

static void removed(int dir, const char *path)
{
    char text[8300];
    const char *in = inside(dir, path, text, sizeof text);
    if (in)
        note("unlink\t%s\n", in);
}

static void moded(int dir, const char *path, int flags)
{
    struct stat s;
    char text[8300];
    if (inside(dir, path, text, sizeof text) && syscall(SYS_newfstatat, dir, path, &s, flags) == 0)
        note("chmod\t%lu\t%o\n", (unsigned long)s.st_ino, s.st_mode);
}

static void synced(int fd)
{
    struct stat s;
    char text[8300], name[32];
    const char *in = inside(fd, "", text, sizeof text);
    if (!in || syscall(SYS_fstat, fd, &s) < 0)
        return;
    if (S_ISDIR(s.st_mode)) {
        note("syncdir\t%s\n", in);
        return;
    }
    snprintf(name, sizeof name, "%d-%u", getpid(), __atomic_add_fetch(&copies, 1, __ATOMIC_SEQ_CST));
    copy_of(fd, name);
    note("sync\t%lu\t%o\t%s\n", (unsigned long)s.st_ino, s.st_mode, name);
}

CALL(fsync, (int fd), syscall(SYS_fsync, fd), synced(fd))
CALL(fdatasync, (int fd), syscall(SYS_fdatasync, fd), synced(fd))
CALL(rename, (const char *from, const char *to), syscall(SYS_rename, from, to), renamed(AT_FDCWD, from, AT_FDCWD, to))
CALL(renameat, (int fromdir, const char *from, int todir, const char *to), syscall(SYS_renameat, fromdir, from, todir, to),
     renamed(fromdir, from, todir, to))
CALL(link, (const char *from, const char *to), syscall(SYS_link, from, to), linked(AT_FDCWD, to))
CALL(linkat, (int fromdir, const char *from, int todir, const char *to, int flags),
     syscall(SYS_linkat, fromdir, from, todir, to, flags), linked(todir, to))
CALL(symlink, (const char *text, const char *path), syscall(SYS_symlink, text, path), linked_to(text, AT_FDCWD, path))
CALL(symlinkat, (const char *text, int dir, const char *path), syscall(SYS_symlinkat, text, dir, path),
     linked_to(text, dir, path))
CALL(unlink, (const char *path), syscall(SYS_unlink, path), removed(AT_FDCWD, path))
CALL(unlinkat, (int dir, const char *path, int flags), syscall(SYS_unlinkat, dir, path, flags), removed(dir, path))
CALL(rmdir, (const char *path), syscall(SYS_rmdir, path), removed(AT_FDCWD, path))
CALL(mkdir, (const char *path, mode_t mode), syscall(SYS_mkdir, path, mode), made("mkdir", AT_FDCWD, path))
CALL(mkdirat, (int dir, const char *path, mode_t mode), syscall(SYS_mkdirat, dir, path, mode), made("mkdir", dir, path))
CALL(chmod, (const char *path, mode_t mode), syscall(SYS_chmod, path, mode), moded(AT_FDCWD, path, 0))
CALL(fchmod, (int fd, mode_t mode), syscall(SYS_fchmod, fd, mode), moded(fd, "", AT_EMPTY_PATH))
CALL(fchmodat, (int dir, const char *path, mode_t mode, int flags), syscall(flags ? 452 : SYS_fchmodat, dir, path, mode, flags),
     moded(dir, path, flags))
