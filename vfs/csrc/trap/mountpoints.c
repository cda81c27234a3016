/* The directories that lead to a bind: a container has them, whatever its image has (Docker makes them too, and shows
 * them in diff). The mount point itself needs no object: the core shows the bind there. */
#include "engine.h"

void rl_make_mount_points(void)
{
    static char path[RL_PATH_MAX] RL_BULK;
    const struct rl_launch_bind *bind = (const void *)((const char *)rl_launch + rl_launch->off_binds);
    struct rl_identity caller = rl_me;

    rl_me = (struct rl_identity){.umask = 022}; /* root's, whoever the program runs as */
    for (u32 i = 0; i < rl_launch->binds; i++) {
        if (bind[i].vpath.len >= sizeof path)
            continue;
        memcpy(path, rl_launch_str(bind[i].vpath), bind[i].vpath.len + 1);
        for (char *p = path + 1; *p; p++)
            if (*p == '/') {
                *p = 0;
                rl_mkdir(RL_AT_FDCWD, path, 0755); /* EEXIST mostly; what fails shows when the bind is used */
                *p = '/';
            }
    }
    rl_me = caller;
}
