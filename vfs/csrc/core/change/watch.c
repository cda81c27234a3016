/* Watched objects (inotify): docs/adr/0028.
 *
 * 1. A watched object is in the upper: it is copied up when the watch is added. The kernel then reports every change,
 *    and the watch stays valid, because the real object is never replaced.
 * 2. A bit of the Bloom filter for the path of each watched directory tells every process of the container: a name in
 *    it changes only when its object is in the upper, so that the kernel reports that change, too. A directory that is
 *    renamed takes the bit along (bloombits.c).
 * 3. What the engine itself does there has reserved names. events.c removes it from what the program reads. */
#include "../internal.h"

static u64 key(u64 dir)
{
    return rl_bloom_key(dir, RL_BLOOM_WATCHED);
}

int rl_watched(const struct rl_ctx *dir)
{
    return rl_layers[0].bloom && dir->bind < 0 && rl_bloom_test(&rl_layers[0], key(dir->hash));
}

void rl_watched_moved(u64 dir)
{
    if (rl_bloom_test(&rl_layers[0], key(RL_FNV_START)))
        rl_bloom_set(&rl_layers[0], key(dir));
}

long rl_copyup_watched(struct rl_walk *w)
{
    int lower = w->hit.what == RL_IN_VIEW || (w->hit.what == RL_IN_LAYER && w->hit.layer != 0);
    return lower && rl_watched(&w->dir) ? rl_copyup(w, 1) : 0;
}

static int is_full(long r)
{
    return r == -ENOSPC || r == -EDQUOT || r == -EIO;
}

static long watch_path(struct rl_walk *w, const char *path, int flags, char *real, size_t size)
{
    char *out = w->s->real;
    long r = rl_resolve(w, AT_FDCWD, path, rl_existing(flags), 0);
    if (r < 0)
        return r;
    if (w->hit.what == RL_IN_BIND || !rl_writable()) /* nothing is ever copied up */
        return RL_MISS;
    r = rl_may(&w->hit, RL_R_OK);
    if (r < 0)
        return r;
    int dir = rl_isdir(w->hit.mode);
    r = rl_copyup(w, 1);
    if (r < 0)
        return is_full(r) ? RL_MISS : r;
    if (dir) {
        rl_bloom_set(&rl_layers[0], key(RL_FNV_START));
        rl_bloom_set(&rl_layers[0], key(w->self.hash));
    }
    if (w->at != AT_FDCWD) /* the caller uses it after the walk */
        w->at = RL_NO_AT;
    r = rl_upper_path(w, w->vlen, out);
    if (r >= 0)
        r = rl_sure(w);
    if (r < 0)
        return r;
    size_t n = strlen(out);
    if (n >= size || *out == RL_AT)
        return -ENAMETOOLONG;
    memcpy(real, out, n + 1);
    return 0;
}

long rl_watch_path(const char *path, int flags, char *real, size_t size)
{
    struct rl_scratch s;
    struct rl_walk w;
    long r;
    rl_walk_start(&w, &s);
    do
        r = watch_path(&w, path, flags, real, size);
    while (rl_retry(&w, &r));
    if (r != RL_MISS)
        return r;
    r = rl_real_path(AT_FDCWD, path, flags, real, size);
    return r < 0 ? r : rl_access(AT_FDCWD, path, RL_R_OK, flags | AT_EACCESS);
}
