/* A program that means harm, by calls that the gate lets pass and arguments for which neither Landlock nor the kernel asks
 * for a right: as hostile.c, one line for each attempt.
 *
 *     arguments CANARY OUTSIDE-PID REAL-UPPER REAL-LOWER
 *
 * CANARY is a file outside that holds "canary" and must go on doing so; REAL-LOWER holds canary's like as `/lower`, which
 * the program may read, not change.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>

#include "hostile.h"

#ifndef SYS_fchmodat2
#define SYS_fchmodat2 452
#endif
/* Of linux/fs.h, which not every C library's compiler finds. */
#define GET_FLAGS _IOR('f', 1, long)
#define SET_FLAGS _IOW('f', 2, long)
#define NO_DUMP 0x40
#define SET_VERSION _IOW('v', 2, long)
#define GET_ATTRIBUTES _IOC(_IOC_READ, 'X', 31, 28)
#define SET_ATTRIBUTES _IOC(_IOC_WRITE, 'X', 32, 28)
#define CLONE _IOW(0x94, 9, int)
#define SHARE_EXTENTS _IOC(_IOC_READ | _IOC_WRITE, 0x94, 54, 24)
#define ENABLE_VERITY _IOC(_IOC_WRITE, 'f', 133, 128)
#define NEW_SUBVOLUME _IOC(_IOC_WRITE, 0x94, 14, 4096)
#define PUNCH_HOLE 3

static void access_modes(void)
{
    uint64_t how[3] = {3 | O_TRUNC, 0, 0};

    say("truncate-mode-3", g(SYS_open, (long)canary, 3 | O_TRUNC, 0, 0));
    say("truncate-mode-3-at", g(SYS_openat, AT_FDCWD, (long)canary, 3 | O_TRUNC | O_NONBLOCK | O_CLOEXEC, 0));
    say("truncate-mode-3-how", g(SYS_openat2, AT_FDCWD, (long)canary, (long)how, sizeof how));
    say("truncate-mode-0", g(SYS_openat, AT_FDCWD, (long)canary, O_TRUNC | O_NOCTTY, 0));
    say("truncate-high-bits", gate(SYS_openat, AT_FDCWD, (long)canary, (1ll << 32) | 3 | O_TRUNC, 0, 0, 0));
    say("truncate-creating", g(SYS_open, (long)canary, 3 | O_TRUNC | O_CREAT, 0600, 0));
    say("mode-3", g(SYS_open, (long)canary, 3, 0, 0));
    say("mode-3-at", g(SYS_openat, AT_FDCWD, (long)canary, 3, 0));
    say("mode-3-path", g(SYS_openat, AT_FDCWD, (long)canary, 3 | O_NOFOLLOW, 0));
    say("creat", g(SYS_creat, (long)canary, 0600, 0, 0));
}

