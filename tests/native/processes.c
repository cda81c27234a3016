/* Starts of programs: fork, vfork, posix_spawn and exec. Needs itself as argv[0]: it runs itself as the child. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cases.h"
#include "machine.h"

extern char **environ;
static char *self;

static int spawn_many(void)
{
    char *av[] = {self, "--true", NULL};
    posix_spawnattr_t at;
    sigset_t all;
    int status;
    pid_t p;

    posix_spawnattr_init(&at);
    sigfillset(&all);
    sigdelset(&all, SIGKILL);
    sigdelset(&all, SIGSTOP);
    posix_spawnattr_setsigdefault(&at, &all);
    posix_spawnattr_setflags(&at, POSIX_SPAWN_SETSIGDEF);
    for (int i = 0; i < 200; i++) {
        if (posix_spawn(&p, self, NULL, &at, av, environ))
            return 0;
        waitpid(p, &status, 0);
        if (status)
            return 0;
    }
    return 1;
}

static int spawn_of_nothing(void)
{
    char *av[] = {"/nowhere", NULL};
    pid_t p;

    for (int i = 0; i < 100; i++)
        if (posix_spawn(&p, av[0], NULL, NULL, av, environ) != ENOENT)
            return 0;
    return 1;
}

static int vfork_exec(void)
{
    int status = 0;

    for (volatile int i = 0; i < 100 && status == 0; i++) {
        pid_t p = vfork();
        if (p == 0) {
            execl(self, self, "--true", (char *)NULL);
            _exit(9);
        }
        waitpid(p, &status, 0);
    }
    return status == 0;
}

/* A vfork child's ids, mask and root are its own, though its memory is not: Go runs programs as somebody else so. */
static int vfork_child_is_somebody_else(void)
{
    int status, r = 1;

    for (volatile int i = 0; i < 60 && r; i++) {
        pid_t p = vfork();
        if (p == 0) {
            syscall(SYS_setgid, 6);
            syscall(SYS_setuid, 7);
            umask(027);
            if (i % 3 == 0)
                execl(self, self, "--is-7", (char *)NULL);
            if (i % 3 == 1)
                execl("/nowhere", self, (char *)NULL);
            _exit(syscall(SYS_getuid) == 7 && syscall(SYS_setuid, 0) == -1 ? 0 : 1);
        }
        waitpid(p, &status, 0);
        r = status == 0 && getuid() == 0 && getegid() == 0 && umask(022) == 022 && setuid(0) == 0;
    }
    return r;
}

static void *fault_handler_seen;
static void on_fault(int sig) { (void)sig; }

/* posix_spawn resets the child's handlers in memory that it shares with its parent. */
static int spawn_keeps_the_parents_handlers(void)
{
    char *av[] = {self, "--true", NULL};
    struct sigaction a = {.sa_handler = on_fault}, old;
    int status;
    pid_t p;

    sigaction(SIGSEGV, &a, NULL);
    sigaction(SIGSYS, &a, NULL);
    if (posix_spawn(&p, self, NULL, NULL, av, environ))
        return 0;
    waitpid(p, &status, 0);
    sigaction(SIGSEGV, NULL, &old);
    fault_handler_seen = (void *)old.sa_handler;
    sigaction(SIGSYS, NULL, &old);
    int r = fault_handler_seen == (void *)on_fault && old.sa_handler == on_fault && status == 0;
    raise(SIGSEGV);
    r &= syscall(SYS_access, (char *)8, 0) == -1 && errno == EFAULT;
    signal(SIGSEGV, SIG_DFL);
    signal(SIGSYS, SIG_DFL);
    return r;
}

static int ignored_faults_survive_exec(void)
{
    int status;
    pid_t p = fork();

    if (p == 0) {
        signal(SIGSEGV, SIG_IGN);
        signal(SIGSYS, SIG_IGN);
        signal(SIGUSR1, SIG_IGN);
        execl(self, self, "--ignored", (char *)NULL);
        _exit(9);
    }
    waitpid(p, &status, 0);
    return status == 0;
}

/* A copy of this program, in memory. */
static int exec_of_a_memfd(void)
{
    char buf[65536], *av[] = {self, "--true", NULL};
    int from = open(self, O_RDONLY), to = syscall(SYS_memfd_create, "me", 1u), status;
    long n;

    while ((n = read(from, buf, sizeof buf)) > 0)
        if (write(to, buf, n) != n)
            return 0;
    close(from);
    pid_t p = fork();
    if (p == 0) {
        fexecve(to, av, environ);
        _exit(9);
    }
    waitpid(p, &status, 0);
    close(to);
    return status == 0;
}

