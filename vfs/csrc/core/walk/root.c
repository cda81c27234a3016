/* The root that a program has chosen (chroot): a directory of the container, by its path there.
 *
 * 1. An absolute path, and a link with one, starts there; `..` does not leave it. A directory outside that is still
 *    open, or that is the working directory, can be left upwards, as on Linux.
 * 2. Names that the program gets (getcwd, links of /proc, sockets) are without it.
 * 3. Inside the core a path counts from the container's own root: RL_WHOLE.
 * 4. It is a name, not an inode: after the directory is renamed, the root does not exist any more. */
#include "../internal.h"

char rl_root[RL_PATH_MAX] RL_BULK;
u32 rl_root_len;

int rl_is_root(const char *v, u32 len)
{
    return len == rl_root_len && !memcmp(v, rl_root, len);
}

const char *rl_below_root(const char *v)
{
    if (!rl_root_len || !rl_begins(v, rl_root))
        return v;
    const char *rest = v + rl_root_len;
    return *rest == '/' ? rest : *rest ? v : "/";
}

long rl_show_name(char *v)
{
    const char *rest = rl_below_root(v);
    size_t n = strlen(rest);
    if (rest != v)
        memmove(v, rest, n + 1);
    return (long)n;
}

long rl_root_set(const char *v)
{
    size_t n = strlen(v);
    if (n >= RL_PATH_MAX || (n && v[0] != '/'))
        return -EINVAL;
    rl_root_len = 0;
    memcpy(rl_root, v, n + 1);
    rl_root_len = (u32)n;
    return 0;
}

long rl_chroot(const char *path, int allowed)
{
    struct rl_scratch s;
    struct rl_walk w;
    rl_walk_start(&w, &s);
    long r = rl_resolve_directory(&w, path);
    if (r >= 0 && !allowed)
        r = -EPERM;
    w.v[w.vlen] = 0;
    if (r >= 0)
        r = w.vlen < RL_PATH_MAX ? rl_root_set(w.v) : -ENAMETOOLONG;
    rl_done(&w);
    return r;
}
