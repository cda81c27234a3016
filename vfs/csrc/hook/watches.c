/* inotify: watches, and what the program reads (core/change/watch.c, events.c).
 *
 * A thread without an activation may read what another one watches: events are translated for the process, and
 * events.c is linked into this library. */
#define _GNU_SOURCE
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/syscall.h>

#include "hook.h"

#define FDS 1024 /* descriptors from here on are read untranslated */

static u64 watching[FDS / 64];

/* For events.c. */
long rl_sys(long nr, long a, long b, long c, long d, long e, long f)
{
    int before = errno;
    long r = syscall(nr, a, b, c, d, e, f);

    r = r < 0 ? -errno : r;
    errno = before;
    return r;
}

/* The number may have been closed and used again. */
static int is_inotify(int fd)
{
    static const char kind[] = "anon_inode:inotify";
    char link[40], text[sizeof kind];

    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    return rl_sys(SYS_readlinkat, AT_FDCWD, (long)link, (long)text, sizeof text, 0, 0) == sizeof kind - 1 &&
           !memcmp(text, kind, sizeof kind - 1);
}

static int watch_flags(u32 mask)
{
    int opens = mask & (IN_OPEN | IN_ACCESS | IN_CLOSE_NOWRITE) ? RL_WATCH_OPENS : 0;

    return opens | (mask & IN_DONT_FOLLOW ? AT_SYMLINK_NOFOLLOW : 0);
}

int rl_h_inotify_add_watch(int fd, const char *path, u32 mask)
{
    RL_INSIDE(here);
    char real[RL_PATH_MAX + 512];
    long r;
    int wd;

    if (!here || !path || fd < 0 || !is_inotify(fd)) /* the kernel knows which error */
        return inotify_add_watch(fd, path, mask);
    r = RL_CORE(here)->watch_path(path, watch_flags(mask), real, sizeof real);
    if (r < 0)
        return (int)rl_result(r);
    if (fd >= FDS)
        return inotify_add_watch(fd, real, mask);
    __atomic_fetch_or(&watching[fd / 64], 1ull << fd % 64, __ATOMIC_RELAXED);
    wd = inotify_add_watch(fd, real, rl_watch_mask(fd, mask));
    rl_watch_added(fd, wd, mask);
    return wd;
}

ssize_t rl_h_read(int fd, void *to, size_t size)
{
    ssize_t n;

    if ((unsigned)fd >= FDS || !(watching[fd / 64] >> fd % 64 & 1) || !is_inotify(fd))
        return read(fd, to, size);
    do
        n = read(fd, to, size);
    while (n > 0 && (n = rl_watch_events(fd, to, n)) == 0);
    return n;
}

ssize_t rl_h_read_chk(int fd, void *to, size_t size, size_t room)
{
    if (size > room)
        abort();
    return rl_h_read(fd, to, size);
}
