/* /proc: links whose text would show real paths.
 *
 * A magic link is one below /proc/<pid>/. If its target has a name inside, it is read as a symbolic link to that name;
 * pipes, sockets, deleted and foreign files are left to the kernel. The program of another process of the container is
 * found in its maps (procmaps.c). */
#include "../internal.h"

const char *rl_exe_vpath;

const char *rl_proc_part(const char *rel, u64 *pid)
{
    u64 tid;
    const char *p = rel + 1;
    if (rel[0] != '/' || !rl_number(&p, 10, pid))
        return NULL;
    if (rl_begins(p, "/task/")) {
        const char *q = p + 6;
        if (rl_number(&q, 10, &tid))
            p = q;
    }
    return *p == '/' ? p : NULL;
}

int rl_proc_magic(const struct rl_walk *w, const struct rl_ctx *c, u32 len)
{
    u64 pid;
    if (c->bind < 0)
        return 0;
    struct rl_bind b = rl_bind((u32)c->bind);
    return (b.flags & RL_BIND_PROC) && len > b.vlen && rl_proc_part(w->v + b.vlen, &pid) != NULL;
}

int rl_proc_maps(const struct rl_walk *w)
{
    u64 pid;
    if (!rl_proc_magic(w, &w->self, w->vlen))
        return 0;
    const char *part = rl_proc_part(w->v + rl_bind((u32)w->self.bind).vlen, &pid);
    return rl_same(part, "/maps") || rl_same(part, "/smaps");
}

int rl_proc_status(const struct rl_walk *w, u64 *pid)
{
    if (!rl_proc_magic(w, &w->self, w->vlen))
        return 0;
    return rl_same(rl_proc_part(w->v + rl_bind((u32)w->self.bind).vlen, pid), "/status");
}

/* Does this link, the program of another process, lead to the engine? */
static int runs_engine(const char *target, char *buf)
{
    long n = k_readlink("/proc/self/exe", buf, RL_PATH_MAX - 1);
    buf[n > 0 ? n : 0] = 0;
    return rl_same(target, buf);
}

/* Relative to the container's root, whatever the program's root is. */
static long link_name(struct rl_walk *w, u32 len)
{
    char *out = w->s->mark;
    struct rl_ctx *c = &w->self;
    struct rl_bind b = rl_bind((u32)c->bind);
    u64 pid = 0, ino;
    const char *part = rl_proc_part(w->v + b.vlen, &pid);
    if (!part)
        return -ENOLINK;
    int exe = rl_same(part, "/exe");
    if (exe && rl_exe_vpath && (long)pid == k4(__NR_getpid, 0, 0, 0, 0)) {
        rl_put(out, rl_exe_vpath);
        return (long)strlen(out);
    }
    if (rl_same(part, "/root")) {
        int own = rl_root_len && (long)pid == k4(__NR_getpid, 0, 0, 0, 0);
        return rl_put(out, own ? rl_root : "/") - out;
    }
    long r = rl_bind_real(w, c, len, w->s->real);
    if (r < 0)
        return r;
    long n = k_readlink(w->s->real, w->s->text, sizeof w->s->text - 1);
    if (n < 0)
        return n;
    w->s->text[n] = 0;
    if (w->s->text[0] != '/')
        return -ENOLINK;
    if (exe && runs_engine(w->s->text, out))
        n = rl_maps_program(pid, out, &ino);
    else
        n = rl_virtual_path(w->s->text, out, RL_PATH_MAX);
    return n < 0 ? -ENOLINK : (long)strlen(out);
}

long rl_proc_link(struct rl_walk *w, u32 len)
{
    long n = link_name(w, len);
    return n < 0 ? n : rl_show_name(w->s->mark);
}

/* If a file was removed, or never had a name (O_TMPFILE), the link's text is a name and a mark. */
long rl_proc_target(struct rl_walk *w, u32 len)
{
    static const char mark[] = " (deleted)";
    const u32 n = sizeof mark - 1;
    w->s->text[0] = 0;
    long r = link_name(w, len);
    u32 real = (u32)strlen(w->s->text);
    int marked = r >= 0 && real > n && !memcmp(w->s->text + real - n, mark, n);
    return marked && !k_exists(w->s->text) ? -ENOLINK : r;
}
