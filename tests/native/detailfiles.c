/* Files and directories: links by descriptors, files without a name, modes, times, sizes, attributes that change. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/xattr.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "details.h"

static void opath_of(const char *link)
{
    char proc[64], text[256];
    struct stat st;
    struct statx sx;
    struct timeval past[2] = {{1000, 0}, {1000, 0}};
    int fd = open(link, O_PATH | O_NOFOLLOW), r;
    ssize_t n;

    printf("-- %s\n", link);
    snprintf(proc, sizeof proc, "/proc/self/fd/%d", fd);
    sayok("chmod", chmod(proc, 0600));
    r = open(proc, O_RDONLY);
    sayok("open", r);
    close(r);
    sayok("open for writing", open(proc, O_WRONLY | O_TRUNC));
    sayok("open O_CREAT", open(proc, O_RDWR | O_CREAT, 0644));
    sayok("open O_DIRECTORY", open(proc, O_RDONLY | O_DIRECTORY));
    sayok("open O_NOFOLLOW", open(proc, O_RDONLY | O_NOFOLLOW));
    r = open(proc, O_PATH);
    sayok("open O_PATH", r);
    printf("it is a link: %d\n", fstat(r, &st) == 0 && S_ISLNK(st.st_mode));
    close(r);
    sayok("stat", stat(proc, &st));
    printf("stat: type %o size %ld\n", st.st_mode & S_IFMT, (long)st.st_size);
    sayok("fstat", fstat(fd, &st));
    printf("fstat: type %o size %ld\n", st.st_mode & S_IFMT, (long)st.st_size);
    sayok("statx", statx(AT_FDCWD, proc, 0, STATX_BASIC_STATS, &sx));
    printf("statx: type %o\n", sx.stx_mode & S_IFMT);
    sayok("lstat", lstat(proc, &st));
    printf("lstat: type %o\n", st.st_mode & S_IFMT);
    sayok("truncate", truncate(proc, 1));
    sayok("utimes", utimes(proc, past));
    sayok("fstat", fstat(fd, &st));
    printf("its time: %ld\n", (long)st.st_mtime);
    sayok("setxattr", setxattr(proc, "user.a", "1", 1, 0));
    sayok("getxattr", getxattr(proc, "user.a", text, sizeof text));
    sayok("listxattr", listxattr(proc, text, sizeof text));
    sayok("removexattr", removexattr(proc, "user.a"));
    sayok("chown", chown(proc, getuid(), -1));
    sayok("access", access(proc, R_OK));
    sayok("through it", open((strcat(strcpy(text, proc), "/x")), O_RDONLY));
    sayok("chdir", chdir(proc));
    sayok("linkat follow", linkat(AT_FDCWD, proc, AT_FDCWD, "newname", AT_SYMLINK_FOLLOW));
    mode_of("its new name", "newname");
    unlink("newname");
    sayok("linkat", linkat(AT_FDCWD, proc, AT_FDCWD, "newname", 0));
    n = readlinkat(fd, "", text, sizeof text);
    printf("readlinkat: %.*s\n", n < 0 ? 0 : (int)n, text);
    n = readlink(proc, text, sizeof text);
    printf("readlink: %s\n", n > 0 && memmem(text, n, link, strlen(link)) ? "its name" : "another");
    close(fd);
}

void opath(void)
{
    put("target", "content\n", 0644);
    mkdir("dir", 0755);
    put("dir/x", "in\n", 0644);
    (void)!symlink("target", "alink");
    (void)!symlink("dir", "dirlink");
    (void)!symlink("nowhere", "dangling");
    opath_of("alink");
    opath_of("dirlink");
    opath_of("dangling");
    mode_of("target", "target");
    mode_of("dir", "dir");
    mode_of("nowhere", "nowhere");
}

void tmpfiles(void)
{
    static const int modes[] = {0666, 0, 0444, 0755, 04755, 02755, 06777, 0200};
    char proc[64], text[64];
    struct stat st;
    int fd;

    for (unsigned i = 0; i < sizeof modes / sizeof *modes; i++) {
        fd = open(".", O_TMPFILE | O_RDWR, modes[i]);
        sprintf(text, "%o", modes[i]);
        sayok(text, fd);
        fstat(fd, &st);
        printf("mode %o links %d own %d\n", st.st_mode, (int)st.st_nlink, st.st_uid == geteuid());
        if (!(modes[i] & 06000)) /* a write would drop the bits */
            (void)!write(fd, "x", 1);
        sprintf(proc, "/proc/self/fd/%d", fd);
        sayok("link", linkat(AT_FDCWD, proc, AT_FDCWD, "linked", AT_SYMLINK_FOLLOW));
        mode_of("linked", "linked");
        fstat(fd, &st);
        printf("mode %o links %d\n", st.st_mode, (int)st.st_nlink);
        sayok("again", linkat(AT_FDCWD, proc, AT_FDCWD, "linked2", AT_SYMLINK_FOLLOW));
        mode_of("linked2", "linked2");
        unlink("linked");
        unlink("linked2");
        close(fd);
    }
    fd = open(".", O_TMPFILE | O_WRONLY, 0644);
    sayok("fchmod 4711", fchmod(fd, 04711));
    fstat(fd, &st);
    printf("mode %o\n", st.st_mode);
    sprintf(proc, "/proc/self/fd/%d", fd);
    sayok("link", linkat(AT_FDCWD, proc, AT_FDCWD, "linked", AT_SYMLINK_FOLLOW));
    mode_of("linked", "linked");
    sayok("exists", linkat(AT_FDCWD, proc, AT_FDCWD, "linked", AT_SYMLINK_FOLLOW));
    close(fd);
    fd = open(".", O_TMPFILE | O_RDWR | O_EXCL, 0644);
    sprintf(proc, "/proc/self/fd/%d", fd);
    sayok("link O_EXCL", linkat(AT_FDCWD, proc, AT_FDCWD, "never", AT_SYMLINK_FOLLOW));
    sayok("setxattr", fsetxattr(fd, "user.a", "1", 1, 0));
    close(fd);
    sayok("O_RDONLY", open(".", O_TMPFILE | O_RDONLY, 0644));
    sayok("not a directory", open("linked", O_TMPFILE | O_RDWR, 0644));
    sayok("nothing", open("none", O_TMPFILE | O_RDWR, 0644));
}

