/* The current path of a directory of a layer below that was renamed, or that is below a renamed one.
 *
 * A descriptor of it, or a working directory, refers to the layer's tree, where no name ever changes: the kernel keeps
 * reporting the old path. The new name is that of the record with the redirect.
 *
 * 1. If nothing in a path was ever renamed (renamebits.c), the path is unchanged.
 * 2. Otherwise each candidate path is walked, and must lead to that same directory (rl_is_origin()): first the path by
 *    the redirects that were found last, then the old one, then the one that a search of the uppers finds (redirect.c).
 *    So the cached hints need not be right.
 * 3. A search that finds nothing (the directory was removed) is cached until a directory changes (rl_moment()); if one
 *    changed meanwhile, the search begins again. */
#include "../base/line.h"

#define HINTS 8
#define HINT_BYTES 240
#define GONE 8
#define TRIES 8

/* A redirect that was found: text is the path that it names in the layers below, then its own path in its layer. */
static struct hint {
    u32 version;
    u32 layer;
    u16 from, to; /* lengths */
    char text[HINT_BYTES];
} hints[HINTS] RL_BULK;

/* Rule 3. */
static struct gone {
    u32 version; /* of rl_line_*(): guards the rest, which any thread writes; so do those of the hints */
    u32 at;
    u64 key;
} gone[GONE] RL_BULK;

static struct {
    u32 turn; /* the next hint to overwrite; any thread, atomically */
    int used; /* an entry exists: else a read would be a page fault. Any thread sets this; init clears it */
} state;

void rl_renamed_path_init(void)
{
    if (state.used) {
        memset(hints, 0, sizeof hints);
        memset(gone, 0, sizeof gone);
    }
    state.used = 0;
}

/* Working memory (pool.c). */
struct work {
    struct rl_scratch s;
    struct rl_walk w;
    char path[RL_PATH_MAX], other[RL_PATH_MAX];
};

int rl_is_origin(const struct rl_walk *w, const struct rl_ctx *c, const struct rl_origin *o)
{
    if (o->place == RL_PLACE_TREE)
        return !o->id || c->view == o->id;
    if (o->place != RL_PLACE_LAYER)
        return 1;
    if (!o->index)
        return c->mask & 1;
    long n = c->mask >> o->index & 1 ? rl_layer_path(w, c, w->v, c->vlen, o->index, w->s->real) : -1;
    return n >= 0 && rl_fnv(RL_FNV_START, w->s->real, (u32)n) == o->hash;
}

/* Does path[0..len) lead to the directory? */
static int leads(struct work *k, const char *path, u32 len, const struct rl_origin *o)
{
    struct rl_walk *w = &k->w;
    struct rl_ctx at, next;
    u32 began = 0;
    int steady = rl_moment(&began);
    rl_walk_start(w, &k->s);
    memcpy(w->v, path, len);
    w->v[len] = 0;
    long r = rl_step_root(w, 0, &at, &w->hit);
    for (u32 end = 0; r >= 0 && end < len; at = next) {
        for (end++; end < len && w->v[end] != '/';)
            end++;
        if (rl_dircache_find(rl_fnv(RL_FNV_START, w->v, end), &next))
            continue;
        r = rl_step(w, &at, w->v, end, &next, &w->hit);
        if (r >= 0 && !rl_isdir(w->hit.mode))
            return 0;
        if (r >= 0 && steady && w->hit.what == RL_IN_LAYER) /* unless a directory above has changed meanwhile */
            rl_dircache_add(began, &next);
    }
    return r >= 0 && rl_is_origin(w, &at, o);
}

/* The path in the layer of a hint, into out; 0: the hint is about another. */
static u32 by_hint(const struct hint *h, u32 layer, const char *path, u32 len, char *out, u32 *longest)
{
    u32 before = rl_line_version(&h->version);
    u32 from = h->from, to = h->to;
    if (!before || h->layer != layer || from <= *longest || from > len || from + to > HINT_BYTES ||
        memcmp(h->text, path, from) || (from < len && path[from] != '/'))
        return 0;
    long n = rl_join(out, RL_PATH_MAX, h->text + from, to, path + from, len - from, "", 0);
    if (n < 0 || !rl_line_kept(&h->version, before))
        return 0;
    *longest = from;
    return (u32)n;
}

static void hint_add(u32 layer, const char *from, u32 fn, const char *to, u32 tn)
{
    struct hint *h = &hints[__atomic_fetch_add(&state.turn, 1, __ATOMIC_RELAXED) % HINTS];
    for (u32 i = 0; i < HINTS; i++)
        if (hints[i].version && hints[i].layer == layer && hints[i].from == fn && !memcmp(hints[i].text, from, fn))
            h = &hints[i];
    if (fn + tn > HINT_BYTES || !rl_line_open(&h->version))
        return;
    state.used = 1;
    h->layer = layer;
    h->from = (u16)fn;
    h->to = (u16)tn;
    memcpy(h->text, from, fn);
    memcpy(h->text + fn, to, tn);
    rl_line_close(&h->version);
}

