/* What a program can notice of small things: one line each. The test compares a run inside with one outside.
 *
 *     details SECTION…      in the current directory, which is empty and writable
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/openat2.h>
#include <mqueue.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/time.h>
#include <sys/un.h>
#include <sys/xattr.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <utime.h>

#include "machine.h"

#ifndef RESOLVE_CACHED
#define RESOLVE_CACHED 0x20
#endif
#ifndef STATX_DIOALIGN
#define STATX_DIOALIGN 0x2000
#endif

static void say(const char *what, long r)
{
    if (r < 0)
        printf("%s: %s\n", what, strerrorname_np(errno));
    else
        printf("%s: %ld\n", what, r);
}

static void sayok(const char *what, long r) { say(what, r < 0 ? r : 0); }

static int put(const char *path, const char *text, int mode)
{
    int f = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

    (void)!write(f, text, strlen(text));
    fchmod(f, mode);
    return close(f);
}

static void mode_of(const char *what, const char *path)
{
    struct stat st;

    if (lstat(path, &st) < 0)
        say(what, -1);
    else
        printf("%s: mode %o size %ld links %ld\n", what, st.st_mode, (long)st.st_size, (long)st.st_nlink);
}

/* ---- an O_PATH descriptor of a symbolic link ------------------------------------------------------------- */

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

static void opath(void)
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

/* ---- files without a name -------------------------------------------------------------------------------- */

static void tmpfiles(void)
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

/* ---- set-group-ID ---------------------------------------------------------------------------------------- */

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

static void setgids(void)
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

/* ---- ctime of changes that change nothing ------------------------------------------------------------------ */

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

static void samevalue(void)
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

static void sizes(void)
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

/* ---- signals and memory ---------------------------------------------------------------------------------- */

static volatile int handled;
static void handler(int sig) { handled += sig; }

static void sigsys(void)
{
    sigset_t set, pending;
    siginfo_t info;
    struct timespec none = {0, 0};

    sigemptyset(&set);
    sigaddset(&set, SIGSYS);
    sigprocmask(SIG_BLOCK, &set, NULL);
    sayok("kill", kill(getpid(), SIGSYS));
    sayok("a call", access("none", F_OK));
    sigpending(&pending);
    printf("pending %d\n", sigismember(&pending, SIGSYS));
    say("taken", sigtimedwait(&set, &info, &none));
    sigpending(&pending);
    printf("pending %d\n", sigismember(&pending, SIGSYS));
    signal(SIGSYS, handler);
    sayok("kill", kill(getpid(), SIGSYS));
    printf("handled %d\n", handled);
    sigprocmask(SIG_UNBLOCK, &set, NULL);
    printf("handled %d\n", handled);
    signal(SIGSYS, SIG_IGN);
    sayok("kill", kill(getpid(), SIGSYS));
    printf("handled %d\n", handled);
}

