/* Processes and threads: fork, vfork, posix_spawn, small stacks, cancellation. Needs itself as
 * argv[0]: it runs itself as the child. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/auxv.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
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

static int runs_as(const char *program, const char *words)
{
    int status;
    pid_t p = fork();

    if (p == 0) {
        if (setgroups(0, NULL) || setgid(8) || setuid(7))
            _exit(8);
        execl(program, program, "--who", words, (char *)NULL);
        _exit(9);
    }
    waitpid(p, &status, 0);
    return status == 0;
}

/* Of a copy of this program, of user 5 and group 6: who it is then, and whether it is told to be careful. */
static int set_id_bits(void)
{
    char buf[65536];
    int from = open(self, O_RDONLY), to = open("/tmp/set-id", O_WRONLY | O_CREAT | O_EXCL, 0700), r = 1;
    long n;

    while ((n = read(from, buf, sizeof buf)) > 0)
        if (write(to, buf, n) != n)
            return 0;
    close(to);
    r &= chown("/tmp/set-id", 5, 6) == 0 && chmod("/tmp/set-id", 0755) == 0 && runs_as("/tmp/set-id", "7 7 7 8 8 8 0");
    r &= chmod("/tmp/set-id", 04755) == 0 && runs_as("/tmp/set-id", "7 5 5 8 8 8 1");
    r &= chmod("/tmp/set-id", 06755) == 0 && runs_as("/tmp/set-id", "7 5 5 8 6 6 1");
    r &= chmod("/tmp/set-id", 02745) == 0 && runs_as("/tmp/set-id", "7 7 7 8 8 8 0");
    int script = open("/tmp/set-id-script", O_WRONLY | O_CREAT, 0755);
    n = snprintf(buf, sizeof buf, "#!%s --who\n", self);
    r &= write(script, buf, n) == n && close(script) == 0 && chmod("/tmp/set-id-script", 06755) == 0;
    r &= runs_as("/tmp/set-id-script", "7 7 7 8 8 8 0"); /* of a script they say nothing */
    unlink("/tmp/set-id");
    unlink("/tmp/set-id-script");
    return r;
}

/* --who [SCRIPT --who] WORDS */
static int who(const char *words)
{
    uid_t u[3];
    gid_t g[3];
    char said[100];

    getresuid(u, u + 1, u + 2);
    getresgid(g, g + 1, g + 2);
    snprintf(said, sizeof said, "%u %u %u %u %u %u %lu", u[0], u[1], u[2], g[0], g[1], g[2], getauxval(AT_SECURE));
    return strcmp(said, words) != 0;
}

/* What is open can be changed by its owner, though he could not get there: at(1) makes its jobs so. */
static int open_file_in_a_closed_directory(void)
{
    struct stat st;
    int status, fd, r = mkdir("/tmp/closed", 0700) == 0 && chmod("/tmp/closed", 0700) == 0;

    umask(0700);
    fd = open("/tmp/closed/f", O_CREAT | O_EXCL | O_WRONLY, 0400);
    umask(022);
    r &= fd >= 0 && fchown(fd, 7, 8) == 0;
    pid_t p = fork();
    if (p == 0) {
        if (setgroups(0, NULL) || setgid(8) || setuid(7))
            _exit(1);
        _exit(!(access("/tmp/closed/f", F_OK) == -1 && fchmod(fd, 0750) == 0 && fstat(fd, &st) == 0 && st.st_uid == 7 &&
                (st.st_mode & 07777) == 0750));
    }
    waitpid(p, &status, 0);
    r &= status == 0 && stat("/tmp/closed/f", &st) == 0 && (st.st_mode & 07777) == 0750 && st.st_gid == 8;
    unlink("/tmp/closed/f");
    rmdir("/tmp/closed");
    close(fd);
    return r;
}