static int exec_of_a_descriptor(void)
{
    char *av[] = {self, "--true", NULL};
    int f = open(self, O_RDONLY | O_CLOEXEC), status;
    pid_t p = fork();

    if (p == 0) {
        fexecve(f, av, environ);
        _exit(9);
    }
    waitpid(p, &status, 0);
    close(f);
    return status == 0;
}

static int mask_survives_exec(void)
{
    sigset_t s, old;
    int status;

    sigemptyset(&s);
    sigaddset(&s, SIGUSR2);
    sigprocmask(SIG_BLOCK, &s, &old);
    pid_t p = fork();
    if (p == 0) {
        execl(self, self, "--mask", (char *)NULL);
        _exit(9);
    }
    sigprocmask(SIG_SETMASK, &old, NULL);
    waitpid(p, &status, 0);
    return status == 0;
}

static int exec_errors(void)
{
    static char long_name[5000];
    int r = 1;

    memset(long_name, 'a', sizeof long_name - 1);
    r &= execl("/nowhere", "x", (char *)NULL) == -1 && errno == ENOENT;
    r &= execl("/etc", "x", (char *)NULL) == -1 && errno == EACCES;
    r &= execl(long_name, "x", (char *)NULL) == -1 && errno == ENAMETOOLONG;
    r &= syscall(SYS_execve, (char *)8, NULL, NULL) == -1 && errno == EFAULT;
    r &= syscall(SYS_execve, self, (char **)8, NULL) == -1 && errno == EFAULT;
    int f = open("/tmp/garbage", O_CREAT | O_WRONLY | O_TRUNC, 0755);
    r &= write(f, "garbage\n", 8) == 8;
    close(f);
    r &= execl("/tmp/garbage", "x", (char *)NULL) == -1 && errno == ENOEXEC;
    unlink("/tmp/garbage");
    return r;
}

static int empty_environment(void)
{
    char *av[] = {self, "--noenv", NULL}, *none[] = {NULL};
    int status;
    pid_t p;

    if (posix_spawn(&p, self, NULL, NULL, av, none))
        return 0;
    waitpid(p, &status, 0);
    return status == 0;
}

static int many_arguments(void)
{
    enum { N = 5000 };
    static char *av[N + 1];
    int status;
    pid_t p;

    av[0] = self;
    av[1] = "--count";
    for (int i = 2; i < N; i++)
        av[i] = "x";
    if (posix_spawn(&p, self, NULL, NULL, av, environ))
        return 0;
    waitpid(p, &status, 0);
    return WIFEXITED(status) && WEXITSTATUS(status) == 7;
}

int main(int argc, char **argv)
{
    static const struct test_case cases[] = {
        CASE(spawn_many), CASE(spawn_of_nothing), CASE(vfork_exec), CASE(vfork_child_is_somebody_else),
        CASE(spawn_keeps_the_parents_handlers), CASE(ignored_faults_survive_exec), CASE(exec_of_a_memfd),
        CASE(exec_of_a_descriptor), CASE(mask_survives_exec), CASE(exec_errors), CASE(empty_environment),
        CASE(many_arguments), END_OF_CASES};
    struct sigaction a;
    sigset_t s;

    self = argv[0];
    if (argc > 1 && strcmp(argv[1], "--true") == 0)
        return access("/etc/os-release", R_OK) != 0;
    if (argc > 1 && strcmp(argv[1], "--is-7") == 0)
        return !(getuid() == 7 && getegid() == 6 && umask(0) == 027);
    if (argc > 1 && strcmp(argv[1], "--noenv") == 0)
        return environ[0] != NULL || access("/etc/os-release", R_OK) != 0;
    if (argc > 1 && strcmp(argv[1], "--count") == 0)
        return argc == 5000 ? 7 : 1;
    if (argc > 1 && strcmp(argv[1], "--mask") == 0) {
        sigprocmask(SIG_SETMASK, NULL, &s);
        return !(sigismember(&s, SIGUSR2) && !sigismember(&s, SIGUSR1) && !sigismember(&s, SIGSYS));
    }
    if (argc > 1 && strcmp(argv[1], "--ignored") == 0) {
        static const int sigs[] = {SIGSEGV, SIGSYS, SIGUSR1};
        for (int i = 0; i < 3; i++)
            if (sigaction(sigs[i], NULL, &a) || a.sa_handler != SIG_IGN)
                return 1;
        return 0;
    }
    return run_cases(cases, argc, argv);
}
