/* A file of /proc as the program sees it: a copy in memory, with the lowest free number, like any other descriptor. */
#include "../internal.h"

#define MFD_CLOEXEC 1
#define MFD_NOEXEC_SEAL 8

long rl_procfile_begin(const char *name)
{
    long fd = k4(__NR_memfd_create, (long)name, MFD_CLOEXEC | MFD_NOEXEC_SEAL, 0, 0);
    return fd == -EINVAL ? k4(__NR_memfd_create, (long)name, MFD_CLOEXEC, 0, 0) : fd; /* before Linux 6.3 */
}

long rl_procfile_end(long fd, int flags)
{
    char name[32];
    rl_put_u64(rl_put(name, "/proc/self/fd/"), (u64)fd, 10);
    long r = k_open(name, O_RDONLY | (flags & O_CLOEXEC), 0), low;
    k_close(fd);
    if (r < 0)
        return r;
    low = k4(__NR_fcntl, r, flags & O_CLOEXEC ? F_DUPFD_CLOEXEC : F_DUPFD, 0, 0);
    if (low < 0 || low > r) {
        if (low >= 0)
            k_close(low);
        return r;
    }
    k_close(r);
    return low;
}
