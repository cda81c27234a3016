/* Sockets with relative names in directories of the image that another process moves from the first moment on.
 *
 *     connecting DIRECTORIES      /many/d0, /many/d1, … exist; the output is the number of failures */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define TIMES 12 /* in each directory: later the kernel's working directory is the moved one */

static _Noreturn void move(const char *a, const char *b)
{
    usleep((unsigned)rand() % 300);
    for (;;) {
        syscall(SYS_renameat2, AT_FDCWD, a, AT_FDCWD, b, 0);
        syscall(SYS_renameat2, AT_FDCWD, b, AT_FDCWD, a, 0);
    }
}

static int wrong(int r, const char *call, const char *directory)
{
    if (r)
        fprintf(stderr, "%s: %s: %s\n", directory, call, strerror(errno));
    return r != 0;
}

static int connect_here(const char *directory)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX, .sun_path = "s"};
    int fd = socket(AF_UNIX, SOCK_STREAM, 0), peer = socket(AF_UNIX, SOCK_STREAM, 0);
    int failures = wrong(bind(fd, (void *)&a, sizeof a), "bind", directory);

    failures += wrong(listen(fd, 1), "listen", directory);
    failures += wrong(connect(peer, (void *)&a, sizeof a), "connect", directory);
    failures += wrong(unlink("s"), "unlink", directory);
    close(fd);
    close(peer);
    return failures;
}

int main(int argc, char **argv)
{
    char here[40], there[40];
    int failures = 0;

    for (int k = 0; argc > 1 && k < atoi(argv[1]); k++) {
        sprintf(here, "/many/d%d", k);
        sprintf(there, "/many/e%d", k);
        if (chdir(here) < 0)
            return perror(here), 1;
        pid_t mover = fork();
        if (mover == 0)
            move(here, there);
        for (int i = 0; i < TIMES; i++)
            failures += connect_here(here);
        kill(mover, SIGKILL);
        waitpid(mover, NULL, 0);
    }
    printf("%d\n", failures);
    return 0;
}
