/* The path of a deep directory. The kernel tells no name that is longer than PATH_MAX, and a walk of thousands of levels
 * for each call would take its time.
 *
 * 1. The names are found upwards, from the descriptor to the first directory that is known: one that the kernel can
 *    name, or one of the last such walk. Then the path is walked downwards from there.
 * 2. The directories of the last walk are kept, with their inodes: a program that goes down or up by a name continues
 *    there. They are valid as long as the entries of dircache.c; a directory that only the view has also until the filter
 *    knows it.
 * 3. Each level costs a few calls, whatever its depth: names are looked up at a descriptor that is close. */
#include "chain.h"

static struct {
    struct chain *chain; /* made by the first user */
    u32 taken; /* permanently in a child that was forked meanwhile: then each walk has its own */
    u32 epoch; /* of the launch file; set by init */
} state;

void rl_chain_init(void)
{
    state.epoch++;
}

static struct chain *take(void)
{
    struct chain *k;
    if (__atomic_exchange_n(&state.taken, 1, __ATOMIC_ACQUIRE)) {
        k = k_mmap(sizeof *k);
        if (k)
            k->levels = 0;
        return k;
    }
    if (!state.chain)
        state.chain = k_mmap(sizeof *k);
    if (!state.chain)
        __atomic_store_n(&state.taken, 0, __ATOMIC_RELEASE);
    return state.chain;
}

static void give_back(struct chain *k)
{
    if (k == state.chain)
        __atomic_store_n(&state.taken, 0, __ATOMIC_RELEASE);
    else
        k_munmap(k, sizeof *k);
}

/* rl_changed_one(): the directory with this hash, and those below it, are looked up again. */
void rl_chain_carry(u32 before, u64 hash)
{
    if (!state.chain || __atomic_exchange_n(&state.taken, 1, __ATOMIC_ACQUIRE))
        return;
    struct chain *k = state.chain;
    if (k->steady && k->at == before) {
        k->at = before + 1;
        for (u32 i = k->levels; i--;)
            if (k->level[i].ctx.hash == hash)
                k->levels = i;
    }
    __atomic_store_n(&state.taken, 0, __ATOMIC_RELEASE);
}

/* A directory that the upper did not have may have been copied up meanwhile: rl_moment() does not count that. */
static void drop_covered(struct chain *k)
{
    for (u32 i = 0; rl_writable() && i < k->levels; i++) {
        const struct rl_ctx *c = &k->level[i].ctx;
        if (!(c->mask & 1) && c->bind < 0 && rl_bloom_test(&rl_layers[0], rl_bloom_key(c->hash, RL_KEY_PATH)))
            k->levels = i;
    }
}

long rl_chain_known(const struct chain *k, const struct statx *sx)
{
    if (!(sx->stx_mask & STATX_BTIME))
        return -1;
    for (u32 i = k->levels; i--;)
        if (k->level[i].inode.ino == sx->stx_ino && rl_inode_is(&k->level[i].inode, sx))
            return i;
    return -1;
}

int rl_chain_has(const struct statx *sx)
{
    if (!state.chain || __atomic_exchange_n(&state.taken, 1, __ATOMIC_ACQUIRE))
        return 0;
    struct chain *k = state.chain;
    long n = k->epoch == state.epoch ? rl_chain_known(k, sx) : -1;
    __atomic_store_n(&state.taken, 0, __ATOMIC_RELEASE);
    return n >= 0;
}

int rl_chain_has_fd(int fd)
{
    struct statx sx;
    return state.chain && k_near(fd, "", AT_EMPTY_PATH, &sx) == 0 && rl_isdir(sx.stx_mode) && rl_chain_has(&sx);
}

/* The level of the walk's directory w->dir, or -1. */
static long parent_of(const struct chain *k, const struct rl_walk *w)
{
    for (u32 i = k->levels; i--;)
        if (k->level[i].end == w->dir.vlen && k->level[i].ctx.hash == w->dir.hash)
            return memcmp(k->v, w->v, w->dir.vlen) ? -1 : (long)i;
    return -1;
}

