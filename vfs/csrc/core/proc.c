/* /proc: links whose text would show where things really are.
 *
 * A magic link is one below /proc/<pid>/. Where its target has a name inside, it is read as a symbolic
 * link to that name; pipes, sockets, deleted and foreign files are left to the kernel. */
#include "inside.h"

char rl_exe_vpath[RL_PATH_MAX];

/* The part of a /proc path behind the process: "/exe", "/fd/3"; NULL when it is no process's. */
static const char *process_part(const char *rel, int *own)
{
    u64 pid, tid;
    const char *p = rel + 1;
    if (rel[0] != '/' || !rl_number(&p, 10, &pid))
        return NULL;
    *own = (long)pid == k4(__NR_getpid, 0, 0, 0, 0);
    if (rl_begins(p, "/task/")) {
        const char *q = p + 6;
        if (rl_number(&q, 10, &tid))
            p = q;
    }
    return *p == '/' ? p : NULL;
}

int rl_proc_magic(const struct rl_walk *w, const struct rl_ctx *c, u32 len)
{
    int own;
    if (c->bind < 0)
        return 0;
    struct rl_bind b = rl_bind((u32)c->bind);
    return (b.flags & RL_BIND_PROC) && len > b.vlen && process_part(w->v + b.vlen, &own) != NULL;
}

long rl_proc_link(struct rl_walk *w, u32 len)
{
    char *out = w->s->mark;
    struct rl_ctx *c = &w->self;
    struct rl_bind b = rl_bind((u32)c->bind);
    int own = 0;
    const char *part = process_part(w->v + b.vlen, &own);
    if (!part)
        return -ENOLINK;
    if (own && rl_same(part, "/exe") && rl_exe_vpath[0]) {
        rl_put(out, rl_exe_vpath);
        return (long)strlen(out);
    }
    if (rl_same(part, "/root")) {
        rl_put(out, "/");
        return 1;
    }
    long r = rl_bind_real(c, w->v, len, w->s->real);
    if (r < 0)
        return r;
    long n = k_readlink(w->s->real, w->s->text, sizeof w->s->text - 1);
    if (n < 0)
        return n;
    w->s->text[n] = 0;
    if (w->s->text[0] != '/')
        return -ENOLINK;
    n = rl_virtual_path(w->s->text, out, RL_PATH_MAX);
    return n < 0 ? -ENOLINK : (long)strlen(out);
}