static void strip(const char *how, int mode)
{
    int fd;
    char text[64];

    unlink("f");
    put("f", "0123456789", 0644);
    chmod("f", mode);
    fd = open("f", O_RDWR);
    if (!strcmp(how, "write"))
        (void)!write(fd, "a", 1);
    else if (!strcmp(how, "pwrite"))
        (void)!pwrite(fd, "a", 1, 2);
    else if (!strcmp(how, "ftruncate"))
        (void)!ftruncate(fd, 3);
    else if (!strcmp(how, "truncate"))
        (void)!truncate("f", 3);
    else if (!strcmp(how, "O_TRUNC"))
        close(open("f", O_WRONLY | O_TRUNC));
    else if (!strcmp(how, "chown"))
        (void)!chown("f", getuid(), -1);
    else if (!strcmp(how, "fchown"))
        (void)!fchown(fd, -1, getgid());
    else if (!strcmp(how, "chown -1"))
        (void)!chown("f", -1, -1);
    close(fd);
    snprintf(text, sizeof text, "%s of %o", how, mode);
    mode_of(text, "f");
}

void setgids(void)
{
    static const char *const ways[] = {"write", "pwrite", "ftruncate", "truncate", "O_TRUNC", "chown", "fchown",
                                       "chown -1"};
    static const int modes[] = {06755, 02755, 02745, 04755, 04644, 02644, 06777};
    struct stat st;
    int fd;

    for (unsigned i = 0; i < sizeof ways / sizeof *ways; i++)
        for (unsigned k = 0; k < sizeof modes / sizeof *modes; k++)
            strip(ways[i], modes[k]);
    mkdir("d", 0777);
    sayok("chmod 2775", chmod("d", 02775));
    mode_of("d", "d");
    mkdir("d/sub", 0755);
    mode_of("d/sub", "d/sub");
    mkdir("d/sub/sub", 01700);
    mode_of("d/sub/sub", "d/sub/sub");
    close(open("d/file", O_CREAT | O_WRONLY, 02755));
    mode_of("d/file", "d/file");
    close(open("d/plain", O_CREAT | O_WRONLY, 0644));
    mode_of("d/plain", "d/plain");
    sayok("mknod", mknod("d/node", S_IFREG | 02755, 0));
    mode_of("d/node", "d/node");
    fd = open("d", O_TMPFILE | O_RDWR, 02755);
    fstat(fd, &st);
    printf("tmpfile in it: mode %o group %d\n", st.st_mode, st.st_gid == getegid());
    sayok("chmod 755", chmod("d", 0755));
    mode_of("d", "d");
    sayok("chown", chown("d", getuid(), getgid()));
    mode_of("d", "d");
    chmod("d", 02775);
    sayok("chown", chown("d", getuid(), getgid()));
    mode_of("d", "d");
}

