/* Marks in the upper: whiteouts and opaque flags; and the lock that two-step changes hold.
 *
 * Order of every change: bit in the Bloom filter, then the mark, then its object. A process that dies in between leaves
 * a mark without effect (docs/format.md section 6). */
#include "../internal.h"

long rl_lock_now(struct rl_walk *w)
{
    if (w->lock >= 0 || !rl_launch->lock.len)
        return 0;
    long fd = rl_reserve_open(rl_launch_str(rl_launch->lock), O_RDWR | O_CREAT | O_CLOEXEC, 0600), r;
    if (fd < 0)
        return fd;
    do
        r = k4(__NR_flock, fd, LOCK_EX, 0, 0);
    while (r == -EINTR);
    if (r < 0) {
        k_close(fd);
        return r;
    }
    w->lock = (i32)fd;
    rl_section_begin();
    return 0;
}

long rl_lock(struct rl_walk *w)
{
    if (w->lock >= 0)
        return 0;
    long r = rl_lock_now(w);
    return r < 0 || (w->lock >= 0 ? rl_current(w) : rl_still(w)) ? r : -ESTALE;
}

/* The lock is released explicitly: a child forked meanwhile by another thread shares it. */
void rl_lock_free(struct rl_walk *w)
{
    rl_section_end();
    k4(__NR_flock, w->lock, 8, 0, 0);
}

void rl_unlock(struct rl_walk *w)
{
    if (w->lock < 0)
        return;
    rl_lock_free(w);
    k_close(w->lock);
    w->lock = -1;
}

u64 rl_vhash(const struct rl_walk *w)
{
    u32 above = w->vlen > w->dir.vlen ? w->dir.vlen : 0;
    return rl_fnv(above ? w->dir.hash : RL_FNV_START, w->v + above, w->vlen - above);
}

static u32 name_at(const char *path)
{
    u32 n = (u32)strlen(path);
    while (n && path[n - 1] != '/')
        n--;
    return n;
}

static char from[RL_REAL_MAX] RL_BULK, last[RL_NAME_MAX + 1] RL_BULK; /* guarded by `busy` */
static struct {
    u64 last_dir; /* guarded by `busy` */
    u32 busy; /* permanently held in a child forked at the wrong moment: then each mark has its own inode */
} state;

/* If possible, an empty mark is one more link of the last mark that this process made: an inode for each would make rm
 * -r of a lower tree slow. Not across directories: there Landlock walks all the way up from both, which costs half as
 * much as the link. `dir`: FNV state of the directory's path; if another directory has got that path since, the link
 * fails, or it is a link of a mark there. 1: it existed. */
static long make_mark(const char *path, u64 dir)
{
    int mine = !__atomic_exchange_n(&state.busy, 1, __ATOMIC_ACQUIRE);
    u32 at = name_at(path);
    long r = -ENOENT;
    if (mine && state.last_dir == dir && at + strlen(last) < sizeof from) {
        memcpy(from, path, at);
        rl_put(from + at, last);
        r = k_link(from, path, 0);
    }
    if (r != 0 && r != -EEXIST) {
        r = k_mknod(path, S_IFREG | 0600, 0);
        if (mine && r == 0 && strlen(path + at) < sizeof last) {
            rl_put(last, path + at);
            state.last_dir = dir;
        }
    }
    if (mine)
        __atomic_store_n(&state.busy, 0, __ATOMIC_RELEASE);
    return r == -EEXIST ? 1 : r;
}

long rl_whiteout_make(struct rl_walk *w)
{
    struct rl_scratch *s = w->s;
    u32 name = w->dir.vlen + 1;
    long n = rl_upper_path(w, w->vlen, s->real);
    if (n < 0)
        return n;
    n = rl_whiteout_path(s->mark, sizeof s->mark, s->real, (u32)n);
    if (n < 0)
        return n;
    rl_bloom_set(&rl_layers[0], rl_bloom_key(rl_vhash(w), RL_KEY_PATH));
    if (w->vlen - name <= RL_WH_MAX_NAME)
        return make_mark(s->mark, w->dir.hash);
    n = k_symlink(w->v + name, s->mark);
    return n == -EEXIST ? 1 : n;
}

int rl_whiteout_there(struct rl_walk *w)
{
    struct rl_scratch *s = w->s;
    long n = rl_upper_path(w, w->vlen, s->real);
    return n >= 0 && rl_whiteout_path(s->mark, sizeof s->mark, s->real, (u32)n) >= 0 && k_exists(s->mark);
}

void rl_whiteout_drop(struct rl_walk *w)
{
    struct rl_scratch *s = w->s;
    long n = rl_upper_path(w, w->vlen, s->real);
    u32 name = w->dir.vlen + 1;
    u32 id = rl_removed_bits && w->vlen > name ? rl_view_find(w->dir.view, w->v + name, w->vlen - name) : 0;
    if (id && rl_removed(id))
        rl_removed_wrote(id); /* what the name shows from now on is not the entry: rl_hidden_how() */
    if (n >= 0 && rl_whiteout_path(s->mark, sizeof s->mark, s->real, (u32)n) >= 0)
        k_unlink(s->mark, 0);
}

/* Make the real directory at `real`, whose path in the upper will hash to `fnv`, opaque. */
long rl_opaque_make(const char *real, u32 len, u64 fnv)
{
    char mark[RL_REAL_MAX];
    long n = rl_opaque_path(mark, sizeof mark, real, len);
    if (n < 0)
        return n;
    rl_bloom_set(&rl_layers[0], rl_bloom_key(fnv, RL_BLOOM_OPAQUE));
    return make_mark(mark, fnv);
}

long rl_mark_put(const char *mark, u32 len, const char *text)
{
    char temp[RL_REAL_MAX];
    long r = k_symlink(text, mark);
    if (r != -EEXIST)
        return r;
    r = rl_temp_path(temp, sizeof temp, mark, len);
    if (r >= 0)
        r = k_symlink(text, temp);
    if (r < 0)
        return r;
    r = k_rename(temp, mark, 0);
    if (r < 0)
        k_unlink(temp, 0);
    return r;
}

int rl_unrecorded(const struct rl_walk *w)
{
    return !rl_may_be_recorded(&rl_layers[0], rl_vhash(w));
}

int rl_unlinked(const struct rl_walk *w)
{
    const struct rl_hit *h = &w->hit;
    return rl_unrecorded(w) || (h->what == RL_IN_LAYER && h->layer == 0 && (h->rec.has & RL_IN_FILE));
}
