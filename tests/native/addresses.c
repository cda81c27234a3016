/* Random calls of sockets in one process, and what they return: the same in a network namespace and in a container with
 * an address of its own.
 *
 *     addresses OWN SEED STEPS
 *
 * OWN is the address of the container, or of an interface of the namespace. Prints one line for each call. Ports that
 * the kernel has chosen are printed as `*`.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define SOCKETS 6
#define ERR(r) ((r) < 0 ? strerrorname_np(errno) : "ok")

static const char *own;
static unsigned long long state;
static struct slot {
    int fd, family, type, alone, bound, listening, connected;
} slots[SOCKETS];
static const int ports[] = {80, 443, 5432, 8080};

static unsigned pick(unsigned n)
{
    state = state * 6364136223846793005ull + 1442695040888963407ull;
    return (unsigned)(state >> 33) % n;
}

static void show(const struct sockaddr_storage *a)
{
    char text[INET6_ADDRSTRLEN] = "-";
    int port = 0, six = a->ss_family == AF_INET6;

    if (six) {
        inet_ntop(AF_INET6, &((const struct sockaddr_in6 *)a)->sin6_addr, text, sizeof text);
        port = ntohs(((const struct sockaddr_in6 *)a)->sin6_port);
    } else if (a->ss_family == AF_INET) {
        inet_ntop(AF_INET, &((const struct sockaddr_in *)a)->sin_addr, text, sizeof text);
        port = ntohs(((const struct sockaddr_in *)a)->sin_port);
    }
    const char *at = strstr(text, own);
    if (at)
        printf(" %.*sOWN", (int)(at - text), text);
    else
        printf(" %s", text);
    printf(port >= 32768 ? " *" : " %d", port);
}

static socklen_t address(const struct slot *s, int which, int port, struct sockaddr_storage *out)
{
    static const char *four[] = {"0.0.0.0", "127.0.0.1", NULL};
    static const char *six[] = {"::", "::1", "::ffff:127.0.0.1", NULL};

    memset(out, 0, sizeof *out);
    if (s->family == AF_INET) {
        struct sockaddr_in *a = (void *)out;
        a->sin_family = AF_INET;
        a->sin_port = htons((unsigned short)port);
        inet_pton(AF_INET, four[which % 3] ? four[which % 3] : own, &a->sin_addr);
        return sizeof *a;
    }
    struct sockaddr_in6 *a = (void *)out;
    char mapped[64];
    snprintf(mapped, sizeof mapped, "::ffff:%s", own);
    a->sin6_family = AF_INET6;
    a->sin6_port = htons((unsigned short)port);
    inet_pton(AF_INET6, six[which % 4] ? six[which % 4] : mapped, &a->sin6_addr);
    return sizeof *a;
}

static void names(int fd)
{
    struct sockaddr_storage a;
    socklen_t n = sizeof a;

    memset(&a, 0, sizeof a);
    int r = getsockname(fd, (void *)&a, &n);
    printf(" local %s", ERR(r));
    if (r == 0)
        show(&a);
    n = sizeof a;
    memset(&a, 0, sizeof a);
    r = getpeername(fd, (void *)&a, &n);
    printf(" peer %s", ERR(r));
    if (r == 0)
        show(&a);
}

static void reset(struct slot *s)
{
    if (s->fd >= 0)
        close(s->fd);
    memset(s, 0, sizeof *s);
    s->fd = -1;
}

static void make(struct slot *s)
{
    int on = 1;

    reset(s);
    s->family = pick(2) ? AF_INET : AF_INET6;
    s->type = pick(3) ? SOCK_STREAM : SOCK_DGRAM;
    s->fd = socket(s->family, s->type, 0);
    if (s->type == SOCK_STREAM)
        setsockopt(s->fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    s->alone = s->family == AF_INET6 && pick(2);
    if (s->family == AF_INET6)
        setsockopt(s->fd, IPPROTO_IPV6, IPV6_V6ONLY, &s->alone, sizeof on);
    printf("socket %s %s%s", s->type == SOCK_STREAM ? "tcp" : "udp", s->family == AF_INET ? "4" : "6",
           s->alone ? " alone" : "");
}

static void bind_one(struct slot *s)
{
    struct sockaddr_storage a;
    int port = ports[pick(4)];
    int which = (int)pick(12), last = s->family == AF_INET ? 3 : 4;
    int r;

    if (which % last >= last - 2 && which % last > 0) /* one of 127.0.0.1 and OWN: they are one address in a container */
        which = port == 80 || port == 5432 ? last - 2 : last - 1;
    if (s->family == AF_INET && which % 3 == 1 && last == 3 && port != 80 && port != 5432)
        which = 2;
    socklen_t n = address(s, which, port, &a);
    printf("bind");
    show(&a);
    r = bind(s->fd, (void *)&a, n);
    printf(" %s", ERR(r));
    s->bound |= r == 0;
    if (r == 0 && s->type == SOCK_STREAM) {
        r = listen(s->fd, 8);
        printf(" listen %s", ERR(r));
        s->listening = r == 0;
        if (r < 0)
            reset(s);
    }
    if (s->fd >= 0)
        names(s->fd);
}

