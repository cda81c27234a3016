/* Real paths that are longer than the kernel's limit: a program's path may have PATH_MAX bytes, to which the layer's
 * path is prepended. A descriptor of a directory in the path replaces the first part.
 *
 * The kernel is called with the whole path first, so shorter paths cost nothing extra. */
#include "../internal.h"

#define STEP 3500 /* bytes of a path at a time */

/* A descriptor of a directory in the path, and the rest into *p. -ENAMETOOLONG: the path is not too long, but a name
 * is. */
static long on_the_way(long at, const char **p)
{
    if (strlen(*p) < RL_PATH_MAX)
        return -ENAMETOOLONG;
    char *part = rl_scratch_get(STEP + 1);
    if (!part)
        return -ENOMEM;
    long fd = -ENAMETOOLONG, last = at;
    while (strlen(*p) >= RL_PATH_MAX) {
        u32 n = STEP;
        while (n && (*p)[n] != '/')
            n--;
        fd = -ENAMETOOLONG;
        if (n) {
            memcpy(part, *p, n);
            part[n] = 0;
            fd = k4(__NR_openat, last, (long)part, O_PATH | O_DIRECTORY | O_CLOEXEC, 0);
        }
        if (last != at)
            k_close(last);
        if (fd < 0)
            break;
        last = fd;
        *p += n + 1;
    }
    rl_scratch_put(part, STEP + 1);
    return fd;
}

long rl_far(long nr, long at, const char *p, long c, long d, long e)
{
    long fd = on_the_way(at, &p);
    if (fd < 0)
        return fd;
    long r = rl_sys(nr, fd, (long)p, c, d, e, 0);
    if (nr == __NR_openat && r > fd && rl_sys(__NR_dup3, r, fd, c & O_CLOEXEC, 0, 0, 0) >= 0) {
        k_close(r); /* a program's descriptor is the lowest */
        return fd;
    }
    k_close(fd);
    return r;
}

long rl_far_symlink(const char *target, long at, const char *p)
{
    long fd = on_the_way(at, &p);
    if (fd < 0)
        return fd;
    long r = k4(__NR_symlinkat, (long)target, fd, (long)p, 0);
    k_close(fd);
    return r;
}

long rl_far_pair(long nr, long from, const char *a, long to, const char *b, long flags)
{
    long one = on_the_way(from, &a), two = on_the_way(to, &b), r = -ENAMETOOLONG;
    if (one < 0 && one != r)
        r = one;
    else if (two < 0 && two != r)
        r = two;
    else if (one >= 0 || two >= 0)
        r = rl_sys(nr, one >= 0 ? one : from, (long)a, two >= 0 ? two : to, (long)b, flags, 0);
    if (one >= 0)
        k_close(one);
    if (two >= 0)
        k_close(two);
    return r;
}

long rl_far_text(const char *real, char *text)
{
    long at = k_at(&real), fd = on_the_way(at, &real);
    if (fd >= 0)
        rl_put(rl_put(rl_put_u64(rl_put(text, "/proc/self/fd/"), (u64)fd, 10), "/"), real);
    return fd;
}

/* The name of the directory `fd` in its parent `up`, into out[RL_NAME_MAX + 1]. Length. */
static long name_in(long fd, long up, char *out, char *buf, size_t size)
{
    struct statx sx;
    long n, r = k_statx(fd, "", AT_EMPTY_PATH, &sx);
    while (r >= 0 && (n = k_getdents(up, buf, size)) > 0)
        for (long o = 0; o < n;) {
            const struct rl_dirent *e = (const void *)(buf + o);
            o += e->reclen;
            if (e->ino == sx.stx_ino && !rl_same(e->name, ".") && !rl_same(e->name, ".."))
                return rl_put(out, e->name) - out;
        }
    return r < 0 ? r : -ENOENT;
}

static long link_of(long fd, char *out, size_t size)
{
    char link[40];
    rl_put_u64(rl_put(link, "/proc/self/fd/"), (u64)fd, 10);
    return k_readlink(link, out, size);
}

struct climb {
    char tail[RL_REAL_MAX], name[RL_NAME_MAX + 1];
    char entries[4096] __attribute__((aligned(8)));
};

static long climb(struct climb *k, long fd, char *out, size_t size)
{
    u32 at = sizeof k->tail - 1;
    long up = k4(__NR_openat, fd, (long)"..", O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0), n = up, below = fd;
    k->tail[at] = 0;
    while (up >= 0) {
        n = name_in(below, up, k->name, k->entries, sizeof k->entries);
        if (below != fd)
            k_close(below);
        below = up;
        if (n < 0 || (u32)n + 1 > at)
            break;
        at -= (u32)n;
        memcpy(k->tail + at, k->name, (size_t)n);
        k->tail[--at] = '/';
        n = link_of(up, out, size);
        if (n != -ENAMETOOLONG)
            break;
        up = k4(__NR_openat, below, (long)"..", O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
        n = up;
    }
    if (below >= 0 && below != fd)
        k_close(below);
    u32 tail = (u32)sizeof k->tail - 1 - at;
    if (n < 0 || (size_t)n + tail >= size)
        return n < 0 ? n : -ENAMETOOLONG;
    memcpy(out + n, k->tail + at, tail + 1);
    return n + tail;
}

long rl_far_name(long fd, char *out, size_t size)
{
    struct climb *k = rl_scratch_get(sizeof *k);
    if (!k)
        return -ENOMEM;
    long n = climb(k, fd, out, size);
    rl_scratch_put(k, sizeof *k);
    return n == -ENOTDIR ? -ENAMETOOLONG : n; /* a file's directory cannot be found */
}