static void locked(void)
{
    struct rlimit limit = {8 << 20, 8 << 20};
    char *p;

    sayok("setrlimit", setrlimit(RLIMIT_MEMLOCK, &limit));
    sayok("nothing", mlockall(0));
    sayok("unknown", mlockall(64));
    sayok("MCL_ONFAULT", mlockall(MCL_ONFAULT));
    sayok("MCL_CURRENT", mlockall(MCL_CURRENT));
    sayok("munlockall", munlockall());
    sayok("MCL_CURRENT | MCL_FUTURE", mlockall(MCL_CURRENT | MCL_FUTURE));
    p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    sayok("mmap", p == MAP_FAILED ? -1 : 0);
    sayok("munlockall", munlockall());
    sayok("MCL_CURRENT | MCL_ONFAULT", mlockall(MCL_CURRENT | MCL_ONFAULT));
    sayok("munlockall", munlockall());
    p = mmap(NULL, 16 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (getuid()) /* without a privilege */
        sayok("too much", mlockall(MCL_CURRENT));
    munlockall();
}

/* ---- arguments --------------------------------------------------------------------------------------------- */

static void open2(const char *what, uint64_t flags, uint64_t mode, uint64_t resolve, size_t size)
{
    struct {
        struct open_how how;
        uint64_t more[2];
    } h = {{flags, mode, resolve}, {0, 0}};
    long fd = syscall(SYS_openat2, AT_FDCWD, "file", &h, size);

    sayok(what, fd);
    if (fd >= 0)
        close((int)fd);
}

static void openat2s(void)
{
    size_t n = sizeof(struct open_how);

    put("file", "hello", 0644);
    close(open("file", O_RDONLY));
    open2("plain", O_RDONLY, 0, 0, n);
    open2("cached", O_RDONLY, 0, RESOLVE_CACHED, n);
    open2("cached beneath", O_RDONLY, 0, RESOLVE_CACHED | RESOLVE_BENEATH, n);
    open2("cached O_TRUNC", O_WRONLY | O_TRUNC, 0, RESOLVE_CACHED, n);
    open2("cached O_CREAT", O_WRONLY | O_CREAT, 0600, RESOLVE_CACHED, n);
    open2("cached unknown", O_RDONLY, 0, RESOLVE_CACHED | 0x40, n);
    open2("unknown", O_RDONLY, 0, 0x40, n);
    open2("unknown high", O_RDONLY, 0, 1ull << 40, n);
    open2("beneath and in root", O_RDONLY, 0, RESOLVE_BENEATH | RESOLVE_IN_ROOT, n);
    open2("flags unknown", O_RDONLY | 1u << 30, 0, 0, n);
    open2("flags high", O_RDONLY | 1ull << 33, 0, 0, n);
    open2("mode without O_CREAT", O_RDONLY, 0600, 0, n);
    open2("mode unknown", O_WRONLY | O_CREAT, 010600, 0, n);
    open2("O_PATH O_RDWR", O_PATH | O_RDWR, 0, 0, n);
    open2("O_PATH O_TRUNC", O_PATH | O_TRUNC, 0, 0, n);
    open2("O_PATH O_CLOEXEC", O_PATH | O_CLOEXEC, 0, 0, n);
    open2("O_CREAT O_DIRECTORY", O_CREAT | O_DIRECTORY, 0600, 0, n);
    open2("O_TMPFILE read", O_TMPFILE, 0600, 0, n);
    open2("small", O_RDONLY, 0, 0, n - 1);
    open2("larger", O_RDONLY, 0, 0, n + 8);
    open2("larger, huge", O_RDONLY, 0, 0, 1 << 20);
    sayok("EFAULT", syscall(SYS_openat2, AT_FDCWD, "file", (void *)8, n));
}

static void statxs(void)
{
    struct statx sx;

    put("file", "hello", 0644);
    for (int i = 0; i < 2; i++) {
        const char *p = i ? "." : "file";

        sayok("statx", statx(AT_FDCWD, p, 0, STATX_BASIC_STATS | STATX_BTIME | 0x1000 | STATX_DIOALIGN, &sx));
        printf("basic %x btime %d mnt_id %d dioalign %d\n", sx.stx_mask & STATX_BASIC_STATS,
               (sx.stx_mask & STATX_BTIME) != 0, (sx.stx_mask & 0x1000) != 0, (sx.stx_mask & STATX_DIOALIGN) != 0);
        printf("attributes %llx of %llx\n", (unsigned long long)(sx.stx_attributes & sx.stx_attributes_mask),
               (unsigned long long)sx.stx_attributes_mask);
        sayok("statx type", statx(AT_FDCWD, p, 0, STATX_TYPE, &sx));
        sayok("statx unique", statx(AT_FDCWD, p, 0, 0x4000, &sx));
        printf("unique %d\n", (sx.stx_mask & 0x4000) != 0);
    }
    sayok("reserved", statx(AT_FDCWD, "file", 0, 0x80000000u, &sx));
    sayok("both syncs", statx(AT_FDCWD, "file", AT_STATX_FORCE_SYNC | AT_STATX_DONT_SYNC, STATX_TYPE, &sx));
    sayok("flags", statx(AT_FDCWD, "file", 0x10000, STATX_TYPE, &sx));
    sayok("EFAULT", syscall(SYS_statx, AT_FDCWD, "file", 0, STATX_TYPE, (void *)8));
    sayok("EFAULT path", syscall(SYS_statx, AT_FDCWD, (void *)8, 0, STATX_TYPE, &sx));
}

static void bind_to(const char *path, int extra)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    int s = socket(AF_UNIX, SOCK_STREAM, 0);
    char text[200];

    strncpy(a.sun_path, path, sizeof a.sun_path);
    snprintf(text, sizeof text, "bind %.40s %d", path, extra);
    sayok(text, bind(s, (void *)&a, extra ? (socklen_t)extra : (socklen_t)(2 + strlen(path) + 1)));
    snprintf(text, sizeof text, "again %.40s", path);
    sayok(text, bind(s, (void *)&a, (socklen_t)(2 + strlen(path) + 1)));
    close(s);
}

