/* RL_LAUNCH_TRACE: one line per handled call. The descriptor is opened again for each line: one that stayed open could
 * be closed or reused by the program. Programs choose the names: on standard error, which may be a terminal, bytes that
 * are not printable ASCII are shown as `?`; a file has the bytes, but one line for a call. */
#include "../engine.h"
#include "../table/syscalls.h"


static char *put_path(char *to, int dir, const char *path)
{
    if (dir != AT_FDCWD && (path == NULL || *path != '/')) {
        to = rl_put_u64(rl_put(to, "fd "), (u64)dir, 10);
        if (path)
            to = rl_put(to, ":");
    }
    return path ? rl_put(to, path) : to;
}

/* The real path of a descriptor's file. */
static char *put_place(char *to, long fd)
{
    char link[40];
    long n;

    rl_put_u64(rl_put(link, "/proc/self/fd/"), (u64)fd, 10);
    n = k_readlink(link, to, RL_PATH_MAX);
    return n > 0 ? to + n : to;
}

static void put_line(char *line, char *end)
{
    const char *file = rl_launch_str(rl_launch->trace);
    long fd = 2;

    for (char *p = line; p < end; p++)
        if (*p == '\n' || (!*file && (*p < ' ' || *p > '~')))
            *p = '?';
    *end++ = '\n';
    if (*file)
        fd = k_open(file, O_WRONLY | O_APPEND | O_CLOEXEC, 0);
    if (fd < 0)
        return;
    rl_sys3(__NR_write, fd, (long)line, end - line);
    if (*file)
        rl_sys1(__NR_close, fd);
}

void rl_trace(struct rl_call *c, long result)
{
    char *line = (char *)c->slot->buf, *to = line;

    to = rl_put_u64(to, (u64)rl_sys0(__NR_getpid), 10);
    to = rl_put(rl_put(rl_put(to, " "), c->row->name), "(");
    if (c->row->path || c->row->dir || c->path)
        to = put_path(to, c->dir, c->path);
    if (c->path2)
        to = put_path(rl_put(to, ", "), c->dir2, c->path2);
    to = rl_put(to, ")");
    if (c->row->handler == rl_do_open && result >= 0)
        to = put_place(rl_put(to, " -> "), result);
    to = rl_put(to, c->resumed ? " = (in the program)" : result < 0 ? " = -" : " = ");
    if (!c->resumed)
        to = rl_put_u64(to, (u64)(result < 0 ? -result : result), 10);
    put_line(line, to);
}

/* A successful exec returns no result: it is shown before. The line is built in the buffer of the interpreter, which
 * has been looked up by then; slot->buf holds the arguments. */
void rl_trace_exec(struct rl_call *c, const char *path)
{
    char *line = (char *)&c->slot->exec2, *to = line;

    _Static_assert(sizeof c->slot->exec2 > sizeof c->slot->exec.real + RL_PATH_MAX + 64, "room for the line");
    to = rl_put_u64(to, (u64)rl_sys0(__NR_getpid), 10);
    to = rl_put(rl_put(to, " exec("), path);
    to = rl_put(rl_put(to, ") -> "), c->slot->exec.real);
    put_line(line, to);
}
