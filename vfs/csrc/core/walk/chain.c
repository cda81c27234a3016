/* The path of a deep directory. The kernel tells no name that is longer than PATH_MAX, and a walk of thousands of levels
 * for each call would take its time.
 *
 * 1. The names are found upwards, from the descriptor to the first directory that is known: one that the kernel can
 *    name, or one of the last such walk. Then the path is walked downwards from there.
 * 2. The directories of the last walk are kept, with their inodes: a program that goes down or up by a name continues
 *    there. They are valid as long as the entries of dircache.c; a directory that only the view has also until the filter
 *    knows it.
 * 3. Each level costs a few calls, whatever its depth: names are looked up at a descriptor that is close. */
#include "../base/line.h"

#define LEVELS (RL_DEEP_MAX / 2)
#define CLOSE 128 /* bytes of a path between two descriptors */

struct level {
    struct rl_inode inode; /* btime_ns NO_INODE: not known */
    struct rl_real place;  /* of the directory with that inode */
    u32 end;               /* length of its path */
    struct rl_ctx ctx;
};
#define NO_INODE 0xffffffffu

struct chain {
    u32 at; /* rl_moment() */
    u32 epoch;
    u32 levels; /* level[0] is the root */
    int steady;
    char v[RL_DEEP_MAX];
    struct level level[LEVELS];
    struct rl_real place; /* of the directories that were seen */
    struct rl_origin origin; /* of the first known one */
    u32 climbed, tail_at;
    struct rl_inode seen[LEVELS]; /* on the way up, the deepest first */
    char tail[RL_DEEP_MAX], real[RL_PATH_MAX];
    char entries[4096] __attribute__((aligned(8)));
};

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

/* The level of this inode, or -1. */
static long known(const struct chain *k, const struct statx *sx)
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
    long n = k->epoch == state.epoch ? known(k, sx) : -1;
    __atomic_store_n(&state.taken, 0, __ATOMIC_RELEASE);
    return n >= 0;
}

int rl_chain_has_fd(int fd)
{
    struct statx sx;
    return state.chain && k_near(fd, "", AT_EMPTY_PATH, &sx) == 0 && rl_isdir(sx.stx_mode) && rl_chain_has(&sx);
}

/* The name in `up` of the directory with this inode, into out[RL_NAME_MAX + 1]. Length. */
static long name_in(struct chain *k, long up, u64 ino, char *out)
{
    long n;
    while ((n = k_getdents(up, k->entries, sizeof k->entries)) > 0)
        for (long o = 0; o < n;) {
            const struct rl_dirent *e = (const void *)(k->entries + o);
            o += e->reclen;
            if (e->ino == ino && !rl_same(e->name, ".") && !rl_same(e->name, ".."))
                return rl_put(out, e->name) - out;
        }
    return n < 0 ? n : -ENOENT;
}

static long put_name(struct chain *k, const char *name, u32 n, const struct statx *sx)
{
    if (n + 1 > k->tail_at || k->climbed == LEVELS)
        return -ENAMETOOLONG;
    k->tail_at -= n;
    memcpy(k->tail + k->tail_at, name, n);
    k->tail[--k->tail_at] = '/';
    k->seen[k->climbed++] = rl_inode_of(sx);
    return 0;
}

static long link_of(long fd, char *out, size_t size)
{
    char link[40];
    rl_put_u64(rl_put(link, "/proc/self/fd/"), (u64)fd, 10);
    return k4(__NR_readlinkat, AT_FDCWD, (long)link, (long)out, (long)size);
}

