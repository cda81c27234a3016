/* The fast path: where a path leads, from the view alone, with no system call, no lock and a small stack. fastcalls.c
 * answers from that, and from the upper, when one call is enough.
 *
 * 1. If no Bloom filter knows a name of the path, no bind is mounted on one and the view is mapped, the view's answer
 *    is final; a name that it does not have is absent. A directory in the path that a filter knows must be cached
 *    (dircache.c). Anything else is RL_MISS: the caller calls the full resolver.
 * 2. Symbolic links and `..` of the view are followed here. A path that ends in a slash or a dot, or that is unusually
 *    deep, takes the slow path. A relative path starts at a directory that fdcache.c knows.
 * 3. Nothing is held: a signal's longjmp may leave these functions at any instruction.
 * 4. The kernel's attributes are right for a regular file that the upper has at its own path, if it has no record or
 *    its record is cached (attrcache.c): the topmost layer decides. They are right for a symbolic link without a record,
 *    and for a directory without one, if no layer below has its name: it is plain, which lasts (dircache.c, rule 6).
 * 5. A path that is relative to the same directory of the layer that has the object is passed to the kernel unchanged,
 *    which avoids a walk from the root. Any other path is opened from a descriptor of its directory, or of the layer's
 *    tree, if the engine keeps one. */
#include "fastpath.h"

#define UNKNOWN (-4096)
#define DEPTH 24
#define TEXTS 6
#define LONGEST 1024 /* bytes of a path: no ENAMETOOLONG here */
#define FROM_ROOT (RL_MISS + 1) /* the path leaves the directory that it is relative to */

/* A directory in the path: the FNV state of its path, its view entry (0: the view has no part in it), and whether names
 * may be looked up in it: 0 or -EACCES. */
struct place {
    u64 hash;
    u32 id;
    i32 may; /* or UNKNOWN: an ACL decides */
};

struct quick {
    struct place at[DEPTH];
    const char *text[TEXTS]; /* the rest of the path after the links that are being followed */
    u32 depth, texts, links;
    int up;     /* the path had a `..` */
    int rooted; /* at[0] is the root, not the directory that the path is relative to */
};

/* May a directory layer have an object, a whiteout or a record of this path? */
static inline int layers_may_know(u64 hash)
{
    u64 key = rl_bloom_key(hash, RL_KEY_PATH);
    for (u32 i = 0; i < rl_nlayers; i++)
        if (!(rl_ways >> i & 1) && rl_bloom_test(&rl_layers[i], key))
            return 1;
    return 0;
}

/* A name that the view does not have may lead to a shown bind. */
static int may_lead(u64 hash)
{
    return rl_ways && rl_bloom_test(&rl_layers[__builtin_ctz(rl_ways)], rl_bloom_key(hash, RL_KEY_PATH));
}

static i32 searchable(const struct rl_ctx *c)
{
    return rl_me.fsuid ? (i32)rl_dir_permit(c, RL_X_OK) : 0;
}

static i32 entry_searchable(const struct rl_view_entry *e)
{
    long r = rl_me.fsuid ? rl_entry_permit(e, RL_X_OK, 0) : 0;
    return r == RL_MISS ? UNKNOWN : (i32)r;
}

/* The root, from the view or from the cache. 0: neither. */
static int enter_root(struct place *at)
{
    const struct rl_view_entry *e = rl_view_entry(RL_VIEW_ROOT);
    int plain = rl_nlayers <= 1 || rl_ways == 2;
    if (!e)
        return 0;
    for (u32 i = 0; i < rl_nlayers; i++) {
        const struct rl_layer *l = &rl_layers[i];
        if (!l->bloom || l->opaque)
            return 0;
        plain &= !rl_may_be_recorded(l, RL_FNV_START);
    }
    *at = (struct place){RL_FNV_START, RL_VIEW_ROOT, 0};
    if (!rl_me.fsuid)
        return 1;
    struct rl_ctx c;
    if (plain)
        at->may = entry_searchable(e);
    else if (rl_dircache_find(RL_FNV_START, &c))
        at->may = searchable(&c);
    else
        return 0;
    return 1;
}

/* Continue with the link's target; `rest` is the path after the link. NULL: not on the fast path. */
static const char *follow(struct quick *q, const struct rl_view_entry *e, const char *rest)
{
    const char *text = rl_view_text(e->link, e->link_len + 1ull);
    if (!text || !text[0] || text[e->link_len] || ++q->links > RL_MAX_LINKS)
        return NULL;
    if (*rest) {
        if (q->texts == TEXTS)
            return NULL;
        q->text[q->texts++] = rest;
    }
    if (*text == '/')
        q->depth = 0;
    return text;
}

/* A cached directory: required if a layer's filter knows its hash. */
static __attribute__((noinline)) int enter_seen(struct place *at, u64 hash)
{
    struct rl_ctx c;
    if (!rl_dircache_find(hash, &c) || !c.own)
        return 0;
    *at = (struct place){hash, c.view, searchable(&c)};
    return 1;
}

/* The directory that a path is relative to, without a walk to it. */
static int enter_base(const struct rl_base *b, struct place *at)
{
    if (b->clear) {
        const struct rl_view_entry *e = rl_view_entry(b->id);
        *at = (struct place){b->hash, b->id, entry_searchable(e)};
        return 1;
    }
    return enter_seen(at, b->hash) && (b->kind == RL_BASE_UPPER || at->id == b->id);
}

