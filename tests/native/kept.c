/* The engine keeps descriptors of directories that are opened from often. A program must not get one of their numbers,
 * see one in a listing, or open another file because of them. In an image with /deep/one/file and /deep/two/file. */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cases.h"

#define SLOTS 48
#define ONE "/deep/one/file"

static int soft;

static int says(const char *path, const char *text)
{
    char buf[8] = "";
    int fd = open(path, O_RDONLY);
    long n = fd < 0 ? -1 : read(fd, buf, sizeof buf - 1);

    close(fd);
    return n > 0 && strcmp(buf, text) == 0;
}

static int often(void)
{
    int r = 1;

    for (int i = 0; i < 150; i++)
        r &= says(ONE, "one");
    return r;
}

static int kept_from(int first)
{
    int n = 0;

    for (int fd = first; fd < first + SLOTS; fd++)
        n += fcntl(fd, F_GETFD) >= 0;
    return n;
}

static int kept(void) { return kept_from(soft); }

/* The numbers in a listing of descriptors, but the listing's own. */
static int listed(const char *path)
{
    DIR *d = opendir(path);
    struct dirent *e;
    int n = 0;

    while (d && (e = readdir(d)))
        n += e->d_name[0] != '.' && (atoi(e->d_name) != dirfd(d) || strstr(path, "self") == NULL);
    if (d)
        closedir(d);
    return n;
}

static int at_or_above(const char *path, int first)
{
    DIR *d = opendir(path);
    struct dirent *e;
    int n = 0;

    while (d && (e = readdir(d)))
        n += e->d_name[0] != '.' && atoi(e->d_name) >= first;
    if (d)
        closedir(d);
    return d ? n : -1;
}

static int kept_and_not_listed(void)
{
    int before = listed("/proc/self/fd"), own[2], r;
    char path[64];

    r = often() && kept() >= 2;
    r &= listed("/proc/self/fd") == before && at_or_above("/proc/self/fd", soft) == 0;
    r &= at_or_above("/proc/self/fdinfo", soft) == 0 && at_or_above("/proc/thread-self/fd", soft) == 0;
    /* what the program itself opened before it lowered its limit is listed */
    struct rlimit low, now;
    getrlimit(RLIMIT_NOFILE, &now);
    low = now;
    low.rlim_cur = 10;
    own[0] = fcntl(0, F_DUPFD, 20);
    own[1] = open("/deep/two", O_RDONLY | O_DIRECTORY);
    dup2(own[1], 21);
    r &= setrlimit(RLIMIT_NOFILE, &low) == 0 && at_or_above("/proc/self/fd", 10) == 2 && kept() >= 2;
    setrlimit(RLIMIT_NOFILE, &now);
    close(own[0]);
    close(own[1]);
    close(21);
    sprintf(path, "/proc/%d/fd", getpid());
    pid_t child = fork();
    if (child == 0)
        _exit(at_or_above(path, 3) > 1 || at_or_above("/proc/self/fd", soft) != 0);
    int status;
    waitpid(child, &status, 0);
    return r && status == 0;
}

static int closed_by_the_program(void)
{
    int r = often() && kept() >= 2;

    syscall(SYS_close_range, 3, ~0u, 0);
    r &= says(ONE, "one") && often() && often();
    r &= kept() >= 2;
    for (int fd = 3; fd < soft + SLOTS; fd++)
        close(fd);
    r &= kept() == 0 && often() && often() && kept() >= 2;
    return r;
}

static int decoys(int first)
{
    int two = open("/deep/two", O_RDONLY | O_DIRECTORY), r = two >= 0;

    for (int fd = first; fd < first + SLOTS; fd++)
        r &= dup2(two, fd) == fd;
    close(two);
    return r;
}

