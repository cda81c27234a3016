/* Every handled call with good and bad arguments; one line each: what was asked and what came of it. The test compares
 * a run inside with a run outside.
 *
 *     errnos each|pairs                  in the current directory, its files made anew for each changing call
 *     errnos make COUNT                  COUNT directories 0, 1, … with these files
 *     errnos each COUNT lower|copied     the next of those for each changing call; copied: after all have been changed
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>
#include <utime.h>

#include "machine.h"

static char name256[257], path4096[4097], many[4000];
static const char *const paths[] = {
    "file", "dir", "link", "dangling", "loop", "none", "file/", "dir/", "none/", "file/x", "dir/x", "none/x", "link/",
    "loop/x", "dangling/", "", ".", "..", "dir/..", "dir/../file", "noread", "noread/x", "nodir", "nodir/x", "fifo",
    "/", "//", "/nonesuch", "dir/file", "dirlink", "dirlink/file", "dirlink/", name256, path4096, many};
enum { PATHS = sizeof paths / sizeof paths[0] };

static const char *show(const char *path)
{
    return strlen(path) > 40 ? (strlen(path) > 4000 ? "(too long)" : strlen(path) > 300 ? "(deep)" : "(long name)") : path;
}

static void line(const char *call, const char *a, const char *b, long r)
{
    printf("%s %s %s: %s\n", call, show(a), show(b), r < 0 ? strerrorname_np(errno) : "ok");
}

#define ASK(call, path, expression) line(call, path, "", (expression))

static void empty(int dir)
{
    DIR *d = fdopendir(dir);
    struct dirent *e;

    while ((e = readdir(d)) != NULL) {
        if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, ".."))
            continue;
        if (unlinkat(dir, e->d_name, 0) == 0 || errno == ENOENT)
            continue;
        fchmodat(dir, e->d_name, 0700, 0);
        empty(openat(dir, e->d_name, O_RDONLY | O_DIRECTORY));
        unlinkat(dir, e->d_name, AT_REMOVEDIR);
    }
    closedir(d);
}

static void put(const char *path, const char *text)
{
    int f = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0666);

    (void)!write(f, text, strlen(text));
    close(f);
}

static const char *const made[] = {"file", "dir", "dir/file", "nodir", "noread", "link", "dangling", "loop", "dirlink", "fifo"};
static int next_tree, trees, copied;
static char base[3000];

static void make(void)
{
    mkdir("dir", 0777);
    mkdir("nodir", 0777);
    mkdir("noread", 0777);
    put("file", "hello\n");
    put("dir/file", "in\n");
    put("nodir/x", "no\n");
    (void)!symlink("file", "link");
    (void)!symlink("nowhere", "dangling");
    (void)!symlink("loop", "loop");
    (void)!symlink("dir", "dirlink");
    mkfifo("fifo", 0666);
    chmod("nodir", 0);
    chmod("noread", 0);
}

/* In a container's lower layer: a first change of each object copies it up. */
static void enter_next(void)
{
    char path[3100];

    if (next_tree >= trees) {
        puts("too few trees");
        exit(2);
    }
    snprintf(path, sizeof path, "%s/%d", base, next_tree++);
    if (chdir(path) < 0)
        exit(2);
    for (unsigned i = 0; i < sizeof made / sizeof made[0] && copied; i++)
        if (utimensat(AT_FDCWD, made[i], NULL, AT_SYMLINK_NOFOLLOW) < 0)
            printf("cannot touch %s\n", made[i]);
    if (copied) {
        close(open("file", O_WRONLY | O_APPEND));
        close(open("dir/file", O_WRONLY | O_APPEND));
    }
}

static void reset(void)
{
    if (trees) {
        enter_next();
    } else {
        empty(open(".", O_RDONLY | O_DIRECTORY));
        make();
    }
    dup2(open("file", O_RDONLY), 3);
    dup2(open(".", O_RDONLY), 4);
    close_range(5, 100, 0);
}

static int make_trees(int count)
{
    char path[16];

    for (int i = 0; i < count; i++) {
        snprintf(path, sizeof path, "%d", i);
        mkdir(path, 0755);
        if (chdir(path) < 0)
            return 2;
        make();
        if (chdir("..") < 0)
            return 2;
    }
    return 0;
}

