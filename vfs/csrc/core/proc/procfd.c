/* Listings of /proc/PID/fd and fdinfo without the descriptors that engines keep (trap/files/keptdirs.c).
 *
 * Such a descriptor is recognized by what it is, so that those of other processes are left out, too: its number is not
 * below the process's soft limit, it is O_PATH (its link shows no permission), and it is a directory in the tree of one of
 * this container's layers. */
#include "../internal.h"

#define RLIMIT_NOFILE_ 7

/* dir[0..len): the directory's path, with a slash. */
static int is_kept(const char *dir, u32 len, const char *name)
{
    char link[64], target[512];
    struct statx sx;
    if (len + strlen(name) >= sizeof link)
        return 0;
    memcpy(link, dir, len);
    rl_put(link + len, name);
    if (k_near(AT_FDCWD, link, AT_SYMLINK_NOFOLLOW, &sx) < 0 || (sx.stx_mode & 0777))
        return 0;
    long n = k_readlink(link, target, sizeof target - 1);
    if (n <= 0)
        return 0;
    target[n] = 0;
    return rl_classify(target, (u32)n).place == RL_PLACE_TREE;
}

/* Of a listing of `got` bytes: the bytes that are left. The path continues at real + rest. */
static long hide_kept(const char *real, u32 rest, char *buf, long got)
{
    static const char info[] = "/fdinfo";
    char dir[56];
    u64 pid, limit[2], n;
    const char *part = rl_proc_part(real + rest, &pid);
    size_t len = part ? (size_t)(part - real) : sizeof dir;
    if (len + sizeof info >= sizeof dir || !(rl_same(part, "/fd") || rl_same(part, info)) ||
        k4(__NR_prlimit64, (long)pid, RLIMIT_NOFILE_, 0, (long)limit) < 0)
        return got;
    memcpy(dir, real, len);
    rl_put(dir + len, "/fd/");
    long left = 0;
    for (long o = 0; o < got;) {
        struct rl_dirent *e = (void *)(buf + o);
        u32 bytes = e->reclen;
        const char *p = e->name;
        int kept = rl_number(&p, 10, &n) && n >= limit[0] && is_kept(dir, (u32)len + 4, e->name);
        o += bytes;
        if (kept)
            continue;
        memmove(buf + left, e, bytes);
        left += bytes;
    }
    return left;
}

long rl_proc_list(int fd, const char *real, const struct rl_real *at, char *buf, size_t size)
{
    long got, left;
    do {
        got = k_getdents(fd, buf, size);
        left = got > 0 && rl_bind(at->index).flags & RL_BIND_PROC ? hide_kept(real, at->rest, buf, got) : got;
    } while (got > 0 && !left);
    return left;
}