#define NO_LEVEL RL_MISS
/* Rule 1. The level, or NO_LEVEL: the real path of *top is in k->real, of *len bytes. *top is a descriptor. */
static long climb(struct chain *k, long fd, struct statx *sx, long *top, u32 *len)
{
    char name[RL_NAME_MAX + 1];
    long r;
    k->climbed = 0;
    k->tail_at = sizeof k->tail;
    for (;;) {
        long found = known(k, sx);
        if (found >= 0)
            return found;
        r = link_of(*top, k->real, sizeof k->real - 1);
        if (r >= 0)
            break;
        if (r != -ENAMETOOLONG)
            return r;
        long up = k4(__NR_openat, *top, (long)"..", O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
        if (up < 0)
            return up;
        r = name_in(k, up, sx->stx_ino, name);
        if (r >= 0)
            r = put_name(k, name, (u32)r, sx);
        if (r >= 0)
            r = k_near(up, "", AT_EMPTY_PATH, sx);
        if (*top != fd)
            k_close(*top);
        *top = up;
        if (r < 0)
            return r;
    }
    *len = (u32)r;
    return NO_LEVEL;
}

/* The visible path of k->real[0..len), into w->v. Length. */
static long visible(struct chain *k, struct rl_walk *w, u32 len)
{
    k->real[len] = 0;
    k->place = rl_classify(k->real, len);
    if (k->place.place == RL_OUTSIDE)
        return -EXDEV;
    return rl_real_virtual(k->real, len, &k->place, w->v, &k->origin);
}

/* How many levels are above the directory w->v[0..len). */
static u32 shared(const struct chain *k, const struct rl_walk *w, u32 len)
{
    u32 same = 0, n = 0;
    while (same < len && k->v[same] == w->v[same])
        same++;
    while (n < k->levels && k->level[n].end <= same && w->v[k->level[n].end] == '/')
        n++;
    return n;
}

/* The names below the first directory that is known, behind w->v[0..end). */
static long put_tail(const struct chain *k, struct rl_walk *w, u32 *end)
{
    u32 tail = (u32)sizeof k->tail - k->tail_at;
    long r = rl_deep_room(w, *end + tail + 1);
    if (r < 0)
        return r;
    memcpy(w->v + *end, k->tail + k->tail_at, tail);
    *end += tail;
    w->v[*end] = 0;
    return 0;
}

/* Where the name after v[0..at) ends. */
static u32 name_end(const char *v, u32 at, u32 len)
{
    u32 n = rl_shown && !at ? rl_shown_prefix(v + 1) : 0;
    if (n && at + 1 + n <= len)
        return at + 1 + n;
    for (at++; at < len && v[at] != '/';)
        at++;
    return at;
}

/* A descriptor for the next names, *pin if it is ours. */
static void follow(struct rl_walk *w, const struct rl_ctx *dir, u32 end, i32 *pin)
{
    if (!(dir->mask & 1) || dir->bind >= 0 || (w->at != RL_NO_AT && end - w->at_len < CLOSE))
        return;
    long n = rl_upper_path(w, end, w->s->real);
    long fd = n < 0 ? n : k_open(w->s->real, O_PATH | O_DIRECTORY | O_CLOEXEC, 0);
    if (fd < 0)
        return;
    if (*pin >= 0)
        k_close(*pin);
    *pin = w->at = (i32)fd;
    w->at_len = end;
}

/* Walk w->v[0..len) downwards from the last level. */
static long descend(struct chain *k, struct rl_walk *w, u32 len)
{
    i32 pin = -1;
    long r = 0;
    while (r >= 0) {
        struct level *from = &k->level[k->levels - 1], *to = from + 1;
        if (from->end == len)
            break;
        if (k->levels == LEVELS) {
            r = -ENAMETOOLONG;
            break;
        }
        follow(w, &from->ctx, from->end, &pin);
        to->end = name_end(w->v, from->end, len);
        to->inode.btime_ns = NO_INODE;
        r = rl_step(w, &from->ctx, w->v, to->end, &to->ctx, &w->hit);
        if (r >= 0 && (w->hit.what == RL_NOTHING || !rl_isdir(w->hit.mode)))
            r = -ENOENT;
        if (r >= 0)
            k->levels++;
    }
    if (pin >= 0)
        k_close(pin);
    w->at = RL_NO_AT;
    return r;
}

static void name_inode(struct chain *k, u32 level, struct rl_inode inode)
{
    k->level[level].inode = inode;
    k->level[level].place = k->place;
}

/* The deepest levels are the directories that were seen on the way up. */
static void name_inodes(struct chain *k, const struct statx *sx)
{
    name_inode(k, k->levels - 1, rl_inode_of(sx));
    for (u32 i = 1; i < k->climbed && i + 1 < k->levels; i++)
        name_inode(k, k->levels - 1 - i, k->seen[i]);
}

/* Is the last level the directory that was asked for, and not another of its name? */
static int is_it(const struct chain *k, const struct rl_walk *w, const struct statx *sx)
{
    const struct rl_ctx *c = &k->level[k->levels - 1].ctx;
    const struct rl_hit *h = &w->hit;
    if (!k->climbed && (k->place.place != RL_PLACE_LAYER || k->place.index))
        return rl_is_origin(w, c, &k->origin);
    if (k->place.place == RL_PLACE_TREE)
        return c->view != 0;
    if (k->place.place != RL_PLACE_LAYER)
        return c->bind >= 0;
    if (k->place.index)
        return (int)(c->mask >> k->place.index & 1);
    return h->what == RL_IN_LAYER && h->layer == 0 && h->sx.stx_ino == sx->stx_ino &&
           h->sx.stx_dev_major == sx->stx_dev_major && h->sx.stx_dev_minor == sx->stx_dev_minor;
}

/* From this level, or from the root. */
static long begin_at(struct chain *k, struct rl_walk *w, long level, long top, u32 *len)
{
    long r = rl_deep_room(w, RL_PATH_MAX + 1);
    w->at = RL_NO_AT;
    if (r < 0)
        return r;
    if (level == NO_LEVEL) {
        r = visible(k, w, *len);
        if (r < 0)
            return r;
        *len = (u32)r;
        r = put_tail(k, w, len);
        if (r < 0)
            return r;
        k->levels = k->levels ? shared(k, w, *len) : 0;
        if (k->levels)
            return 0;
        k->levels = 1;
        k->level[0].end = 0;
        k->level[0].inode.btime_ns = NO_INODE;
        return rl_root_hit(w, &k->level[0].ctx, &w->hit, 0);
    }
    u32 end = *len = k->level[level].end;
    memcpy(w->v, k->v, end);
    k->place = k->level[level].place;
    r = put_tail(k, w, len);
    if (r < 0)
        return r;
    k->levels = (u32)level + 1;
    if (k->place.place == RL_PLACE_LAYER && !k->place.index) {
        w->at = (i32)top;
        w->at_len = end;
    }
    return 0;
}

static long build(struct chain *k, struct rl_walk *w, long fd, const struct statx *sx)
{
    struct statx at = *sx;
    u32 len = 0;
    long top = fd, r = climb(k, fd, &at, &top, &len);
    if (r >= 0 || r == NO_LEVEL)
        r = begin_at(k, w, r, top, &len);
    if (r >= 0)
        r = descend(k, w, len);
    if (top != fd)
        k_close(top);
    if (r >= 0 && !is_it(k, w, sx))
        r = -ENOENT;
    if (r < 0) {
        k->levels = 0;
        return r;
    }
    name_inodes(k, sx);
    memcpy(k->v, w->v, len + 1);
    return k->levels - 1;
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
    long n = known(k, &sx);
    int built = n < 0;
    if (n < 0 && fd == AT_FDCWD)
        own = fd = k4(__NR_openat, fd, (long)".", O_PATH | O_DIRECTORY | O_CLOEXEC, 0);
    if (n < 0)
        n = fd < 0 ? fd : build(k, w, fd, &sx);
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
