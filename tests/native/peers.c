/* Servers and clients of networks of containers.
 *
 *     peers serve PORT TEXT [ADDRESS]   TCP: answer each connection with TEXT, the client's address and its own name
 *     peers serve-at FILE PORT TEXT     serve as soon as there is such a file
 *     peers ask NAME PORT               TCP: print the answer, or the error
 *     peers listen-exec PORT            bind and listen, and execute itself as `peers inherited`, which prints names
 *     peers udp PORT TEXT               answer each datagram as `serve` does
 *     peers udp-ask NAME PORT           print the answer and its sender's port
 *     peers abstract-serve NAME TEXT | abstract-ask NAME
 *     peers threads PORT                8 threads that bind, connect and ask 50 times each
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <pthread.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

static int fail(const char *what)
{
    printf("%s: %s\n", what, strerror(errno));
    return 1;
}

static const char *text_of(const struct sockaddr_in *a)
{
    static __thread char texts[4][64];
    static __thread int n;
    char *text = texts[n++ & 3], host[32];

    inet_ntop(AF_INET, &a->sin_addr, host, sizeof host);
    snprintf(text, 64, "%s:%d", host, ntohs(a->sin_port));
    return text;
}

static int bound(int type, const char *port, const char *address)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((unsigned short)atoi(port))};
    int on = 1, s = socket(AF_INET, type, 0);

    inet_pton(AF_INET, address, &a.sin_addr);
    setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(s, (void *)&a, sizeof a) < 0 || (type == SOCK_STREAM && listen(s, 64) < 0))
        exit(fail("bind"));
    return s;
}

static int serve(const char *port, const char *text, const char *address)
{
    int s = bound(SOCK_STREAM, port, address);

    puts("listening");
    fflush(stdout);
    for (;;) {
        struct sockaddr_in from, own;
        socklen_t n = sizeof from, m = sizeof own;
        int c = accept(s, (void *)&from, &n);
        char host[32];
        if (c < 0)
            return fail("accept");
        getsockname(c, (void *)&own, &m);
        inet_ntop(AF_INET, &from.sin_addr, host, sizeof host);
        dprintf(c, "%s to %s from %s\n", text, text_of(&own), host);
        close(c);
    }
}

static int find(const char *name, const char *port, int type, struct addrinfo **out)
{
    struct addrinfo hints = {.ai_socktype = type, .ai_family = AF_INET};
    int r = getaddrinfo(name, port, &hints, out);

    if (r)
        printf("%s: unknown\n", name);
    return r;
}

static int ask(const char *name, const char *port)
{
    struct addrinfo *found;
    char answer[512];
    long n;

    if (find(name, port, SOCK_STREAM, &found))
        return 1;
    int s = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(s, found->ai_addr, found->ai_addrlen) < 0)
        return fail("connect");
    while ((n = read(s, answer, sizeof answer)) > 0)
        fwrite(answer, 1, (size_t)n, stdout);
    freeaddrinfo(found);
    close(s);
    return 0;
}

static int udp(const char *port, const char *text)
{
    int s = bound(SOCK_DGRAM, port, "0.0.0.0");

    puts("listening");
    fflush(stdout);
    for (;;) {
        struct sockaddr_in from;
        socklen_t n = sizeof from;
        char buf[512], host[32];
        if (recvfrom(s, buf, sizeof buf, 0, (void *)&from, &n) < 0)
            return fail("recvfrom");
        inet_ntop(AF_INET, &from.sin_addr, host, sizeof host);
        n = (socklen_t)snprintf(buf, sizeof buf, "%s from %s", text, host);
        sendto(s, buf, n, 0, (void *)&from, sizeof from);
    }
}

static int udp_ask(const char *name, const char *port)
{
    struct timeval limit = {10, 0};
    struct addrinfo *found;
    struct sockaddr_in from;
    socklen_t room = sizeof from;
    char answer[512];
    long n;

    if (find(name, port, SOCK_DGRAM, &found))
        return 1;
    int s = socket(AF_INET, SOCK_DGRAM, 0);
    setsockopt(s, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    sendto(s, "?", 1, 0, found->ai_addr, found->ai_addrlen);
    n = recvfrom(s, answer, sizeof answer, 0, (void *)&from, &room);
    if (n < 0)
        return fail("recvfrom");
    printf("%.*s, %s\n", (int)n, answer,
           memcmp(&from.sin_addr, &((struct sockaddr_in *)found->ai_addr)->sin_addr, 4) || strcmp(text_of(&from), text_of((void *)found->ai_addr))
               ? text_of(&from) : "the same");
    return 0;
}

static int inherited(void)
{
    struct sockaddr_in a;
    socklen_t n = sizeof a;

    if (getsockname(7, (void *)&a, &n) < 0)
        return fail("getsockname");
    puts(text_of(&a));
    return 0;
}

static socklen_t abstract(const char *name, struct sockaddr_un *a)
{
    memset(a, 0, sizeof *a);
    a->sun_family = AF_UNIX;
    strcpy(a->sun_path + 1, name);
    return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + strlen(name));
}

static int abstract_serve(const char *name, const char *text)
{
    struct sockaddr_un a;
    socklen_t n = abstract(name, &a);
    int s = socket(AF_UNIX, SOCK_STREAM, 0);

    if (bind(s, (void *)&a, n) < 0 || listen(s, 8) < 0)
        return fail("bind");
    puts("listening");
    fflush(stdout);
    for (;;) {
        int c = accept(s, NULL, NULL);
        dprintf(c, "%s\n", text);
        close(c);
    }
}

static int abstract_ask(const char *name)
{
    struct sockaddr_un a, peer;
    socklen_t n = abstract(name, &a), m = sizeof peer;
    int s = socket(AF_UNIX, SOCK_STREAM, 0);
    char answer[64];

    if (connect(s, (void *)&a, n) < 0)
        return fail("connect");
    getpeername(s, (void *)&peer, &m);
    long got = read(s, answer, sizeof answer);
    printf("%.*s at %.*s\n", (int)(got > 0 ? got - 1 : 0), answer, (int)(m - offsetof(struct sockaddr_un, sun_path) - 1),
           peer.sun_path + 1);
    return 0;
}

/* ---- threads ------------------------------------------------------------------------------------- */