/* A client of its own for each connection, and what both ends say. */
static void connect_one(void)
{
    struct slot c = {.fd = -1};
    struct sockaddr_storage a;
    int r, any = 0;

    c.family = pick(2) ? AF_INET : AF_INET6;
    c.type = SOCK_STREAM;
    c.fd = socket(c.family, SOCK_STREAM, 0);
    int port = ports[pick(4)];
    socklen_t n = address(&c, (int)pick(12), port, &a);
    printf("connect");
    show(&a);
    r = connect(c.fd, (void *)&a, n);
    printf(" %s", ERR(r));
    if (r == 0) {
        names(c.fd);
        for (int i = 0; i < SOCKETS && !any; i++) {
            struct pollfd p = {slots[i].fd, POLLIN, 0};
            struct sockaddr_storage from;
            socklen_t room = sizeof from;
            if (!slots[i].listening || poll(&p, 1, 0) != 1)
                continue;
            memset(&from, 0, sizeof from);
            int got = accept4(slots[i].fd, (void *)&from, &room, SOCK_CLOEXEC);
            any = 1;
            printf(" accepted by %d from", i);
            show(&from);
            names(got);
            close(got);
        }
        if (!any)
            printf(" by none");
    }
    close(c.fd);
}

static void datagram(void)
{
    struct slot c = {.fd = -1};
    struct sockaddr_storage a;
    int any = 0, connected = (int)pick(2);
    char byte = 'x';
    long r;

    c.family = pick(2) ? AF_INET : AF_INET6;
    c.fd = socket(c.family, SOCK_DGRAM, 0);
    socklen_t n = address(&c, (int)pick(12), ports[pick(4)], &a);
    printf(connected ? "connected" : "datagram");
    show(&a);
    if (connected) {
        r = connect(c.fd, (void *)&a, n);
        printf(" %s", ERR(r));
        r = r < 0 ? r : send(c.fd, &byte, 1, 0);
    } else {
        r = sendto(c.fd, &byte, 1, 0, (void *)&a, n);
    }
    printf(" sent %s", ERR(r));
    for (int i = 0; i < SOCKETS && r >= 0; i++) {
        struct sockaddr_storage from;
        socklen_t room = sizeof from;
        if (slots[i].fd < 0 || slots[i].type != SOCK_DGRAM || !slots[i].bound)
            continue;
        memset(&from, 0, sizeof from);
        if (recvfrom(slots[i].fd, &byte, 1, MSG_DONTWAIT, (void *)&from, &room) != 1)
            continue;
        if (!any && connected)
            names(c.fd);
        any = 1;
        printf(" got by %d from", i);
        show(&from);
        struct pollfd p = {c.fd, POLLIN, 0};
        r = sendto(slots[i].fd, &byte, 1, 0, (void *)&from, room);
        printf(" reply %s", ERR(r));
        if (r == 1 && poll(&p, 1, 0) == 1) {
            struct iovec v = {&byte, 1};
            struct msghdr m = {.msg_name = &from, .msg_namelen = sizeof from, .msg_iov = &v, .msg_iovlen = 1};
            memset(&from, 0, sizeof from);
            r = recvmsg(c.fd, &m, MSG_DONTWAIT);
            printf(" heard %s", ERR(r));
            if (r == 1 && connected) /* a container cannot know which of its names an unconnected socket has used */
                show(&from);
        }
    }
    if (!any)
        printf(" by none");
    close(c.fd);
}

int main(int argc, char **argv)
{
    if (argc != 4)
        return 2;
    own = argv[1];
    state = strtoull(argv[2], NULL, 10) * 2654435761u + 1;
    for (int i = 0; i < SOCKETS; i++)
        slots[i].fd = -1;
    for (int i = 0; i < 8; i++)
        pick(2);
    for (int step = atoi(argv[3]); step > 0; step--) {
        struct slot *s = &slots[pick(SOCKETS)];
        switch (pick(8)) {
        case 0: case 1: case 2:
            if (s->fd < 0 || s->bound)
                make(s), printf(" ");
            bind_one(s);
            break;
        case 3: case 4:
            connect_one();
            break;
        case 5: case 6:
            datagram();
            break;
        default:
            printf("close %s", s->fd < 0 ? "none" : "one");
            reset(s);
        }
        printf("\n");
    }
    return 0;
}