/* A file system without handles says so when it has found the file. */
static long handle(int dir, const char *p, int flags)
{
    struct { unsigned bytes; int type; char data[128]; } h = {.bytes = 128};
    int mount;
    long r = syscall(SYS_name_to_handle_at, dir, p, &h, &mount, flags);

    return r < 0 && errno == EOPNOTSUPP ? 0 : r;
}

static void reading(const char *p)
{
    struct stat st;
    struct statx sx;
    struct statfs fs;
    char buf[300];
    int f;

    ASK("stat", p, syscall(SYS_stat, p, &st));
    ASK("lstat", p, syscall(SYS_lstat, p, &st));
    if (lstat(p, &st) == 0 && *p != '/' && strcmp(p, ".."))
        printf("  mode %o links %d size %d\n", st.st_mode, S_ISDIR(st.st_mode) ? 0 : (int)st.st_nlink,
               S_ISDIR(st.st_mode) ? 0 : (int)st.st_size);
    ASK("newfstatat", p, syscall(SYS_newfstatat, AT_FDCWD, p, &st, 0));
    ASK("newfstatat-badflag", p, syscall(SYS_newfstatat, AT_FDCWD, p, &st, 0x80000));
    ASK("newfstatat-empty", p, syscall(SYS_newfstatat, AT_FDCWD, p, &st, AT_EMPTY_PATH));
    ASK("newfstatat-badfd", p, syscall(SYS_newfstatat, 999, p, &st, 0));
    ASK("newfstatat-file", p, syscall(SYS_newfstatat, 3, p, &st, 0));
    ASK("newfstatat-dir", p, syscall(SYS_newfstatat, 4, p, &st, 0));
    ASK("statx", p, syscall(SYS_statx, AT_FDCWD, p, 0, STATX_BASIC_STATS, &sx));
    ASK("statx-badmask", p, syscall(SYS_statx, AT_FDCWD, p, 0, 0x80000000u, &sx));
    ASK("statx-badflag", p, syscall(SYS_statx, AT_FDCWD, p, 0x6000, 0, &sx));
    ASK("access", p, syscall(SYS_access, p, 0));
    ASK("access-w", p, syscall(SYS_access, p, W_OK));
    ASK("access-x", p, syscall(SYS_access, p, X_OK));
    ASK("access-bad", p, syscall(SYS_access, p, 9));
    ASK("faccessat2-nofollow", p, syscall(SYS_faccessat2, AT_FDCWD, p, R_OK, AT_SYMLINK_NOFOLLOW));
    ASK("faccessat2-bad", p, syscall(SYS_faccessat2, AT_FDCWD, p, R_OK, 0x4000));
    ASK("readlink", p, syscall(SYS_readlink, p, buf, sizeof buf));
    ASK("readlink-0", p, syscall(SYS_readlink, p, buf, 0));
    ASK("readlinkat-fd", p, syscall(SYS_readlinkat, 4, p, buf, sizeof buf));
    ASK("statfs", p, syscall(SYS_statfs, p, &fs));
    ASK("getxattr", p, syscall(SYS_getxattr, p, "user.none", buf, sizeof buf));
    ASK("getxattr-noname", p, syscall(SYS_getxattr, p, "", buf, sizeof buf));
    ASK("lgetxattr", p, syscall(SYS_lgetxattr, p, "user.none", buf, sizeof buf));
    ASK("listxattr", p, syscall(SYS_listxattr, p, buf, sizeof buf));
    ASK("open-path", p, f = syscall(SYS_open, p, O_PATH, 0));
    close(f);
    ASK("open-dir", p, f = syscall(SYS_open, p, O_RDONLY | O_DIRECTORY, 0));
    close(f);
    if (strcmp(p, "fifo")) {
        ASK("open", p, f = syscall(SYS_open, p, O_RDONLY, 0));
        close(f);
        ASK("open-nofollow", p, f = syscall(SYS_openat, AT_FDCWD, p, O_RDONLY | O_NOFOLLOW, 0));
        close(f);
        ASK("open-write", p, f = syscall(SYS_open, p, O_WRONLY, 0));
        close(f);
        ASK("open-excl", p, f = syscall(SYS_open, p, O_WRONLY | O_CREAT | O_EXCL | O_DIRECTORY, 0600));
        close(f);
    }
    ASK("chdir", p, syscall(SYS_chdir, p));
    (void)!fchdir(4);
    int i = inotify_init1(IN_CLOEXEC);
    ASK("inotify", p, syscall(SYS_inotify_add_watch, i, p, IN_MODIFY));
    close(i);
    ASK("name_to_handle", p, handle(AT_FDCWD, p, 0));
    ASK("name_to_handle-follow", p, handle(AT_FDCWD, p, AT_SYMLINK_FOLLOW));
    ASK("name_to_handle-empty", p, handle(4, p, AT_EMPTY_PATH));
    ASK("name_to_handle-file", p, handle(3, p, 0));
    ASK("name_to_handle-badfd", p, handle(999, p, 0));
    ASK("name_to_handle-badflag", p, handle(AT_FDCWD, p, 0x4000));
    if (*p != '/' && strcmp(p, ".."))
        ASK("chroot", p, syscall(SYS_chroot, p));
}

