/* Processes: children, exec, and the message that keeps the heir up to date. */
#include "monitor.h"

#define SIG_BLOCK_ 0
#define SIG_UNBLOCK_ 1
#define SFD_FLAGS (02000000 | 04000) /* SFD_CLOEXEC, SFD_NONBLOCK */
#define SIGCHLD_ 17
#define AF_UNIX_ 1
#define SOCK_FLAGS (5 | 02000000) /* SOCK_SEQPACKET, SOCK_CLOEXEC */
#define SOL_SOCKET_ 1
#define SCM_RIGHTS_ 1
#define MSG_NOSIGNAL_ 0x4000

char **environment;

struct action {
    u64 handler, flags, restorer, mask;
};

struct rights {
    size_t bytes;
    int level, type;
    int fd[FDS_END];
};

u64 now_ns(void)
{
    long t[2];
    sys(__NR_clock_gettime, 0, (long)t, 0, 0, 0);
    return (u64)t[0] * 1000000000ull + (u64)t[1];
}

int children(void)
{
    u64 mask = SIGCHLD_BIT;
    sys(__NR_rt_sigprocmask, SIG_BLOCK_, (long)&mask, 0, 8, 0);
    return (int)sys(__NR_signalfd4, -1, (long)&mask, 8, SFD_FLAGS, 0);
}

void leave(int code)
{
    for (;;)
        sys(__NR_exit_group, code, 0, 0, 0, 0);
}

void become(char **list, const char *const *more)
{
    static char *words[512];
    u64 mask = SIGCHLD_BIT;
    u32 n = 0;
    while (*list && n < 500)
        words[n++] = *list++;
    while (*more && n < 511)
        words[n++] = (char *)*more++;
    words[n] = NULL;
    sys(__NR_rt_sigprocmask, SIG_UNBLOCK_, (long)&mask, 0, 8, 0);
    sys(__NR_execve, (long)words[0], (long)words, (long)environment, 0, 0);
    sys(__NR_rt_sigprocmask, SIG_BLOCK_, (long)&mask, 0, 8, 0);
}

long fork_child(void)
{
    return sys(__NR_clone, SIGCHLD_, 0, 0, 0, 0);
}

u32 split_words(char *text, const char *end, char **words)
{
    u32 count = 0;
    for (char *p = text; p < end && count < WORDS_MAX - 1; p += length(p) + 1)
        words[count++] = p;
    words[count] = NULL;
    return count;
}

int send_state(char **list)
{
    static char text[MESSAGE_BYTES];
    static struct rights rights;
    char *p = text + 1;
    u8 count = 0;
    for (int fd = OUT; fd < FDS_END; fd++) {
        if (fd == CHANNEL || sys(__NR_fcntl, fd, F_GETFD, 0, 0, 0) < 0)
            continue;
        rights.fd[count++] = fd;
        *p++ = (char)fd;
    }
    text[0] = (char)count;
    for (; *list; list++) {
        if ((size_t)(text + sizeof text - p) < length(*list) + 16)
            return 0;
        p = put(p, *list) + 1;
    }
    p = put(p, "resume") + 1;
    rights.bytes = 16 + 4u * count;
    rights.level = SOL_SOCKET_;
    rights.type = SCM_RIGHTS_;
    struct part part = {text, (size_t)(p - text)};
    struct message m = {NULL, 0, 0, &part, 1, count ? &rights : NULL, count ? 16 + ((4u * count + 7) & ~7u) : 0, 0};
    return sys(__NR_sendmsg, CHANNEL, (long)&m, MSG_NOSIGNAL_, 0, 0) > 0;
}

void handle_signal(int number, u64 handler)
{
    struct action a = {handler, 0, 0, 0};
    sys(__NR_rt_sigaction, number, (long)&a, 0, 8, 0);
}

void ignore_signals(void)
{
    static const int numbers[] = {1, 2, 3, SIGPIPE_, 15}; /* HUP, INT, QUIT, PIPE, TERM */
    u64 none = 0;
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        handle_signal(numbers[i], SIG_IGN_);
    sys(__NR_rt_sigprocmask, 2 /* SIG_SETMASK */, (long)&none, 0, 8, 0);
}

void close_from(int first)
{
    if (sys(__NR_close_range, first, ~0u, 0, 0, 0) < 0)
        for (int fd = first; fd < 1024; fd++)
            sys(__NR_close, fd, 0, 0, 0, 0);
}

void add_heir(const char *self, int channel)
{
    const char *words[] = {self, "heir", NULL};
    for (int fd = OUT; fd < FDS_END; fd++)
        sys(__NR_close, fd, 0, 0, 0, 0);
    sys(__NR_dup3, channel, HEIR_CHANNEL, 0, 0, 0);
    sys(__NR_execve, (long)self, (long)words, (long)environment, 0, 0);
    leave(125);
}

int open_channel(void)
{
    int ends[2] = {-1, -1};
    if (sys(__NR_socketpair, AF_UNIX_, SOCK_FLAGS, 0, (long)ends, 0) < 0)
        return -1;
    sys(__NR_dup3, ends[0], CHANNEL, 0, 0, 0);
    sys(__NR_close, ends[0], 0, 0, 0, 0);
    return ends[1];
}

void make_heir(const char *self, char **list)
{
    int channel = open_channel();
    if (channel < 0)
        return;
    long pid = fork_child();
    if (pid == 0)
        add_heir(self, channel);
    sys(__NR_close, channel, 0, 0, 0, 0);
    if (pid > 0)
        send_state(list);
}
