/* Many messages by one call: sendmmsg and recvmmsg on AF_UNIX, whose names are the container's. */
#define _GNU_SOURCE
#include "localsockets.h"

static int many_messages_at_once(void)
{
    struct sockaddr_un to[2] = {address(SERVER), address("/tmp/other")}, from[3];
    char text[3][8];
    struct iovec out[3] = {{"data", 4}, {"moredata", 8}, {"last", 4}}, in[3];
    struct mmsghdr sent[3] = {0}, got[3] = {0};
    int s = bound(SOCK_DGRAM, SERVER), o = bound(SOCK_DGRAM, "/tmp/other"), c = bound(SOCK_DGRAM, CLIENT), done = 0, r = 1;

    for (int i = 0; i < 3; i++) {
        in[i] = (struct iovec){text[i], 8};
        sent[i].msg_hdr = (struct msghdr){.msg_name = &to[i == 1], .msg_namelen = sizeof to[0], .msg_iov = &out[i], .msg_iovlen = 1};
        got[i].msg_hdr = (struct msghdr){.msg_name = &from[i], .msg_namelen = sizeof from[i], .msg_iov = &in[i], .msg_iovlen = 1};
    }
    while (done < 3) { /* it may send fewer than asked */
        int n = sendmmsg(c, sent + done, (unsigned)(3 - done), 0);

        if (n <= 0)
            return 0;
        done += n;
    }
    r &= sent[0].msg_len == 4 && sent[1].msg_len == 8 && sent[2].msg_len == 4;
    r &= recvmmsg(s, got, 3, MSG_WAITFORONE, NULL) == 2 && got[0].msg_len == 4 && memcmp(text[1], "last", 4) == 0;
    r &= is(&from[0], got[0].msg_hdr.msg_namelen, CLIENT) && is(&from[1], got[1].msg_hdr.msg_namelen, CLIENT);
    r &= read(o, text[2], 8) == 8;
    strcpy(to[1].sun_path, "/tmp/none");
    r &= sendmmsg(c, sent, 3, 0) >= 1 && sendmmsg(c, sent + 1, 2, 0) == -1 && errno == ENOENT;
    close(s);
    close(o);
    close(c);
    return r;
}

/* `count` messages with names from `c`, the first at once, the others later. */
static pid_t send_from(int c, const struct sockaddr_un *to, int count)
{
    pid_t pid = fork();

    if (pid)
        return pid;
    for (int i = 0; i < count; i++) {
        if (i)
            later();
        if (sendto(c, "data", 4, 0, (const void *)to, sizeof *to) != 4)
            _exit(1);
    }
    _exit(0);
}

/* recvmmsg of up to three messages, each of which must come from CLIENT. `room`: for names. */
static int receive_many(int s, unsigned flags, struct timespec *limit, socklen_t room)
{
    struct sockaddr_un from[3];
    char text[3][8];
    struct iovec in[3];
    struct mmsghdr got[3] = {0};
    int n;

    for (int i = 0; i < 3; i++) {
        in[i] = (struct iovec){text[i], 8};
        got[i].msg_hdr = (struct msghdr){.msg_name = &from[i], .msg_namelen = room, .msg_iov = &in[i], .msg_iovlen = 1};
    }
    n = recvmmsg(s, got, 3, (int)flags, limit);
    for (int i = 0; i < n; i++)
        if (got[i].msg_len != 4 || memcmp(text[i], "data", 4) != 0 || got[i].msg_hdr.msg_namelen != 2 + sizeof CLIENT ||
            memcmp(from[i].sun_path, CLIENT, room < 12 ? room - 2 : sizeof CLIENT) != 0)
            return -100;
    return n;
}

/* Without MSG_WAITFORONE it waits for all of them, unless its time is over, which is looked at after each message. */
static int many_messages_are_waited_for(void)
{
    struct sockaddr_un server = address(SERVER);
    struct itimerval soon = {{0, 40000}, {0, 40000}}, never = {0};
    struct sigaction action = {.sa_handler = nothing};
    struct timespec none = {0, 0}, instant = {0, 1}, plenty = {3600, 0}, bad = {0, 1000000000};
    int s = bound(SOCK_DGRAM, SERVER), c = bound(SOCK_DGRAM, CLIENT), r = 1;
    pid_t pid = send_from(c, &server, 3);

    r &= receive_many(s, 0, NULL, sizeof server) == 3 && ended(pid);
    pid = send_from(c, &server, 3);
    r &= receive_many(s, 0, &plenty, sizeof server) == 3 && ended(pid) && plenty.tv_sec > 3000 && plenty.tv_sec < 3600;
    pid = send_from(c, &server, 3);
    r &= ended(pid) && receive_many(s, 0, &none, sizeof server) == 1;
    r &= receive_many(s, 0, &instant, sizeof server) == 1 && instant.tv_nsec == 0;
    r &= receive_many(s, MSG_WAITFORONE, NULL, 6) == 1; /* a name that is cut */
    r &= receive_many(s, MSG_DONTWAIT, NULL, sizeof server) == -1 && errno == EAGAIN;
    r &= receive_many(s, 0, &bad, sizeof server) == -1 && errno == EINVAL;
    r &= receive_many(s, 0, (void *)8, sizeof server) == -1 && errno == EFAULT;
    sigaction(SIGALRM, &action, NULL);
    setitimer(ITIMER_REAL, &soon, NULL);
    r &= receive_many(s, 0, NULL, sizeof server) == -1 && errno == EINTR;
    r &= sendto(c, "data", 4, 0, (void *)&server, sizeof server) == 4;
    r &= receive_many(s, 0, NULL, sizeof server) == 1; /* what had come before the signal */
    setitimer(ITIMER_REAL, &never, NULL);
    close(s);
    close(c);
    return r;
}

int main(int argc, char **argv)
{
    static const struct test_case cases[] = {CASE(many_messages_at_once), CASE(many_messages_are_waited_for), END_OF_CASES};

    umask(022);
    return run_cases(cases, argc, argv);
}
