/* Development only: prefix on one plain directory. */
#include <asm/stat.h>
#include <linux/stat.h>
#include "engine.h"
const struct rl_launch *rl_launch;
char rl_exe_vpath[RL_PATH_MAX];
static const char *root;
const char *rl_launch_str(struct rl_str s) { return (const char *)rl_launch + s.off; }
long rl_core_init(const char *p)
{
    long fd = rl_sys3(__NR_open, (long)p, 02000000, 0), m;
    if (fd < 0) return fd;
    m = rl_sys(__NR_mmap, 0, 65536, 1, 2, fd, 0);
    rl_sys1(__NR_close, fd);
    if (m < 0) return m;
    rl_launch = (void *)m;
    root = rl_launch_str(((struct rl_launch_dir *)((char *)m + rl_launch->off_dirs))->path);
    return 0;
}
static const char *real(const char *p, char *b)
{
    if (*p != '/' || rl_text_starts(p, "/proc") || rl_text_starts(p, "/dev") || rl_text_starts(p, "/sys")) { if (b != p) rl_put_text(b, p); return b; }
    rl_put_text(rl_put_text(b, root), p);
    return b;
}
#define R char b[5000]; path = path ? real(path, b) : path
static void attr(struct stat *s, struct rl_attr *a)
{
    memset(a, 0, sizeof *a);
    a->dev = s->st_dev; a->ino = s->st_ino; a->mode = s->st_mode; a->nlink = s->st_nlink; a->uid = s->st_uid; a->gid = s->st_gid;
    a->rdev_major = s->st_rdev >> 8; a->rdev_minor = s->st_rdev & 255; a->size = s->st_size; a->blocks = s->st_blocks; a->blksize = s->st_blksize;
    a->atime_s = s->st_atime; a->mtime_s = s->st_mtime; a->ctime_s = s->st_ctime; a->mtime_ns = s->st_mtime_nsec;
}
long rl_stat(int d, const char *path, int f, struct rl_attr *o) { R; struct stat s; long r = rl_sys4(__NR_newfstatat, d, (long)path, (long)&s, f); if (r >= 0) attr(&s, o); return r; }
long rl_fstat(int d, struct rl_attr *o) { struct stat s; long r = rl_sys2(__NR_fstat, d, (long)&s); if (r >= 0) attr(&s, o); return r; }
long rl_access(int d, const char *path, int m, int f) { R; return rl_sys4(__NR_faccessat2, d, (long)path, m, f); }
long rl_readlink(int d, const char *path, char *o, size_t n) { R; return rl_sys4(__NR_readlinkat, d, (long)path, (long)o, n); }
long rl_statfs(const char *path, void *o) { R; return rl_sys2(__NR_statfs, (long)path, (long)o); }
long rl_open_prepare(int d, const char *path, int f, unsigned m, u64 res, struct rl_open *o)
{
    (void)res; o->done_fd = -1; o->flags = f; o->mode = m; real(path, o->real);
    if (d != RL_AT_FDCWD && *path != '/') o->done_fd = rl_sys4(__NR_openat, d, (long)path, f, m);
    return o->done_fd < -1 ? o->done_fd : 0;
}
long rl_open_finish(struct rl_open *o, long fd) { (void)o; return fd; }
long rl_mkdir(int d, const char *path, unsigned m) { R; return rl_sys3(__NR_mkdirat, d, (long)path, m); }
long rl_mknod(int d, const char *path, unsigned m, u64 v) { R; return rl_sys4(__NR_mknodat, d, (long)path, m, v); }
long rl_symlink(const char *t, int d, const char *path) { R; return rl_sys3(__NR_symlinkat, (long)t, d, (long)path); }
long rl_link(int d, const char *path, int e, const char *q, int f) { R; char c[5000]; return rl_sys(__NR_linkat, d, (long)path, e, (long)real(q, c), f, 0); }
long rl_unlink(int d, const char *path, int f) { R; return rl_sys3(__NR_unlinkat, d, (long)path, f); }
long rl_rename(int d, const char *path, int e, const char *q, unsigned f) { R; char c[5000]; return rl_sys(__NR_renameat2, d, (long)path, e, (long)real(q, c), f, 0); }
long rl_truncate(const char *path, i64 n) { R; return rl_sys2(__NR_truncate, (long)path, n); }
long rl_chmod(int d, const char *path, unsigned m, int f) { R; (void)f; return path ? rl_sys3(__NR_fchmodat, d, (long)path, m) : rl_sys2(__NR_fchmod, d, m); }
long rl_chown(int d, const char *path, u32 u, u32 g, int f) { R; return path ? rl_sys(__NR_fchownat, d, (long)path, u, g, f, 0) : rl_sys3(__NR_fchown, d, u, g); }
long rl_utimens(int d, const char *path, const i64 t[4], int f) { R; return rl_sys4(__NR_utimensat, d, (long)path, (long)t, f); }
long rl_getxattr(int d, const char *path, const char *n, void *v, size_t s, int f) { (void)d; (void)path; (void)n; (void)v; (void)s; (void)f; return -ENODATA; }
long rl_listxattr(int d, const char *path, char *v, size_t s, int f) { (void)d; (void)path; (void)v; (void)s; (void)f; return 0; }
long rl_setxattr(int d, const char *path, const char *n, const void *v, size_t s, int x, int f) { (void)d; (void)path; (void)n; (void)v; (void)s; (void)f; (void)x; return -EOPNOTSUPP; }
long rl_removexattr(int d, const char *path, const char *n, int f) { (void)d; (void)path; (void)n; (void)f; return -ENODATA; }
long rl_getdents64(int fd, void *b, size_t n) { return rl_sys3(__NR_getdents64, fd, (long)b, n); }
long rl_chdir(const char *path) { R; return rl_sys1(__NR_chdir, (long)path); }
long rl_fchdir(int fd) { return rl_sys1(__NR_fchdir, fd); }
long rl_virtual_path(const char *r, char *o, size_t n) { (void)n; size_t k = strlen(root); if (!rl_text_starts(r, root)) { rl_put_text(o, r); return rl_text_starts(r, "/proc") || rl_text_starts(r, "/dev") ? 0 : -ENOENT; } rl_put_text(o, r[k] ? r + k : "/"); return 0; }
long rl_getcwd(char *b, size_t n) { char t[5000]; long r = rl_sys2(__NR_getcwd, (long)t, 4096); if (r < 0) return r; if (rl_virtual_path(t, t, 0) < 0) rl_put_text(t, "/"); r = strlen(t) + 1; if ((size_t)r > n) return -ERANGE; memcpy(b, t, r); return r; }
long rl_exec_prepare(int d, const char *path, int f, struct rl_exec *o)
{
    char t[5000];
    long fd, n; (void)f;
    if (*path == '/' || d == RL_AT_FDCWD) fd = rl_sys3(__NR_open, (long)real(path, t), 012000000, 0); else fd = rl_sys4(__NR_openat, d, (long)(*path ? path : "."), 012000000, 0);
    if (fd < 0) return fd;
    rl_put_number(rl_put_text(t, "/proc/self/fd/"), fd, 10);
    n = rl_sys3(__NR_readlink, (long)t, (long)o->real, 4095); rl_sys1(__NR_close, fd);
    o->real[n] = 0;
    n = rl_sys2(__NR_access, (long)o->real, 1);
    if (n < 0) return n;
    return rl_virtual_path(o->real, o->vpath, 0);
}
long rl_real_path(int d, const char *path, int f, int c, char *o, size_t n) { (void)d; (void)f; (void)c; (void)n; real(path, o); return 0; }
long rl_created(const char *r) { (void)r; return 0; }