static void binds(void)
{
    char longer[200];

    memset(longer, 'a', sizeof longer - 1);
    longer[150] = 0;
    put("file", "", 0644);
    mkdir("noway", 0500);
    (void)!symlink("nowhere", "dangling");
    (void)!symlink("file", "link");
    bind_to("sock", 0);
    bind_to("sock", 0);
    bind_to("file", 0);
    bind_to("dangling", 0);
    bind_to("link", 0);
    bind_to("none/sock", 0);
    bind_to("file/sock", 0);
    bind_to("noway/sock", 0);
    bind_to("/nonesuch/sock", 0);
    bind_to(".", 0);
    bind_to("slash/", 0);
    bind_to("x", 1);
    bind_to("x", 200);
    longer[107] = 0;
    bind_to(longer, 110);
    mode_of("sock", "sock");
}

static void groups(void)
{
    gid_t list[4] = {1, 2, 3, 4};
    char text[64];

    for (int i = 0; i < 3; i++) {
        sprintf(text, "setgroups %d", i ? i == 1 ? 2 : 70000 : -1);
        if (getuid())
            sayok(text, syscall(SYS_setgroups, i ? i == 1 ? 2 : 70000 : -1, list));
    }
    if (getuid())
        sayok("setgroups EFAULT", syscall(SYS_setgroups, 2, (void *)8));
    sayok("getgroups -1", syscall(SYS_getgroups, -1, list));
    sayok("getgroups EFAULT", getgroups(0, NULL) ? syscall(SYS_getgroups, 100, (void *)8) : (errno = EFAULT, -1));
}

static void times(void)
{
    struct timeval bad[2] = {{1, 1000000}, {1, 0}}, minus[2] = {{1, 0}, {1, -1}}, good[2] = {{1, 2}, {3, 4}};
    struct timespec worse[2] = {{1, 1000000000}, {1, 0}}, odd[2] = {{1, UTIME_NOW}, {1, UTIME_OMIT}};
    struct stat st;

    put("file", "", 0644);
    sayok("utimes bad", utimes("file", bad));
    sayok("utimes minus", utimes("file", minus));
    sayok("utimes bad, none", utimes("none", bad));
    sayok("utimes none", utimes("none", good));
#ifdef SYS_utimes
    sayok("utimes EFAULT", syscall(SYS_utimes, "file", (void *)8));
    sayok("utimes NULL path", syscall(SYS_utimes, NULL, good));
    sayok("utime EFAULT", syscall(SYS_utime, "file", (void *)8));
#endif
    sayok("utimes good", utimes("file", good));
    stat("file", &st);
    printf("%ld.%09ld %ld.%09ld\n", st.st_atim.tv_sec, st.st_atim.tv_nsec, st.st_mtim.tv_sec, st.st_mtim.tv_nsec);
#ifdef SYS_futimesat
    sayok("futimesat bad fd", syscall(SYS_futimesat, 77, NULL, good));
    sayok("futimesat NULL", syscall(SYS_futimesat, AT_FDCWD, NULL, good));
#endif
    sayok("utimensat bad", utimensat(AT_FDCWD, "file", worse, 0));
    sayok("utimensat odd", utimensat(AT_FDCWD, "file", odd, 0));
    sayok("utimensat flags", utimensat(AT_FDCWD, "file", odd, 0x40));
    sayok("utimensat NULL", syscall(SYS_utimensat, AT_FDCWD, NULL, NULL, 0));
    sayok("utimensat fd flags", syscall(SYS_utimensat, 1, NULL, NULL, AT_SYMLINK_NOFOLLOW));
    sayok("utimensat omit, none", utimensat(AT_FDCWD, "none", (struct timespec[2]){{0, UTIME_OMIT}, {0, UTIME_OMIT}}, 0));
    sayok("utimensat EFAULT", syscall(SYS_utimensat, AT_FDCWD, "file", (void *)8, 0));
    sayok("utime", utime("file", &(struct utimbuf){7, 8}));
}

