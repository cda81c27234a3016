/* A process: its memory and signals, programs that run, capabilities, message queues. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/capability.h>
#include <mqueue.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "details.h"

static volatile int handled;
static void handler(int sig) { handled += sig; }

void sigsys(void)
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

void locked(void)
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

void busy(void)
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

void waits(void)
{
    char byte;

    (void)!write(1, "x", 1);
    (void)!read(0, &byte, 1);
}

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

void status(void)
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

void queues(void)
{
    say("mq_open", mq_open("/rootlay-test-details", O_CREAT | O_EXCL | O_RDWR, 0600, NULL));
    say("mq_unlink", mq_unlink("/rootlay-test-details"));
}
