/* A running program cannot be written (ETXTBSY). To the kernel every process runs the engine, so the core checks it.
 *
 * 1. Whoever is about to start a program sets the bits of its inode number in the upper's filter, which is shared
 *    (docs/format.md section 7). That number stays when the file is copied up, renamed or linked.
 * 2. Clear bits prove that no process runs it: a write costs two reads of memory. Only a file that has been started is
 *    looked for in the maps of all processes. */
#include "../internal.h"

#define BUFFER 32768

static u64 key_of(u64 ino)
{
    return rl_bloom_key(rl_fnv(RL_FNV_START, (const char *)&ino, sizeof ino), RL_BLOOM_STARTED);
}

void rl_running_note(const struct rl_attr *program)
{
    if (rl_writable() && !rl_bloom_test(&rl_layers[0], key_of(program->ino))) /* no page becomes dirty twice */
        rl_bloom_set(&rl_layers[0], key_of(program->ino));
}

struct search {
    char dents[BUFFER];
    char name[RL_PATH_MAX];
    char self[RL_PATH_MAX], exe[RL_PATH_MAX];
};

/* By this name, or by another that this file has or had. */
static int runs(struct search *s, const char *pid_text, const struct rl_walk *w)
{
    u64 pid, ino;
    const char *p = pid_text;
    if (!rl_number(&p, 10, &pid))
        return 0;
    rl_put(rl_put(rl_put(s->name, "/proc/"), pid_text), "/exe");
    long n = k_readlink(s->name, s->exe, sizeof s->exe - 1);
    s->exe[n > 0 ? n : 0] = 0;
    if (n <= 0 || !rl_same(s->exe, s->self))
        return 0;
    n = rl_maps_program(pid, s->name, &ino);
    if (ino && w->hit.what != RL_IN_VIEW && ino == w->hit.sx.stx_ino)
        return 1;
    return n == (long)w->vlen && !memcmp(s->name, w->v, w->vlen);
}

static int some_process_runs(const struct rl_walk *w)
{
    struct search *s = k_mmap(sizeof *s);
    long dir = s ? rl_reserve_open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0) : -1, n;
    int found = 0;
    if (dir >= 0) {
        n = k_readlink("/proc/self/exe", s->self, sizeof s->self - 1);
        s->self[n > 0 ? n : 0] = 0;
        while (!found && (n = k_getdents(dir, s->dents, sizeof s->dents)) > 0)
            for (long at = 0; at < n && !found;) {
                const struct rl_dirent *e = (const void *)(s->dents + at);
                found = runs(s, e->name, w);
                at += e->reclen;
            }
        k_close(dir);
    }
    if (s)
        k_munmap(s, sizeof *s);
    return found;
}

int rl_busy(const struct rl_walk *w)
{
    const struct rl_hit *h = &w->hit;
    if (!rl_isreg(h->mode) || !(h->mode & 0111))
        return 0;
    u64 ino = h->what == RL_IN_BIND ? h->sx.stx_ino : rl_ino_of(&w->self, h);
    return (!rl_writable() || rl_bloom_test(&rl_layers[0], key_of(ino))) && some_process_runs(w);
}
