/* Programs that mean harm and help each other, or use what they find: as hostile.c, one line for each attempt.
 *
 *     accomplices CANARY SPARE OUTSIDE-PID ABSTRACT-NAME SOCKET REAL-UPPER
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/user.h>
#include <sys/wait.h>

#include "hostile.h"

static char inside[4400];
static int open_door;

static const char *beside(const char *name)
{
    snprintf(text, sizeof text, "%.*s%s", (int)(strrchr(canary, '/') + 1 - canary), canary, name);
    return text;
}

/* A code page of our own: raw calls from there, and jumps into the middle of the gate. */
static void own_code(void)
{
    unsigned char *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    static const char code[] = GATE_OF_THREE;
    uint8_t *at = (uint8_t *)gate;
    long fd;

    memcpy(page, code, sizeof code);
    __builtin___clear_cache((char *)page, (char *)page + sizeof code);
    gate_function raw = (gate_function)page;
    say("own-code-open", read_secret(raw(SYS_openat, AT_FDCWD, (long)canary, O_RDONLY, 0, 0, 0)));
    say("own-code-truncate", raw(SYS_truncate, (long)canary, 0, 0, 0, 0, 0));
    while (memcmp(at, GATE_CALL, sizeof GATE_CALL - 1) != 0)
        at++;
    fd = call_at(at, SYS_open, (long)canary, O_RDONLY, 0);
    say("middle-of-the-gate", read_secret(fd));
    say("gate-new-filter", g(SYS_seccomp, 1, 0, 0, 0));
}

/* Ways round by /proc, the working directory, and descriptors that only name. */
static void by_detours(void)
{
    static const char *const way[] = {"/proc/self/root", "/proc/thread-self/root", "/proc/1/root"};
    uint64_t how[3] = {O_RDONLY, 0, 0x10 /* RESOLVE_IN_ROOT */};
    char name[64];

    for (unsigned i = 0; i < 3; i++) {
        snprintf(text, sizeof text, "%s%s", way[i], canary);
        snprintf(name, sizeof name, "gate%s", way[i]);
        say(name, read_secret(g(SYS_open, (long)text, O_RDONLY, 0, 0)));
    }
    snprintf(text, sizeof text, "/proc/%d/cwd/../../../../../../../../..%s", getppid(), canary);
    say("gate-parents-cwd", read_secret(g(SYS_open, (long)text, O_RDONLY, 0, 0)));
    if (!open_door) /* it would stop the test */
        say("parent-ptrace", g(SYS_ptrace, PTRACE_ATTACH, getppid(), 0, 0));
    long root = g(SYS_open, (long)"/", O_PATH, 0, 0), only = g(SYS_open, (long)canary, O_PATH, 0, 0);
    say("gate-openat2-in-root", read_secret(g(SYS_openat2, root, (long)canary, (long)how, sizeof how)));
    snprintf(text, sizeof text, "/proc/self/fd/%ld", only);
    say("gate-reopen-path", read_secret(g(SYS_open, (long)text, O_RDONLY, 0, 0)));
    say("gate-reopen-path-write", g(SYS_open, (long)text, O_WRONLY, 0, 0));
    say("gate-link-followed", gate(SYS_linkat, AT_FDCWD, (long)text, AT_FDCWD, (long)inside, AT_SYMLINK_FOLLOW, 0));
    say("gate-link-descriptor", gate(SYS_linkat, only, (long)"", AT_FDCWD, (long)inside, AT_EMPTY_PATH, 0));
    say("gate-exec-descriptor", gate(SYS_execveat, only, (long)"", (long)(char *[]){NULL}, (long)(char *[]){NULL}, AT_EMPTY_PATH, 0));
    int before = open(".", O_PATH);
    g(SYS_chdir, (long)beside(""), 0, 0, 0);
    say("gate-chdir-open", read_secret(g(SYS_open, (long)(strrchr(canary, '/') + 1), O_RDONLY, 0, 0)));
    if (!open_door)
        say("gate-chdir-unlink", g(SYS_unlink, (long)(strrchr(canary, '/') + 1), 0, 0, 0));
    fchdir(before);
    close((int)root);
    close((int)only);
}

static void names_outside(void)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX, .sun_path = "canary.socket"};
    int s = socket(AF_UNIX, SOCK_STREAM, 0), before = open(".", O_PATH);

    close((int)g(SYS_open, (long)inside, O_CREAT | O_WRONLY, 0600, 0));
    say("gate-link-out", g(SYS_link, (long)inside, (long)beside("canary.link"), 0, 0));
    say("gate-exchange", gate(SYS_renameat2, AT_FDCWD, (long)inside, AT_FDCWD, (long)canary, 2, 0));
    say("gate-fifo", g(SYS_mknod, (long)beside("canary.fifo"), S_IFIFO | 0600, 0, 0));
    say("gate-temporary", g(SYS_open, (long)beside(""), O_TMPFILE | O_RDWR, 0600, 0));
    g(SYS_chdir, (long)beside(""), 0, 0, 0);
    say("gate-bind", g(SYS_bind, s, (long)&a, sizeof a, 0));
    fchdir(before);
    say("gate-accounting", g(SYS_acct, (long)canary, 0, 0, 0));
    if (!open_door)
        say("gate-exec-loader", g(SYS_execve, (long)"/lib64/ld-linux-x86-64.so.2", (long)(char *[]){NULL}, (long)(char *[]){NULL}, 0));
    unlink("/stolen");
    close(s);
}

