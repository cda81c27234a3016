/* Descriptors of files that are not the container's, because they were opened outside. */
#include "hook.h"

int rl_outside(const struct rl_activation *here, int dirfd, const char *path)
{
    char link[40], real[PATH_MAX], name[RL_PATH_MAX];
    ssize_t n;

    if (dirfd < 0 || path[0] == '/')
        return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", dirfd);
    n = readlink(link, real, sizeof real - 1);
    if (n < 0)
        return 0;
    real[n] = 0;
    return real[0] != '/' || RL_CORE(here)->virtual_path(real, name, sizeof name) == -ENOENT;
}