/* By the cached redirects, into k->path: its length, or 0. */
static u32 remembered(struct work *k, const char *path, u32 len, u32 below)
{
    u32 any = 0;
    if (!state.used)
        return 0;
    memcpy(k->path, path, len);
    for (u32 i = below; i--;) {
        u32 longest = 0, n = 0;
        for (u32 j = 0; j < HINTS; j++) {
            u32 m = by_hint(&hints[j], i, k->path, len, k->other, &longest);
            n = m ? m : n;
        }
        if (n) {
            memcpy(k->path, k->other, n);
            len = any = n;
        }
    }
    return any;
}

/* By a search of the layers that may have redirects in the path, into k->path: its length, 0: there are none. */
static long searched(struct work *k, const char *path, u32 len, u32 below)
{
    long any = 0;
    memcpy(k->path, path, len);
    k->path[len] = 0;
    for (u32 i = below; i--;) {
        u32 from, mask = 1u << i;
        if (!(rl_renamebits_layers(below) & mask))
            continue;
        long n = rl_redirect_find(i, k->path, len, k->other, &from);
        if (n < 0)
            return n;
        if (!n)
            continue;
        hint_add(i, k->path, from, k->other, (u32)n);
        u32 rest = len - from;
        if ((u32)n + rest >= RL_PATH_MAX)
            return -ENAMETOOLONG;
        memcpy(k->other + n, k->path + from, rest + 1);
        len = (u32)n + rest;
        memcpy(k->path, k->other, len + 1);
        any = len;
    }
    return any;
}

static struct gone *gone_of(u64 key)
{
    return &gone[rl_mix(key) % GONE];
}

static int is_gone(u64 key, u32 now)
{
    struct gone *g = gone_of(key);
    if (!state.used)
        return 0;
    u32 before = rl_line_version(&g->version);
    int same = before && g->key == key && g->at == now;
    return same && rl_line_kept(&g->version, before);
}

static void gone_add(u64 key, u32 now)
{
    struct gone *g = gone_of(key);
    if (!rl_line_open(&g->version))
        return;
    state.used = 1;
    g->key = key;
    g->at = now;
    rl_line_close(&g->version);
}

/* The directory's path, into k->path. */
static long find(struct work *k, const struct rl_origin *o, const char *path, u32 len, u32 below)
{
    u64 key = o->place == RL_PLACE_TREE ? o->id : o->hash;
    for (u32 i = 0; i < TRIES; i++) {
        u32 now = 0;
        int quiet = rl_moment(&now);
        if (quiet && is_gone(key, now))
            return -ENOENT;
        u32 n = remembered(k, path, len, below);
        if (n && leads(k, k->path, n, o))
            return n;
        if (leads(k, path, len, o)) {
            memcpy(k->path, path, len);
            return len;
        }
        long r = searched(k, path, len, below);
        if (r < 0 && r != -ENOENT)
            return r;
        if (r > 0 && leads(k, k->path, (u32)r, o))
            return r;
        if (rl_stirred(now))
            continue;
        if (quiet)
            gone_add(key, now);
        break;
    }
    return -ENOENT;
}

/* The directory of a file is searched for: `dir`. The length of its part of the path. */
static u32 directory_part(const struct rl_origin *o, const char *real, const char *path, u32 len, struct statx *sx,
                          struct rl_origin *dir)
{
    u32 n = len, rn;
    *dir = *o;
    if (o->place == RL_PLACE_TREE ? o->directory : k_lstat(real, sx) < 0 || rl_isdir(sx->stx_mode))
        return len;
    while (n && path[--n] != '/')
        ;
    if (o->place == RL_PLACE_TREE) {
        dir->id = rl_view_entry(o->id)->parent;
    } else {
        for (rn = (u32)strlen(real); rn && real[--rn] != '/';)
            ;
        dir->hash = rl_fnv(RL_FNV_START, real, rn);
    }
    return n;
}

long rl_renamed_path(const struct rl_origin *o, const char *real, char *path, u32 len)
{
    struct rl_origin dir;
    u32 below = o->place == RL_PLACE_TREE && o->id ? rl_nlayers : o->place == RL_PLACE_LAYER ? o->index : 0;
    if (!below || !rl_renamebits_on(below, path, len))
        return len;
    struct work *k = rl_scratch_get(sizeof *k);
    if (!k)
        return -ENOMEM;
    u32 n = directory_part(o, real, path, len, &k->s.sx, &dir);
    long r = n ? find(k, &dir, path, n, below) : 0;
    if (r >= 0 && (u32)r + len - n >= RL_PATH_MAX)
        r = -ENAMETOOLONG;
    if (r >= 0) {
        memmove(path + r, path + n, len - n);
        memcpy(path, k->path, (size_t)r);
        r += len - n;
        path[r] = 0;
    }
    rl_scratch_put(k, sizeof *k);
    return r;
}
