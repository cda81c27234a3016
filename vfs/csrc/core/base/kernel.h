/* The kernel's interface as the core uses it: constants and thin wrappers over rl_sys().
 *
 * Only system calls that x86_64 and aarch64 both have (the *at forms, statx).
 */
#ifndef RL_KERNEL_H
#define RL_KERNEL_H

#include <asm/unistd.h>
#include <linux/errno.h>
#include <linux/fcntl.h>
#include <linux/fs.h>
#include <linux/mman.h>
#include <linux/stat.h>

#include "../core.h"

#define RL_R_OK 4 /* of access(2), and UTIME_NOW: the kernel's headers do not have them */
#define RL_W_OK 2
#define RL_X_OK 1
#define UTIME_NOW_ ((1 << 30) - 1)
#define UTIME_OMIT_ ((1 << 30) - 2)
#define RL_SET_ID 06000u /* never on a real file: it would be a set-id program for all users of the machine */
#define RL_STATX_ALL 0xfffu /* basic fields and btime */

#define RL_REAL_MAX (RL_PATH_MAX + 512) /* a layer's path and a virtual path */

/* st_dev as stat(2) shows it. */
static inline u64 rl_makedev(u32 major, u32 minor)
{
    return (u64)(major & 0xfff) << 8 | (u64)(major & ~0xfffu) << 32 | (minor & 0xff) | (u64)(minor & ~0xffu) << 12;
}
static inline int rl_isdir(u32 mode) { return (mode & S_IFMT) == S_IFDIR; }
static inline int rl_isreg(u32 mode) { return (mode & S_IFMT) == S_IFREG; }
static inline int rl_islnk(u32 mode) { return (mode & S_IFMT) == S_IFLNK; }

/* Is this name one of a directory itself or of its parent? RL_ROOT: of a path only, that of the root. */
enum rl_dots { RL_NO_DOTS, RL_DOT, RL_DOT_DOT, RL_ROOT };
static inline enum rl_dots rl_dots(const char *name, u32 n)
{
    return name[0] != '.' ? RL_NO_DOTS : n == 1 ? RL_DOT : n == 2 && name[1] == '.' ? RL_DOT_DOT : RL_NO_DOTS;
}

static inline long k4(long nr, long a, long b, long c, long d) { return rl_sys(nr, a, b, c, d, 0, 0); }

/* Real paths may begin at a descriptor (at.c): that descriptor; the rest is stored in *p. */
#define RL_AT '\1'
long rl_at(const char **p);
static inline long k_at(const char **p) { return **p == RL_AT ? rl_at(p) : AT_FDCWD; }

/* Without a path, or with a short one: the fast path's stack (fastpath.c) has no room for more. */
static inline long k_near(long fd, const char *p, int flags, struct statx *sx)
{
    return rl_sys(__NR_statx, fd, (long)p, flags | AT_NO_AUTOMOUNT, RL_STATX_ALL, (long)sx, 0);
}
/* The same without the time of birth, which ext4 keeps in a part of the inode that nothing else needs. */
static inline long k_near_basic(long fd, const char *p, int flags, struct statx *sx)
{
    return rl_sys(__NR_statx, fd, (long)p, flags | AT_NO_AUTOMOUNT, STATX_BASIC_STATS, (long)sx, 0);
}

/* A call whose path is longer than the kernel's limit (far.c). */
long rl_far(long nr, long at, const char *p, long c, long d, long e);
long rl_far_symlink(const char *target, long at, const char *p);
long rl_far_pair(long nr, long from, const char *a, long to, const char *b, long flags);

static inline long k_path(long nr, long at, const char *p, long c, long d, long e)
{
    if (*p == RL_AT)
        at = rl_at(&p);
    long r = rl_sys(nr, at, (long)p, c, d, e, 0);
    return r == -ENAMETOOLONG ? rl_far(nr, at, p, c, d, e) : r;
}
static inline long k_pair(long nr, const char *a, const char *b, long flags)
{
    long from = k_at(&a), to = k_at(&b), r = rl_sys(nr, from, (long)a, to, (long)b, flags, 0);
    return r == -ENAMETOOLONG ? rl_far_pair(nr, from, a, to, b, flags) : r;
}

static inline long k_open(const char *p, int flags, unsigned mode)
{
    return k_path(__NR_openat, AT_FDCWD, p, flags, mode & ~RL_SET_ID, 0);
}
static inline long k_close(long fd) { return k4(__NR_close, fd, 0, 0, 0); }
static inline long k_read(long fd, void *b, size_t n) { return k4(__NR_read, fd, (long)b, (long)n, 0); }
static inline long k_write(long fd, const void *b, size_t n) { return k4(__NR_write, fd, (long)b, (long)n, 0); }
static inline long k_statx(long fd, const char *p, int flags, struct statx *sx)
{
    return k_path(__NR_statx, fd, p, flags | AT_NO_AUTOMOUNT, RL_STATX_ALL, (long)sx);
}
static inline long k_lstat(const char *p, struct statx *sx) { return k_statx(AT_FDCWD, p, AT_SYMLINK_NOFOLLOW, sx); }
static inline long k_readlink(const char *p, char *b, size_t n)
{
    return k_path(__NR_readlinkat, AT_FDCWD, p, (long)b, (long)n, 0);
}
/* Does a mark (any object of this name, not followed) exist? An error other than absence counts as no. */
static inline int k_exists(const char *p)
{
    char one[1];
    long r = k_readlink(p, one, 1);
    return r >= 0 || r == -EINVAL;
}
static inline long k_mkdir(const char *p, unsigned mode)
{
    return k_path(__NR_mkdirat, AT_FDCWD, p, mode & ~RL_SET_ID, 0, 0);
}
static inline long k_mknod(const char *p, unsigned mode, u64 dev)
{
    return k_path(__NR_mknodat, AT_FDCWD, p, mode & ~RL_SET_ID, (long)dev, 0);
}
static inline long k_symlink(const char *target, const char *p)
{
    long at = k_at(&p), r = k4(__NR_symlinkat, (long)target, at, (long)p, 0);
    return r == -ENAMETOOLONG ? rl_far_symlink(target, at, p) : r;
}
static inline long k_link(const char *a, const char *b, int flags)
{
    return k_pair(__NR_linkat, a, b, flags);
}
static inline long k_unlink(const char *p, int flags)
{
    return k_path(__NR_unlinkat, AT_FDCWD, p, flags, 0, 0);
}
static inline long k_rename(const char *a, const char *b, unsigned flags)
{
    return k_pair(__NR_renameat2, a, b, flags);
}
static inline long k_chmod(const char *p, unsigned mode)
{
    return k_path(__NR_fchmodat, AT_FDCWD, p, mode & ~RL_SET_ID, 0, 0);
}
static inline long k_utimens(long fd, const char *p, const i64 *times, int flags)
{
    if (p)
        return k_path(__NR_utimensat, fd, p, (long)times, flags, 0);
    return k4(__NR_utimensat, fd, (long)p, (long)times, flags);
}
static inline long k_getdents(long fd, void *b, size_t n) { return k4(__NR_getdents64, fd, (long)b, (long)n, 0); }
static inline void *k_mmap(size_t n)
{
    long r = rl_sys(__NR_mmap, 0, (long)n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return r < 0 && r > -4096 ? NULL : (void *)r;
}
static inline void k_munmap(void *p, size_t n) { k4(__NR_munmap, (long)p, (long)n, 0, 0); }

struct rl_dirent {
    u64 ino;
    i64 off;
    u16 reclen;
    u8 type;
    char name[];
};
#define RL_DIRENT_HEAD 19 /* bytes before the name */

#endif
