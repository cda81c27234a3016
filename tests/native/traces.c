/* Processes that look at others: ptrace, and what /proc tells of them. Needs itself as argv[0]: it runs itself as the
 * child. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cases.h"
#include "machine.h"

static char *self;

/* Traced from a fork, as strace does; from a vfork, as gdb does, it is refused and nobody hangs. */
static int trace_me(void)
{
    int status, r;
    pid_t p = fork();

    if (p == 0) {
        ptrace(PTRACE_TRACEME, 0, NULL, NULL);
        raise(SIGSTOP);
        _exit(7);
    }
    for (r = 0; waitpid(p, &status, 0) == p && WIFSTOPPED(status);) { /* a tracer sees SIGSYS, too */
        r |= WSTOPSIG(status) == SIGSTOP;
        ptrace(PTRACE_CONT, p, NULL, WSTOPSIG(status) == SIGSTOP ? 0 : WSTOPSIG(status));
    }
    return r && WIFEXITED(status) && WEXITSTATUS(status) == 7;
}

static int link_is(pid_t p, const char *name, const char *wanted)
{
    char path[64], got[PATH_MAX + 1];
    ssize_t n;

    snprintf(path, sizeof path, "/proc/%d/%s", p, name);
    n = readlink(path, got, PATH_MAX);
    got[n > 0 ? n : 0] = 0;
    return strcmp(got, wanted) == 0;
}

/* As gdb starts its program: the first stop is the exec's, and by then the program is in its place. */
static int trace_a_vfork_child(void)
{
    int status, r, execs = 0;
    pid_t p = vfork();

    if (p == 0) {
        if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) == 0 && access("/etc/os-release", R_OK) == 0)
            execl(self, self, "--again", NULL);
        _exit(9);
    }
    r = waitpid(p, &status, 0) == p && WIFSTOPPED(status) && WSTOPSIG(status) == SIGTRAP && link_is(p, "exe", self);
    r &= ptrace(PTRACE_SETOPTIONS, p, NULL, PTRACE_O_TRACEEXEC | PTRACE_O_EXITKILL) == 0;
    do {
        int sig = WSTOPSIG(status);

        execs += sig == SIGTRAP && status >> 16 == 0 && link_is(p, "exe", self);
        ptrace(PTRACE_CONT, p, NULL, sig == SIGTRAP ? 0 : sig);
    } while (waitpid(p, &status, 0) == p && WIFSTOPPED(status));
    return r && execs == 2 && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

/* Do calls go by stubs here? Then there is code that belongs to no file. */
static int is_patched(void)
{
    char line[PATH_MAX + 100], mode[5];
    unsigned long inode;
    int found = 0;

    for (int i = 0; i < 20; i++)
        access("/etc/os-release", R_OK);
    FILE *f = fopen("/proc/self/maps", "r");
    while (fgets(line, sizeof line, f))
        found |= sscanf(line, "%*x-%*x %4s %*x %*s %lu", mode, &inode) == 2 && mode[2] == 'x' && inode == 0 &&
                 strchr(line, '[') == NULL;
    fclose(f);
    return found;
}

/* As lldb and ltrace start theirs: nothing comes before the exec's stop, as long as calls may be patched. */
static int trace_a_forked_child(void)
{
    int status, r;
    pid_t p = fork();

    if (p == 0) {
        ptrace(PTRACE_TRACEME, 0, NULL, NULL);
        execl("/none", "none", NULL);
        execl(self, self, "--again", NULL);
        _exit(9);
    }
    r = waitpid(p, &status, 0) == p && WIFSTOPPED(status) &&
        (is_patched() ? WSTOPSIG(status) == SIGTRAP && link_is(p, "exe", self) : WSTOPSIG(status) == SIGSYS);
    do {
        int sig = WSTOPSIG(status);

        ptrace(PTRACE_CONT, p, NULL, sig == SIGTRAP ? 0 : sig);
    } while (waitpid(p, &status, 0) == p && WIFSTOPPED(status));
    return r && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

/* Every path in the file is one of ours. */
static int maps_are_virtual(const char *path)
{
    int fd = dup(0), found = 0, good = 1;
    char line[PATH_MAX + 100];
    FILE *f;

    close(fd);
    f = fopen(path, "r");
    if (f == NULL || fileno(f) != fd || fcntl(fd, F_GETFL) & (O_WRONLY | O_RDWR))
        return 0;
    while (fgets(line, sizeof line, f)) {
        char *name = strchr(line, '/');

        line[strcspn(line, "\n")] = 0;
        found |= name && strcmp(name, self) == 0;
        found |= strstr(line, " [rootlay]") ? 2 : 0;
        good &= name == NULL || strcmp(name, self) == 0;
    }
    fclose(f);
    return good && found == 3 && open(path, O_RDWR) == -1;
}

static int other_processes_have_names_of_the_inside(void)
{
    int hold[2], ready[2], r;
    char path[64], byte;
    pid_t p;

    if (pipe(hold) || pipe(ready) || (p = fork()) < 0)
        return 0;
    if (p == 0) {
        dup2(hold[0], 0);
        dup2(ready[1], 1);
        close(hold[1]);
        if (chdir("/etc") == 0 && dup2(open("os-release", O_RDONLY), 9) == 9)
            execl(self, self, "--wait", NULL);
        _exit(9);
    }
    close(ready[1]);
    r = read(ready[0], &byte, 1) == 1;
    r &= link_is(p, "exe", self) && link_is(p, "cwd", "/etc") && link_is(p, "root", "/");
    r &= link_is(p, "fd/9", "/etc/os-release");
    snprintf(path, sizeof path, "/proc/%d/task/%d/exe", p, p);
    r &= access(path, X_OK) == 0;
    snprintf(path, sizeof path, "/proc/%d/maps", p);
    r &= maps_are_virtual(path) && maps_are_virtual("/proc/self/maps") && maps_are_virtual("/proc/self/smaps");
    close(hold[1]);
    close(hold[0]);
    close(ready[0]);
    waitpid(p, NULL, 0);
    return r;
}

int main(int argc, char **argv)
{
    static const struct test_case cases[] = {
        CASE(trace_me), CASE(trace_a_vfork_child), CASE(trace_a_forked_child),
        CASE(other_processes_have_names_of_the_inside), END_OF_CASES};
    char line[1];

    self = argv[0];
    if (argc > 1 && strcmp(argv[1], "--again") == 0)
        return execl(self, self, "--true", NULL);
    if (argc > 1 && strcmp(argv[1], "--wait") == 0)
        return write(1, "", 1) != 1 || read(0, line, 1) != 0;
    return run_cases(cases, argc, argv);
}
