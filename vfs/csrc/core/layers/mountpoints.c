/* Make the directories that lead to a bind: a container has them, whatever its image has (Docker makes them too, and
 * shows them in diff). The mount point itself needs no object: the core shows the bind there. A separate layer
 * (RL_DIR_WAYS) leads to binds that are only shown: showing changes nothing. */
#include "../internal.h"

/* Used once, before the first program: not on the stack. */
static struct {
    char path[RL_PATH_MAX];
    struct rl_identity caller;
} state RL_BULK;

void rl_make_mount_points(void)
{
    char *path = state.path;

    state.caller = rl_me;
    rl_me = (struct rl_identity){.umask = 022}; /* owned by root, whatever user the program runs as */
    for (u32 i = 0; i < rl_launch->binds; i++) {
        struct rl_bind b = rl_bind(i);
        if (b.vlen >= sizeof state.path || (b.flags & RL_BIND_SHOWN))
            continue;
        memcpy(path, b.vpath, b.vlen + 1);
        for (char *p = path + 1; *p; p++)
            if (*p == '/') {
                *p = 0;
                rl_mkdir(AT_FDCWD, path, 0755); /* usually EEXIST; any other failure shows when the bind is used */
                *p = '/';
            }
    }
    rl_me = state.caller;
}