static int no_number_above_the_limit(void)
{
    int r = often() && kept() >= 2, fd = open("/deep/two", O_RDONLY | O_DIRECTORY);

    r &= dup2(fd, soft) == -1 && errno == EBADF && dup3(fd, soft, O_CLOEXEC) == -1 && errno == EBADF;
    r &= fcntl(fd, F_DUPFD, soft) == -1 && errno == EINVAL;
    close(fd);
    return r && often();
}

static int raise_to(int n, int old_call)
{
    struct rlimit limit;

    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = (rlim_t)n;
#ifdef SYS_setrlimit
    if (old_call)
        return syscall(SYS_setrlimit, RLIMIT_NOFILE, &limit) == 0;
#endif
    (void)old_call;
    return setrlimit(RLIMIT_NOFILE, &limit) == 0;
}

static int raised(int old_call)
{
    int status;
    pid_t child = fork();

    if (child == 0) {
        int r = often() && kept() >= 2 && raise_to(soft + 64, old_call) && kept() == 0 && decoys(soft);

        r &= often() && kept() == SLOTS && kept_from(soft + 64) >= 2; /* now above the new one */
        r &= syscall(SYS_close_range, soft, soft + SLOTS - 1, 0) == 0 && often();
        _exit(!r);
    }
    waitpid(child, &status, 0);
    return status == 0;
}

static int the_limit_is_raised(void) { return raised(0) && raised(1); }

static int in_children(void)
{
    int r = often() && kept() >= 2, status;
    pid_t child = fork();

    if (child == 0) {
        r = kept() >= 2 && often();
        syscall(SYS_close_range, 3, ~0u, 0);
        _exit(!(r && often()));
    }
    waitpid(child, &status, 0);
    r &= status == 0 && often();
    for (int i = 0; i < 3; i++) {
        child = vfork();
        if (child == 0) {
            syscall(SYS_close_range, 3, ~0u, 0);
            _exit(!(says(ONE, "one") && says(ONE, "one") && kept() == 0));
        }
        waitpid(child, &status, 0);
        r &= status == 0 && often() && kept() >= 2;
    }
    child = fork();
    if (child == 0) {
        execl("/proc/self/exe", "kept", "started", NULL);
        _exit(1);
    }
    waitpid(child, &status, 0);
    return r && status == 0;
}

static int started(void) { return kept() == 0 && listed("/proc/self/fd") == 3; }

static volatile int stop, wrong;

static void *opener(void *unused)
{
    if (unused)
        unshare(CLONE_FILES);
    while (!stop)
        wrong |= !says(ONE, "one");
    return NULL;
}

/* A call may be under way when the descriptor's number becomes the program's. */
static int while_threads_open(void)
{
    int r = 1, status;

    for (int i = 0; i < 20; i++) {
        pid_t child = fork();

        if (child == 0) {
            pthread_t t[3];

            often();
            for (int k = 0; k < 3; k++)
                pthread_create(&t[k], NULL, opener, k == 2 ? &stop : NULL);
            usleep(1000);
            int set = raise_to(soft + 64, i & 1) && decoys(soft);
            usleep(1000);
            stop = 1;
            for (int k = 0; k < 3; k++)
                pthread_join(t[k], NULL);
            _exit(!set || wrong);
        }
        waitpid(child, &status, 0);
        r &= status == 0;
    }
    return r;
}

static int none_without_room(void) { return often() && kept() == 0; }

int main(int argc, char **argv)
{
    static const struct test_case cases[] = {
        CASE(started), CASE(no_number_above_the_limit), CASE(kept_and_not_listed), CASE(in_children),
        CASE(the_limit_is_raised), CASE(while_threads_open), CASE(closed_by_the_program),
        END_OF_CASES};
    static const struct test_case others[] = {CASE(none_without_room), END_OF_CASES};
    struct rlimit limit;

    getrlimit(RLIMIT_NOFILE, &limit);
    soft = (int)limit.rlim_cur;
    return run_cases(argc > 1 && strcmp(argv[1], "none_without_room") == 0 ? others : cases, argc, argv);
}
