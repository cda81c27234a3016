/* A program that means harm: tries to reach a canary outside in every way that we know of, and says of
 * each attempt how it ended: `NAME held ERRNO` or `NAME reached`. test_hostile.py judges.
 *
 *     hostile CANARY SPARE OUTSIDE-PID ABSTRACT-NAME SOCKET REAL-UPPER
 *
 * CANARY is a file outside that holds "canary" and must go on doing so; SPARE another, whose metadata may
 * suffer; SOCKET a listening UNIX socket outside; REAL-UPPER where this container's files really are.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/user.h>
#include <sys/wait.h>

#include "hostile.h"

static void files_through_the_gate(const char *upper)
{
    char inside[4400];

    say("gate-open-read", read_secret(g(SYS_open, (long)canary, O_RDONLY, 0, 0)));
    say("gate-open-write", g(SYS_open, (long)canary, O_WRONLY, 0, 0));
    say("gate-open-truncate", g(SYS_open, (long)canary, O_WRONLY | O_TRUNC, 0, 0));
    say("gate-truncate", g(SYS_truncate, (long)canary, 0, 0, 0));
    say("gate-open-read-truncate", g(SYS_open, (long)canary, O_RDONLY | O_TRUNC, 0, 0));
    say("gate-openat-read-truncate", g(SYS_openat, AT_FDCWD, (long)canary, O_RDONLY | O_TRUNC, 0));
    say("gate-creat", g(SYS_creat, (long)canary, 0600, 0, 0));
    say("gate-openat2", g(SYS_openat2, AT_FDCWD, (long)canary, (long)(uint64_t[3]){O_RDONLY | O_TRUNC}, 24));
    say("gate-unlink", g(SYS_unlink, (long)canary, 0, 0, 0));
    snprintf(inside, sizeof inside, "%s/stolen", upper);
    say("gate-link", g(SYS_link, (long)canary, (long)inside, 0, 0));
    say("gate-rename-out", g(SYS_rename, (long)canary, (long)inside, 0, 0));
    close((int)g(SYS_open, (long)inside, O_CREAT | O_WRONLY, 0600, 0));
    say("gate-rename-over", g(SYS_rename, (long)inside, (long)canary, 0, 0));
    unlink("/stolen");
    snprintf(text, sizeof text, "%s.new", canary);
    say("gate-create", g(SYS_open, (long)text, O_CREAT | O_WRONLY, 0600, 0));
    say("gate-mkdir", g(SYS_mkdir, (long)text, 0700, 0, 0));
    say("gate-symlink", g(SYS_symlink, (long)"x", (long)text, 0, 0));
    say("gate-socket-file", g(SYS_mknod, (long)text, S_IFSOCK | 0600, 0, 0));
    snprintf(inside, sizeof inside, "%s/disk", upper);
    say("gate-device-in-the-upper", g(SYS_mknod, (long)inside, S_IFBLK | 0600, makedev(8, 0), 0));
    long dir = g(SYS_open, (long)upper, O_RDONLY | O_DIRECTORY, 0, 0);
    snprintf(text, sizeof text, "../../%s", strrchr(canary, '/') + 1);
    say("gate-dotdot", read_secret(g(SYS_openat, dir, (long)text, O_RDONLY, 0)));
    long root = g(SYS_open, (long)"/", O_PATH, 0, 0);
    say("gate-path-descriptor", read_secret(g(SYS_openat, root, (long)(canary + 1), O_RDONLY, 0)));
    char *const no[] = {NULL};
    say("gate-exec-outside", g(SYS_execve, (long)"/usr/bin/env", (long)no, (long)no, 0));
    say("gate-list-outside", g(SYS_open, (long)"/home", O_RDONLY | O_DIRECTORY, 0, 0));
    close((int)dir);
    close((int)root);
}

static long int80(long nr, long a, long b, long c)
{
    long r = -ENOSYS;

#ifdef __x86_64__
    __asm__ volatile("int $0x80" : "=a"(r) : "0"(nr), "b"(a), "c"(b), "d"(c) : "memory", "r8", "r9", "r10", "r11");
#else
    (void)nr, (void)a, (void)b, (void)c;
#endif
    return r;
}

static void other_entries(void)
{
    char *low = mmap((void *)0x10000000, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    struct {
        struct file_handle h;
        char bytes[128];
    } handle = {.h.handle_bytes = 128};
    int mount_id;

    strcpy(low, canary);
    say("plain-open", read_secret(result(open(canary, O_RDONLY))));
    say("raw-open", read_secret(result(syscall(SYS_open, canary, O_RDONLY))));
    say("int80-open", read_secret(int80(5, (long)low, 0, 0)));
    say("x32-open", read_secret(result(syscall(0x40000000 | SYS_open, canary, O_RDONLY))));
    say("open-by-handle", g(SYS_open_by_handle_at, AT_FDCWD, (long)&handle, O_RDONLY, 0));
    say("name-to-handle", gate(SYS_name_to_handle_at, AT_FDCWD, (long)canary, (long)&handle, (long)&mount_id, 0, 0));
    char params[120] = "";
    say("io-uring", g(SYS_io_uring_setup, 4, (long)params, 0, 0));
    say("mount", g(SYS_mount, (long)"/", (long)"/tmp", 0, 4096));
    say("new-user-namespace", g(SYS_unshare, CLONE_NEWUSER, 0, 0, 0));
    say("chroot", g(SYS_chroot, (long)"/", 0, 0, 0));
    say("bpf", g(SYS_bpf, 0, 0, 0, 0));
}

/* Our own memory is ours: the engine's code can be replaced, and that helps nobody. */
static void through_own_memory(void)
{
    int fd = open("/proc/self/mem", O_RDWR);
    static const char code[] = GATE_OF_THREE;

    if (fd < 0 || pwrite(fd, code, sizeof code - 1, (off_t)(uintptr_t)gate) != sizeof code - 1) {
        say("own-memory", -errno);
        _exit(0);
    }
    say("own-memory", read_secret(g(SYS_open, (long)canary, O_RDONLY, 0, 0)));
    _exit(0);
}

