/* Reading from an inotify descriptor for a program (events.c).
 *
 * 1. What an event means may depend on the next one: then that one is read, too.
 * 2. An event of the engine that is longer than the program's buffer is no reason for EINVAL.
 * 3. What the buffer has no room for is kept for the next read by this process, and the descriptor is made ready by an
 *    event of a watch of our own. */
#include <asm/ioctls.h>
#include <linux/memfd.h>

#include "events.h"

/* One event: the kernel refuses a buffer that is too small for it, and takes none then. */
static long read_one(int fd, u8 *buf)
{
    long n = -EINVAL;
    for (long size = sizeof(struct inotify_event); n == -EINVAL && size <= RL_EVENT_BYTES; size += 16)
        n = rl_sys(__NR_read, fd, (long)buf, size, 0, 0, 0);
    return n;
}

static int queued(int fd)
{
    int bytes = 0;
    return rl_sys(__NR_ioctl, fd, FIONREAD, (long)&bytes, 0, 0, 0) < 0 ? 0 : bytes;
}

/* The last of buf[bytes] may be the first half of a removal. */
static int is_half(const u8 *buf, long bytes)
{
    const struct inotify_event *e = (const void *)buf;
    for (long at = 0; at < bytes; at += (long)(sizeof *e + e->len))
        e = (const void *)(buf + at);
    return !rl_event_reserved(e) && e->mask & (IN_MOVED_FROM | IN_MOVE_SELF);
}

/* Something can be read: IN_IGNORED of a file that nobody else can watch. */
static void make_ready(struct rl_instance *x, int fd)
{
    char path[40];
    long file = rl_sys(__NR_memfd_create, (long)"", MFD_CLOEXEC, 0, 0, 0, 0), wd;
    if (file < 0)
        return;
    rl_put_u64(rl_put(path, "/proc/self/fd/"), (u64)file, 10);
    wd = rl_sys(__NR_inotify_add_watch, fd, (long)path, IN_ATTRIB, 0, 0, 0);
    if (wd >= 0) {
        x->wake = (i32)wd;
        rl_sys(__NR_inotify_rm_watch, fd, wd, 0, 0, 0, 0);
    }
    k_close(file);
}

/* Of the events in from[bytes]: those that buf[size] has room for; the rest is kept. -EINVAL: not one. */
static long deliver(struct rl_instance *x, int fd, u8 *buf, size_t size, const u8 *from, long bytes)
{
    long fit = 0, next;
    while (fit < bytes) {
        next = fit + (long)(sizeof(struct inotify_event) + ((const struct inotify_event *)(from + fit))->len);
        if ((size_t)next > size)
            break;
        fit = next;
    }
    memmove(buf, from, (size_t)fit);
    memmove(x->held, from + fit, (size_t)(bytes - fit));
    x->held_bytes = (u16)(bytes - fit);
    if (x->held_bytes && !x->wake)
        make_ready(x, fd);
    if (!x->held_bytes && x->wake && queued(fd) == sizeof(struct inotify_event)) /* nothing but that */
        if (read_one(fd, x->held) > 0)
            x->wake = 0;
    return bytes && !fit ? -EINVAL : fit;
}

long rl_watch_read(int fd, u8 *buf, size_t room, size_t size)
{
    struct rl_instance *x = rl_instance_of(fd, 1);
    size_t most = room - RL_EVENT_BYTES;
    if (size < sizeof(struct inotify_event))
        return -EINVAL;
    if (x && x->held_bytes)
        return deliver(x, fd, buf, size, x->held, x->held_bytes);
    long n = rl_sys(__NR_read, fd, (long)buf, (long)(size < most ? size : most), 0, 0, 0), more = 0;
    if (n <= 0 && !(n == -EINVAL && x))
        return n;
    if (n < 0)
        n = read_one(fd, buf);
    if (n > 0 && x && is_half(buf, n) && queued(fd))
        more = read_one(fd, buf + n);
    if (n < 0)
        return n;
    n = rl_events_shown(x, fd, buf, n + (more > 0 ? more : 0));
    return x && (size_t)n > size ? deliver(x, fd, buf, size, buf, n) : n;
}