/* What a descriptor that is open for reading is good for: `fd` of a file that is not ours to change. */
static void on_what_may_be_read(int fd, const char *kind)
{
    char name[64];
    int flags = 0, own = open("/own", O_CREAT | O_RDWR, 0600);
    unsigned long version = 7;
    uint32_t attributes[7] = {0};
    struct { uint32_t words[4]; uint64_t more[14]; } verity = {{1, 1, 4096, 0}, {0}};
    struct { uint64_t from, bytes; uint16_t count, no[3]; int64_t fd; uint64_t to, done; int32_t status, no2; } same = {
        .bytes = 4096, .count = 1, .fd = fd};

#define SAY(what, r) (snprintf(name, sizeof name, "%s-%s", kind, what), say(name, (r)))
    g(SYS_ioctl, fd, GET_FLAGS, (long)&flags, 0);
    flags ^= NO_DUMP;
    SAY("set-flags", g(SYS_ioctl, fd, SET_FLAGS, (long)&flags, 0));
    SAY("set-flags-high", gate(SYS_ioctl, fd, (1ll << 32) | SET_FLAGS, (long)&flags, 0, 0, 0));
    g(SYS_ioctl, fd, GET_ATTRIBUTES, (long)attributes, 0);
    attributes[3] = 77; /* the project, by which quotas are counted */
    SAY("set-attributes", g(SYS_ioctl, fd, SET_ATTRIBUTES, (long)attributes, 0));
    SAY("set-version", g(SYS_ioctl, fd, SET_VERSION, (long)&version, 0));
    SAY("seal", g(SYS_ioctl, fd, ENABLE_VERITY, (long)&verity, 0));
    SAY("new-subvolume", g(SYS_ioctl, fd, NEW_SUBVOLUME, (long)&(char[4096]){"x"}, 0));
    if (ftruncate(own, 4096) == 0)
        SAY("share-extents", g(SYS_ioctl, own, SHARE_EXTENTS, (long)&same, 0));
    SAY("clone-into", g(SYS_ioctl, fd, CLONE, own, 0));
    SAY("lease-for-reading", g(SYS_fcntl, fd, F_SETLEASE, F_RDLCK, 0));
    SAY("lease-for-writing", g(SYS_fcntl, fd, F_SETLEASE, F_WRLCK, 0));
    SAY("delegation", g(SYS_fcntl, fd, 1040 /* F_SETDELEG */, (long)(int[4]){0, F_RDLCK}, 0));
    SAY("truncate", g(SYS_ftruncate, fd, 0, 0, 0));
    SAY("allocate", gate(SYS_fallocate, fd, PUNCH_HOLE, 0, 4096, 0, 0));
    long mapped = gate(SYS_mmap, 0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    SAY("map-shared", mapped < 0 && mapped > -4096 ? mapped : 0);
#undef SAY
    close(own);
}

/* Any way to make a real file one that runs as this user for everybody. `r` counts when the bits are there. */
static void set_id(const char *how, const char *real, long r)
{
    struct stat st = {0};
    char name[64];
    long s = g(SYS_lstat, (long)real, (long)&st, 0, 0);

    snprintf(name, sizeof name, "set-id-%s", how);
    say(name, s == 0 && (st.st_mode & 06000) ? 0 : r < 0 ? r : -EPERM);
    g(SYS_unlink, (long)real, 0, 0, 0);
    g(SYS_rmdir, (long)real, 0, 0, 0);
}

static void set_id_bits(const char *upper)
{
    static char real[4400], other[4600];
    long fd, dir = g(SYS_open, (long)upper, O_PATH | O_DIRECTORY, 0, 0);

    snprintf(real, sizeof real, "%s/program", upper);
    g(SYS_umask, 0, 0, 0, 0);
    for (unsigned bits = 02000; bits <= 06000; bits += 02000) {
        set_id("open", real, g(SYS_open, (long)real, O_CREAT | O_WRONLY, bits | 0755, 0));
        set_id("open-quietly", real, g(SYS_open, (long)real, O_CREAT | O_RDONLY | O_EXCL, bits | 0755, 0));
        set_id("openat", real, g(SYS_openat, dir, (long)"program", O_CREAT | O_RDWR, bits | 0755));
        set_id("openat-high", real, gate(SYS_openat, dir, (long)"program", O_CREAT | O_RDWR, (1ll << 32) | bits | 0755, 0, 0));
        set_id("creat", real, g(SYS_creat, (long)real, bits | 0755, 0, 0));
        set_id("mkdir", real, g(SYS_mkdir, (long)real, bits | 0755, 0, 0));
        set_id("mkdirat", real, g(SYS_mkdirat, dir, (long)"program", bits | 0755, 0));
        set_id("mknod", real, g(SYS_mknod, (long)real, S_IFREG | bits | 0755, 0, 0));
        set_id("mknodat", real, g(SYS_mknodat, dir, (long)"program", S_IFREG | bits | 0755, 0));
        fd = g(SYS_openat, dir, (long)".", O_TMPFILE | O_RDWR, bits | 0755);
        snprintf(other, sizeof other, "/proc/self/fd/%ld", fd);
        set_id("tmpfile", real, fd < 0 ? fd : gate(SYS_linkat, AT_FDCWD, (long)other, AT_FDCWD, (long)real, AT_SYMLINK_FOLLOW, 0));
        close((int)fd);
#define MADE(how, call) (close((int)g(SYS_open, (long)real, O_CREAT | O_WRONLY, 0755, 0)), set_id(how, real, (call)))
        MADE("chmod", g(SYS_chmod, (long)real, bits | 0755, 0, 0));
        MADE("fchmodat", g(SYS_fchmodat, dir, (long)"program", bits | 0755, 0));
        MADE("fchmodat2", g(SYS_fchmodat2, dir, (long)"program", bits | 0755, 0));
        fd = g(SYS_open, (long)real, O_CREAT | O_WRONLY, 0755, 0);
        set_id("fchmod", real, g(SYS_fchmod, fd, bits | 0755, 0, 0));
        close((int)fd);
        MADE("capability", gate(SYS_setxattr, (long)real, (long)"security.capability", (long)"\1\0\0\2\0\4\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 20, 0, 0));
    }
    close((int)dir);
}

/* The same by honest calls: the program sees the bits, the real file has none. */
static void set_id_by_name(const char *upper)
{
    static char real[4400];
    struct stat st = {0};
    int fd = open("/honest", O_CREAT | O_WRONLY, 06755);

    fchmod(fd, 06755);
    close(fd);
    chmod("/honest", 06755);
    rename("/honest", "/renamed");
    snprintf(real, sizeof real, "%s/renamed", upper);
    long s = g(SYS_lstat, (long)real, (long)&st, 0, 0);
    say("set-id-by-name", s < 0 ? s : st.st_mode & 06000 ? 0 : -EPERM);
    say("set-id-not-seen", stat("/renamed", &st) == 0 && (st.st_mode & 07777) == 06755 ? -EPERM : 0);
}

/* What a name, a rename, a link or a crash leaves where it may not. */
static void left_behind(const char *upper, const char *lower)
{
    static char from[4400], to[4400], layer[4400];
    struct stat st = {0};
    int status, before = open(".", O_PATH);
    pid_t pid;

    snprintf(from, sizeof from, "%s/from", upper);
    snprintf(to, sizeof to, "%s/to", upper);
    snprintf(layer, sizeof layer, "%s/lower", lower);
    close((int)g(SYS_open, (long)from, O_CREAT | O_WRONLY, 0600, 0));
    gate(SYS_renameat2, AT_FDCWD, (long)from, AT_FDCWD, (long)to, 4 /* RENAME_WHITEOUT */, 0);
    long s = g(SYS_lstat, (long)from, (long)&st, 0, 0);
    say("device-by-rename", s < 0 ? s : S_ISCHR(st.st_mode) ? 0 : -EPERM);
    say("device-of-characters", g(SYS_mknod, (long)to, S_IFCHR | 0600, 0x103 /* null */, 0));
    g(SYS_mknod, (long)to, S_IFCHR | 0600, 0, 0); /* Landlock of some kernels lets it: a whiteout, no device */
    say("device-of-nothing", g(SYS_open, (long)to, O_RDONLY | O_NONBLOCK, 0, 0));
    g(SYS_unlink, (long)to, 0, 0, 0);
    say("link-of-a-layer", g(SYS_link, (long)layer, (long)from, 0, 0));
    say("rename-of-a-layer", g(SYS_rename, (long)layer, (long)to, 0, 0));
    say("write-of-a-layer", g(SYS_open, (long)layer, O_WRONLY, 0, 0));
    say("beside-a-layer", (snprintf(text, sizeof text, "%s/new", lower), g(SYS_mkdir, (long)text, 0700, 0, 0)));
    g(SYS_unlink, (long)from, 0, 0, 0);
    g(SYS_unlink, (long)to, 0, 0, 0);

    snprintf(text, sizeof text, "%.*s", (int)(strrchr(canary, '/') - canary), canary);
    fflush(stdout);
    if ((pid = fork()) == 0) {
        struct rlimit now;

        getrlimit(RLIMIT_CORE, &now);
        now.rlim_cur = now.rlim_max;
        setrlimit(RLIMIT_CORE, &now);
        g(SYS_chdir, (long)text, 0, 0, 0);
        signal(SIGQUIT, SIG_DFL);
        raise(SIGQUIT);
        _exit(1);
    }
    waitpid(pid, &status, 0);
    fchdir(before);
    close(before);
}

/* The descriptors that came with us: 0 a directory with the canary in it, 2 a file that may only be written to. */
static void passed(void)
{
    say("below-a-passed-directory", read_secret(g(SYS_open, (long)canary, O_RDONLY, 0, 0)));
    say("from-a-passed-directory", read_secret(g(SYS_openat, 0, (long)(strrchr(canary, '/') + 1), O_RDONLY, 0)));
    say("read-of-what-is-written-to", read_secret(g(SYS_open, (long)"/proc/self/fd/2", O_RDONLY, 0, 0)));
    say("both-of-what-is-written-to", g(SYS_open, (long)"/proc/self/fd/2", O_RDWR, 0, 0));
}

/* Signals by other ways than kill: they must be held when they are sent, so the test looks at the process. */
static void signals(int pid)
{
    int pair[2], own = open("/own", O_CREAT | O_RDWR, 0600), dir = open("/tmp", O_RDONLY | O_DIRECTORY);
    struct { int type, pid; } owner = {1 /* F_OWNER_PID */, pid};

    if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) < 0)
        return;
    for (int i = 0; i < 3; i++) {
        int fd = i == 0 ? pair[0] : i == 1 ? own : dir;

        g(SYS_fcntl, fd, F_SETOWN, pid, 0);
        g(SYS_fcntl, fd, 15 /* F_SETOWN_EX */, (long)&owner, 0);
        g(SYS_fcntl, fd, 10 /* F_SETSIG */, SIGKILL, 0);
        g(SYS_fcntl, fd, F_SETFL, O_ASYNC | O_NONBLOCK, 0);
    }
    g(SYS_ioctl, pair[0], 0x8902 /* SIOCSPGRP */, (long)&pid, 0);
    g(SYS_fcntl, dir, 1026 /* F_NOTIFY */, 0x8000002f, 0);
    if (write(pair[1], "x", 1) == 1 && send(pair[1], "x", 1, MSG_OOB) == 1)
        close(open("/tmp/made", O_CREAT | O_WRONLY, 0600));
    unlink("/tmp/made");
    struct sigevent event = {.sigev_notify = 4 /* SIGEV_THREAD_ID */, .sigev_signo = SIGKILL};
    long timer;

    ((int *)&event)[4] = pid;
    say("timer-of-another", g(SYS_timer_create, CLOCK_MONOTONIC, (long)&event, (long)&timer, 0));
    close(pair[0]), close(pair[1]), close(own), close(dir);
}

static void sockets(void)
{
    static const int types[] = {SOCK_STREAM, SOCK_DGRAM, SOCK_RAW, SOCK_RDM, SOCK_SEQPACKET};
    long family = -EAFNOSUPPORT, pair = -EAFNOSUPPORT;
    int two[2];

    for (int f = 0; f < 256; f++)
        for (unsigned t = 0; t < sizeof types / sizeof types[0] && f != AF_UNIX; t++) {
            long s = g(SYS_socket, f, types[t], 0, 0);
            if (s >= 0 || s != -EAFNOSUPPORT)
                family = 0, printf("# family %d type %d: %ld\n", f, types[t], s);
            s = g(SYS_socketpair, f, types[t], 0, (long)two);
            if (s >= 0 || s != -EAFNOSUPPORT)
                pair = 0, printf("# pair of family %d type %d: %ld\n", f, types[t], s);
        }
    say("socket-families", family);
    say("pair-families", pair);
    say("socket-family-high-bits", gate(SYS_socket, (1ll << 32) | AF_INET, SOCK_DGRAM, 0, 0, 0, 0));
}

static void processes(int pid)
{
    uint64_t second[2] = {1, 1};

    for (int what = 0; what < RLIM_NLIMITS; what++) {
        struct rlimit now;
        char name[32];

        if (g(SYS_prlimit64, pid, what, 0, (long)&now) < 0)
            now = (struct rlimit){0, RLIM_INFINITY};
        snprintf(name, sizeof name, "limit-%d", what);
        say(name, g(SYS_prlimit64, pid, what, (long)&now, 0));
    }
    say("limit-high-bits", gate(SYS_prlimit64, (1ll << 32) | pid, RLIMIT_CPU, (long)second, 0, 0, 0));
    say("priority-of-everything", g(SYS_setpriority, PRIO_USER, 0, getpriority(PRIO_PROCESS, 0), 0));
    say("input-priority-of-everything", g(SYS_ioprio_set, 3, 0, 0, 0));
    say("madvise", gate(SYS_process_madvise, (long)g(SYS_pidfd_open, pid, 0, 0, 0), (long)(uint64_t[2]){0x400000, 4096}, 1, 21, 0, 0));
    struct { uint32_t type, size; uint64_t config, period, sample, format, flags, more[8]; } attr = {1, 112, .flags = 1 << 5};
    say("perf-of-a-processor", gate(SYS_perf_event_open, (long)&attr, -1, 0, -1, 0, 0));
}

static void kernel(void)
{
    struct { uint16_t code; uint8_t yes, no; uint32_t k; } allow = {6 /* return */, 0, 0, 0x7fff0000};
    struct { uint16_t n; void *code; } filter = {1, &allow};
    long unknown = -ENOSYS, r;
    char log[64];

    say("own-filter", gate(SYS_prctl, PR_SET_SECCOMP, 2, (long)&filter, 0, 0, 0));
    say("own-dispatch", gate(SYS_prctl, 59, 1, 0, 0, 0, 0));
    say("keys-make", gate(SYS_add_key, (long)"user", (long)"rootlay-test", (long)"x", 1, -4 /* the user's */, 0));
    say("keys-read", g(SYS_keyctl, 11, -4, (long)log, sizeof log));
    say("keys-ask", g(SYS_request_key, (long)"user", (long)"rootlay-test", 0, 0));
    say("kernel-log", g(SYS_syslog, 3, (long)log, sizeof log, 0));
    say("user-faults-of-the-kernel", g(SYS_userfaultfd, O_CLOEXEC, 0, 0, 0));
    for (long nr = 470; nr < 2048; nr++)
        if ((r = g(nr, 0, 0, 0, 0)) != -ENOSYS)
            unknown = r < 0 ? 0 : r, printf("# number %ld: %ld\n", nr, r);
    say("unknown-numbers", unknown);
}

/* With a terminal of our own as controlling one, which is as near as we get to that of a shell outside. */
static void own_terminal(void)
{
    int master = posix_openpt(O_RDWR | O_NOCTTY), status;

    grantpt(master);
    unlockpt(master);
    fflush(stdout);
    if (fork() == 0) {
        setsid();
        int fd = open(ptsname(master), O_RDWR);

        ioctl(fd, TIOCSCTTY, 0);
        say("push-input", g(SYS_ioctl, fd, TIOCSTI, (long)"x", 0));
        say("push-input-high-bits", gate(SYS_ioctl, fd, (1ll << 32) | TIOCSTI, (long)"x", 0, 0, 0));
        say("push-selection", g(SYS_ioctl, fd, TIOCLINUX, (long)(char[]){3}, 0));
        _exit(0);
    }
    wait(&status);
    close(master);
}

int main(int argc, char **argv)
{
    static char lower[4400];

    if (argc != 5)
        return 2;
    find_gate();
    canary = argv[1];
    signal(SIGIO, SIG_IGN); /* a lease that is broken */
    access_modes();
    on_what_may_be_read(open("/lower", O_RDONLY), "lower");
    snprintf(lower, sizeof lower, "%s/lower", argv[4]);
    on_what_may_be_read((int)g(SYS_open, (long)lower, O_RDONLY, 0, 0), "layer");
    set_id_bits(argv[3]);
    set_id_by_name(argv[3]);
    left_behind(argv[3], argv[4]);
    passed();
    signals(atoi(argv[2]));
    sockets();
    processes(atoi(argv[2]));
    kernel();
    own_terminal();
    puts("done");
    return 0;
}