static void foreign(void)
{
    struct stat st;

    stat("/etc/passwd", &st);
    if (st.st_uid == geteuid())
        return;
    sayok("O_NOATIME", open("/etc/passwd", O_RDONLY | O_NOATIME));
    sayok("O_NOATIME O_PATH", open("/etc/passwd", O_PATH | O_NOATIME));
    sayok("O_NOATIME directory", open("/etc", O_RDONLY | O_NOATIME));
    sayok("O_NOATIME created", open("mine", O_RDWR | O_CREAT | O_NOATIME, 0600));
    sayok("O_NOATIME mine", open("mine", O_RDONLY | O_NOATIME));
    {
        int fd = open("/etc/passwd", O_RDONLY);
        sayok("fchmod", fchmod(fd, 0644));
        sayok("fchown", fchown(fd, 1, 1));
    }
    sayok("chmod", chmod("/etc/passwd", 0644));
    sayok("chown", chown("/etc/passwd", -1, -1));
    sayok("utime", utime("/etc/passwd", NULL));
    sayok("truncate", truncate("/etc/passwd", 0));
}

/* ---- a program that runs ----------------------------------------------------------------------------------- */

static void copy(const char *from, const char *to)
{
    char buf[65536];
    int in = open(from, O_RDONLY), out = open(to, O_WRONLY | O_CREAT | O_TRUNC, 0755);
    ssize_t n;

    while ((n = read(in, buf, sizeof buf)) > 0)
        (void)!write(out, buf, (size_t)n);
    close(in);
    close(out);
}

static void write_it(const char *when, const char *path)
{
    static const int flags[] = {O_WRONLY, O_RDWR | O_APPEND, O_RDONLY | O_CLOEXEC};

    printf("%s, %s: truncate %s", when, path, truncate(path, 3000000) < 0 ? strerrorname_np(errno) : "ok");
    for (int i = 0; i < 3; i++) {
        int fd = open(path, flags[i]);

        printf(", open %s", fd < 0 ? strerrorname_np(errno) : "ok");
        close(fd);
    }
    puts("");
}

static void busy(void)
{
    int up[2], down[2];
    char byte;
    pid_t child;

    copy("/proc/self/exe", "prog");
    put("script", "#!./prog wait\n", 0755);
    write_it("before", "prog");
    copy("/proc/self/exe", "prog");
    (void)!pipe2(up, O_CLOEXEC);
    (void)!pipe2(down, O_CLOEXEC);
    child = fork();
    if (!child) {
        dup2(down[0], 0);
        dup2(up[1], 1);
        execl("./script", "script", NULL);
        _exit(1);
    }
    close(up[1]);
    printf("started: %zd\n", read(up[0], &byte, 1));
    write_it("runs", "prog");
    write_it("runs", "script");
    (void)!link("prog", "another");
    write_it("runs", "another");
    rename("prog", "renamed");
    write_it("renamed", "renamed");
    chmod("renamed", 0711);
    write_it("changed", "renamed");
    copy("/proc/self/exe", "prog");
    write_it("a new file", "prog");
    close(down[1]);
    waitpid(child, NULL, 0);
    write_it("ended", "renamed");
    write_it("ended", "another");
}