static void outside_process(pid_t pid)
{
    static const char *const name[] = {"mem", "fd/3", "root", "environ", "maps", "cwd"};
    char secret[64] = "";
    struct iovec here = {secret, sizeof secret}, there = {(void *)0x400000, sizeof secret};

    for (unsigned i = 0; i < 6; i++) {
        snprintf(text, sizeof text, "/proc/%d/%s", pid, name[i]);
        snprintf(secret, sizeof secret, "outside-proc-%s", name[i]);
        say(secret, g(SYS_open, (long)text, O_RDONLY, 0, 0));
    }
    snprintf(text, sizeof text, "/proc/%d/root%s", pid, canary);
    say("outside-proc-root-canary", read_secret(g(SYS_open, (long)text, O_RDONLY, 0, 0)));
    say("outside-ptrace", result(ptrace(PTRACE_SEIZE, pid, 0, 0)));
    say("outside-ptrace-gate", g(SYS_ptrace, PTRACE_ATTACH, pid, 0, 0));
    say("outside-vm-read", gate(SYS_process_vm_readv, pid, (long)&here, 1, (long)&there, 1, 0));
    long pidfd = result(syscall(SYS_pidfd_open, pid, 0));
    say("outside-pidfd-getfd", pidfd < 0 ? pidfd : result(syscall(SYS_pidfd_getfd, (int)pidfd, 3, 0)));
    say("outside-kcmp", result(syscall(SYS_kcmp, pid, getpid(), 2 /* KCMP_FILES */, 0, 0)));
    say("outside-limits", g(SYS_prlimit64, pid, 4 /* RLIMIT_CORE */, (long)(uint64_t[2]){0, 0}, 0));
    say("outside-kill", g(SYS_kill, pid, SIGUSR1, 0, 0));
    say("outside-tgkill", g(SYS_tgkill, pid, pid, SIGUSR1, 0));
    say("outside-pidfd-signal", pidfd < 0 ? pidfd : g(SYS_pidfd_send_signal, pidfd, SIGUSR1, 0, 0));
    say("kill-everybody", g(SYS_kill, -1, SIGUSR1, 0, 0));
}

/* A traced child can be made to do anything that it may do: not more than we. */
static void traced_child(void)
{
    int status;
    pid_t pid = fork();

    if (pid == 0) {
        for (;;)
            usleep(1000);
    }
    usleep(20000);
    if (ptrace(PTRACE_ATTACH, pid, 0, 0) < 0 || waitpid(pid, &status, 0) < 0) {
        say("traced-child", -errno);
    } else {
        say("traced-child", call_in(pid, SYS_open, (long)canary, O_RDONLY, 0));
    }
    kill(pid, SIGKILL);
    waitpid(pid, &status, 0);
}

