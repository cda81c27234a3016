/* The core as the hook engine calls it: one instance of the core's code and data for each container.
 *
 * The core keeps its state in plain variables: a process is in one container. A Python process may be in
 * several, so each has its own copy of `_hook_core.so` loaded (instance.c), and this is its table.
 */
#ifndef RL_HOOK_API_H
#define RL_HOOK_API_H

#include "../core/core.h"

#define RL_CORE_CALLS(X)                                                                                              \
    X(stat) X(fstat) X(access) X(readlink) X(statfs) X(open_prepare) X(open_finish) X(mkdir) X(mknod) X(symlink)       \
    X(link) X(unlink) X(rename) X(truncate) X(chmod) X(chown) X(utimens) X(getxattr) X(listxattr) X(setxattr)          \
    X(removexattr) X(getdents64) X(chdir) X(fchdir) X(getcwd) X(handle) X(fast_stat) X(exec_prepare) X(real_path)               \
    X(name_begin) X(name_end) X(virtual_path) X(watch_path)

/* What an instance asks its process for. */
struct rl_host {
    long (*working_directory)(long nr, long path_or_fd); /* chdir(real), fchdir(fd); nr 0: the descriptor */
    long (*hydrate)(u32 entry, void *who);               /* or NULL */
    void *who;
    long (*descriptor)(long fd, int keep); /* move it to a reserved number, or -1; keep 0: close a reserved one */
};

#define RL_CORE_MEMBER(name) __typeof__(&rl_##name) name;
struct rl_core {
    long (*init)(const char *launch_path);
    void (*done)(void); /* as before init; no thread may be in the core */
    struct rl_identity *me;
    const char *(*alias)(void); /* a short link to the upper, to make if it is missing, or "" */
    const char *(*upper)(void);
    struct rl_host *host; /* set it before init */
    RL_CORE_CALLS(RL_CORE_MEMBER)
};

#endif
