/* AF_UNIX in every direction: whatever names go in or come out are the container's, and so are identities. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/syscall.h>

#include "localsockets.h"

static int accept_tells_the_clients_name(void)
{
    int s = bound(SOCK_STREAM, SERVER), r = s >= 0;

    for (int how = 0; how < 4; how++) { /* accept and accept4, waiting and not */
        struct sockaddr_un a;
        socklen_t n = sizeof a;
        pid_t pid;

        fcntl(s, F_SETFL, 0);
        if ((pid = fork()) == 0) {
            struct sockaddr_un own = address(CLIENT);
            int c = socket(AF_UNIX, SOCK_STREAM, 0);
            char byte;

            unlink(CLIENT);
            bind(c, (void *)&own, sizeof own);
            if (how & 1)
                later();
            _exit(joined(c, SERVER) != 0 || read(c, &byte, 1) != 1);
        }
        if (!(how & 1)) { /* the client is waiting */
            r &= poll(&(struct pollfd){.fd = s, .events = POLLIN}, 1, -1) == 1;
            fcntl(s, F_SETFL, O_NONBLOCK);
        }
        memset(&a, 0x55, sizeof a);
        int f = how & 2 ? accept4(s, (void *)&a, &n, SOCK_CLOEXEC) : accept(s, (void *)&a, &n);
        r &= f >= 0 && is(&a, n, CLIENT) && (fcntl(f, F_GETFD) & FD_CLOEXEC) == (how & 2 ? FD_CLOEXEC : 0);
        n = sizeof a;
        r &= getpeername(f, (void *)&a, &n) == 0 && is(&a, n, CLIENT);
        n = sizeof a;
        r &= getsockname(f, (void *)&a, &n) == 0 && is(&a, n, SERVER);
        r &= write(f, "x", 1) == 1 && ended(pid);
        close(f);
    }
    close(s);
    return r;
}

static int unnamed_peers(void)
{
    struct sockaddr_un a;
    socklen_t n = sizeof a;
    int s = bound(SOCK_STREAM, SERVER), c = socket(AF_UNIX, SOCK_STREAM, 0), pair[2], r;

    r = joined(c, SERVER) == 0 && accept(s, (void *)&a, &n) >= 0 && n == 2 && a.sun_family == AF_UNIX;
    r &= joined(socket(AF_UNIX, SOCK_STREAM, 0), SERVER) == 0 && accept(s, (void *)8, (void *)8) == -1 && errno == EFAULT;
    fcntl(s, F_SETFL, O_NONBLOCK);
    r &= accept(s, (void *)&a, &n) == -1 && errno == EAGAIN && accept(s, NULL, NULL) == -1 && errno == EAGAIN;
    n = sizeof a;
    r &= accept(999, (void *)&a, &n) == -1 && errno == EBADF && accept(0, (void *)&a, &n) == -1 && errno == ENOTSOCK;
    r &= socketpair(AF_UNIX, SOCK_DGRAM, 0, pair) == 0 && write(pair[0], "x", 1) == 1;
    n = sizeof a;
    r &= recvfrom(pair[1], &pair, 1, 0, (void *)&a, &n) == 1 && n == 0;
    close(s);
    close(c);
    return r;
}

struct received {
    struct sockaddr_un a;
    socklen_t n;
    int ok;
};

/* One datagram "data" by each call. */
static struct received receive(int s, int how)
{
    struct received got = {.n = sizeof got.a};
    char text[8] = "";
    struct iovec v = {text, sizeof text};
    struct mmsghdr m = {.msg_hdr = {.msg_name = &got.a, .msg_namelen = sizeof got.a, .msg_iov = &v, .msg_iovlen = 1}};

    if (how == 0)
        got.ok = recvfrom(s, text, sizeof text, 0, (void *)&got.a, &got.n) == 4;
    else if (how == 1)
        got.ok = recvmsg(s, &m.msg_hdr, 0) == 4;
    else
        got.ok = recvmmsg(s, &m, 1, 0, NULL) == 1 && m.msg_len == 4;
    if (how)
        got.n = m.msg_hdr.msg_namelen;
    got.ok &= memcmp(text, "data", 4) == 0 && m.msg_hdr.msg_flags == 0;
    return got;
}

