/* inotify: watches, and what a program reads (core/change/watch.c, events.c).
 *
 * 1. A process that adds a watch gets a second filter (table/readfilter.c): reads of that descriptor's number are
 *    trapped, from then on, in all its threads and children. All other processes read at the kernel's speed. The same
 *    holds for each number that dup() gives to it, and for one that a socket brings.
 * 2. A trapped read of another file (the number was used again) is made as it is.
 * 3. The read waits in the program's own context (resume.c).
 */
#include <linux/inotify.h>
#include <linux/uio.h>

#include "../engine.h"
#include "../table/syscalls.h"

#define RL_POLLIN 1
#define RL_READ_FILTERS 64 /* at most; further descriptors are read untrapped */

struct pollfd_ {
    i32 fd;
    u16 events, revents;
};

static i32 filtered[RL_READ_FILTERS];
static u32 filters;

static void trap_reads(int fd)
{
    for (u32 i = 0; i < filters; i++)
        if (filtered[i] == fd)
            return;
    if (filters < RL_READ_FILTERS && rl_filter_reads_of((u32)fd) == 0 && !rl_memory_is_borrowed())
        filtered[filters++] = fd;
}

static int is_inotify(int fd)
{
    static const char kind[] = "anon_inode:inotify";
    char link[40], text[sizeof kind];

    rl_put_u64(rl_put(link, "/proc/self/fd/"), (u64)(u32)fd, 10);
    return k_readlink(link, text, sizeof text) == sizeof kind - 1 &&
           !memcmp(text, kind, sizeof kind - 1);
}

static int watch_flags(u32 mask)
{
    int opens = mask & (IN_OPEN | IN_ACCESS | IN_CLOSE_NOWRITE) ? RL_WATCH_OPENS : 0;

    return opens | (mask & IN_DONT_FOLLOW ? AT_SYMLINK_NOFOLLOW : 0);
}

long rl_do_inotify_add_watch(struct rl_call *c)
{
    char *real = (char *)c->slot->buf;
    u32 mask = (u32)c->rest[0];
    int fd = (int)c->arg[0];
    long r;

    if (!is_inotify(fd)) /* the kernel knows which error */
        return rl_sys3(__NR_inotify_add_watch, fd, (long)".", mask);
    r = rl_watch_path(c->path, watch_flags(mask), real, RL_BUF_BYTES);
    if (r < 0)
        return r;
    trap_reads(fd);
    r = rl_sys3(__NR_inotify_add_watch, fd, (long)real, rl_watch_mask(fd, mask));
    rl_watch_added(fd, r, mask);
    return r;
}

static long wait_for_events(struct rl_call *c, int fd)
{
    long flags = rl_sys3(__NR_fcntl, fd, F_GETFL, 0);
    struct pollfd_ *one = (void *)rl_pass_buffer();
    u64 poll[6] = {(u64)one, 1, 0, 0, 0, 0}; /* no time limit */

    if (flags < 0 || (flags & O_NONBLOCK))
        return flags < 0 ? flags : -EAGAIN;
    *one = (struct pollfd_){fd, RL_POLLIN, 0};
    return rl_resume_then(c, __NR_ppoll, poll, 0, 1);
}

/* `wait`: or -EAGAIN. */
static long read_events(struct rl_call *c, int fd, u64 to, size_t size, int wait)
{
    u8 *buf = c->slot->buf;
    struct pollfd_ now = {fd, RL_POLLIN, 0};
    static const i64 none[2]; /* seconds and nanoseconds */
    long n;

    do {
        n = rl_sys(__NR_ppoll, (long)&now, 1, (long)none, 0, 0, 0);
        if (n <= 0)
            return n < 0 ? n : wait ? wait_for_events(c, fd) : -EAGAIN;
        n = rl_watch_read(fd, buf, RL_BUF_BYTES, size);
        if (n < 0)
            return n;
    } while (n == 0);
    return rl_user_write(c, to, buf, (size_t)n) < 0 ? -EFAULT : n;
}

long rl_do_read(struct rl_call *c)
{
    int fd = (int)c->arg[0];

    return is_inotify(fd) ? read_events(c, fd, c->arg[1], c->arg[2], 1) : rl_resume_unchanged(c);
}

/* readv, and preadv2 without an offset. As in the kernel, each buffer is read by itself, until one is not filled; an empty one, too. */
long rl_do_readv(struct rl_call *c)
{
    int fd = (int)c->arg[0];
    struct iovec one;
    long sum = 0, n;

    if (!is_inotify(fd) || (c->nr == __NR_preadv2 && (c->arg[3] != (u64)-1 || c->arg[5])) || c->arg[2] > UIO_MAXIOV)
        return rl_resume_unchanged(c);
    for (u64 i = 0; i < c->arg[2]; i++) {
        if (rl_user_read(c, &one, c->arg[1] + i * sizeof one, sizeof one) < 0)
            return sum ? sum : -EFAULT;
        n = read_events(c, fd, (u64)one.iov_base, one.iov_len, sum == 0);
        if (n < 0 || c->resumed)
            return sum ? sum : n;
        sum += n;
        if ((u64)n < one.iov_len)
            break;
    }
    return sum;
}

/* dup, dup2, dup3, fcntl(F_DUPFD) */
long rl_do_dup(struct rl_call *c)
{
    long r = rl_sys3(c->nr, (long)c->arg[0], (long)c->arg[1], (long)c->arg[2]);

    if (r >= 0 && r != (int)c->arg[0] && is_inotify((int)r)) {
        trap_reads((int)r);
        rl_watch_shared((int)c->arg[0], (int)r);
    }
    return r;
}

void rl_watch_received(int fd)
{
    if (is_inotify(fd))
        trap_reads(fd);
}