/* Access modes that the engine has to play (docs/gate.md): what comes of the file, and what may be done with the
 * descriptor. It says no more than that of mode 3: that reads where the kernel's does not (docs/differences.md). */
static void odd_modes(const char *p)
{
    static const struct { const char *name; int flags; } odd[] = {
        {"open-3", 3}, {"open-3-trunc", 3 | O_TRUNC}, {"open-3-creat", 3 | O_CREAT}, {"open-3-both", 3 | O_CREAT | O_TRUNC},
        {"open-3-excl", 3 | O_CREAT | O_EXCL}, {"open-3-tmp", 3 | O_TMPFILE}, {"open-3-dir", 3 | O_DIRECTORY},
        {"open-3-path", 3 | O_PATH | O_TRUNC}, {"open-0-trunc", O_TRUNC}, {"open-0-both", O_CREAT | O_TRUNC},
        {"open-0-trunc-dir", O_TRUNC | O_DIRECTORY}, {"open-0-trunc-nofollow", O_TRUNC | O_NOFOLLOW}};

    for (unsigned i = 0; i < sizeof odd / sizeof odd[0]; i++) {
        struct stat st = {0};
        int f;

        reset(); ASK(odd[i].name, p, f = syscall(SYS_open, p, odd[i].flags | O_NONBLOCK, 0640));
        int created = stat(p, &st);
        printf("%s leaves %ld %o\n", odd[i].name, created < 0 ? -1 : S_ISREG(st.st_mode) ? (long)st.st_size : 0,
               created < 0 ? 0 : st.st_mode);
        if (!(odd[i].flags & O_TMPFILE)) {
            ASK("its write", p, write(f, "x", 1));
            ASK("its ftruncate", p, ftruncate(f, 0));
        }
        ASK("its fchmod", p, fchmod(f, 0600));
        close(f);
    }
    reset(); ASK("openat2-3-trunc", p, syscall(SYS_openat2, AT_FDCWD, p, ((uint64_t[]){3 | O_TRUNC | O_NONBLOCK, 0, 0}), 24));
}

