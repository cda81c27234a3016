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

int main(int argc, char **argv)
{
    int port = atoi(argv[argc - 1]);

    tcp(port);
    udp(port);
    six(port);
    puts(failures ? "failed" : "ok");
    return failures != 0;
}
