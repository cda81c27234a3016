/* Descriptors of files that are not the container's, because they were opened outside. */
#include "hook.h"

ssize_t rl_fd_name(int fd, char *out, size_t size)
{
    char link[40];
    ssize_t n;

    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    n = readlink(link, out, size - 1);
    out[n < 0 ? 0 : n] = 0;
    return n;
}

int rl_outside(const struct rl_activation *here, int dirfd, const char *path)
{
    char real[PATH_MAX], name[RL_PATH_MAX];

    if (dirfd < 0 || path[0] == '/' || rl_fd_name(dirfd, real, sizeof real) < 0)
        return 0;
    return real[0] != '/' || RL_CORE(here)->virtual_path(real, name, sizeof name) == -ENOENT;
}