void rl_chain_add(const struct rl_walk *w)
{
    if (!state.chain || !w->steady || __atomic_exchange_n(&state.taken, 1, __ATOMIC_ACQUIRE))
        return;
    struct chain *k = state.chain;
    long up = k->steady && k->at == w->began && k->epoch == state.epoch ? parent_of(k, w) : -1;
    if (up >= 0 && (u32)up + 1 < LEVELS && rl_dir_lasts(&w->self) && (k->levels == (u32)up + 1 || k->level[up + 1].ctx.hash != w->self.hash)) {
        k->levels = (u32)up + 2;
        struct level *l = &k->level[up + 1];
        l->end = w->vlen;
        l->ctx = w->self;
        l->inode = rl_inode_of(&w->hit.sx);
        l->place = (struct rl_real){RL_PLACE_LAYER, 0, 0};
        memcpy(k->v + w->dir.vlen, w->v + w->dir.vlen, w->vlen - w->dir.vlen);
    }
    __atomic_store_n(&state.taken, 0, __ATOMIC_RELEASE);
}

/* Level n, to the walk. */
static long use(const struct chain *k, struct rl_walk *w, u32 n, struct rl_chained *out)
{
    long r = rl_deep_room(w, RL_PATH_MAX + 1);
    if (r < 0)
        return r;
    w->vlen = k->level[n].end;
    memcpy(w->v, k->v, w->vlen);
    w->v[w->vlen] = 0;
    out->place = k->level[n].place;
    out->depth = n;
    out->cur = k->level[n].ctx;
    for (u32 i = 0; i < RL_CHAINED && i < n; i++)
        out->above[i] = k->level[n - 1 - i].ctx;
    return 0;
}

/* Levels that another walk can use. */
static void keep(struct chain *k)
{
    for (u32 i = 0; i < k->levels; i++)
        if (!rl_dir_lasts(&k->level[i].ctx))
            k->levels = i;
}

long rl_chain_at(struct rl_walk *w, int dirfd, struct rl_chained *out)
{
    struct statx sx;
    u32 now = 0;
    int steady = rl_moment(&now);
    long fd = dirfd == AT_FDCWD && rl_working_directory ? rl_working_directory() : dirfd, own = -1;
    long r = k_near(fd, "", AT_EMPTY_PATH, &sx);
    if (r < 0)
        return r;
    if (!rl_isdir(sx.stx_mode))
        return -ENAMETOOLONG; /* a file's directory cannot be found */
    if (!sx.stx_nlink)
        return -ENOENT;
    struct chain *k = take();
    if (!k)
        return -ENOMEM;
    if (!steady || !k->steady || k->at != now || k->epoch != state.epoch)
        k->levels = 0;
    drop_covered(k);
    long n = rl_chain_known(k, &sx);
    int built = n < 0;
    if (n < 0 && fd == AT_FDCWD)
        own = fd = k4(__NR_openat, fd, (long)".", O_PATH | O_DIRECTORY | O_CLOEXEC, 0);
    if (n < 0)
        n = fd < 0 ? fd : rl_chain_build(k, w, fd, &sx);
    if (n >= 0) {
        k->at = now;
        k->steady = steady;
        k->epoch = state.epoch;
        r = use(k, w, (u32)n, out);
    }
    if (built)
        keep(k);
    give_back(k);
    if (own >= 0)
        k_close(own);
    return n < 0 ? n : r;
}

long rl_chain_child(struct rl_walk *w, u64 dir, const char *name, u32 len)
{
    struct rl_chained at;
    u32 now = 0;
    if (!state.chain || !rl_moment(&now) || __atomic_exchange_n(&state.taken, 1, __ATOMIC_ACQUIRE))
        return -ENOENT;
    struct chain *k = state.chain;
    long n = k->steady && k->at == now && k->epoch == state.epoch ? (long)k->levels : 0;
    while (n && k->level[n - 1].ctx.hash != dir)
        n--;
    long r = n ? use(k, w, (u32)n - 1, &at) : -ENOENT;
    __atomic_store_n(&state.taken, 0, __ATOMIC_RELEASE);
    if (r >= 0)
        r = rl_deep_room(w, w->vlen + len + 2);
    if (r < 0)
        return r;
    w->at = RL_NO_AT;
    w->dir = at.cur;
    w->v[w->vlen] = '/';
    memcpy(w->v + w->vlen + 1, name, len);
    w->vlen += len + 1;
    w->v[w->vlen] = 0;
    return rl_step(w, &w->dir, w->v, w->vlen, &w->self, &w->hit);
}
