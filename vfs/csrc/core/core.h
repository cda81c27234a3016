/* The resolver core: it resolves the paths of a container and performs the operations on them.
 *
 * Users: the trap engine (vfs/csrc/trap) and the hook engine (vfs/csrc/hook). The core knows nothing of
 * signals, seccomp or processes.
 *
 * 1. Freestanding, x86_64 and aarch64 alike: no libc, no allocation other than mmap, no locks that a
 *    dead process can keep (file locks only).
 * 2. Every function returns >= 0 or -errno; a function that fails changes no state, apart from copy-ups.
 * 3. Path arguments are NUL-terminated strings in memory that the core may read; results are written to the caller's
 *    memory. Both belong to the engine: as with copy_from_user and copy_to_user, the engine copies from and to the
 *    program's memory and returns EFAULT.
 * 4. At most 48 KiB of stack, no unbounded recursion. Re-entrant: any thread, any number at once.
 * 5. The only way to the kernel is rl_sys(). A call may open descriptors temporarily (lock, hydrator, copies); none is
 *    open when a program's own descriptor is made, and none is leaked.
 */
#ifndef RL_CORE_H
#define RL_CORE_H

#include "../../../store/csrc/abi.h"

/* Data that is large, or that most processes do not need. The linker sorts by alignment, so these objects are
 * contiguous, and the data that every process writes shares a few pages; each page is a page fault in every program
 * that is started. */
#define RL_BULK __attribute__((aligned(64)))

/* ---- provided by the engine ------------------------------------------------------------------ */

/* A raw system call that is never trapped. Returns the kernel's value or -errno. */
long rl_sys(long nr, long a, long b, long c, long d, long e, long f);

/* The identity of the calling thread inside the container. The engine fills it and keeps it. */
struct rl_identity {
    union {
        struct {
            u32 uid, euid, suid, fsuid;
        };
        u32 uids[4]; /* the same: real, effective, saved, of file access */
    };
    union {
        struct {
            u32 gid, egid, sgid, fsgid;
        };
        u32 gids[4];
    };
    u32 groups; /* number of entries in group[] */
    u32 group[64];
    u32 umask; /* 0777 */
};
extern struct rl_identity rl_me;

/* ---- life ------------------------------------------------------------------------------------- */

/* Map the launch file's view and Bloom filters. `path` is a real path, which must stay valid. Once per process. Sets
 * the kernel's umask to 0: rl_me.umask is applied here, and a program's umask(2) must not reach the kernel. */
long rl_core_init(const char *launch_path);
void rl_make_mount_points(void); /* make the parents of all binds, as root; before the first program */
extern const struct rl_launch *rl_launch;
const char *rl_launch_str(struct rl_str s);
/* The place of the base of a view at `path`, if that is a delta, into out[RL_PATH_MAX + sizeof RL_DELTA_BASE]. 0: it is
 * too long. */
int rl_view_base(const char *path, char *out);

/* Set by an engine that can hydrate in its own process: called before the launch file's hydrator. */
#define RL_HYDRATE_ELSEWHERE 1
extern long (*rl_hydrate_here)(u32 id);

/* Set by an engine that knows it without a call: a number that no other process has whose memory is another; 0: not
 * known. */
extern u64 (*rl_memory_owner)(void);

/* Set by an engine that knows the identity that another process has inside the container. 0 or -errno. */
extern long (*rl_identity_of)(u64 pid, struct rl_identity *out);

/* What /proc/self/status shows of this process: capabilities, and those of the engine's signals that the program itself
 * catches or ignores. Set by an engine that knows it. */
struct rl_own_status {
    u64 permitted, effective, bounding;
    u64 engine, caught, ignored; /* masks of signals */
};
extern void (*rl_own_status)(struct rl_own_status *out);

/* ---- attributes -------------------------------------------------------------------------------- */

struct rl_attr {
    u64 dev, ino;
    u32 mode, nlink, uid, gid;
    u32 rdev_major, rdev_minor;
    u64 size, blocks; /* blocks of 512 bytes */
    u32 blksize;
    i64 atime_s, mtime_s, ctime_s, btime_s;
    u32 atime_ns, mtime_ns, ctime_ns, btime_ns;
    u32 has_btime;
};

/* flags: AT_SYMLINK_NOFOLLOW, AT_EMPTY_PATH, AT_NO_AUTOMOUNT */
long rl_stat(int dirfd, const char *path, int flags, struct rl_attr *out);
long rl_fstat(int fd, struct rl_attr *out);
long rl_access(int dirfd, const char *path, int mode, int flags);
long rl_readlink(int dirfd, const char *path, char *buf, size_t size);
/* `out` is a kernel struct statfs (120 bytes on x86_64). */
long rl_statfs(const char *path, void *out);

/* ---- opening ----------------------------------------------------------------------------------- */