static void tick(const char *what, const char *path, long r)
{
    static struct timespec was;
    struct stat st;

    lstat(path, &st);
    if (what)
        printf("%s %s: %s, ctime %s\n", what, path, r < 0 ? strerrorname_np(errno) : "ok",
               was.tv_sec == st.st_ctim.tv_sec && was.tv_nsec == st.st_ctim.tv_nsec ? "stays" : "changes");
    was = st.st_ctim;
    usleep(12000);
}

void samevalue(void)
{
    static const char *const paths[] = {"file", "dir", "link"};
    struct stat st;

    put("file", "hello", 0644);
    mkdir("dir", 0755);
    (void)!symlink("file", "link");
    for (int i = 0; i < 3; i++) {
        const char *p = paths[i];
        int fd = open(p, O_RDONLY | O_NOFOLLOW);
        struct timespec t[2];

        lstat(p, &st);
        t[0] = st.st_atim;
        t[1] = st.st_mtim;
        usleep(12000);
        tick(NULL, p, 0);
        if (i < 2) {
            tick("chmod", p, chmod(p, st.st_mode & 07777));
            tick("fchmod", p, fchmod(fd, st.st_mode & 07777));
        }
        tick("lchown", p, lchown(p, st.st_uid, st.st_gid));
        tick("lchown -1 -1", p, lchown(p, -1, -1));
        tick("lchown uid", p, lchown(p, st.st_uid, -1));
        tick("lchown gid", p, lchown(p, -1, st.st_gid));
        if (i < 2) {
            tick("fchown", p, fchown(fd, st.st_uid, st.st_gid));
            tick("fchown -1 -1", p, fchown(fd, -1, -1));
        }
        tick("utimensat", p, utimensat(AT_FDCWD, p, t, AT_SYMLINK_NOFOLLOW));
        t[0].tv_nsec = t[1].tv_nsec = UTIME_OMIT;
        tick("utimensat omit", p, utimensat(AT_FDCWD, p, t, AT_SYMLINK_NOFOLLOW));
        if (i < 2) {
            tick("setxattr", p, setxattr(p, "user.a", "1", 1, 0));
            tick("setxattr again", p, setxattr(p, "user.a", "1", 1, 0));
        }
        if (i == 0) {
            tick("truncate", p, truncate(p, 5));
            tick("ftruncate of a reader", p, ftruncate(fd, 5));
        }
        tick("nothing", p, 0);
        close(fd);
    }
}

void sizes(void)
{
    struct stat a, b;
    struct timespec past[2] = {{1000, 5}, {1000, 5}};

    put("file", "hello", 0644);
    utimensat(AT_FDCWD, "file", past, 0);
    stat("file", &a);
    sayok("truncate", truncate("file", 5));
    stat("file", &b);
    printf("mtime %s\n", a.st_mtime == b.st_mtime ? "stays" : "changes");
}

/* Many readers of attributes that another process changes. */
void race(void)
{
    struct stat st;
    char value[64];
    int status, failed = 0;
    pid_t child;

    put("file", "hello", 0644);
    mkdir("dir", 0755);
    child = fork();
    if (!child) {
        for (int i = 0; i < 1500; i++) {
            sprintf(value, "%d", i);
            if (setxattr("file", "user.a", value, strlen(value), 0) || chmod("file", i & 1 ? 0444 : 06711) ||
                chmod("dir", i & 1 ? 02755 : 0700) || setxattr("dir", "user.a", value, strlen(value), 0))
                _exit(1);
        }
        _exit(0);
    }
    while (waitpid(child, &status, WNOHANG) == 0)
        for (int i = 0; i < 20; i++)
            if ((stat("file", &st) || stat("dir", &st) ||
                 (getxattr("dir", "user.a", value, sizeof value) < 0 && errno != ENODATA) ||
                 listxattr("file", value, sizeof value) < 0) && failed++ < 3)
                printf("failed: %s\n", strerrorname_np(errno));
    printf("failed %d, changes %d\n", failed, status);
}