static int first_port;

static void *work(void *which)
{
    for (int i = 0; i < 50; i++) {
        struct sockaddr_in a = {.sin_family = AF_INET}, from;
        socklen_t n = sizeof from;
        char port[16];
        snprintf(port, sizeof port, "%d", first_port + (int)(long)which);
        int s = bound(SOCK_STREAM, port, "0.0.0.0"), c = socket(AF_INET, SOCK_STREAM, 0), d;
        a.sin_port = htons((unsigned short)atoi(port));
        a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        if (connect(c, (void *)&a, sizeof a) < 0)
            exit(fail("connect"));
        d = accept(s, (void *)&from, &n);
        if (d < 0 || from.sin_addr.s_addr != htonl(INADDR_LOOPBACK))
            exit(fail("accept"));
        n = sizeof from;
        getpeername(c, (void *)&from, &n);
        if (from.sin_port != a.sin_port || from.sin_addr.s_addr != a.sin_addr.s_addr) {
            printf("wrong: %s\n", text_of(&from));
            exit(1);
        }
        close(c);
        close(d);
        close(s);
    }
    return NULL;
}

static int threads(const char *port)
{
    pthread_t all[8];

    first_port = atoi(port);
    for (long i = 0; i < 8; i++)
        pthread_create(&all[i], NULL, work, (void *)i);
    for (int i = 0; i < 8; i++)
        pthread_join(all[i], NULL);
    puts("ok");
    return 0;
}

int main(int argc, char **argv)
{
    const char *verb = argc > 1 ? argv[1] : "";

    if (!strcmp(verb, "serve") && argc >= 4)
        return serve(argv[2], argv[3], argc > 4 ? argv[4] : "0.0.0.0");
    if (!strcmp(verb, "serve-at") && argc == 5) {
        while (access(argv[2], F_OK) < 0)
            usleep(20000);
        return serve(argv[3], argv[4], "0.0.0.0");
    }
    if (!strcmp(verb, "ask") && argc == 4)
        return ask(argv[2], argv[3]);
    if (!strcmp(verb, "udp") && argc == 4)
        return udp(argv[2], argv[3]);
    if (!strcmp(verb, "udp-ask") && argc == 4)
        return udp_ask(argv[2], argv[3]);
    if (!strcmp(verb, "listen-exec") && argc == 3) {
        dup2(bound(SOCK_STREAM, argv[2], "0.0.0.0"), 7);
        execl(argv[0], argv[0], "inherited", NULL);
        return fail("exec");
    }
    if (!strcmp(verb, "inherited"))
        return inherited();
    if (!strcmp(verb, "abstract-serve") && argc == 4)
        return abstract_serve(argv[2], argv[3]);
    if (!strcmp(verb, "abstract-ask") && argc == 3)
        return abstract_ask(argv[2]);
    if (!strcmp(verb, "threads") && argc == 3)
        return threads(argv[2]);
    return 2;
}