static int datagrams_tell_the_senders_name(void)
{
    int s = bound(SOCK_DGRAM, SERVER), r = s >= 0;

    for (int how = 0; how < 6; how++) { /* three calls, each with something there and each waiting */
        pid_t pid = fork();

        if (pid == 0) {
            int c = bound(SOCK_DGRAM, CLIENT);
            struct sockaddr_un a = address(SERVER);

            if (how & 1)
                later();
            _exit(sendto(c, "data", 4, 0, (void *)&a, sizeof a) != 4);
        }
        if (!(how & 1))
            later();
        struct received got = receive(s, how / 2);
        r &= got.ok && is(&got.a, got.n, CLIENT) && ended(pid);
    }
    close(s);
    return r;
}

static int a_name_is_cut_to_its_room(void)
{
    struct sockaddr_un a;
    socklen_t n = 6;
    int s = bound(SOCK_STREAM, SERVER), r;

    memset(&a, 0x55, sizeof a);
    r = getsockname(s, (void *)&a, &n) == 0 && n == 2 + sizeof SERVER && memcmp(a.sun_path, "/tmp\x55", 5) == 0;
    n = (socklen_t)-1;
    r &= getsockname(s, (void *)&a, &n) == -1 && errno == EINVAL;
    close(s);
    return r;
}

/* A receiver that waits is interrupted, or goes on, as the action says; and its time-out ends it. */
static int waiting_is_interrupted(void)
{
    struct itimerval soon = {{0, 40000}, {0, 40000}}, never = {0};
    struct timeval limit = {0, 50000};
    int s = bound(SOCK_DGRAM, SERVER), r = s >= 0;

    for (int how = 0; how < 3; how++) {
        struct sigaction action = {.sa_handler = nothing};
        pid_t pid;

        sigaction(SIGALRM, &action, NULL);
        setitimer(ITIMER_REAL, &soon, NULL);
        errno = 0;
        r &= !receive(s, how).ok && errno == EINTR;
        action.sa_flags = SA_RESTART;
        sigaction(SIGALRM, &action, NULL);
        if ((pid = fork()) == 0) {
            struct sockaddr_un a = address(SERVER);

            usleep(120000);
            _exit(sendto(socket(AF_UNIX, SOCK_DGRAM, 0), "data", 4, 0, (void *)&a, sizeof a) != 4);
        }
        setitimer(ITIMER_REAL, &soon, NULL);
        r &= receive(s, how).ok && ended(pid);
        setitimer(ITIMER_REAL, &never, NULL);
    }
    setsockopt(s, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    for (int how = 0; how < 3; how++)
        r &= !receive(s, how).ok && errno == EAGAIN;
    close(s);
    return r;
}

static long send_credentials(int s, const struct ucred *cred)
{
    char control[CMSG_SPACE(sizeof *cred)] = "";
    struct iovec v = {"data", 4};
    struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    struct cmsghdr *c = CMSG_FIRSTHDR(&m);

    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_CREDENTIALS;
    c->cmsg_len = CMSG_LEN(sizeof *cred);
    memcpy(CMSG_DATA(c), cred, sizeof *cred);
    return sendmsg(s, &m, 0);
}

static struct ucred receive_credentials(int s)
{
    char control[CMSG_SPACE(sizeof(struct ucred))] = "", text[8];
    struct iovec v = {text, sizeof text};
    struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    struct ucred cred = {-1, 77, 77};
    struct cmsghdr *c;

    if (recvmsg(s, &m, 0) == 4)
        for (c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c))
            if (c->cmsg_type == SCM_CREDENTIALS)
                memcpy(&cred, CMSG_DATA(c), sizeof cred);
    return cred;
}