/* An open may block (FIFO), so the engine makes the final call itself: prepare does all steps before it, the engine
 * opens (AT_FDCWD, o->real, o->flags, o->mode), finish sets the owner or cleans up. `fd` of finish may be -errno; it
 * returns the program's result. */
struct rl_open {
    int flags;
    unsigned mode;
    int done_fd;  /* >= 0: prepare has already opened it, do not call open */
    int regular;  /* certainly not a FIFO, whose open may block */
    const u64 *blocked; /* the calling thread's signal mask; NULL: the kernel knows it. The engine sets it */
    char real[RL_PATH_MAX + 512];
};
/* `resolve`: RESOLVE_* of openat2, 0 for open. */
long rl_open_prepare(int dirfd, const char *path, int flags, unsigned mode, u64 resolve, struct rl_open *o);
long rl_open_finish(struct rl_open *o, long fd);

/* ---- changing ---------------------------------------------------------------------------------- */

long rl_mkdir(int dirfd, const char *path, unsigned mode);
long rl_mknod(int dirfd, const char *path, unsigned mode, u64 dev);
long rl_symlink(const char *target, int dirfd, const char *path);
long rl_link(int olddirfd, const char *oldpath, int newdirfd, const char *newpath, int flags);
long rl_unlink(int dirfd, const char *path, int flags); /* AT_REMOVEDIR: rmdir */
long rl_rename(int olddirfd, const char *oldpath, int newdirfd, const char *newpath, unsigned flags);
long rl_truncate(const char *path, i64 size);

/* `path` may be NULL: then the object is the descriptor dirfd itself (fchmod, fchown, futimens, …). */
long rl_chmod(int dirfd, const char *path, unsigned mode, int flags);
long rl_chown(int dirfd, const char *path, u32 uid, u32 gid, int flags);
/* times: two struct timespec as utimensat(2) takes them, or NULL for now. */
long rl_utimens(int dirfd, const char *path, const i64 times[4], int flags);
/* `path` NULL: the descriptor; else relative to fd. flags: AT_SYMLINK_NOFOLLOW for the l-forms, AT_EMPTY_PATH. */
long rl_getxattr(int fd, const char *path, const char *name, void *value, size_t size, int flags);
long rl_listxattr(int fd, const char *path, char *list, size_t size, int flags);
long rl_setxattr(int fd, const char *path, const char *name, const void *value, size_t size, int xflags, int flags);
long rl_removexattr(int fd, const char *path, const char *name, int flags);

/* Removals that are only noted so far (change/writethrough.c) become whiteouts: those of all processes; or if this one has
 * noted some, before it ends. 0, or -errno: some are missing. */
long rl_removals_sync(void);
long rl_removals_settle(void);
/* The path of the removal map of the upper that has this filter. Length. */
long rl_removed_path(const char *bloom, u32 len, char *out, size_t size);

/* ---- directories ------------------------------------------------------------------------------- */

/* getdents64 on a descriptor: the merged listing, the kernel's own file position as its cursor. */
long rl_getdents64(int fd, void *buf, size_t size);
/* A descriptor that rl_getdents64 may know is being closed or replaced; harmless for any fd. */
void rl_forget_fd(int fd);
void rl_forget_lists(void); /* all of them; no other thread is in the core */
long rl_chdir(const char *path);
long rl_fchdir(int fd);
long rl_getcwd(char *buf, size_t size); /* returns length with NUL; -ERANGE; -ENOENT when removed */

/* The root of the process (root.c): its path in the container without a slash at the end; length 0: the container's
 * own. `allowed`: the caller may change it. */
extern char rl_root[];
extern u32 rl_root_len;
long rl_chroot(const char *path, int allowed);
long rl_root_set(const char *v); /* a path as rl_root; -EINVAL */
/* A path in the container, as the program knows it; a path outside its root is unchanged. */
const char *rl_below_root(const char *v);
long rl_show_name(char *v); /* the same in place; length */

/* A descriptor of a directory (by its view entry; RL_VIEW_ROOT: the whole) in the tree of a layer, for an engine that
 * keeps descriptors of those that are opened from often; negative: none. NULL: the engine keeps none. */
extern long (*rl_tree_descriptor)(u32 layer, u32 directory);
/* After an open by such a descriptor with the result r: r, or RL_MISS if it may have been another one. NULL: it never is. */
extern long (*rl_tree_descriptor_used)(long fd, long r);

/* Set by an engine that handles every chdir of the process: does its memory belong to one thread alone? */
extern int (*rl_cwd_alone)(void);
void rl_cwd_ask(void); /* from now on not every chdir is seen */

/* Set by an engine that may call openat2. */
extern int rl_has_openat2;

/* ---- fast path: the view alone (fastpath.c) -------------------------------------------------------- */

