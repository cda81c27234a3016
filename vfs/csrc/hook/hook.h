/* Declarations shared by the files of the hook engine.
 *
 * The life of one open() inside an activation: the caller's GOT entry holds rl_h_open (slots.c put it there);
 * rl_enter() finds the activation of the calling thread (scope.c); if there is none, libc's open() is called as usual.
 * Otherwise the container's own copy of the core (instance.c, api.h) resolves the path, and the hook acts on the result
 * as libc's function would.
 *
 * 1. libc's functions are called by name: this library's own GOT is never changed.
 * 2. A hook keeps errno's rules: set on failure, untouched on success.
 * 3. Host paths that are visible inside, the interpreter's files for example, are binds of the launch file: the core
 *    handles them like all others. Descriptors that were opened outside, and names relative to them, are left to libc
 *    (outside.c).
 * 4. A core is unmapped only when no thread is in it: rl_enter() marks the thread, rl_leave() clears it.
 */
#ifndef RL_HOOK_H
#define RL_HOOK_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#pragma GCC visibility push(hidden)
#include "api.h"
#include "baseline.h"

#define RL_PUBLIC __attribute__((visibility("default"), used))

/* ---- containers and activations (scope.c) -------------------------------------------------------- */

/* One container as one user: the state that its activations share. */
struct rl_container {
    const struct rl_core *core; /* after close: a core that returns ESTALE from every call */
    char *engine, *launch;  /* of programs that are started inside; NULL: not made yet */
    int (*prepare)(void);   /* makes them, and starts their hydrator: 0 or -errno. Takes Python's lock. */
    struct rl_container *next;
};

struct rl_activation {
    struct rl_container *box;
    int cwd; /* an O_PATH descriptor of the real directory; its number stays, chdir() replaces what it refers to */
};

struct rl_thread {
    void *context;      /* the Python context for which `here` was found: a reference is held */
    unsigned generation;
    struct rl_activation *here;
    struct rl_activation *now;        /* of the last rl_enter() */
    struct rl_container *volatile busy; /* in its core now */
    int bypass;                   /* > 0: outside, whatever the context says */
    struct rl_container *owner;         /* of the descriptors that are opened now: not the program's */
    int native;                   /* unknown to Python */
    int gone;                     /* the thread has ended */
    struct rl_thread *next;
};

struct rl_activation *rl_enter(void); /* NULL: outside */
void rl_leave(struct rl_activation **here);
#define RL_INSIDE(name) __attribute__((cleanup(rl_leave))) struct rl_activation *name = rl_enter()
#define RL_CORE(here) ((here)->box->core)
struct rl_thread *rl_thread(void);
void rl_fence_threads(void); /* a full barrier: this thread's writes are visible to all others, and theirs to it */
int rl_busy(const struct rl_container *box); /* is another thread in its core? */
void rl_note_umask(unsigned mask);

/* ---- reservedfds.c ------------------------------------------------------------------------------------ */

#define RL_PRIVATE_MAX 4096 /* maximum number of our descriptors */

void rl_reservedfd_init(void);
int rl_reservedfd(int fd); /* 1: ours; no program may close it */
/* The same file under a number of ours; the descriptor itself, if none is free. */
int rl_reservedfd_keep(struct rl_container *box, int fd);
int rl_kept(int fd); /* a new descriptor: moved if it is a box's, see rl_thread.owner */
void rl_reservedfd_forget(int fd);
void rl_reservedfd_end(const struct rl_container *box);
RL_PUBLIC void rl_hook_public(int fd);
extern int rl_lowest_private;

/* ---- outside.c ----------------------------------------------------------------------------------- */

/* Is the path relative to a descriptor that is not of the container? */
ssize_t rl_fd_name(int fd, char *out, size_t size); /* of its file outside, cut to the room: length, or -1 */
int rl_outside(const struct rl_activation *here, int dirfd, const char *path);

/* ---- results -------------------------------------------------------------------------------------- */

static inline long rl_result(long r)
{
    if (r >= 0)
        return r;
    errno = (int)-r;
    return -1;
}

static inline int rl_fail(int error)
{
    errno = error;
    return -1;
}

/* The body of a hook with a path argument. `real`: libc's call. */
#define RL_BY_NAME(dirfd, path, real, inside)                                                                         \
    RL_INSIDE(here);                                                                                                  \
    if (!here || !(path))                                                                                             \
        return real;                                                                                                  \
    long r_ = inside;                                                                                                 \
    if (r_ == -ENOENT && rl_outside(here, dirfd, path))                                                               \
        return real;                                                                                                  \
    return rl_result(r_)

/* ---- files.c, dirs.c, … : used by more than one file ----------------------------------------------- */

long rl_open_inside(struct rl_activation *here, int dirfd, const char *path, int flags, unsigned mode);
int rl_prepare(struct rl_activation *here); /* before a process is made: allows it to start programs. 0, or errno */
extern int rl_first_process;            /* the one that loaded the engine */
extern volatile int rl_process;         /* our process ID: another one means a child of vfork() */
int rl_open_streams(void); /* our open directory streams */

int rl_h_mkdir(const char *path, mode_t mode);
int rl_h_open(const char *path, int flags, ...);
int rl_h_openat(int dirfd, const char *path, int flags, ...);
int rl_h_statx(int dirfd, const char *path, int flags, unsigned mask, struct statx *sx);
int rl_h_fstatat(int dirfd, const char *path, struct stat *st, int flags);
int rl_h_name_to_handle_at(int dirfd, const char *path, struct file_handle *out, int *mount, int flags);
int rl_h_faccessat(int dirfd, const char *path, int mode, int flags);
int rl_h_renameat2(int from, const char *old, int to, const char *new, unsigned flags);
ssize_t rl_h_getdents64(int fd, void *buffer, size_t bytes);
FILE *rl_h_fopen(const char *path, const char *mode);

/* ---- slots.c, table.c ------------------------------------------------------------------------------ */

void *rl_hook_for(const char *symbol); /* NULL: not hooked */
void rl_slots_follow(void);            /* libraries may have been loaded: patch the new ones */
extern volatile int rl_installed;

/* Around fork(), in each file that has a lock: another thread may hold it. */
enum rl_fork { RL_BEFORE_FORK, RL_IN_PARENT, RL_IN_CHILD };
void rl_fork_lock(pthread_mutex_t *lock, enum rl_fork when);
void rl_containers_fork(enum rl_fork when);
void rl_slots_fork(enum rl_fork when);
RL_PUBLIC int rl_hook_alive(void); /* activations that some context knows */

#pragma GCC visibility pop

#endif