static void changing(const char *p)
{
    struct timeval tv[2] = {{1000, 5}, {2000, 6}}, bad[2] = {{1, 1000000}, {1, 0}};
    struct timespec now[2] = {{0, UTIME_NOW}, {0, UTIME_OMIT}}, wrong[2] = {{0, 1000000000}, {0, 0}};
    struct utimbuf ub = {1000, 2000};
    int f;

    if (*p == '/' || strncmp(p, "..", 2) == 0 || !strcmp(p, ".") || !strcmp(p, "dir/.."))
        return;
    reset(); ASK("mkdir", p, syscall(SYS_mkdir, p, 0700));
    reset(); ASK("mkdirat-fd", p, syscall(SYS_mkdirat, 4, p, 0700));
    reset(); ASK("mkdirat-badfd", p, syscall(SYS_mkdirat, 999, p, 0700));
    reset(); ASK("mknod", p, syscall(SYS_mknod, p, S_IFREG | 0600, 0));
    reset(); ASK("mknod-fifo", p, syscall(SYS_mknod, p, S_IFIFO | 0600, 0));
    reset(); ASK("mknod-dir", p, syscall(SYS_mknod, p, S_IFDIR | 0600, 0));
    reset(); ASK("mknod-bad", p, syscall(SYS_mknod, p, 0170000 | 0600, 0));
    reset(); ASK("symlink", p, syscall(SYS_symlink, "target", p));
    reset(); ASK("symlink-empty", p, syscall(SYS_symlink, "", p));
    reset(); ASK("unlink", p, syscall(SYS_unlink, p));
    reset(); ASK("unlinkat-bad", p, syscall(SYS_unlinkat, AT_FDCWD, p, 0x1));
    reset(); ASK("chmod", p, syscall(SYS_chmod, p, 0640));
    reset(); ASK("fchmodat2-nofollow", p, syscall(452, AT_FDCWD, p, 0640, AT_SYMLINK_NOFOLLOW));
    reset(); ASK("chown", p, syscall(SYS_chown, p, getuid(), -1));
    reset(); ASK("chown-other", p, syscall(SYS_chown, p, 12345, -1));
    reset(); ASK("lchown", p, syscall(SYS_lchown, p, -1, getgid()));
    reset(); ASK("fchownat-bad", p, syscall(SYS_fchownat, AT_FDCWD, p, -1, -1, 0x4));
#ifdef SYS_utime /* aarch64 has only utimensat */
    reset(); ASK("utime", p, syscall(SYS_utime, p, &ub));
    reset(); ASK("utimes", p, syscall(SYS_utimes, p, tv));
    reset(); ASK("utimes-bad", p, syscall(SYS_utimes, p, bad));
    reset(); ASK("futimesat", p, syscall(SYS_futimesat, AT_FDCWD, p, tv));
#endif
    reset(); ASK("utimensat", p, syscall(SYS_utimensat, AT_FDCWD, p, now, 0));
    reset(); ASK("utimensat-nofollow", p, syscall(SYS_utimensat, AT_FDCWD, p, NULL, AT_SYMLINK_NOFOLLOW));
    reset(); ASK("utimensat-bad", p, syscall(SYS_utimensat, AT_FDCWD, p, wrong, 0));
    reset(); ASK("truncate-neg", p, syscall(SYS_truncate, p, -1));
    reset(); ASK("removexattr", p, syscall(SYS_removexattr, p, "user.none"));
    if (strcmp(p, "fifo")) {
        reset(); ASK("truncate", p, syscall(SYS_truncate, p, 2));
        reset(); ASK("creat", p, f = syscall(SYS_creat, p, 0600)); close(f);
        reset(); ASK("open-creat", p, f = syscall(SYS_open, p, O_RDWR | O_CREAT, 0600)); close(f);
        reset(); ASK("open-excl", p, f = syscall(SYS_open, p, O_RDWR | O_CREAT | O_EXCL, 0600)); close(f);
        reset(); ASK("open-trunc", p, f = syscall(SYS_open, p, O_WRONLY | O_TRUNC, 0)); close(f);
    }
    odd_modes(p);
    reset(); ASK("rmdir", p, syscall(SYS_rmdir, p));
}

static void pairs(const char *a, const char *b)
{
    if (*a == '/' || *b == '/' || !strncmp(a, "..", 2) || !strncmp(b, "..", 2) || !strcmp(a, ".") || !strcmp(b, ".") ||
        !strcmp(a, "dir/..") || !strcmp(b, "dir/.."))
        return;
    reset(); line("rename", a, b, syscall(SYS_rename, a, b));
    reset(); line("rename-noreplace", a, b, syscall(SYS_renameat2, AT_FDCWD, a, AT_FDCWD, b, 1));
    reset(); line("link", a, b, syscall(SYS_link, a, b));
}