/* About 1 KiB of stack, nothing held, no system call but the open itself and one or two for a directory that a path is
 * relative to. RL_MISS: call the functions above. They try these first themselves. */
#define RL_MISS (-0x7fffffffffffffffL)
#define RL_STAT_BASIC 0x40000000 /* of the flags: the time of birth is not wanted */
long rl_fast_stat(int dirfd, const char *path, int flags, struct rl_attr *out);
long rl_fast_fstat(int fd, struct rl_attr *out);
/* A listing that fits into buf[size], or has reached its end. If it cannot be passed on: rl_fast_list_again(). */
long rl_fast_list(int fd, char *buf, size_t size);
void rl_fast_list_again(int fd);
long rl_fast_access(int dirfd, const char *path, int mode, int flags);
long rl_fast_readlink(int dirfd, const char *path, const char **text); /* length */
long rl_fast_open(int dirfd, const char *path, int flags, char *real, size_t size); /* real may be path's buffer */

/* Of descriptors of regular files whose attributes are cached: fchmod, fchown, futimens, and extended attributes, if
 * there are none. */
long rl_fast_fchmod(int fd, unsigned mode);
long rl_fast_fchown(int fd, u32 uid, u32 gid);
long rl_fast_futimens(int fd, const i64 *times);
long rl_fast_fgetxattr(int fd, const char *name);
long rl_fast_flistxattr(int fd);

/* ---- names for the engine ---------------------------------------------------------------------- */

/* A regular file for execution: resolved, permission checked (EACCES, ENOENT, …). */
struct rl_exec {
    struct rl_attr attr;
    u32 view; /* its entry in the view, or 0 */
    char real[RL_PATH_MAX + 512];
    char vpath[RL_PATH_MAX]; /* canonical virtual path */
};
long rl_exec_find(int dirfd, const char *path, int flags, struct rl_exec *out);
long rl_exec_open(const struct rl_exec *e); /* hydrates it if needed. A read-only descriptor */
/* Before it is started, by this process or by the next engine: then nobody can write it (running.c). */
void rl_running_note(const struct rl_attr *program);
long rl_exec_prepare(int dirfd, const char *path, int flags, struct rl_exec *out); /* found and hydrated */

/* A real path for the kernel to an existing object (inotify, AF_UNIX connect, …). It may be relative to the working
 * directory. */
long rl_real_path(int dirfd, const char *path, int flags, char *real, size_t size);
/* inotify (change/watch.c, change/events.c): a real path to watch, whose object is in the upper from now on if it can
 * be; the mask for the kernel; what the program has asked for; and the events that the program reads, of those in
 * buf[bytes] that the kernel has given: bytes, 0 if all were the engine's own. */
#define RL_WATCH_OPENS (1 << 30) /* with the flags: IN_OPEN, IN_ACCESS or IN_CLOSE_NOWRITE */
long rl_watch_path(const char *path, int flags, char *real, size_t size);
u32 rl_watch_mask(int fd, u32 mask);
void rl_watch_added(int fd, long wd, u32 mask);
long rl_watch_events(int fd, void *buf, long bytes);
/* The same, read from a descriptor that is ready, into buf[room], for a program whose buffer has `size` bytes. */
#define RL_EVENT_BYTES 272 /* of the longest event */
long rl_watch_read(int fd, u8 *buf, size_t room, size_t size);
void rl_watch_shared(int fd, int other); /* `other` is one more number of the same */
int rl_anything_watched(void);           /* in this container, ever */
/* For a name that the caller is about to make in the upper (AF_UNIX bind): its real path, with the parents copied up,
 * and the argument for rl_name_end(), which removes a whiteout and records the owner; -EADDRINUSE if the name exists.
 * In between the upper's lock is held. */
#define RL_NO_LOCK 0x7fffffff
long rl_name_begin(const char *path, char *real, size_t size);
long rl_name_end(const char *real, long lock, int made);

/* The path in the container of this real path, or its last one before it was removed; -ENOENT if it is not ours. */
long rl_virtual_path(const char *real, char *out, size_t size);

/* A file's handle (handle.c), for name_to_handle_at with its flags. The mount's number, or -errno. */
#define RL_HANDLE_MAX 128   /* MAX_HANDLE_SZ: more room than that is -EINVAL */
#define RL_HANDLE_BYTES 16  /* bytes after the head */
#define RL_HANDLE_HEAD 8
#define RL_HANDLE_TYPE 0x72 /* not one of the kernel's FILEID_* */
struct rl_handle {
    u32 bytes;
    i32 type;
    u64 dev, ino;
};
long rl_handle(int dirfd, const char *path, int flags, struct rl_handle *h);

/* The mappings of this process, without those of the engine's files. */
long rl_maps_each(void (*each)(u64 from, u64 to, void *data), void *data);

/* The path, inside the container, of this process's program image, for /proc/self/exe. */
extern const char *rl_exe_vpath;

#endif
