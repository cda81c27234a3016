/* Errors that need more than a name: bad pointers and descriptors, read-only and other mounts, mount points, running
 * programs, limits. One line a call, as errnos.c; the test compares a run inside with a run outside.
 *
 *     edges READ-ONLY OTHER [UID GID]
 *
 * in a directory that can be written, which UID is given first; READ-ONLY is mounted so, OTHER is another mount. Both
 * hold `file`, `dir/file` and `link` to file.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "machine.h"

#define BAD ((char *)8)
#define SAY(expression) say(#expression, (long)(expression))

static const char *ro, *other;
static struct stat st;
static char buf[512];

static void say(const char *what, long r)
{
    printf("%s: %s\n", what, r == -1 ? strerrorname_np(errno) : "ok");
}

static char *at(const char *dir, const char *name)
{
    static char text[8][PATH_MAX];
    static unsigned n;
    char *to = text[n++ % 8];

    snprintf(to, PATH_MAX, "%s/%s", dir, name);
    return to;
}

static void put(const char *path)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);

    (void)!write(fd, "text\n", 5);
    close(fd);
}

/* A call that gives a descriptor. */
static long closed(long fd)
{
    int keep = errno;

    if (fd >= 0)
        close((int)fd);
    errno = keep;
    return fd;
}

/* A file that may have no name, by its link in /proc: opened again, and given a name. */
static void named(int fd, const char *name)
{
    char path[64];

    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    unlink("removed");
    SAY(write(fd, "text\n", 5) - 5);
    SAY(stat(path, &st));
    printf("%s: %u links\n", name, (unsigned)st.st_nlink);
    SAY(closed(open(path, O_RDONLY)));
    SAY(linkat(AT_FDCWD, path, AT_FDCWD, name, AT_SYMLINK_FOLLOW));
    SAY(stat(name, &st));
    printf("%s: %u links, %ld bytes, %o\n", name, (unsigned)st.st_nlink, (long)st.st_size, (unsigned)st.st_mode);
    close(fd);
}

