/* Path calls in a loop, or commands: prints `name min_ns median_ns cpu_ns cut` for each, over ROUNDS batches. cpu_ns is
 * the least processor time of the commands and their children (0 for single calls): other work on the machine changes it
 * less than the time that passes. cut: 1 when the command was ended after LIMIT seconds, which min_ns then says.
 *
 * Built statically, so that the same bytes run bare, chrooted and inside. Usage:
 *     micro FILE MISSING LINK DIR
 *     micro -t ROUNDS LIMIT NAME SETUP COMMAND    shell commands; the set-up before each round is not timed. No other
 *                                                 round begins once a third of LIMIT has passed
 *     micro -s ROUNDS NAME PROGRAM          posix_spawn and wait, one at a time
 *     micro -w SETUP COMMAND                once, for who counts from outside: after the set-up this process is called
 *                                           micro-ready and waits for SIGUSR1; prints the command's user and kernel
 *                                           time in ns and its page faults
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { ROUNDS = 60, BATCH = 400 };
static const char *file, *missing, *symlink_path, *directory;
static char buffer[4096];
static int data_fd, write_fd;

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1e9 + t.tv_nsec;
}

/* Of the children that have been waited for. */
static double used(void)
{
    struct rusage r;
    getrusage(RUSAGE_CHILDREN, &r);
    return (r.ru_utime.tv_sec + r.ru_stime.tv_sec) * 1e9 + (r.ru_utime.tv_usec + r.ru_stime.tv_usec) * 1e3;
}

static void do_stat(void) { struct stat s; if (stat(file, &s)) exit(3); }
static void do_missing(void) { struct stat s; if (!stat(missing, &s)) exit(3); }
static void do_link(void) { struct stat s; if (stat(symlink_path, &s)) exit(3); }
static void do_open(void) { int fd = open(file, O_RDONLY); if (fd < 0) exit(3); close(fd); }
static void do_read4k(void)
{
    int fd = open(file, O_RDONLY);
    if (fd < 0 || read(fd, buffer, sizeof buffer) < 0) exit(3);
    close(fd);
}
static void do_fstat(void) { struct stat s; if (fstat(data_fd, &s)) exit(3); }
static void do_pread(void) { if (pread(data_fd, buffer, sizeof buffer, 0) < 0) exit(3); }
static void do_mmap(void)
{
    void *p = mmap(NULL, 65536, PROT_READ, MAP_PRIVATE, data_fd, 0);
    if (p == MAP_FAILED) exit(3);
    munmap(p, 65536);
}
static void do_write(void) { if (pwrite(write_fd, buffer, sizeof buffer, 0) < 0) exit(3); }
/* The filter must read an argument of these: the kernel cannot keep them in its bitmap of calls that are allowed. */
static void do_ioctl(void) { int n; if (ioctl(data_fd, FIONREAD, &n)) exit(3); }
static void do_fcntl(void) { if (fcntl(data_fd, F_GETFD) < 0) exit(3); }
static void do_getrlimit(void) { struct rlimit limit; if (getrlimit(RLIMIT_NOFILE, &limit)) exit(3); }
static void do_getppid(void) { getppid(); }
static void do_readdir(void)
{
    DIR *d = opendir(directory);
    if (!d) exit(3);
    while (readdir(d)) {}
    closedir(d);
}

/* Names relative to a directory DEEP levels below the root: they should cost what they do near it. */
enum { DEEP = 100 };
static void do_relative(void) { struct stat s; if (stat("file", &s)) exit(3); }
static void do_create(void)
{
    int fd = open("new", O_WRONLY | O_CREAT, 0644);
    if (fd < 0 || close(fd) || unlink("new")) exit(3);
}

static int go_deep(char *base)
{
    int n = mkdtemp(base) && !chdir(base) ? 0 : DEEP + 1;
    while (n < DEEP && !mkdir("directory", 0755) && !chdir("directory"))
        n++;
    return n == DEEP && !close(open("file", O_WRONLY | O_CREAT, 0644));
}

