/* Build the merged listing of a directory.
 *
 * 1. Order: by a hash of the name. A position in the listing is that hash, so it stays valid when entries are made or
 *    removed between two calls: no entry is skipped, none is shown twice.
 * 2. Of equal names the topmost one decides; a whiteout hides the names below it.
 * 3. Inode numbers and types are those that stat shows. */
#include "../internal.h"

#define POSITION_BITS 33 /* ext4 without dir_index and extents, in blocks of 1 KiB, has no position above 16.06 GiB */
#define CHUNK (256u << 10) /* all but the first */
#define READ (RL_BLOCK / 2)  /* of a directory at a time */

struct item {
    u64 pos;
    const char *name;
    u64 ino;
    u16 len;
    u16 order; /* layer * 2, + 1 for a whiteout */
    u8 type;   /* DT_… */
};

struct chunk {
    struct chunk *next;
    u32 used, size;
};

struct gather {
    struct rl_walk *w;
    struct item *items;
    u32 count, cap;
    int marks;
    struct chunk *chunks;
};

u64 rl_list_position(const char *name, u32 len)
{
    return (rl_mix(rl_fnv(RL_FNV_START, name, len)) >> (64 - POSITION_BITS)) + 2;
}

static long add(struct gather *g, const char *name, u32 len, u64 ino, u8 type, u32 order)
{
    if (g->count == g->cap) {
        u32 cap = g->cap ? g->cap * 2 : 256;
        struct item *more = rl_scratch_get(cap * sizeof *more);
        if (!more)
            return -ENOMEM;
        if (g->items) {
            memcpy(more, g->items, g->count * sizeof *more);
            rl_scratch_put(g->items, g->cap * sizeof *more);
        }
        g->items = more;
        g->cap = cap;
    }
    struct item *it = &g->items[g->count++];
    it->pos = rl_list_position(name, len);
    it->name = name;
    it->ino = ino;
    it->len = (u16)len;
    it->type = type;
    it->order = (u16)order;
    return 0;
}

/* Room for `n` bytes that never moves. */
static char *room(struct gather *g, u32 n)
{
    struct chunk *c = g->chunks;
    if (!c || c->size - c->used < n) {
        u32 size = c ? CHUNK : RL_BLOCK;
        c = rl_scratch_get(size);
        if (!c)
            return NULL;
        c->size = size;
        c->next = g->chunks;
        c->used = sizeof *c;
        g->chunks = c;
    }
    return (char *)c + c->used;
}

/* A name that begins with .wh.: note the name that it hides. */
static long add_mark(struct gather *g, long fd, const char *name, u32 len, u32 layer)
{
    g->marks = 1;
    if (len > 10 && rl_begins(name, RL_WH_LONG)) {
        char *text = room(g, RL_NAME_MAX + 1);
        if (!text)
            return -ENOMEM;
        long n = k4(__NR_readlinkat, fd, (long)name, (long)text, RL_NAME_MAX);
        if (n <= 0)
            return 0;
        g->chunks->used += ((u32)n + 8) & ~7u;
        return add(g, text, (u32)n, 0, 0, layer * 2 + 1);
    }
    if (len > 8 && rl_begins(name, ".wh..wh."))
        return 0; /* records, opaque, temporary */
    return len > 4 ? add(g, name + 4, len - 4, 0, 0, layer * 2 + 1) : 0;
}

/* The program's own descriptor of the upper's directory, from the beginning, if opens may be watched: one of ours would
 * be reported. `before`: its position. Threads that list one descriptor at the same time share the names, as in the
 * kernel. */
static long watched_descriptor(const struct rl_walk *w, i64 *before)
{
    if (w->at < 0 || w->vlen != w->at_len || !rl_opens_watched())
        return -1;
    *before = k4(__NR_lseek, w->at, 0, 1, 0);
    if (*before < 0 || k4(__NR_lseek, w->at, 0, 0, 0) < 0)
        *before = -1; /* it cannot be read: O_PATH */
    return *before < 0 ? -1 : w->at;
}