static void waits(void)
{
    char byte;

    (void)!write(1, "x", 1);
    (void)!read(0, &byte, 1);
}

/* ---- what /proc tells of the process ------------------------------------------------------------------------ */

static unsigned long long field(const char *name)
{
    char text[8192], *at;
    int fd = open("/proc/self/status", O_RDONLY);
    ssize_t n = read(fd, text, sizeof text - 1);

    text[n > 0 ? n : 0] = 0;
    close(fd);
    at = strstr(text, name);
    return at ? strtoull(at + strlen(name), NULL, 16) : 0;
}

static void capabilities(const char *when)
{
    struct __user_cap_header_struct head = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct data[2];
    unsigned long long effective, permitted;

    sayok("capget", syscall(SYS_capget, &head, data));
    effective = data[0].effective | (unsigned long long)data[1].effective << 32;
    permitted = data[0].permitted | (unsigned long long)data[1].permitted << 32;
    printf("%s: status %s, CAP_SETUID %d, CAP_SYS_TIME %d %d\n", when,
           effective == field("CapEff:") && permitted == field("CapPrm:") ? "agrees" : "differs",
           (int)(effective >> CAP_SETUID & 1), (int)(effective >> CAP_SYS_TIME & 1),
           (int)(permitted >> CAP_SYS_TIME & 1));
}

static void status(void)
{
    struct __user_cap_header_struct head = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct data[2];
    sigset_t set;

    printf("at first: %llx %llx %llx\n", field("SigBlk:"), field("SigIgn:"), field("SigCgt:"));
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    sigprocmask(SIG_BLOCK, &set, NULL);
    signal(SIGSEGV, handler);
    signal(SIGBUS, SIG_IGN);
    signal(SIGUSR2, handler);
    printf("then: %llx %llx %llx\n", field("SigBlk:"), field("SigIgn:"), field("SigCgt:"));
    capabilities("at first");
    syscall(SYS_capget, &head, data);
    data[0].effective &= ~(1u << CAP_SYS_TIME);
    sayok("not in effect", syscall(SYS_capset, &head, data));
    capabilities("not in effect");
    data[0].permitted &= ~(1u << CAP_SYS_TIME);
    sayok("given up", syscall(SYS_capset, &head, data));
    capabilities("given up");
    data[0].permitted |= 1u << CAP_SYS_TIME;
    sayok("back", syscall(SYS_capset, &head, data));
    data[0].permitted = data[0].effective = 0;
    data[1].permitted = data[1].effective = 0;
    sayok("all given up", syscall(SYS_capset, &head, data));
    capabilities("all given up");
    sayok("setuid", setuid(getuid() + 1));
}

static void queues(void)
{
    say("mq_open", mq_open("/rootlay-test-details", O_CREAT | O_EXCL | O_RDWR, 0600, NULL));
    say("mq_unlink", mq_unlink("/rootlay-test-details"));
}

/* Many readers of attributes that another process changes. */
static void race(void)
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

static const struct {
    const char *name;
    void (*run)(void);
} sections[] = {{"opath", opath}, {"tmpfiles", tmpfiles}, {"setgids", setgids}, {"samevalue", samevalue},
                {"sizes", sizes}, {"busy", busy}, {"wait", waits}, {"queues", queues}, {"status", status},
                {"race", race}, {"sigsys", sigsys}, {"locked", locked}, {"openat2s", openat2s},
                {"statxs", statxs}, {"binds", binds}, {"groups", groups}, {"times", times}, {"foreign", foreign}};

int main(int argc, char **argv)
{
    setvbuf(stdout, NULL, _IOLBF, 0);
    umask(022);
    for (int i = 1; i < argc; i++)
        for (unsigned k = 0; k < sizeof sections / sizeof *sections; k++)
            if (!strcmp(argv[i], sections[k].name))
                sections[k].run();
    return 0;
}