/* One looks for a descriptor that the other may not use; they meet over a socket inside. */
static void descriptor_by_message(void)
{
    char control[CMSG_SPACE(sizeof(int))] = "", byte = 0;
    struct iovec v = {&byte, 1};
    struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    struct cmsghdr *c = CMSG_FIRSTHDR(&m);
    int pair[2], fd = -1;

    if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) < 0)
        return;
    if (fork() == 0) {
        fd = (int)g(SYS_open, (long)canary, O_PATH, 0, 0);
        c->cmsg_level = SOL_SOCKET, c->cmsg_type = SCM_RIGHTS, c->cmsg_len = CMSG_LEN(sizeof fd);
        memcpy(CMSG_DATA(c), &fd, sizeof fd);
        _exit(sendmsg(pair[0], &m, 0) != 1);
    }
    wait(NULL);
    if (recvmsg(pair[1], &m, MSG_DONTWAIT) == 1 && (c = CMSG_FIRSTHDR(&m)) != NULL)
        memcpy(&fd, CMSG_DATA(c), sizeof fd);
    say("passed-descriptor-read", read_secret(fd < 0 ? -EBADF : dup(fd)));
    snprintf(text, sizeof text, "/proc/self/fd/%d", fd);
    say("passed-descriptor-reopen", read_secret(fd < 0 ? -EBADF : g(SYS_open, (long)text, O_RDONLY, 0, 0)));
    close(fd);
}

static pid_t sibling(void)
{
    pid_t pid = fork();

    if (pid == 0) {
        prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY);
        for (;;)
            usleep(1000);
    }
    usleep(20000);
    return pid;
}

/* A sibling is as confined as we are, whoever drives it. */
static void through_a_sibling(void)
{
    pid_t victim = sibling(), driver = fork();
    static char path[4400];
    int status;

    if (driver == 0) {
        struct iovec here = {(void *)canary, strlen(canary) + 1}, there = {path, strlen(canary) + 1};

        if (gate(SYS_process_vm_writev, victim, (long)&here, 1, (long)&there, 1, 0) < 0 ||
            ptrace(PTRACE_ATTACH, victim, 0, 0) < 0) {
            say("sibling", -errno);
            _exit(0);
        }
        waitpid(victim, &status, __WALL);
        say("sibling", call_in(victim, SYS_open, (long)path, O_RDONLY, 0));
        _exit(0);
    }
    waitpid(driver, NULL, 0);
    kill(victim, SIGKILL);
    waitpid(victim, NULL, 0);
}

static void outside_memory(pid_t pid)
{
    char secret[64] = "changed";
    struct iovec here = {secret, sizeof secret}, there = {(void *)0x400000, sizeof secret};

    say("outside-vm-write", gate(SYS_process_vm_writev, pid, (long)&here, 1, (long)&there, 1, 0));
    snprintf(text, sizeof text, "/proc/%d/mem", pid);
    say("outside-mem-write", g(SYS_open, (long)text, O_RDWR, 0, 0));
    snprintf(text, sizeof text, "/proc/%d/task/%d/fd/3", pid, pid);
    say("outside-task-fd", read_secret(g(SYS_open, (long)text, O_RDONLY, 0, 0)));
    snprintf(text, sizeof text, "/proc/%d/map_files", pid);
    long maps = g(SYS_open, (long)text, O_RDONLY | O_DIRECTORY, 0, 0), n = g(SYS_getdents64, maps, (long)text, sizeof text, 0);
    say("outside-map-files", n > 0 && n <= 48 ? -EACCES : n ? n : -ENODATA); /* . and .. are no secrets */
    long pidfd = result(syscall(SYS_pidfd_open, pid, 0));
    say("outside-madvise", g(SYS_process_madvise, pidfd, (long)&there, 1, 20));
    say("outside-namespaces", g(SYS_setns, pidfd, CLONE_NEWNS, 0, 0));
}

/* One process swings a directory between one of ours and the canary's, the other walks through it. */
static void directory_race(const char *upper)
{
    char swing[4400], other[4400], name[256];
    long worst = -ENODATA;
    pid_t pid;

    snprintf(swing, sizeof swing, "%s/swing", upper);
    snprintf(other, sizeof other, "%s/swing.other", upper);
    snprintf(name, sizeof name, "/swing/%s", strrchr(canary, '/') + 1);
    mkdir("/swing", 0755);
    beside("");
    text[strlen(text) - 1] = 0;
    g(SYS_symlink, (long)text, (long)other, 0, 0);
    if ((pid = fork()) == 0)
        for (;;)
            gate(SYS_renameat2, AT_FDCWD, (long)swing, AT_FDCWD, (long)other, 2 /* RENAME_EXCHANGE */, 0);
    for (int i = 0; i < 3000 && worst < 0; i++) {
        int fd = open(name, O_RDONLY);

        if (fd >= 0 && read_secret(fd) == 0)
            worst = 0;
        fd = open(name, O_WRONLY | O_CREAT | O_TRUNC, 0600);
        if (fd >= 0)
            close(fd);
        unlink(name);
    }
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    say("directory-race", worst);
}

int main(int argc, char **argv)
{
    if (argc != 7)
        return 2;
    find_gate();
    canary = argv[1];
    open_door = argv[4][0] == 0; /* not confined: no harm to processes outside */
    snprintf(inside, sizeof inside, "%s/stolen", argv[6]);
    own_code();
    by_detours();
    names_outside();
    descriptor_by_message();
    through_a_sibling();
    if (!open_door)
        outside_memory(atoi(argv[3]));
    directory_race(argv[6]);
    puts("done");
    return 0;
}
