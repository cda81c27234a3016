/* Arguments of calls: what is refused, and with which error. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <grp.h>
#include <linux/openat2.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>
#include <utime.h>

#include "details.h"

#ifndef RESOLVE_CACHED
#define RESOLVE_CACHED 0x20
#endif
#ifndef STATX_DIOALIGN
#define STATX_DIOALIGN 0x2000
#endif

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

void openat2s(void)
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

void statxs(void)
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

void binds(void)
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

void groups(void)
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

void times(void)
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

void foreign(void)
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