#define AT(call, ...) SAY(syscall(call, AT_FDCWD, BAD, ##__VA_ARGS__)), SAY(syscall(call, 999, BAD, ##__VA_ARGS__)), \
                      SAY(syscall(call, 999, "file", ##__VA_ARGS__)), SAY(syscall(call, pipe_end, "file", ##__VA_ARGS__)), \
                      SAY(syscall(call, 3, "file", ##__VA_ARGS__)), SAY(syscall(call, 999, "/", ##__VA_ARGS__))

static void bad_pointers(void)
{
    static const int one[] = {SYS_stat, SYS_lstat, SYS_chdir, SYS_rmdir, SYS_unlink, SYS_statfs, SYS_chroot, SYS_execve};
    static const int pair[] = {SYS_rename, SYS_link, SYS_symlink};
    int pipes[2], pipe_end = pipe(pipes) ? -1 : dup2(pipes[0], 9);

    for (unsigned i = 0; i < sizeof one / sizeof one[0]; i++) {
        printf("%d ", one[i]);
        SAY(syscall(one[i], BAD, buf, 0, 0));
    }
    for (unsigned i = 0; i < sizeof pair / sizeof pair[0]; i++) {
        printf("%d ", pair[i]);
        SAY(syscall(pair[i], BAD, "x"));
        SAY(syscall(pair[i], "file", BAD));
        SAY(syscall(pair[i], NULL, NULL));
    }
    SAY(syscall(SYS_open, BAD, O_RDONLY));
    SAY(syscall(SYS_creat, BAD, 0600));
    SAY(syscall(SYS_access, BAD, R_OK));
    SAY(syscall(SYS_mkdir, BAD, 0700));
    SAY(syscall(SYS_mknod, BAD, S_IFIFO | 0600, 0));
    SAY(syscall(SYS_readlink, BAD, buf, 10));
    SAY(syscall(SYS_chmod, BAD, 0600));
    SAY(syscall(SYS_chown, BAD, -1, -1));
    SAY(syscall(SYS_lchown, BAD, -1, -1));
    SAY(syscall(SYS_truncate, BAD, 1));
#ifdef SYS_utime
    SAY(syscall(SYS_utime, BAD, NULL));
    SAY(syscall(SYS_utimes, BAD, NULL));
#endif
    SAY(syscall(SYS_getxattr, BAD, "user.a", buf, 1));
    SAY(syscall(SYS_listxattr, BAD, buf, 1));
    SAY(syscall(SYS_removexattr, BAD, "user.a"));
    SAY(syscall(SYS_setxattr, BAD, "user.a", "v", 1, 0));
    AT(SYS_openat, O_RDONLY, 0);
    AT(SYS_mkdirat, 0700);
    AT(SYS_mknodat, S_IFIFO | 0600, 0);
    AT(SYS_fchownat, -1, -1, 0);
    AT(SYS_newfstatat, &st, 0);
    AT(SYS_unlinkat, 0);
    AT(SYS_readlinkat, buf, 10);
    AT(SYS_fchmodat, 0755);
    AT(SYS_faccessat, R_OK);
    AT(SYS_faccessat2, R_OK, 0);
    AT(SYS_utimensat, NULL, 0);
    AT(SYS_statx, 0, STATX_BASIC_STATS, buf);
    close(pipes[0]);
    close(pipes[1]);
    close(pipe_end);
    SAY(syscall(SYS_stat, "file", BAD));
    SAY(syscall(SYS_fstat, 3, BAD));
    SAY(syscall(SYS_newfstatat, AT_FDCWD, "file", BAD, 0));
    SAY(syscall(SYS_statx, AT_FDCWD, "file", 0, STATX_BASIC_STATS, BAD));
    SAY(syscall(SYS_statfs, "file", BAD));
    SAY(syscall(SYS_readlink, "link", BAD, 10));
    SAY(syscall(SYS_getcwd, BAD, 4096));
    SAY(syscall(SYS_getdents64, 4, BAD, 4096));
    SAY(syscall(SYS_utimensat, AT_FDCWD, "file", BAD, 0));
    SAY(syscall(SYS_openat2, AT_FDCWD, "file", BAD, 24));
    SAY(syscall(SYS_setxattr, "file", BAD, "v", 1, 0));
    SAY(syscall(SYS_setxattr, "file", "user.v", BAD, 1, 0));
    SAY(syscall(SYS_execve, "file", BAD, NULL));
    SAY(syscall(SYS_execve, "/bin/nowhere", BAD, BAD));
    SAY(syscall(SYS_inotify_add_watch, 999, "file", IN_MODIFY));
    SAY(syscall(SYS_inotify_add_watch, 3, "file", IN_MODIFY));
    int watch = inotify_init1(0);
    SAY(syscall(SYS_inotify_add_watch, watch, BAD, IN_MODIFY));
    close(watch);
}

static void descriptors(void)
{
    int r = open("file", O_RDONLY), p = open("file", O_PATH), w = open("file", O_WRONLY), d = open("dir", O_RDONLY);
    int pipes[2], s = socket(AF_UNIX, SOCK_STREAM, 0), l = open("link", O_PATH | O_NOFOLLOW);

    (void)!pipe(pipes);
    SAY(ftruncate(r, 1));
    SAY(ftruncate(p, 1));
    SAY(fchmod(p, 0600));
    SAY(fchmod(r, 0644));
    SAY(fchown(p, -1, -1));
    SAY(fchown(r, -1, -1));
    SAY(futimens(p, NULL));
    SAY(futimens(r, NULL));
    SAY(syscall(SYS_fsetxattr, p, "user.a", "b", 1, 0));
    SAY(syscall(SYS_fgetxattr, p, "user.a", buf, 10));
    SAY(syscall(SYS_fgetxattr, w, "user.none", buf, 10));
    SAY(syscall(SYS_getdents64, d, buf, 1));
    SAY(syscall(SYS_getdents64, p, buf, 100));
    SAY(syscall(SYS_getdents64, pipes[0], buf, 100));
    SAY(fchdir(r));
    SAY(fchdir(p));
    SAY(fchdir(pipes[0]));
    SAY(fstat(s, &st));
    SAY(fchmod(pipes[0], 0600));
    SAY(fstatat(l, "", &st, AT_EMPTY_PATH));
    SAY(readlinkat(l, "", buf, sizeof buf));
    SAY(readlinkat(p, "", buf, sizeof buf));
    SAY(fchownat(l, "", -1, -1, AT_EMPTY_PATH));
    SAY(fchownat(d, "", -1, -1, 0));
    SAY(linkat(p, "", AT_FDCWD, "linked", AT_EMPTY_PATH));
    SAY(linkat(AT_FDCWD, "link", AT_FDCWD, "linked2", AT_SYMLINK_FOLLOW));
    SAY(linkat(AT_FDCWD, "file", AT_FDCWD, "linked3", 0x10));
    SAY(closed(openat(d, "file", O_RDONLY)));
    SAY(closed(openat(pipes[0], "file", O_RDONLY)));
    SAY(closed(open("file", O_RDONLY | O_DIRECTORY)));
    SAY(closed(open("dir", O_WRONLY)));
    SAY(closed(open("dir", O_RDWR | O_CREAT, 0600)));
    SAY(closed(open("dir", O_TMPFILE | O_RDWR, 0600)));
    SAY(closed(open("file", O_TMPFILE | O_RDWR, 0600)));
    SAY(closed(open("dir", O_TMPFILE | O_RDONLY, 0600)));
    named(open("dir", O_TMPFILE | O_RDWR, 0640), "from-tmpfile");
    named(open("dir", O_TMPFILE | O_WRONLY | O_EXCL, 0640), "from-exclusive");
    named(open("removed", O_RDWR | O_CREAT, 0640), "from-removed");
    put("named (deleted)");
    named(open("named (deleted)", O_RDWR), "from-marked");
    SAY(closed(open("link", O_RDONLY | O_NOFOLLOW)));
    SAY(mkdirat(r, "x", 0700));
    SAY(unlinkat(AT_FDCWD, "dir", 0));
    SAY(unlinkat(AT_FDCWD, "file", AT_REMOVEDIR));
    SAY(unlinkat(AT_FDCWD, "dir", AT_REMOVEDIR));
    SAY(unlinkat(AT_FDCWD, "file", 0x40));
    SAY(rmdir("."));
    SAY(rmdir("dir/."));
    SAY(rmdir("dir/.."));
    SAY(rename(".", "x"));
    SAY(rename("dir", "dir/below"));
    SAY(rename("dir/file", "dir"));
    SAY(syscall(SYS_renameat2, AT_FDCWD, "file", AT_FDCWD, "dir", 2));
    SAY(syscall(SYS_renameat2, AT_FDCWD, "file", AT_FDCWD, "none", 2));
    SAY(syscall(SYS_renameat2, AT_FDCWD, "file", AT_FDCWD, "none", 3));
    SAY(syscall(SYS_renameat2, AT_FDCWD, "file", AT_FDCWD, "none", 8));
    for (int fd = r; fd <= l; fd++)
        close(fd);
}

static void changes(const char *dir)
{
    static const char *const names[] = {"file", "dir", "link", "none", "dir/file", "file/x", "none/x", "dir/"};
    struct sockaddr_un a = {.sun_family = AF_UNIX};

    for (unsigned i = 0; i < sizeof names / sizeof names[0]; i++) {
        const char *p = at(dir, names[i]);

        printf("%s\n", names[i]);
        SAY(access(p, W_OK));
        SAY(access(p, R_OK | X_OK));
        SAY(closed(open(p, O_RDONLY)));
        SAY(closed(open(p, O_WRONLY)));
        SAY(closed(open(p, O_RDONLY | O_TRUNC)));
        SAY(stat(p, &st) < 0 || !S_ISREG(st.st_mode) || st.st_size == 0 ? 0 : (errno = EFBIG, -1));
        SAY(closed(open(p, 3 | O_TRUNC)));
        SAY(closed(open(p, O_RDONLY | O_CREAT, 0600)));
        SAY(closed(open(p, O_RDWR | O_CREAT | O_EXCL, 0600)));
        SAY(closed(open(p, O_RDWR | O_TMPFILE, 0600)));
        SAY(mkdir(p, 0700));
        SAY(symlink("x", p));
        SAY(mknod(p, S_IFIFO | 0600, 0));
        SAY(chmod(p, 0755));
        SAY(chown(p, -1, -1));
        SAY(lchown(p, getuid(), -1));
        SAY(utimensat(AT_FDCWD, p, NULL, 0));
        SAY(truncate(p, 3));
        SAY(syscall(SYS_setxattr, p, "user.a", "b", 1, 0));
        SAY(syscall(SYS_removexattr, p, "user.none"));
        SAY(rename(p, at(dir, "new")));
        SAY(rename("file", p));
        SAY(rename(p, "here"));
        SAY(rename(p, at(other, "there")));
        SAY(link(p, at(dir, "new")));
        SAY(link("file", p));
        SAY(link(p, "here"));
        SAY(link(at(other, "file"), p));
        SAY(unlink(p));
        SAY(rmdir(p));
    }
    int s = socket(AF_UNIX, SOCK_STREAM, 0);
    snprintf(a.sun_path, sizeof a.sun_path, "%s/sock", dir);
    SAY(bind(s, (void *)&a, sizeof a));
    close(s);
    int r = open(at(dir, "file"), O_RDONLY);
    SAY(fchmod(r, 0600));
    SAY(fchown(r, -1, -1));
    SAY(futimens(r, NULL));
    SAY(syscall(SYS_fsetxattr, r, "user.a", "b", 1, 0));
    SAY(ftruncate(r, 0));
    close(r);
}

static void mount_points(void)
{
    put("file");
    SAY(rmdir(ro));
    SAY(rmdir(other));
    SAY(rename(ro, "moved"));
    SAY(rename(other, at(other, "moved")));
    SAY(rename("dir", other));
    SAY(rename(at(other, "file"), "file"));
    SAY(rename(at(other, "dir"), "dir2"));
    SAY(rename("file", at(other, "file")));
    SAY(link(at(other, "file"), "linked4"));
    SAY(link("file", at(other, "linked")));
    SAY(rmdir("/"));
    SAY(unlink("/"));
    SAY(rename("/", "x"));
    SAY(rename("file", "/"));
    SAY(mkdir("/", 0700));
    SAY(link("/", "x"));
}

/* A program that runs cannot be written. */
static void running(const char *self)
{
    char *argv[] = {"busy", "--wait", NULL};
    int from = open(self, O_RDONLY), to = open("busy", O_WRONLY | O_CREAT, 0755), ready[2], hold[2];
    ssize_t n;
    pid_t p;

    while ((n = read(from, buf, sizeof buf)) > 0)
        (void)!write(to, buf, (size_t)n);
    close(to);
    (void)!(pipe(ready) | pipe(hold));
    p = fork();
    if (p == 0) {
        dup2(hold[0], 0);
        dup2(ready[1], 1);
        close(hold[1]);
        execv("./busy", argv);
        _exit(1);
    }
    close(ready[1]);
    SAY(read(ready[0], buf, 1) - 1);
    SAY(closed(open("busy", O_WRONLY)));
    SAY(closed(open("busy", O_RDWR | O_CREAT, 0600)));
    SAY(closed(open("busy", O_RDONLY | O_TRUNC)));
    SAY(closed(open("busy", 3 | O_TRUNC)));
    SAY(closed(open("busy", 3)));
    SAY(truncate("busy", 10));
    SAY(closed(open("busy", O_RDONLY)));
    SAY(chmod("busy", 0711));
    SAY(access("busy", W_OK));
    SAY(rename("busy", "busy2"));
    SAY(closed(open("busy2", O_WRONLY)));
    SAY(unlink("busy2"));
    kill(p, SIGKILL);
    waitpid(p, NULL, 0);
}

/* With no descriptor left, what needs none goes on working. */
static void limits(void)
{
    struct rlimit old, few;

    getrlimit(RLIMIT_NOFILE, &old);
    few = old;
    few.rlim_cur = 3;
    setrlimit(RLIMIT_NOFILE, &few);
    SAY(closed(open("file", O_RDONLY)));
    SAY(closed(open("file2", O_WRONLY | O_CREAT, 0600)));
    SAY(stat("file", &st));
    SAY(access("none", F_OK));
    SAY(mkdir("dir3", 0700));
    SAY(rename("dir3", "dir4"));
    SAY(chmod("file", 0600));
    SAY(rmdir("dir4"));
    SAY(symlink("x", "symlink"));
    SAY(unlink("symlink"));
    SAY(link("file", "hard"));
    SAY(unlink("hard"));
    setrlimit(RLIMIT_NOFILE, &old);
    few.rlim_cur = 100;
    few.rlim_max = old.rlim_max;
    getrlimit(RLIMIT_FSIZE, &old);
    few.rlim_max = old.rlim_max;
    setrlimit(RLIMIT_FSIZE, &few);
    signal(SIGXFSZ, SIG_IGN);
    SAY(truncate("file", 1000));
    SAY(truncate("file", 50));
    setrlimit(RLIMIT_FSIZE, &old);
}

int main(int argc, char **argv)
{
    if (argc == 2) {
        (void)!write(1, "", 1);
        return (int)read(0, buf, 1);
    }
    if (argc == 5) {
        uid_t uid = (uid_t)atoi(argv[3]);
        gid_t gid = (gid_t)atoi(argv[4]);

        if (chown(".", uid, gid) || setgroups(0, NULL) || setgid(gid) || setuid(uid))
            return 2;
    }
    ro = argv[1];
    other = argv[2];
    setvbuf(stdout, NULL, _IOLBF, 0);
    umask(022);
    mkdir("dir", 0755);
    put("file");
    put("dir/file");
    (void)!symlink("file", "link");
    dup2(open("file", O_RDONLY), 3);
    dup2(open(".", O_RDONLY), 4);
    bad_pointers();
    descriptors();
    changes(ro);
    changes(".");
    put("file");
    mount_points();
    put("file");
    running(argv[0]);
    limits();
    return 0;
}