static void leave_deep(const char *base)
{
    unlink("file");
    for (int i = 0; i < DEEP && !chdir(".."); i++)
        rmdir("directory");
    rmdir(base);
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static void measure(const char *name, void (*call)(void), int batch)
{
    double took[ROUNDS];
    call();
    for (int i = 0; i < ROUNDS; i++) {
        double start = now();
        for (int k = 0; k < batch; k++) call();
        took[i] = (now() - start) / batch;
    }
    qsort(took, ROUNDS, sizeof *took, compare);
    printf("%s %.0f %.0f 0 0\n", name, took[0], took[ROUNDS / 2]);
}

static void report(const char *name, double *took, double *cpu, int rounds)
{
    qsort(took, rounds, sizeof *took, compare);
    qsort(cpu, rounds, sizeof *cpu, compare);
    printf("%s %.0f %.0f %.0f 0\n", name, took[0], took[rounds / 2], cpu[0]);
}

static volatile pid_t running; /* leads a process group */
static volatile int cut;

static void end_it(int sig)
{
    (void)sig;
    cut = 1;
    kill(-running, SIGKILL);
}

/* The shell's exit status; -1: ended. */
static int shell(const char *command, int limit)
{
    int status;
    if (!(running = fork())) {
        setpgid(0, 0);
        execl("/bin/sh", "sh", "-c", command, NULL);
        _exit(127);
    }
    setpgid(running, running);
    cut = 0;
    alarm(limit);
    waitpid(running, &status, 0);
    alarm(0);
    return cut ? -1 : status;
}

static int commands(int rounds, int limit, const char *name, const char *setup, const char *command)
{
    double *took = calloc(rounds, sizeof *took), *cpu = calloc(rounds, sizeof *cpu), all = 0;
    int i = 0, r;
    sigaction(SIGALRM, &(struct sigaction){.sa_handler = end_it, .sa_flags = SA_RESTART}, NULL);
    for (; i < rounds && all < limit * 1e9 / 3; i++) {
        if (*setup && shell(setup, 3 * limit)) return 4;
        double start = now(), before = used();
        if ((r = shell(command, limit)) > 0) return 5;
        if (r < 0) {
            if (!i) printf("%s %.0f %.0f 0 1\n", name, limit * 1e9, limit * 1e9);
            break;
        }
        all += took[i] = now() - start;
        cpu[i] = used() - before;
    }
    if (i) report(name, took, cpu, i);
    return 0;
}

static int spawns(int rounds, const char *name, char *program)
{
    double *took = calloc(rounds, sizeof *took), *cpu = calloc(rounds, sizeof *cpu);
    char *args[] = {program, NULL};
    for (int i = 0; i < rounds; i++) {
        pid_t child;
        int status;
        double start = now(), before = used();
        if (posix_spawn(&child, program, NULL, NULL, args, environ)) return 4;
        waitpid(child, &status, 0);
        took[i] = now() - start;
        cpu[i] = used() - before;
        if (status) return 5;
    }
    report(name, took, cpu, rounds);
    return 0;
}

static int watched(const char *setup, const char *command)
{
    struct rusage a, b;
    sigset_t set;
    int sig;
    if (*setup && system(setup)) return 4;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    sigprocmask(SIG_BLOCK, &set, NULL);
    prctl(PR_SET_NAME, "micro-ready");
    sigwait(&set, &sig);
    getrusage(RUSAGE_CHILDREN, &a);
    if (system(command)) return 5;
    getrusage(RUSAGE_CHILDREN, &b);
    printf("%.0f %.0f %ld\n", (b.ru_utime.tv_sec - a.ru_utime.tv_sec) * 1e9 + (b.ru_utime.tv_usec - a.ru_utime.tv_usec) * 1e3,
           (b.ru_stime.tv_sec - a.ru_stime.tv_sec) * 1e9 + (b.ru_stime.tv_usec - a.ru_stime.tv_usec) * 1e3,
           b.ru_minflt - a.ru_minflt);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc == 4 && !strcmp(argv[1], "-w")) return watched(argv[2], argv[3]);
    if (argc == 7 && !strcmp(argv[1], "-t")) return commands(atoi(argv[2]), atoi(argv[3]), argv[4], argv[5], argv[6]);
    if (argc == 5 && !strcmp(argv[1], "-s")) return spawns(atoi(argv[2]), argv[3], argv[4]);
    if (argc < 5) return 2;
    file = argv[1], missing = argv[2], symlink_path = argv[3], directory = argv[4];
    data_fd = open(file, O_RDONLY);
    write_fd = memfd_create("micro", 0);
    if (data_fd < 0 || write_fd < 0) return 3;
    measure("stat", do_stat, BATCH);
    measure("stat of a missing file", do_missing, BATCH);
    measure("stat through a symbolic link", do_link, BATCH);
    measure("open+close", do_open, BATCH);
    measure("open+read 4 KiB+close", do_read4k, BATCH);
    measure("readdir of a directory", do_readdir, 4);
    measure("fstat", do_fstat, BATCH);
    measure("pread 4 KiB", do_pread, BATCH);
    measure("pwrite 4 KiB", do_write, BATCH);
    measure("mmap+munmap", do_mmap, BATCH);
    measure("ioctl", do_ioctl, BATCH);
    measure("fcntl", do_fcntl, BATCH);
    measure("getrlimit", do_getrlimit, BATCH);
    measure("getppid", do_getppid, BATCH);
    char base[] = "/tmp/micro.XXXXXX";
    if (go_deep(base)) {
        measure("stat of a relative name, 100 deep", do_relative, BATCH);
        measure("creat+unlink of a relative name, 100 deep", do_create, BATCH / 10);
    }
    leave_deep(base);
    return 0;
}
