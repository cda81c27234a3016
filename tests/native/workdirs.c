/* The working directory, changed by everything that can change it: what relative names lead to then is printed, for
 * test_workdirs.py to compare with the same in a plain directory. In an empty directory. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static char top[4096], self[4096];
static char stack[65536] __attribute__((aligned(16)));
static int at_b;

static void make(const char *path, const char *text)
{
    int fd = open(path, O_CREAT | O_WRONLY | O_TRUNC, 0644);

    if (fd < 0 || write(fd, text, strlen(text)) < 0)
        perror(path);
    close(fd);
}

/* Several times: the first look-up may learn what the others use. */
static void look(const char *who)
{
    for (int i = 0; i < 3; i++) {
        char text[8] = "";
        struct stat st;
        int fd = open("f", O_RDONLY);
        long n = fd < 0 ? -errno : read(fd, text, sizeof text - 1);

        close(fd);
        printf("  %s: %ld %s, stat %d", who, n, text, stat("f", &st) ? errno : 0);
        /* Each is in one directory alone: elsewhere the filter says that the upper has no such name. */
        printf(", in a %d, in b %d, new", stat("in-a", &st) ? errno : 0, access("in-b", R_OK) ? errno : 0);
        fd = open("new", O_CREAT | O_EXCL | O_WRONLY, 0600);
        printf(" %d", fd < 0 ? errno : 0);
        printf(" %d\n", unlink("new") ? errno : 0);
        close(fd);
    }
    fflush(stdout);
}

static void go(const char *name)
{
    char path[8200];

    snprintf(path, sizeof path, "%s/%s", top, name);
    if (chdir(path))
        perror(path);
}

static void await(pid_t pid)
{
    if (waitpid(pid, NULL, __WALL) != pid)
        perror("waitpid");
}

static int enter_b(void *data)
{
    (void)data;
    fchdir(at_b);
    return 0;
}

static void *thread_enters(void *data)
{
    if (data && unshare(CLONE_FS))
        perror("unshare");
    go("b");
    look("thread");
    return NULL;
}

static void in_thread(void *data)
{
    pthread_t t;

    pthread_create(&t, NULL, thread_enters, data);
    pthread_join(t, NULL);
}

static void alone(const char *name, void (*what)(void))
{
    pid_t pid;

    printf("%s\n", name);
    fflush(stdout);
    pid = fork();
    if (pid == 0) {
        go("a");
        look("before");
        what();
        look("after");
        exit(0);
    }
    await(pid);
}

static void by_chdir(void) { go("b"); look("there"); go("a"); }
static void by_fchdir(void) { fchdir(at_b); look("there"); go("image"); look("image"); }
static void by_vfork(void)
{
    pid_t pid = vfork();

    if (pid == 0) {
        fchdir(at_b);
        execl(self, "workdirs", "look", NULL);
        _exit(1);
    }
    await(pid);
}

static void by_spawn(void)
{
    posix_spawn_file_actions_t actions;
    char *argv[] = {"workdirs", "look", NULL}, *envp[] = {NULL};
    pid_t pid;

    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addfchdir_np(&actions, at_b);
    if (posix_spawn(&pid, self, &actions, NULL, argv, envp) == 0)
        await(pid);
}

static void by_thread(void) { in_thread(NULL); }
static void by_own_thread(void) { in_thread("own"); }
static void by_fork(void)
{
    pid_t pid = fork();

    if (pid == 0) {
        go("b");
        look("child");
        exit(0);
    }
    await(pid);
}

static void by_shared(void)
{
    await(clone(enter_b, stack + sizeof stack, CLONE_FS | SIGCHLD, NULL));
}

static void by_shared_thread(void)
{
    in_thread("own");
    by_shared();
}

static void by_memory(void)
{
    await(clone(enter_b, stack + sizeof stack, CLONE_VM | SIGCHLD, NULL));
}

/* The other process has another program, which changes the directory. */
static int start_changer(void *data)
{
    (void)data;
    execl(self, "workdirs", "change", NULL);
    return 1;
}

static void by_program(void)
{
    await(clone(start_changer, stack + sizeof stack, CLONE_FS | SIGCHLD, NULL));
}

/* This process has another program when the other one changes the directory. */
static void by_partner(void)
{
    int go_on[2];
    char byte, number[16];
    long pid;

    if (pipe(go_on))
        perror("pipe");
    pid = syscall(SYS_clone, CLONE_FS | SIGCHLD, 0, 0, 0, 0);
    if (pid == 0) {
        if (read(go_on[0], &byte, 1) == 1)
            fchdir(at_b);
        _exit(0);
    }
    snprintf(number, sizeof number, "%d", go_on[1]);
    execl(self, "workdirs", "partner", number, NULL);
}

static void other(void (*what)(void))
{
    pid_t pid = fork();

    if (pid == 0) {
        what();
        _exit(0);
    }
    await(pid);
}

static void move_away(void)
{
    go(".");
    rename("moving", "moved");
    mkdir("moving", 0755);
    make("moving/f", "other");
}

static void by_rename(void) { go("moving"); look("there"); other(move_away); }
static void take_away(void)
{
    go(".");
    unlink("gone/f");
    rmdir("gone");
}

static void make_again(void)
{
    go(".");
    mkdir("gone", 0755);
    make("gone/f", "again");
}

static void by_removal(void)
{
    go("gone");
    look("there");
    other(take_away);
    look("removed");
    other(make_again);
}

int main(int argc, char **argv)
{
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (argc > 1 && !strcmp(argv[1], "look")) {
        look("program");
        return 0;
    }
    if (argc > 1 && !strcmp(argv[1], "partner")) {
        look("before");
        if (write(atoi(argv[2]), "", 1) != 1)
            perror("write");
        while (wait(NULL) > 0)
            ;
        look("after");
        return 0;
    }
    if (argc > 1 && !strcmp(argv[1], "change"))
        return chdir("../b");
    if (!getcwd(top, sizeof top) || readlink("/proc/self/exe", self, sizeof self - 1) < 0)
        return 2;
    for (const char *const *name = (const char *const[]){"a", "b", "moving", "gone", NULL}; *name; name++) {
        char path[64];

        mkdir(*name, 0755);
        snprintf(path, sizeof path, "%s/f", *name);
        make(path, *name);
    }
    make("a/in-a", "a");
    make("b/in-b", "b");
    at_b = open("b", O_RDONLY | O_DIRECTORY);
    alone("chdir", by_chdir);
    alone("fchdir", by_fchdir);
    alone("vfork", by_vfork);
    alone("posix_spawn", by_spawn);
    alone("thread", by_thread);
    alone("thread of its own", by_own_thread);
    alone("fork", by_fork);
    alone("shared", by_shared);
    alone("shared, with threads", by_shared_thread);
    alone("shared memory", by_memory);
    alone("shared, and exec there", by_program);
    alone("shared, and exec here", by_partner);
    alone("renamed", by_rename);
    alone("removed", by_removal);
    return 0;
}