static void descriptors(void)
{
    struct stat st;
    struct open_how_like { uint64_t flags, mode, resolve; } how = {0, 0, 0};
    char buf[64];

    reset();
    ASK("fstat-bad", "", syscall(SYS_fstat, 999, &st));
    ASK("fchmod-bad", "", syscall(SYS_fchmod, 999, 0));
    ASK("fchown-bad", "", syscall(SYS_fchown, 999, -1, -1));
    ASK("fchdir-bad", "", syscall(SYS_fchdir, 999));
    ASK("fchdir-file", "", syscall(SYS_fchdir, 3));
    ASK("getdents64-bad", "", syscall(SYS_getdents64, 999, buf, sizeof buf));
    ASK("getdents64-file", "", syscall(SYS_getdents64, 3, buf, sizeof buf));
    ASK("getdents64-small", "", syscall(SYS_getdents64, 4, buf, 8));
    ASK("utimensat-badfd", "", syscall(SYS_utimensat, 999, NULL, NULL, 0));
    ASK("fgetxattr-bad", "", syscall(SYS_fgetxattr, 999, "user.x", buf, 8));
    ASK("flistxattr-bad", "", syscall(SYS_flistxattr, 999, buf, 8));
    ASK("fsetxattr-bad", "", syscall(SYS_fsetxattr, 999, "user.x", buf, 8, 0));
    ASK("openat2-small", "", syscall(SYS_openat2, AT_FDCWD, "file", &how, 8));
    ASK("openat2", "", syscall(SYS_openat2, AT_FDCWD, "file", &how, sizeof how));
    how.resolve = 0x4; /* RESOLVE_NO_SYMLINKS */
    ASK("openat2-nosymlinks", "", syscall(SYS_openat2, AT_FDCWD, "link", &how, sizeof how));
    how.resolve = 0x8; /* RESOLVE_BENEATH */
    ASK("openat2-beneath", "", syscall(SYS_openat2, AT_FDCWD, "../x", &how, sizeof how));
    how.resolve = 1ull << 40;
    ASK("openat2-badresolve", "", syscall(SYS_openat2, AT_FDCWD, "file", &how, sizeof how));
    how.resolve = 0;
    how.mode = 0600;
    ASK("openat2-mode", "", syscall(SYS_openat2, AT_FDCWD, "file", &how, sizeof how));
    ASK("setuid", "", syscall(SYS_setuid, 0));
    ASK("setgroups", "", syscall(SYS_setgroups, 0, NULL));
    ASK("setresuid-keep", "", syscall(SYS_setresuid, -1, -1, -1));
    ASK("setuid--1", "", syscall(SYS_setuid, -1));
}

static void xattrs(void)
{
    char buf[64];

    reset();
    ASK("setxattr", "file", syscall(SYS_setxattr, "file", "user.a", "value", 5, 0));
    ASK("setxattr-create", "file", syscall(SYS_setxattr, "file", "user.a", "value", 5, 1));
    ASK("setxattr-replace", "file", syscall(SYS_setxattr, "file", "user.b", "value", 5, 2));
    ASK("setxattr-badflag", "file", syscall(SYS_setxattr, "file", "user.a", "value", 5, 8));
    ASK("setxattr-link", "link", syscall(SYS_lsetxattr, "link", "user.a", "value", 5, 0));
    ASK("setxattr-trusted", "file", syscall(SYS_setxattr, "file", "trusted.a", "value", 5, 0));
    ASK("setxattr-unknown", "file", syscall(SYS_setxattr, "file", "other.a", "value", 5, 0));
    printf("getxattr %ld %ld\n", syscall(SYS_getxattr, "file", "user.a", buf, 64), syscall(SYS_getxattr, "file", "user.a", NULL, 0));
    ASK("getxattr-small", "file", syscall(SYS_getxattr, "file", "user.a", buf, 2));
    printf("listxattr %ld\n", syscall(SYS_listxattr, "file", buf, 64));
    ASK("removexattr", "file", syscall(SYS_removexattr, "file", "user.a"));
    ASK("removexattr", "file", syscall(SYS_removexattr, "file", "user.a"));
}

int main(int argc, char **argv)
{
    memset(name256, 'n', 256);
    memset(path4096, 'p', 4096);
    for (int i = 0; i + 2 < (int)sizeof many; i += 2)
        memcpy(many + i, "d/", 2);
    umask(022);
    if (argc > 2 && strcmp(argv[1], "make") == 0)
        return make_trees(atoi(argv[2]));
    if (argc > 3) {
        trees = atoi(argv[2]);
        copied = strcmp(argv[3], "copied") == 0;
        (void)!getcwd(base, sizeof base);
    }
    chmod(".", 0755);
    reset();
    int heavy = argc > 1 && strcmp(argv[1], "pairs") == 0;
    for (int i = 0; i < PATHS && !heavy; i++)
        reading(paths[i]);
    for (int i = 0; i < PATHS && !heavy; i++)
        changing(paths[i]);
    for (int i = 0; i < PATHS && heavy; i++)
        for (int j = 0; j < PATHS; j++)
            pairs(paths[i], paths[j]);
    if (!heavy) {
        descriptors();
        xattrs();
    }
    return 0;
}