static void inherited_descriptors(void)
{
    int found = -1;

    for (int fd = 3; fd < 4096 && found < 0; fd++)
        if (fcntl(fd, F_GETFD) >= 0)
            found = fd;
    say("inherited-descriptor", found < 0 ? -EBADF : found);
}

/* One process swings a link between a file of ours and the canary; the other opens through it, by the
 * engine and by the gate. */
static void symlink_race(const char *upper)
{
    char real[4400];
    long worst = -ENODATA;
    pid_t pid;

    snprintf(real, sizeof real, "%s/swing", upper);
    close(open("/own", O_CREAT | O_WRONLY, 0600));
    pid = fork();
    if (pid == 0)
        for (;;) {
            g(SYS_symlink, (long)"own", (long)real, 0, 0);
            g(SYS_unlink, (long)real, 0, 0, 0);
            g(SYS_symlink, (long)canary, (long)real, 0, 0);
            g(SYS_unlink, (long)real, 0, 0, 0);
        }
    for (int i = 0; i < 4000 && worst < 0; i++) {
        if (read_secret(result(open("/swing", O_RDONLY))) == 0 ||
            read_secret(g(SYS_open, (long)real, O_RDONLY, 0, 0)) == 0)
            worst = 0;
        long fd = result(open("/swing", O_WRONLY));
        if (fd >= 0) {
            if (write((int)fd, "broken", 6) < 0)
                worst = -errno;
            close((int)fd);
        }
    }
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    say("symlink-race", worst);
}

static void memfd_program(char **argv)
{
    int in = open("/proc/self/exe", O_RDONLY), fd = memfd_create("program", 0);
    char *const words[] = {argv[0], "again", (char *)canary, NULL}, *const none[] = {NULL};
    static char block[65536];
    ssize_t n;

    while ((n = read(in, block, sizeof block)) > 0)
        if (write(fd, block, (size_t)n) != n)
            break;
    fflush(stdout);
    if (fork() == 0) {
        syscall(SYS_execveat, fd, "", words, none, AT_EMPTY_PATH);
        say("memfd-program", -errno);
        _exit(0);
    }
    wait(NULL);
}

static long connect_to(const char *name, int abstract)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    size_t n = strlen(name);
    long r;

    memcpy(a.sun_path + abstract, name, n);
    r = g(SYS_connect, fd, (long)&a, (long)(offsetof(struct sockaddr_un, sun_path) + abstract + n + !abstract), 0);
    close(fd);
    return r;
}

static void metadata(const char *spare)
{
    struct stat st;
    int watch = inotify_init1(0);

    say("gate-stat", g(SYS_stat, (long)spare, (long)&st, 0, 0));
    say("gate-chmod", g(SYS_chmod, (long)spare, 0600, 0, 0));
    say("gate-utimes", g(SYS_utimensat, AT_FDCWD, (long)spare, 0, 0));
    say("gate-setxattr", gate(SYS_setxattr, (long)spare, (long)"user.x", (long)"y", 1, 0, 0));
    say("gate-inotify", g(SYS_inotify_add_watch, watch, (long)spare, IN_MODIFY, 0));
}

int main(int argc, char **argv)
{
    find_gate();
    canary = argv[argc > 2 && strcmp(argv[1], "again") == 0 ? 2 : 1];
    if (argc == 3) {
        say("memfd-program", read_secret(g(SYS_open, (long)canary, O_RDONLY, 0, 0)));
        return 0;
    }
    inherited_descriptors();
    files_through_the_gate(argv[6]);
    other_entries();
    outside_process(atoi(argv[3]));
    traced_child();
    symlink_race(argv[6]);
    memfd_program(argv);
    say("abstract-socket", connect_to(argv[4], 1));
    say("named-socket", connect_to(argv[5], 0));
    say("inet-socket", g(SYS_socket, AF_INET, SOCK_STREAM, 0, 0));
    say("netlink-socket", g(SYS_socket, AF_NETLINK, SOCK_RAW, 0, 0));
    metadata(argv[2]);
    fflush(stdout);
    if (fork() == 0)
        through_own_memory();
    wait(NULL);
    puts("done");
    return 0;
}
