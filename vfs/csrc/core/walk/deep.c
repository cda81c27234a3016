/* Paths that are longer than PATH_MAX: a program reaches them by its working directory and by descriptors, as on Linux.
 *
 * 1. A walk's path is in the walk itself. A longer one is in memory of its own (struct rl_deep), which the walk gets when
 *    it needs it and releases at its end: short paths cost nothing.
 * 2. A real path that is too long for a buffer begins at a descriptor of a directory in it (rl_far_join()). Descriptors
 *    are kept for the rest of the walk: the next name is mostly in the same part.
 * 3. Such a directory of the upper has a descriptor anyway (at.c): `..` continues at the descriptor of its parent.
 * docs/adr/0026-paths-deeper-than-path-max.md */
#include "../internal.h"

#define STRIDE 2048
#define PART 3500 /* bytes of a path at a time */
#define KEPT 4
#define HIGH 500 /* a program's own descriptor is the lowest free one */
#define AT_BYTES 16

struct far {
    u32 at;   /* bytes of the text before the rest */
    u64 hash; /* of the root and that text */
    i32 fd; /* -1: none */
};

struct rl_deep {
    i32 up; /* rule 3, or -1 */
    u32 turn;
    struct far far[KEPT];
    char root[AT_BYTES]; /* w->at */
    char v[RL_DEEP_MAX];
};

static long high(long fd)
{
    long r = fd < 0 ? fd : k4(__NR_fcntl, fd, F_DUPFD_CLOEXEC, HIGH, 0);
    if (r < 0) /* the program's limit is lower, or it is an error */
        return fd;
    k_close(fd);
    return r;
}

long rl_deep_room(struct rl_walk *w, u32 bytes)
{
    if (bytes <= (w->deep ? RL_DEEP_MAX : RL_PATH_MAX))
        return 0;
    if (w->deep || bytes > RL_DEEP_MAX)
        return -ENAMETOOLONG;
    struct rl_deep *d = rl_scratch_get(sizeof *d);
    if (!d)
        return -ENOMEM;
    d->up = -1;
    d->turn = 0;
    for (u32 i = 0; i < KEPT; i++)
        d->far[i].fd = -1;
    memcpy(d->v, w->near, sizeof w->near);
    w->v = d->v;
    w->deep = d;
    return 0;
}

static void close_one(i32 *fd)
{
    if (*fd >= 0)
        k_close(*fd);
    *fd = -1;
}

void rl_deep_end(struct rl_walk *w)
{
    struct rl_deep *d = w->deep;
    if (w->at >= 0 && w->at == d->up)
        w->at = RL_NO_AT;
    close_one(&d->up);
    for (u32 i = 0; i < KEPT; i++)
        close_one(&d->far[i].fd);
    memcpy(w->near, d->v, sizeof w->near);
    w->v = w->near;
    w->deep = NULL;
    rl_scratch_put(d, sizeof *d);
}

long rl_deep_open(struct rl_walk *w, const char *real)
{
    long r = rl_deep_room(w, RL_PATH_MAX + 1);
    i32 fd = r < 0 ? (i32)r : (i32)high(k_open(real, O_PATH | O_DIRECTORY | O_CLOEXEC, 0));
    if (r < 0 || fd < 0)
        return fd;
    close_one(&w->deep->up);
    w->at = RL_NO_AT;
    return w->deep->up = fd;
}

void rl_deep_up(struct rl_walk *w, u32 len)
{
    i32 *up = &w->deep->up;
    i32 fd = (i32)high(k4(__NR_openat, w->at, (long)"..", O_PATH | O_DIRECTORY | O_CLOEXEC, 0));
    close_one(up);
    *up = fd;
    w->at = fd < 0 ? RL_NO_AT : fd;
    w->at_len = len;
}

/* The directory root + text[0..n); `root` may begin at a descriptor, `part` has room for PART bytes. */
static long open_far(const char *root, const char *text, u32 n, char *part)
{
    long fd = k_open(root[0] ? root : "/", O_PATH | O_DIRECTORY | O_CLOEXEC, 0);
    for (u32 at = 0, end; fd >= 0 && at < n; at = end) {
        end = n - at <= PART ? n : at + PART;
        while (end < n && text[end] != '/')
            end--;
        memcpy(part, text + at + 1, end - at - 1);
        part[end - at - 1] = 0;
        long next = k4(__NR_openat, fd, (long)part, O_PATH | O_DIRECTORY | O_CLOEXEC, 0);
        k_close(fd);
        fd = next;
    }
    return high(fd);
}

static long far_directory(struct rl_deep *d, const char *root, const char *text, u32 n, char *part)
{
    u64 hash = rl_fnv(rl_fnv(RL_FNV_START, root, (u32)strlen(root)), text, n);
    for (u32 i = 0; i < KEPT; i++)
        if (d->far[i].fd >= 0 && d->far[i].at == n && d->far[i].hash == hash)
            return d->far[i].fd;
    long fd = open_far(root, text, n, part);
    if (fd < 0)
        return fd;
    struct far *f = &d->far[d->turn++ % KEPT];
    close_one(&f->fd);
    *f = (struct far){n, hash, (i32)fd};
    return fd;
}

long rl_far_join(const struct rl_walk *walk, const char *root, const char *text, u32 n, char *out)
{
    struct rl_walk *w = (struct rl_walk *)walk; /* its own path is the same afterwards */
    u32 at = n > RL_NAME_MAX + 1 ? (n - RL_NAME_MAX - 1) / STRIDE * STRIDE : 0;
    while (at && text[at] != '/')
        at--;
    int own = text >= w->near && text < w->near + sizeof w->near;
    long fd = rl_deep_room(w, RL_PATH_MAX + 1);
    if (fd < 0)
        return fd;
    if (own)
        text = w->v + (text - w->near);
    if (!root)
        rl_put_at(w, w->deep->root);
    fd = far_directory(w->deep, root ? root : w->deep->root, text, at, out);
    if (fd < 0)
        return fd;
    *out = RL_AT;
    char *p = rl_put(rl_put_u64(out + 1, (u64)fd, 10), "/");
    memcpy(p, text + at + 1, n - at);
    p[n - at - 1] = 0;
    return p + n - at - 1 - out;
}