static long add_layer(struct gather *g, u32 i)
{
    struct rl_walk *w = g->w;
    long n = i ? 0 : rl_own_path(w, w->s->real);
    if (!n)
        n = rl_layer_path(w, &w->self, w->v, w->vlen, i, w->s->real);
    if (n < 0)
        return n;
    i64 before = -1;
    long fd = n && !i ? watched_descriptor(w, &before) : -1;
    if (fd < 0)
        fd = rl_reserve_open(n ? w->s->real : "/", O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
    if (fd < 0)
        return fd == -ENOENT ? 0 : fd;
    int marks = rl_layers[i].flags & RL_DIR_MARKS;
    long r = 0;
    for (;;) {
        char *buf = room(g, READ);
        if (!buf) {
            r = -ENOMEM;
            break;
        }
        long got = k_getdents(fd, buf, READ);
        if (got <= 0) {
            r = got;
            break;
        }
        g->chunks->used += ((u32)got + 7) & ~7u;
        for (long o = 0; o < got && r >= 0;) {
            struct rl_dirent *e = (void *)(buf + o);
            u32 len = (u32)strlen(e->name);
            o += e->reclen;
            if (rl_dots(e->name, len))
                continue;
            r = marks && rl_reserved(e->name, len) ? add_mark(g, fd, e->name, len, i)
                                                   : add(g, e->name, len, e->ino, e->type, i * 2);
        }
        if (r < 0)
            break;
    }
    if (before < 0)
        k_close(fd);
    else
        k4(__NR_lseek, fd, before, 0, 0);
    return r;
}

static long add_view(struct gather *g)
{
    const struct rl_ctx *self = &g->w->self;
    struct rl_children c = rl_view_children(self->view);
    int bits = rl_removed_bits && self->vlen == g->w->vlen && rl_bits_count(g->w, self, g->w->v);
    long r = 0;
    for (u32 k = 0; r >= 0 && k < c.count[0] + c.count[1]; k++) {
        if (rl_view_hides(rl_child(&c, k)))
            continue;
        const struct rl_view_entry *e = rl_view_entry(rl_child(&c, k));
        const char *name = e ? rl_view_text(e->name, e->name_len) : NULL;
        if (!name || !e->name_len || e->name_len > RL_NAME_MAX)
            return -EIO;
        if (bits && rl_removed(rl_child(&c, k)))
            continue;
        r = add(g, name, e->name_len, RL_INO_BASE + e->ino, (u8)(e->mode >> 12 & 15), RL_MAX_DIRS * 2);
    }
    return r;
}

static long add_binds(struct gather *g)
{
    struct rl_walk *w = g->w;
    long r = 0;
    for (u32 i = 0; r >= 0 && i < rl_launch->binds; i++) {
        const char *name;
        u32 n;
        struct statx sx;
        if (!rl_bind_child(i, w->v, w->vlen, &name, &n))
            continue;
        struct rl_bind b = rl_bind(i);
        if (rl_bind_status(&b, &sx) == 0)
            r = add(g, name, n, sx.stx_ino, (u8)(sx.stx_mode >> 12 & 15), RL_MAX_DIRS * 2 + 2);
    }
    return r;
}

static int compare(const struct item *a, const struct item *b)
{
    if (a->pos != b->pos)
        return a->pos < b->pos ? -1 : 1;
    int r = memcmp(a->name, b->name, a->len < b->len ? a->len : b->len);
    if (r || a->len != b->len)
        return r ? r : a->len - b->len;
    return a->order - b->order;
}

/* Merge sort, bottom up: stable, no recursion. Returns the array that holds the result. */
static struct item *sort(struct item *a, struct item *b, u32 n)
{
    for (u32 width = 1; width < n; width *= 2) {
        for (u32 lo = 0; lo < n; lo += 2 * width) {
            u32 mid = lo + width < n ? lo + width : n, hi = lo + 2 * width < n ? lo + 2 * width : n;
            for (u32 i = lo, j = mid, k = lo; k < hi; k++)
                b[k] = j >= hi || (i < mid && compare(&a[i], &a[j]) <= 0) ? a[i++] : a[j++];
        }
        struct item *t = a;
        a = b;
        b = t;
    }
    return a;
}

static int same_name(const struct item *a, const struct item *b)
{
    return a->pos == b->pos && a->len == b->len && !memcmp(a->name, b->name, a->len);
}

/* Could stat show something other than the directory entry says? If so, call stat. */
static void correct(struct rl_walk *w, struct item *it, int others)
{
    u32 layer = it->order / 2, len = w->vlen + 1 + it->len;
    if (layer >= RL_MAX_DIRS || rl_deep_room(w, len + 1) < 0)
        return;
    const struct rl_layer *l = &rl_layers[layer];
    u64 fnv = rl_fnv(rl_fnv(w->self.hash, "/", 1), it->name, it->len);
    int recorded = (l->flags & RL_DIR_MARKS) &&
                   (w->self.alias[layer] || rl_may_be_recorded(l, fnv));
    if (!recorded && !(others && it->type == 4) && it->type)
        return;
    struct rl_ctx self;
    u32 at = w->vlen;
    w->v[at] = '/';
    memcpy(w->v + at + 1, it->name, it->len);
    w->v[len] = 0;
    /* w->hit is the directory itself: a listing does not need it */
    if (rl_step(w, &w->self, w->v, len, &self, &w->hit) == 0 && w->hit.what != RL_NOTHING) {
        it->ino = rl_ino_of(&self, &w->hit);
        it->type = (u8)(w->hit.mode >> 12 & 15);
    }
    w->v[at] = 0;
}

static long emit(struct gather *g, const struct item *items, struct rl_list *l)
{
    u32 n = g->count, bytes = 0;
    for (u32 i = 0; i < n; i++)
        bytes += (RL_DIRENT_HEAD + items[i].len + 1u + 7) & ~7u;
    l->cap = (bytes + 4096u) & ~4095u;
    l->buf = rl_scratch_get(l->cap);
    if (!l->buf)
        return -ENOMEM;
    for (u32 i = 0, j; i < n; i = j) {
        for (j = i + 1; j < n && same_name(&items[i], &items[j]);)
            j++;
        int bound = items[j - 1].order > RL_MAX_DIRS * 2; /* a mount point covers everything */
        struct item it = items[bound ? j - 1 : i];
        if (it.order & 1)
            continue;
        if (!bound)
            correct(g->w, &it, j - i > 1);
        struct rl_dirent *e = (void *)(l->buf + l->len);
        e->reclen = (u16)((RL_DIRENT_HEAD + it.len + 1u + 7) & ~7u);
        e->ino = it.ino;
        e->off = (i64)it.pos + 1;
        e->type = it.type;
        memcpy(e->name, it.name, it.len);
        e->name[it.len] = 0;
        l->len += e->reclen;
        l->count++;
    }
    return 0;
}

long rl_list_build(struct rl_walk *w, struct rl_list *l)
{
    struct gather g = {w, NULL, 0, 0, 0, NULL};
    struct item *spare = NULL;
    long r = 0;
    memset(l, 0, sizeof *l);
    for (u32 m = w->self.mask; m && r >= 0; m &= m - 1)
        r = add_layer(&g, (u32)__builtin_ctz(m));
    if (r >= 0 && w->self.view)
        r = add_view(&g);
    if (r >= 0)
        r = add_binds(&g);
    if (r >= 0 && g.count) {
        spare = rl_scratch_get(g.cap * sizeof *spare);
        r = spare ? emit(&g, sort(g.items, spare, g.count), l) : -ENOMEM;
    }
    l->marks = g.marks;
    if (spare)
        rl_scratch_put(spare, g.cap * sizeof *spare);
    if (g.items)
        rl_scratch_put(g.items, g.cap * sizeof *g.items);
    for (struct chunk *c = g.chunks, *next; c; c = next) {
        next = c->next;
        rl_scratch_put(c, c->size);
    }
    return r;
}

void rl_list_free(struct rl_list *l)
{
    if (l->buf)
        rl_scratch_put(l->buf, l->cap);
    l->buf = NULL;
}
