/* Who a process is: users and groups, set-id bits, signals between users, capabilities. Needs itself as argv[0]: it runs
 * itself as the child. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/auxv.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cases.h"

static char *self;

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

int main(int argc, char **argv)
{
    static const struct test_case cases[] = {
        CASE(set_id_bits), CASE(open_file_in_a_closed_directory), CASE(proc_tells_who_a_process_is),
        CASE(signals_follow_the_users), CASE(bounding_set), END_OF_CASES};

    self = argv[0];
    if (argc > 1 && strcmp(argv[1], "--unbound") == 0)
        return bounding() != 0;
    if (argc > 1 && strcmp(argv[1], "--who") == 0)
        return who(argv[argc - 1]);
    return run_cases(cases, argc, argv);
}
