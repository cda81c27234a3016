/* Calls that glibc 2.17 does not export: raw, or under the name and version that it has. The library then loads in every
 * glibc since. tools/build_wheels.py checks the versions of all symbols. */
#ifndef RL_HOOK_BASELINE_H
#define RL_HOOK_BASELINE_H
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

/* Since 2.34 and 2.32 they have a second version, of the same function, in libc.so.6. */
#ifdef __x86_64__
#define RL_OLD(name) __asm__(".symver " #name "," #name "@GLIBC_2.2.5");
#else
#define RL_OLD(name) __asm__(".symver " #name "," #name "@GLIBC_2.17");
#endif
RL_OLD(dladdr)
RL_OLD(dlopen)
RL_OLD(dlsym)
RL_OLD(dlclose)
RL_OLD(pthread_key_create)
RL_OLD(pthread_setspecific)
RL_OLD(pthread_sigmask)
RL_OLD(forkpty)

struct statx;
static inline int raw_fstatat(int dir, const char *path, struct stat *st, int flags)
{
    return (int)syscall(SYS_newfstatat, dir, path, st, flags);
}
static inline int raw_fstat(int fd, struct stat *st) { return (int)syscall(SYS_fstat, fd, st); }
static inline int raw_mknodat(int dir, const char *path, mode_t mode, dev_t dev)
{
    return (int)syscall(SYS_mknodat, dir, path, mode, dev);
}
static inline int raw_statx(int dir, const char *path, int flags, unsigned mask, struct statx *sx)
{
    return (int)syscall(SYS_statx, dir, path, flags, mask, sx);
}
static inline int raw_renameat2(int from, const char *old, int to, const char *new, unsigned flags)
{
    return (int)syscall(SYS_renameat2, from, old, to, new, flags);
}
static inline ssize_t raw_getrandom(void *to, size_t n) { return syscall(SYS_getrandom, to, n, 0); }
static inline ssize_t raw_getdents64(int fd, void *to, size_t n) { return syscall(SYS_getdents64, fd, to, n); }
static inline int raw_close_range(unsigned first, unsigned last, int flags)
{
    return (int)syscall(SYS_close_range, first, last, flags);
}

#endif
