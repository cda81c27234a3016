/* Mapped ports, seen from inside: `sockets PORT` binds PORT (tcp, udp, IPv6) and says what it sees. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

static int failures;
static void check(int ok, const char *what)
{
    if (!ok) {
        printf("FAILED %s: %s\n", what, strerror(errno));
        failures++;
    }
}

static struct sockaddr_in in4(const char *text, int port)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port)};

    inet_pton(AF_INET, text, &a.sin_addr);
    return a;
}

static int port_of(int fd, int peer)
{
    struct sockaddr_storage a;
    socklen_t n = sizeof a;

    if ((peer ? getpeername : getsockname)(fd, (struct sockaddr *)&a, &n) < 0)
        return -1;
    return ntohs(a.ss_family == AF_INET ? ((struct sockaddr_in *)&a)->sin_port : ((struct sockaddr_in6 *)&a)->sin6_port);
}

static void tcp(int port)
{
    int server = socket(AF_INET, SOCK_STREAM, 0), one = 1;
    struct sockaddr_in a = in4("0.0.0.0", port), local = in4("127.0.0.1", port);
    char got[8] = "";

    setsockopt(server, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    check(bind(server, (void *)&a, sizeof a) == 0 && listen(server, 4) == 0, "bind");
    check(port_of(server, 0) == port, "getsockname shows the port inside");
    for (int i = 0; i < 2; i++) {
        int client = socket(AF_INET, SOCK_STREAM, 0), served;

        check(connect(client, (void *)(i ? &a : &local), sizeof a) == 0, "connect to the port inside");
        check(port_of(client, 1) == port, "getpeername shows the port inside");
        served = accept(server, NULL, NULL);
        check(write(served, "hello", 5) == 5 && read(client, got, 5) == 5 && memcmp(got, "hello", 5) == 0, "transfer");
        check(port_of(served, 0) == port, "getsockname of an accepted socket");
        close(served);
        close(client);
    }
    close(server);
}

static void udp(int port)
{
    int server = socket(AF_INET, SOCK_DGRAM, 0), client = socket(AF_INET, SOCK_DGRAM, 0);
    struct sockaddr_in a = in4("127.0.0.1", port);
    struct iovec part = {"ab", 2};
    struct msghdr message = {.msg_name = &a, .msg_namelen = sizeof a, .msg_iov = &part, .msg_iovlen = 1};
    struct timeval wait = {5, 0};
    char got[8] = "";

    setsockopt(server, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait);
    check(bind(server, (void *)&a, sizeof a) == 0, "bind udp");
    check(port_of(server, 0) == port, "getsockname udp");
    check(sendto(client, "xy", 2, 0, (void *)&a, sizeof a) == 2, "sendto");
    check(recv(server, got, sizeof got, 0) == 2 && got[0] == 'x', "recv");
    check(sendmsg(client, &message, 0) == 2 && recv(server, got, sizeof got, 0) == 2 && got[0] == 'a', "sendmsg");
    check(ntohs(a.sin_port) == port, "the caller's address is untouched");
    close(server);
    close(client);
}

static void six(int port)
{
    int server = socket(AF_INET6, SOCK_STREAM, 0), client = socket(AF_INET6, SOCK_STREAM, 0), one = 1;
    struct sockaddr_in6 a = {.sin6_family = AF_INET6, .sin6_port = htons(port), .sin6_addr = in6addr_any};

    if (server < 0)
        return;
    setsockopt(server, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    setsockopt(server, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof one);
    check(bind(server, (void *)&a, sizeof a) == 0 && listen(server, 4) == 0, "bind IPv6");
    check(port_of(server, 0) == port, "getsockname IPv6");
    a.sin6_addr = in6addr_loopback;
    check(connect(client, (void *)&a, sizeof a) == 0 || errno == EADDRNOTAVAIL, "connect IPv6");
    close(server);
    close(client);
}

/* A peer that is bound to the port, as the calls name it that receive from it: its messages come from elsewhere, or wait
 * already. */
static void peers(int port)
{
    int peer = socket(AF_INET, SOCK_DGRAM, 0), own = socket(AF_INET, SOCK_DGRAM, 0), one = 1;
    struct sockaddr_in a = in4("127.0.0.1", port), b = in4("127.0.0.1", 0), from[4];
    struct iovec part[2] = {{(char[4]){0}, 4}, {(char[4]){0}, 4}};
    struct mmsghdr m[2];
    socklen_t n = sizeof b;

    memset(from, 0, sizeof from);
    for (int i = 0; i < 2; i++)
        m[i].msg_hdr = (struct msghdr){.msg_name = &from[i], .msg_namelen = sizeof b, .msg_iov = &part[i], .msg_iovlen = 1};
    check(bind(peer, (void *)&a, sizeof a) == 0 && bind(own, (void *)&b, sizeof b) == 0, "bind a peer");
    check(getsockname(own, (void *)&b, &n) == 0, "the other's address");
    for (int i = 0; i < 2; i++)
        check(sendto(peer, "x", 1, 0, (void *)&b, sizeof b) == 1, "send from the port");
    check(recvmmsg(own, m, 2, 0, NULL) == 2, "recvmmsg");
    for (int i = 0; i < 2; i++)
        if (fork() == 0) {
            usleep(200000 + 200000 * (unsigned)i);
            _exit(sendto(peer, "x", 1, 0, (void *)&b, sizeof b) != 1);
        }
    m[0].msg_hdr.msg_name = &from[2];
    check(recvmsg(own, &m[0].msg_hdr, 0) == 1, "recvmsg");
    check(recvfrom(own, part[0].iov_base, 4, 0, (void *)&from[3], &n) == 1, "recvfrom");
    for (int i = 0; i < 4; i++)
        check(ntohs(from[i].sin_port) == port, "a datagram's sender has the port inside");
    close(peer);
    close(own);
    peer = socket(AF_INET, SOCK_STREAM, 0);
    own = socket(AF_INET, SOCK_STREAM, 0);
    setsockopt(peer, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    b.sin_port = 0;
    check(bind(own, (void *)&b, sizeof b) == 0 && listen(own, 4) == 0 && getsockname(own, (void *)&b, &n) == 0, "listen");
    check(bind(peer, (void *)&a, sizeof a) == 0 && connect(peer, (void *)&b, sizeof b) == 0, "connect from the port");
    check(accept(own, (void *)from, &n) >= 0 && ntohs(from[0].sin_port) == port, "accept's peer has the port inside");
    while (wait(NULL) > 0)
        ;
    close(peer);
    close(own);
}

int main(int argc, char **argv)
{
    int port = atoi(argv[argc - 1]);

    tcp(port);
    udp(port);
    six(port);
    peers(port);
    puts(failures ? "failed" : "ok");
    return failures != 0;
}
