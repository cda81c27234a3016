/* The monitor: relays output to the log (docs/format.md section 9), waits for the program, and starts a hydrator when a
 * program asks for a file. */
#include "monitor.h"

#define STDOUT_STREAM 1
#define STDERR_STREAM 2
#define WNOHANG_ 1
#define IDLE_S 1

struct entry { /* of log.index */
    u64 offset, time_ns;
    u32 bytes;
    u8 stream, pad[3];
};

static char buffer[65536];
static u64 offset;

static long write_all(int fd, const char *bytes, size_t n)
{
    size_t done = 0;
    while (done < n) {
        long r = sys(__NR_write, fd, (long)(bytes + done), (long)(n - done), 0, 0);
        if (r == -EINTR)
            continue;
        if (r <= 0)
            break;
        done += (size_t)r;
    }
    return (long)done;
}

/* A full disk must not end the program: the log misses what it cannot take. */
static void emit(u8 stream, size_t n)
{
    struct entry e = {offset, now_ns(), 0, stream, {0}};
    e.bytes = (u32)write_all(LOG, buffer, n);
    offset += e.bytes;
    if (e.bytes)
        write_all(INDEX, (const char *)&e, sizeof e);
}

static void relay(int fd, u8 stream)
{
    for (;;) {
        long n = sys(__NR_read, fd, (long)buffer, sizeof buffer, 0, 0);
        if (n == -EINTR)
            continue;
        if (n == -EAGAIN)
            return;
        if (n <= 0) { /* EIO: no process has the terminal open any more */
            sys(__NR_close, fd, 0, 0, 0, 0);
            return;
        }
        emit(stream, (size_t)n);
    }
}

static int is_open(int fd)
{
    return sys(__NR_fcntl, fd, F_GETFD, 0, 0, 0) >= 0;
}

/* Collect ended children. The wait status of the program, or -1. */
static int collect(struct watch *w)
{
    char infos[128 * 4];
    int status, found = -1;
    long pid;
    sys(__NR_read, w->children, (long)infos, sizeof infos, 0, 0);
    while ((pid = sys(__NR_wait4, -1, (long)&status, WNOHANG_, 0, 0)) > 0) {
        if ((status & 0xff) == 0x7f)
            continue; /* stopped: it has made its parent its tracer */
        if (pid == w->pid)
            found = status;
        if (pid == w->hydrator)
            w->hydrator = 0;
    }
    return found;
}

void start_hydrator(struct watch *w)
{
    static const char *const more[] = {"hydrate", NULL};
    long pid = fork_child();
    if (pid == 0) {
        sys(__NR_setsid, 0, 0, 0, 0, 0);
        for (int fd = OUT; fd < FDS_END; fd++)
            if (fd != HYDRATE)
                sys(__NR_close, fd, 0, 0, 0, 0);
        become(w->python, more);
        leave(125);
    }
    w->hydrator = pid > 0 ? pid : 0;
}

/* Wait for what comes next, and do it. The program's wait status when it has ended, else -1. */
static int turn(struct watch *w, int timeout_s)
{
    long limit[2] = {timeout_s, 0};
    struct pollfd at[5];
    at[0] = (struct pollfd){w->children, POLLIN, 0};
    at[1] = (struct pollfd){OUT, POLLIN, 0};
    at[2] = (struct pollfd){ERR, POLLIN, 0};
    at[3] = (struct pollfd){w->hydrator ? -1 : HYDRATE, POLLIN, 0};
    at[4] = (struct pollfd){CHANNEL, POLLIN, 0};
    if (sys(__NR_ppoll, (long)at, 5, timeout_s ? (long)limit : 0, 0, 0) < 0)
        return -1;
    if (at[1].revents & POLLNVAL || at[2].revents & POLLNVAL || at[3].revents & POLLNVAL) { /* closed ones stay silent */
        struct pollfd open[5];
        int n = 0;
        for (int i = 0; i < 5; i++)
            if (!(at[i].revents & POLLNVAL))
                open[n++] = at[i];
        if (sys(__NR_ppoll, (long)open, n, timeout_s ? (long)limit : 0, 0, 0) < 0)
            return -1;
        for (int i = 0, k = 0; i < 5; i++)
            at[i].revents = at[i].revents & POLLNVAL ? 0 : open[k++].revents;
    }
    if (at[1].revents)
        relay(OUT, STDOUT_STREAM);
    if (at[2].revents)
        relay(ERR, STDERR_STREAM);
    if (at[3].revents)
        start_hydrator(w);
    if (at[4].revents) /* the heir never writes: it was killed */
        make_heir(w->self, w->python);
    return at[0].revents ? collect(w) : -1;
}

void watch(struct watch *w)
{
    static const char last[1] = "";
    char text[24];
    const char *ended[] = {"ended", text, NULL};
    int status;
    w->children = children();
    long end = sys(__NR_lseek, LOG, 0, 2, 0, 0);
    offset = end < 0 ? 0 : (u64)end;
    status = collect(w); /* one that ended before SIGCHLD was blocked */
    while (status < 0)
        status = turn(w, 0);
    relay(OUT, STDOUT_STREAM);
    relay(ERR, STDERR_STREAM);
    u32 code = status & 0x7f ? 128 + (u32)(status & 0x7f) : (u32)(status >> 8 & 0xff);
    if (!simple_end(w)) {
        put_number(text, code);
        become(w->python, ended);
    }
    record_end(w, code);
    sys(__NR_close, LIFELINE, 0, 0, 0, 0);
    while (is_open(OUT) || is_open(ERR) || has_programs(w))
        turn(w, IDLE_S);
    forget_session(w);
    sys(__NR_write, CHANNEL, (long)last, 1, 0, 0);
    leave(0);
}