static int status_says(pid_t p, uid_t uid, gid_t gid)
{
    char path[64], text[4096], want[64];
    struct stat st;

    snprintf(path, sizeof path, "/proc/%d/status", p);
    int fd = open(path, O_RDONLY);
    long n = read(fd, text, sizeof text - 1);

    close(fd);
    text[n > 0 ? n : 0] = 0;
    snprintf(want, sizeof want, "\nUid:\t%u\t%u\t%u\t%u\nGid:\t%u\t%u\t%u\t%u\n", uid, uid, uid, uid, gid, gid, gid, gid);
    path[strlen(path) - 7] = 0;
    return strstr(text, want) && strstr(text, "\nThreads:\t1\n") && stat(path, &st) == 0 && st.st_uid == uid && st.st_gid == gid;
}

/* What ps and userdel look at. */
static int proc_tells_who_a_process_is(void)
{
    int ready[2], r, status;
    char ch;

    (void)!pipe(ready);
    pid_t p = fork();
    if (p == 0) {
        if (setgid(6) || setuid(7) || write(ready[1], "", 1) != 1)
            _exit(1);
        pause();
    }
    r = read(ready[0], &ch, 1) == 1 && status_says(p, 7, 6) && status_says(getpid(), 0, 0);
    kill(p, SIGKILL);
    waitpid(p, &status, 0);
    close(ready[0]);
    close(ready[1]);
    return r;
}

static volatile int usr1;
static void on_usr1(int sig) { usr1 += sig == SIGUSR1; }

static int refused(long r) { return r < 0 && errno == EPERM; }

/* A process that became user 7: `root` is another user's, `mine` is its own. */
static int signals_of_user_7(pid_t root, pid_t mine)
{
    char here[8], there[8] = "", ok = 1;
    struct iovec local = {here, 8}, remote = {there, 8};
    siginfo_t info = {.si_code = SI_QUEUE};
    int fd = (int)syscall(SYS_pidfd_open, root, 0), own = (int)syscall(SYS_pidfd_open, mine, 0);

    signal(SIGUSR1, on_usr1);
    ok &= refused(kill(root, 0)) && refused(kill(root, SIGKILL)) && refused(syscall(SYS_tkill, root, SIGKILL));
    ok &= refused(syscall(SYS_tgkill, root, root, SIGKILL)) && refused(sigqueue(root, SIGKILL, (union sigval){0}));
    ok &= refused(syscall(SYS_rt_tgsigqueueinfo, root, root, SIGKILL, &info));
    ok &= fd < 0 || refused(syscall(SYS_pidfd_send_signal, fd, SIGKILL, NULL, 0));
    ok &= refused(process_vm_readv(root, &local, 1, &remote, 1, 0)) && refused(process_vm_writev(root, &local, 1, &remote, 1, 0));
    ok &= refused(ptrace(PTRACE_ATTACH, root, 0, 0)) && refused(ptrace(PTRACE_SEIZE, root, 0, 0));
    ok &= kill(mine, 0) == 0 && kill(root, SIGCONT) == 0 && refused(kill(-1, 0));
    ok &= own < 0 || syscall(SYS_pidfd_send_signal, own, 0, NULL, 0) == 0;
    ok &= process_vm_readv(mine, &local, 1, &remote, 1, 0) == 8;
    ok &= kill(getpid(), SIGUSR1) == 0 && raise(SIGUSR1) == 0 && usr1 == 2;
    ok &= kill(999999999, 0) < 0 && errno == ESRCH;
    ok &= kill(0, 0) == 0 && kill(-getpgid(root), 0) == 0 && kill(mine, SIGKILL) == 0;
    return !ok;
}

static pid_t paused(int user, pid_t group)
{
    int ready[2];
    char ch;

    (void)!pipe(ready);
    pid_t p = fork();
    if (p == 0) {
        setpgid(0, group);
        if ((user && (setgid(6) || setuid(user))) || write(ready[1], "", 1) != 1)
            _exit(1);
        for (;;)
            pause();
    }
    (void)!read(ready[0], &ch, 1);
    close(ready[0]);
    close(ready[1]);
    return p;
}

