/* What the programs about AF_UNIX share: addresses, sockets that are bound or joined, children that come to an end. */
#ifndef LOCALSOCKETS_H
#define LOCALSOCKETS_H

#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cases.h"

#define SERVER "/tmp/server"
#define CLIENT "/tmp/client"

static inline struct sockaddr_un address(const char *path)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};

    strcpy(a.sun_path, path);
    return a;
}

static inline int bound(int type, const char *path)
{
    struct sockaddr_un a = address(path);
    int s = socket(AF_UNIX, type, 0);

    unlink(path);
    if (bind(s, (void *)&a, sizeof a) < 0 || (type != SOCK_DGRAM && listen(s, 8) < 0))
        return -1;
    return s;
}

static inline int joined(int s, const char *path)
{
    struct sockaddr_un a = address(path);

    return connect(s, (void *)&a, sizeof a);
}

/* The address is exactly this path, its length that of the path and its NUL. */
static inline int is(const struct sockaddr_un *a, socklen_t n, const char *path)
{
    return n == offsetof(struct sockaddr_un, sun_path) + strlen(path) + 1 && a->sun_family == AF_UNIX &&
           strcmp(a->sun_path, path) == 0;
}

static inline void later(void)
{
    usleep(60000);
}

static inline int ended(pid_t pid)
{
    int status;

    return waitpid(pid, &status, 0) == pid && status == 0;
}

static inline void nothing(int sig)
{
    (void)sig;
}

#endif