static int credentials_are_those_inside(void)
{
    int pair[2], on = 1, status, r;
    struct ucred own = {getpid(), 0, 0}, got;
    pid_t pid;

    r = socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0;
    setsockopt(pair[1], SOL_SOCKET, SO_PASSCRED, &on, sizeof on);
    r &= write(pair[0], "data", 4) == 4;
    got = receive_credentials(pair[1]);
    r &= got.pid == own.pid && got.uid == 0 && got.gid == 0;
    r &= send_credentials(pair[0], &own) == 4;
    got = receive_credentials(pair[1]);
    r &= got.pid == own.pid && got.uid == 0 && got.gid == 0;
    if ((pid = fork()) == 0) { /* a daemon that has left root */
        struct ucred mine = {getpid(), 33, 34}, others = {getpid(), 0, 34};
        int ok = syscall(SYS_setgroups, 0, NULL) == 0 && setgid(34) == 0 && setuid(33) == 0;

        usleep(60000); /* the receiver waits */
        ok &= send_credentials(pair[0], &others) == -1 && errno == EPERM;
        ok &= send_credentials(pair[0], &mine) == 4;
        pause();
        _exit(!ok);
    }
    got = receive_credentials(pair[1]);
    r &= got.pid == pid && got.uid == 33 && got.gid == 34;
    kill(pid, SIGKILL);
    waitpid(pid, &status, 0);
    close(pair[0]);
    close(pair[1]);
    return r;
}

/* 56 bytes, which are told again; 107 and a NUL, and 108 without one. Outside they are longer than a socket's
 * name may be. */
static int names_of_full_length(void)
{
    static const int lengths[] = {56, 107, 108};
    int r = 1;

    for (int i = 0; i < 3; i++) {
        int full = lengths[i];
        struct sockaddr_un a = {.sun_family = AF_UNIX}, b;
        socklen_t n = sizeof b;
        int s = socket(AF_UNIX, SOCK_STREAM, 0), c = socket(AF_UNIX, SOCK_STREAM, 0);

        memset(a.sun_path, 'n', (size_t)full);
        memcpy(a.sun_path, "/tmp/", 5);
        r &= bind(s, (void *)&a, sizeof a) == 0 && listen(s, 1) == 0 && connect(c, (void *)&a, sizeof a) == 0;
        memset(&b, 0, sizeof b);
        r &= full > 56 || (getsockname(s, (void *)&b, &n) == 0 && is(&b, n, a.sun_path));
        r &= bind(c, (void *)&a, sizeof a) == -1 && errno == EADDRINUSE;
        close(s);
        close(c);
    }
    return r;
}

static int relative_names(void)
{
    int s, c, r;

    mkdir("/tmp/deep", 0755);
    r = chdir("/tmp/deep") == 0;
    s = bound(SOCK_STREAM, "sock");
    c = socket(AF_UNIX, SOCK_STREAM, 0);
    r &= s >= 0 && joined(c, "sock") == 0 && joined(socket(AF_UNIX, SOCK_STREAM, 0), "../deep/sock") == 0;
    r &= symlink("deep/sock", "/tmp/link") == 0 && joined(socket(AF_UNIX, SOCK_STREAM, 0), "/tmp/link") == 0;
    r &= joined(socket(AF_UNIX, SOCK_STREAM, 0), "/tmp/none") == -1 && errno == ENOENT;
    r &= joined(socket(AF_UNIX, SOCK_STREAM, 0), "/etc/os-release") == -1 && errno == ECONNREFUSED;
    r &= joined(socket(AF_UNIX, SOCK_STREAM, 0), "/etc/os-release/x") == -1 && errno == ENOTDIR;
    unlink("/tmp/link");
    return chdir("/") == 0 && r;
}

