/* RL_LAUNCH_TRACE: one line per handled call. The descriptor is opened anew for each line: one that
 * stayed open could be closed or reused by the program. */
#include "engine.h"
#include "syscalls.h"

#define RL_O_TRACE 02002001 /* O_WRONLY | O_APPEND | O_CLOEXEC */

static char *put_path(char *to, int dir, const char *path)
{
    if (dir != RL_AT_FDCWD && (path == NULL || *path != '/')) {
        to = rl_put_number(rl_put_text(to, "fd "), (u64)dir, 10);
        if (path)
            to = rl_put_text(to, ":");
    }
    return path ? rl_put_text(to, path) : to;
}

void rl_trace(struct rl_call *c, long result)
{
    char *line = (char *)c->slot->buf, *to = line;
    const char *file = rl_launch_str(rl_launch->trace);
    long fd = 2;

    to = rl_put_number(to, (u64)rl_sys0(__NR_getpid), 10);
    to = rl_put_text(rl_put_text(rl_put_text(to, " "), c->row->name), "(");
    if (c->row->path != RL_NONE || c->row->dir != RL_NONE)
        to = put_path(to, c->dir, c->path);
    if (c->path2)
        to = put_path(rl_put_text(to, ", "), c->dir2, c->path2);
    to = rl_put_text(to, ")");
    if (c->row->handler == rl_do_open && result >= 0)
        to = rl_put_text(rl_put_text(to, " -> "), c->slot->open.real);
    to = rl_put_text(to, c->resumed ? " = (in the program)" : result < 0 ? " = -" : " = ");
    if (!c->resumed)
        to = rl_put_number(to, (u64)(result < 0 ? -result : result), 10);
    *to++ = '\n';
    if (*file)
        fd = rl_sys3(__NR_open, (long)file, RL_O_TRACE, 0);
    if (fd < 0)
        return;
    rl_sys3(__NR_write, fd, (long)line, to - line);
    if (*file)
        rl_sys1(__NR_close, fd);
}
