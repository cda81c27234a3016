/* Real paths that are longer than the kernel's limit: a program's path may have PATH_MAX bytes, to which the layer's
 * path is prepended. A descriptor of a directory in the path replaces the first part. (Longer ones: deep.c.)
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