static int abstract_names_are_left_alone(void)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX}, b;
    socklen_t n = sizeof b, length = 2 + 1 + (socklen_t)sprintf(a.sun_path + 1, "/tmp/rootlay-%d", getpid());
    int s = socket(AF_UNIX, SOCK_DGRAM, 0), c = socket(AF_UNIX, SOCK_DGRAM, 0), r;
    struct sockaddr_un automatic = {.sun_family = AF_UNIX};
    char text[4];

    r = bind(s, (void *)&a, length) == 0 && getsockname(s, (void *)&b, &n) == 0 && n == length && !memcmp(&a, &b, n);
    r &= bind(c, (void *)&automatic, 2) == 0 && sendto(c, "data", 4, 0, (void *)&a, length) == 4;
    n = sizeof b;
    r &= recvfrom(s, text, 4, 0, (void *)&b, &n) == 4 && n == 8 && b.sun_path[0] == 0;
    r &= access("/tmp/rootlay", F_OK) == -1;
    close(s);
    close(c);
    return r;
}

/* A descriptor of a file inside that comes in a message is what it was for its sender. */
static int descriptors_are_passed(void)
{
    char control[CMSG_SPACE(2 * sizeof(int))], text[8];
    struct iovec v = {"data", 4};
    struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    struct cmsghdr *c = CMSG_FIRSTHDR(&m);
    int pair[2], sent[2] = {open("/etc/os-release", O_RDONLY), open("/etc", O_RDONLY | O_DIRECTORY)}, got[2] = {-1, -1}, r;
    struct stat a, b;

    memset(control, 0, sizeof control);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(sizeof sent);
    memcpy(CMSG_DATA(c), sent, sizeof sent);
    r = socketpair(AF_UNIX, SOCK_DGRAM, 0, pair) == 0 && sendmsg(pair[0], &m, 0) == 4;
    v = (struct iovec){text, sizeof text};
    m.msg_controllen = sizeof control;
    r &= recvmsg(pair[1], &m, MSG_CMSG_CLOEXEC) == 4 && CMSG_FIRSTHDR(&m) != NULL;
    memcpy(got, CMSG_DATA(CMSG_FIRSTHDR(&m)), sizeof got);
    r &= got[0] != sent[0] && (fcntl(got[0], F_GETFD) & FD_CLOEXEC);
    r &= fstat(got[0], &a) == 0 && stat("/etc/os-release", &b) == 0 && a.st_ino == b.st_ino && a.st_dev == b.st_dev;
    r &= fstatat(got[1], "os-release", &a, 0) == 0 && a.st_ino == b.st_ino && fchdir(got[1]) == 0;
    r &= getcwd(text, sizeof text) && strcmp(text, "/etc") == 0 && chdir("/") == 0;
    return r;
}

static int waiting_socket, waiting_call;

static void *wait_in_vain(void *data)
{
    char text[8];
    struct iovec v = {text, sizeof text};
    struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1};
    struct sockaddr_storage a;
    socklen_t n = sizeof a;

    if (waiting_call == 0)
        recvmsg(waiting_socket, &m, 0);
    else if (waiting_call == 1)
        recv(waiting_socket, text, sizeof text, 0);
    else
        recvfrom(waiting_socket, text, sizeof text, 0, (void *)&a, &n);
    return data;
}

static int waiting_is_cancelled(void)
{
    int pair[2], r = socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0;

    for (waiting_call = 0; waiting_call < 3; waiting_call++) {
        pthread_t thread;
        void *result;

        waiting_socket = waiting_call < 2 ? pair[0] : socket(AF_INET, SOCK_DGRAM, 0);
        r &= pthread_create(&thread, NULL, wait_in_vain, NULL) == 0;
        later();
        r &= pthread_cancel(thread) == 0 && pthread_join(thread, &result) == 0 && result == PTHREAD_CANCELED;
    }
    return r;
}

int main(int argc, char **argv)
{
    static const struct test_case cases[] = {
        CASE(accept_tells_the_clients_name), CASE(unnamed_peers), CASE(datagrams_tell_the_senders_name),
        CASE(a_name_is_cut_to_its_room), CASE(waiting_is_interrupted), CASE(credentials_are_those_inside),
        CASE(names_of_full_length), CASE(relative_names), CASE(abstract_names_are_left_alone), CASE(descriptors_are_passed),
        CASE(waiting_is_cancelled), END_OF_CASES};

    umask(022);
    return run_cases(cases, argc, argv);
}