static int signals_follow_the_users(void)
{
    int status, r, other;
    pid_t root = paused(0, 0), mine = paused(7, root), p = fork();

    if (p == 0)
        _exit(setgid(6) || setuid(7) ? 9 : signals_of_user_7(root, mine));
    waitpid(p, &status, 0);
    r = status == 0 && waitpid(mine, &other, 0) == mine && WIFSIGNALED(other) && WTERMSIG(other) == SIGKILL;
    r &= kill(root, 0) == 0; /* still there */
    kill(root, SIGKILL);
    waitpid(root, &other, 0);
    if (!r)
        fprintf(stderr, "status %x\n", status);
    return r;
}

/* CapBnd, prctl and capget agree, after an exec, too. */
static int bounding(void)
{
    FILE *f = fopen("/proc/self/status", "r");
    unsigned long long set = 0;
    char line[256];

    while (f && fgets(line, sizeof line, f))
        sscanf(line, "CapBnd: %llx", &set);
    if (f)
        fclose(f);
    for (int i = 0; i <= 40; i++)
        if (prctl(PR_CAPBSET_READ, i, 0, 0, 0) != (int)(set >> i & 1))
            return -1;
    return set >> 12 & 1;
}

static int bounding_set(void)
{
    char *av[] = {self, "--unbound", NULL};
    int status, whole = bounding() == 1;
    pid_t p = fork();

    if (p == 0) {
        if (prctl(PR_CAPBSET_READ, 64, 0, 0, 0) >= 0 || errno != EINVAL || prctl(PR_CAPBSET_DROP, 12, 0, 0, 0) || bounding() != 0)
            _exit(9);
        execv(self, av);
    }
    waitpid(p, &status, 0);
    return whole && status == 0;
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

static int bad;
static void *hammer(void *arg)
{
    struct stat s;

    (void)arg;
    for (int i = 0; i < 2000; i++) {
        int f = open("/etc/os-release", O_RDONLY);

        if (stat("/etc/os-release", &s) || f < 0 || access("/nowhere", F_OK) == 0)
            __atomic_fetch_add(&bad, 1, __ATOMIC_SEQ_CST);
        close(f);
    }
    return NULL;
}

static int threads_with_small_stacks(void)
{
    pthread_t t[16];
    pthread_attr_t a;

    pthread_attr_init(&a);
    pthread_attr_setstacksize(&a, 16384);
    for (int i = 0; i < 16; i++)
        if (pthread_create(&t[i], &a, hammer, NULL))
            return 0;
    for (int i = 0; i < 16; i++)
        pthread_join(t[i], NULL);
    return bad == 0;
}

static void *idle(void *arg) { for (;;) { struct stat s; stat("/etc/os-release", &s); if (*(volatile int *)arg) return NULL; } }

static int fork_while_threads_are_in_calls(void)
{
    volatile int stop = 0;
    pthread_t t[4];
    int r = 1, status;

    for (int i = 0; i < 4; i++)
        pthread_create(&t[i], NULL, idle, (void *)&stop);
    for (int i = 0; i < 100; i++) {
        pid_t p = fork();
        if (p == 0)
            _exit(access("/etc/os-release", R_OK) != 0);
        waitpid(p, &status, 0);
        r &= status == 0;
    }
    stop = 1;
    for (int i = 0; i < 4; i++)
        pthread_join(t[i], NULL);
    return r;
}

static int cancelled(void *(*body)(void *))
{
    pthread_t t;
    void *result;
    struct timespec ts;

    pthread_create(&t, NULL, body, NULL);
    usleep(50000);
    pthread_cancel(t);
    clock_gettime(CLOCK_REALTIME, &ts);
    ts.tv_sec += 2;
    return pthread_timedjoin_np(t, &result, &ts) == 0 && result == PTHREAD_CANCELED;
}

static void *read_forever(void *arg)
{
    int p[2];
    char ch;

    (void)arg;
    return pipe(p) == 0 && read(p[0], &ch, 1) == 0 ? NULL : NULL;
}
static void *open_fifo(void *arg) { (void)arg; (void)!open("/tmp/fifo-c", O_RDONLY); return NULL; }

static int cancel_a_read(void) { return cancelled(read_forever); }

static int cancel_a_fifo_open(void)
{
    unlink("/tmp/fifo-c");
    mkfifo("/tmp/fifo-c", 0600);
    int r = cancelled(open_fifo);
    unlink("/tmp/fifo-c");
    return r;
}

/* Calls made at a cancellable site (other threads exist) whose pointers the engine leaves alone. */
static int sends_beside_a_thread(void)
{
    int pair[2], u = socket(AF_INET, SOCK_DGRAM, 0), r;
    struct iovec v = {"x", 1};
    struct mmsghdr m = {.msg_hdr = {.msg_iov = &v, .msg_iovlen = 1}};
    pthread_t t;
    char ch;

    pthread_create(&t, NULL, read_forever, NULL);
    r = socketpair(AF_UNIX, SOCK_DGRAM, 0, pair) == 0 && sendmmsg(pair[0], &m, 1, 0) == 1 && read(pair[1], &ch, 1) == 1;
    r &= sendmsg(pair[0], &m.msg_hdr, 0) == 1 && read(pair[1], &ch, 1) == 1;
    r &= connect(u, NULL, 0) == -1 && connect(u, (void *)8, 16) == -1 && errno == EFAULT;
    r &= sendto(pair[0], "x", 1, 0, (void *)&ch, 1) == -1;
    pthread_cancel(t);
    pthread_join(t, NULL);
    close(pair[0]);
    close(pair[1]);
    close(u);
    return r;
}

int main(int argc, char **argv)
{
    static const struct test_case cases[] = {
        CASE(spawn_many), CASE(spawn_of_nothing), CASE(vfork_exec), CASE(vfork_child_is_somebody_else), CASE(set_id_bits), CASE(open_file_in_a_closed_directory), CASE(proc_tells_who_a_process_is), CASE(signals_follow_the_users), CASE(bounding_set), CASE(spawn_keeps_the_parents_handlers),
        CASE(ignored_faults_survive_exec), CASE(exec_of_a_memfd), CASE(exec_of_a_descriptor), CASE(trace_me),
        CASE(trace_a_vfork_child), CASE(trace_a_forked_child), CASE(other_processes_have_names_of_the_inside), CASE(mask_survives_exec), CASE(exec_errors),
        CASE(empty_environment), CASE(many_arguments), CASE(threads_with_small_stacks),
        CASE(fork_while_threads_are_in_calls), CASE(cancel_a_read), CASE(cancel_a_fifo_open),
        CASE(sends_beside_a_thread), END_OF_CASES};
    struct sigaction a;
    sigset_t s;
    char line[1];

    self = argv[0];
    if (argc > 1 && strcmp(argv[1], "--true") == 0)
        return access("/etc/os-release", R_OK) != 0;
    if (argc > 1 && strcmp(argv[1], "--unbound") == 0)
        return bounding() != 0;
    if (argc > 1 && strcmp(argv[1], "--who") == 0)
        return who(argv[argc - 1]);
    if (argc > 1 && strcmp(argv[1], "--is-7") == 0)
        return !(getuid() == 7 && getegid() == 6 && umask(0) == 027);
    if (argc > 1 && strcmp(argv[1], "--again") == 0)
        return execl(self, self, "--true", NULL);
    if (argc > 1 && strcmp(argv[1], "--wait") == 0)
        return write(1, "", 1) != 1 || read(0, line, 1) != 0;
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