static enum in_upper upper_alone(u64 hash)
{
    const struct rl_layer *l = &rl_layers[0];
    if (!rl_nlayers || !rl_writable() || !(l->flags & RL_DIR_MARKS))
        return NOT_UPPER;
    for (u32 i = 1; i < rl_nlayers; i++)
        if (rl_bloom_test(&rl_layers[i], rl_bloom_key(hash, RL_KEY_PATH)))
            return NOT_UPPER;
    return rl_shared_any(l) || rl_may_be_recorded(l, hash) ? UPPER_RECORD : UPPER_PLAIN;
}

/* The walk from the root has reached the directory that the path is relative to. 0: it was renamed. */
static int at_base(struct rl_fast_path *s, const struct place *at)
{
    const struct rl_base *b = &s->base;
    if (b->kind != RL_BASE_VIEW)
        return 1;
    if (at->id != b->id)
        return 0;
    if (s->keep && at->hash == b->hash && !layers_may_know(at->hash))
        rl_base_clear(b, s->now);
    return 1;
}

/* The entry that a path leads to from `from` on, through `base` if that is not NULL (a process with an open directory
 * needs no search permission above it). -errno, RL_MISS or FROM_ROOT. */
static __attribute__((noinline)) long walk(struct rl_fast_path *s, const struct place *from, int rooted,
                                           const char *base, const char *p, int follow_last)
{
    struct quick q;
    q.depth = q.texts = q.links = 0;
    q.up = 0;
    q.rooted = rooted;
    q.at[0] = *from;
    s->upper = NOT_UPPER;
    s->plain = 0;
    if (base) {
        q.text[q.texts++] = p;
        p = base;
    }
    for (;;) {
        while (*p == '/')
            p++;
        if (!*p) {
            if (!q.texts)
                return RL_MISS; /* the root, or a slash at the end */
            p = q.text[--q.texts];
            if (base && !at_base(s, &q.at[q.depth]))
                return RL_MISS;
            base = NULL;
            continue;
        }
        const char *name = p;
        const struct place *dir = &q.at[q.depth];
        u64 hash = rl_fnv_byte(dir->hash, '/'), in_view = rl_view_hash(dir->id);
        for (; *p && *p != '/'; p++) {
            hash = rl_fnv_byte(hash, *p);
            in_view = rl_fnv_byte(in_view, *p);
        }
        u32 n = (u32)(p - name);
        int last = !*p && !q.texts;
        enum rl_dots dots = rl_dots(name, n);
        if (dir->may < 0 && !base)
            return dir->may == UNKNOWN ? RL_MISS : dir->may;
        if ((dots && last) || (rl_shown && !q.depth && q.rooted && rl_shown_prefix(name)))
            return RL_MISS;
        if (dots == RL_DOT_DOT && !q.depth && !q.rooted)
            return FROM_ROOT;
        if (dots) {
            q.depth -= dots == RL_DOT_DOT && q.depth;
            q.up |= dots == RL_DOT_DOT;
            continue;
        }
        if (n > RL_NAME_MAX || rl_reserved(name, n))
            return RL_MISS;
        if (rl_bind_hash(hash))
            return RL_MISS;
        if (layers_may_know(hash)) {
            s->upper = last && !q.up && !q.links ? upper_alone(hash) : NOT_UPPER;
            if (s->upper) {
                s->below = may_lead(hash) || (dir->id && rl_view_find_hashed(dir->id, name, n, in_view));
                s->hash = hash;
            }
            if (last || q.depth + 1 == DEPTH || !enter_seen(&q.at[q.depth + 1], hash))
                return RL_MISS;
            q.depth++;
            continue;
        }
        s->plain = !q.up && !q.links;
        u32 id = dir->id ? rl_view_find_hashed(dir->id, name, n, in_view) : 0;
        if (!id)
            return base || may_lead(hash) ? RL_MISS : -ENOENT;
        if (rl_removed(id))
            return RL_MISS;
        const struct rl_view_entry *e = rl_view_entry(id);
        if (e->type == 'l' && (!last || follow_last)) {
            if (!(p = follow(&q, e, p)))
                return RL_MISS;
            if (*p == '/' && !q.rooted)
                return FROM_ROOT;
            continue;
        }
        s->hash = hash;
        if (last)
            return id;
        if (e->type != 'd')
            return -ENOTDIR;
        if (++q.depth == DEPTH)
            return RL_MISS;
        q.at[q.depth] = (struct place){hash, id, entry_searchable(e)};
    }
}

/* The result of a relative path; valid if no directory was renamed since its name was read. */
static long kept(struct rl_fast_path *s, long r)
{
    if (!rl_stirred(s->now))
        return r;
    s->upper = NOT_UPPER;
    return RL_MISS;
}

long rl_fast_find(struct rl_fast_path *s, int dirfd, const char *path, int follow_last)
{
    struct place from;
    const char *base = NULL;
    s->upper = NOT_UPPER;
    s->base.kind = RL_BASE_OTHER;
    s->dirfd = AT_FDCWD;
    s->keep = rl_moment(&s->now);
    if (rl_root_len || !*path || strlen(path) > LONGEST)
        return RL_MISS;
    if (*path != '/') {
        if (!rl_fdcache_directory(dirfd, &s->base, s->buf, sizeof s->buf))
            return RL_MISS;
        s->dirfd = dirfd;
        long r = enter_base(&s->base, &from) ? walk(s, &from, 0, NULL, path, follow_last) : FROM_ROOT;
        if (r != FROM_ROOT)
            return kept(s, r);
        if (rl_base_path(&s->base, s->buf, sizeof s->buf) < 0)
            return RL_MISS;
        base = s->buf;
    }
    if (!enter_root(&from))
        return RL_MISS;
    long r = walk(s, &from, 1, base, path, follow_last);
    return base ? kept(s, r) : r;
}
