/* The fast path: answers from the view alone, with no system call, no lock and a small stack; and from the upper, when
 * one call is enough.
 *
 * 1. If no Bloom filter knows a name of the path, no bind is mounted on one and the view is mapped, the view's answer
 *    is final; a name that it does not have is absent. A directory in the path that a filter knows must be cached
 *    (dircache.c). Anything else is RL_MISS: the caller calls the full resolver.
 * 2. Symbolic links and `..` of the view are followed here. A path that ends in a slash or a dot, or that is unusually
 *    deep, takes the slow path. A relative path starts at a directory that fdcache.c knows.
 * 3. Nothing is held: a signal's longjmp may leave these functions at any instruction.
 * 4. The kernel's attributes are right for a regular file that the upper has at its own path, if it has no record or
 *    its record is cached (attrcache.c): the topmost layer decides.
 * 5. A path that is relative to the same directory of the layer that has the object is passed to the kernel unchanged,
 *    which avoids a walk from the root. The same holds for a path from the root, if the engine keeps a descriptor of
 *    the layer's tree. */
#include "../internal.h"

#define DEPTH 24
#define TEXTS 6
#define BASE 256 /* of the directory that a relative path starts at */
#define LONGEST 1024 /* bytes of a path: no ENAMETOOLONG here */
#define REAL 400     /* of a real path in the upper */
#define FROM_ROOT (RL_MISS + 1) /* the path leaves the directory that it is relative to */

/* A directory in the path: the FNV state of its path, its view entry (0: the view has no part in it), and whether names
 * may be looked up in it: 0 or -EACCES. */
struct place {
    u64 hash;
    u32 id;
    i32 may;
};

struct quick {
    struct place at[DEPTH];
    const char *text[TEXTS]; /* the rest of the path after the links that are being followed */
    u32 depth, texts, links;
    int up;     /* the path had a `..` */
    int rooted; /* at[0] is the root, not the directory that the path is relative to */
};

/* May the upper, and no other layer, have an object of this path, and a record of it? */
enum in_upper { NOT_UPPER, UPPER_PLAIN, UPPER_RECORD };

/* The start of a path, and the result. */
struct start {
    int dirfd;
    struct rl_base base; /* of a relative path; else base.kind is RL_BASE_OTHER */
    int keep;            /* the result is valid for the moment `now` */
    u32 now;
    int plain;           /* no link was followed, and the path had no `..` */
    enum in_upper upper; /* rule 4 */
    u64 hash;            /* of the entry's own path */
    char buf[BASE];      /* the path of the base */
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

static i32 searchable(u32 mode, u32 uid, u32 gid)
{
    return rl_me.fsuid ? (i32)rl_permit(mode, uid, gid, RL_X_OK, 0) : 0;
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
        if (!l->bloom || rl_bloom_test(l, rl_bloom_key(RL_FNV_START, RL_BLOOM_OPAQUE)))
            return 0;
        plain &= !rl_bloom_test(l, rl_bloom_key(RL_FNV_START, RL_BLOOM_RECORD));
    }
    *at = (struct place){RL_FNV_START, RL_VIEW_ROOT, 0};
    if (!rl_me.fsuid)
        return 1;
    struct rl_ctx c;
    if (plain)
        at->may = searchable(e->mode, e->uid, e->gid);
    else if (rl_dircache_find(RL_FNV_START, &c))
        at->may = searchable(c.mode, c.uid, c.gid);
    else
        return 0;
    return 1;
}

/* Continue with the link's target; `rest` is the path after the link. NULL: not on the fast path. */
static const char *follow(struct quick *q, const struct rl_view_entry *e, const char *rest)
{
    const char *text = rl_view_text(e->link, e->link_len + 1);
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
    *at = (struct place){hash, c.view, searchable(c.mode, c.uid, c.gid)};
    return 1;
}

/* The directory that a path is relative to, without a walk to it. */
static int enter_base(const struct rl_base *b, struct place *at)
{
    if (b->clear) {
        const struct rl_view_entry *e = rl_view_entry(b->id);
        *at = (struct place){b->hash, b->id, searchable(e->mode, e->uid, e->gid)};
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
    return rl_shared_any(l) || rl_bloom_test(l, rl_bloom_key(hash, RL_BLOOM_RECORD)) ? UPPER_RECORD : UPPER_PLAIN;
}

/* The walk from the root has reached the directory that the path is relative to. 0: it was renamed. */
static int at_base(struct start *s, const struct place *at)
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
static __attribute__((noinline)) long walk(struct start *s, const struct place *from, int rooted, const char *base,
                                           const char *p, int follow_last)
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
            return dir->may;
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
            if (last || q.depth + 1 == DEPTH || !enter_seen(&q.at[q.depth + 1], hash))
                return RL_MISS;
            q.depth++;
            continue;
        }
        s->plain = !q.up && !q.links;
        u32 id = dir->id ? rl_view_find_hashed(dir->id, name, n, in_view) : 0;
        if (!id)
            return base || may_lead(hash) ? RL_MISS : -ENOENT;
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
        q.at[q.depth] = (struct place){hash, id, searchable(e->mode, e->uid, e->gid)};
    }
}

/* The result of a relative path; valid if no directory was renamed since its name was read. */
static long kept(struct start *s, long r)
{
    if (!rl_stirred(s->now))
        return r;
    s->upper = NOT_UPPER;
    return RL_MISS;
}

static long find(struct start *s, int dirfd, const char *path, int follow_last)
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

/* Rule 4: the real path of a path that find() has left to the upper (rule 5: relative to s->dirfd), and its attributes.
 * 0 or RL_MISS. */
static long upper_file(const struct start *s, const char *path, char *real, struct rl_attr *out)
{
    struct statx sx;
    const struct rl_layer *l = &rl_layers[0];
    u32 k = (u32)strlen(path), n = 0;
    if (!s->upper || l->len + k + 1 > REAL)
        return RL_MISS;
    if (s->base.kind != RL_BASE_UPPER) { /* else rule 5 */
        memcpy(real, l->path, l->len);
        n = l->len;
    }
    if (s->base.kind == RL_BASE_VIEW) {
        long b = rl_base_path(&s->base, real + n, REAL - n);
        if (b < 0 || n + (u32)b + k + 2 > REAL)
            return RL_MISS;
        n += (u32)b;
        real[n++] = '/';
    }
    memcpy(real + n, path, k + 1);
    if (k_near(s->base.kind == RL_BASE_UPPER ? s->dirfd : AT_FDCWD, real, AT_SYMLINK_NOFOLLOW, &sx) < 0 || !rl_isreg(sx.stx_mode))
        return RL_MISS;
    if (s->base.kind == RL_BASE_VIEW && rl_stirred(s->now)) /* the directory no longer has this path */
        return RL_MISS;
    if (s->upper == UPPER_RECORD)
        return rl_attrcache_attr(&sx, out) ? 0 : RL_MISS;
    rl_attr_real(&sx, out);
    out->uid = rl_launch->map_uid;
    out->gid = rl_launch->map_gid;
    out->dev = rl_launch->st_dev;
    return 0;
}

static __attribute__((noinline)) long upper_attr(const struct start *s, const char *path, struct rl_attr *out)
{
    char real[REAL];
    return upper_file(s, path, real, out);
}

long rl_fast_stat(int dirfd, const char *path, int flags, struct rl_attr *out)
{
    struct start s;
    long id = find(&s, dirfd, path, !(flags & AT_SYMLINK_NOFOLLOW));
    if (id == RL_MISS)
        return upper_attr(&s, path, out);
    if (id < 0)
        return id;
    rl_attr_view((u32)id, out);
    return 0;
}

static __attribute__((noinline)) long upper_access(const struct start *s, const char *path, u32 mode, int real_ids)
{
    struct rl_attr a;
    long r = upper_attr(s, path, &a);
    return r < 0 ? r : rl_permit(a.mode, a.uid, a.gid, mode, real_ids);
}

long rl_fast_access(int dirfd, const char *path, int mode, int flags)
{
    struct start s;
    long id = find(&s, dirfd, path, !(flags & AT_SYMLINK_NOFOLLOW));
    if (id == RL_MISS)
        return upper_access(&s, path, (u32)mode & 7, !(flags & AT_EACCESS));
    if (id < 0)
        return id;
    const struct rl_view_entry *e = rl_view_entry((u32)id);
    long r = rl_permit(e->mode, e->uid, e->gid, (u32)mode & 7, !(flags & AT_EACCESS));
    return r == 0 && (mode & RL_W_OK) && !rl_writable() ? -EROFS : r;
}

long rl_fast_readlink(int dirfd, const char *path, const char **text)
{
    struct start s;
    long id = find(&s, dirfd, path, 0);
    if (id < 0)
        return id;
    const struct rl_view_entry *e = rl_view_entry((u32)id);
    if (e->type != 'l')
        return -EINVAL;
    *text = rl_view_text(e->link, e->link_len);
    return *text ? (long)e->link_len : RL_MISS;
}

#define QUICK_OPEN (O_CLOEXEC | O_NONBLOCK | O_NOCTTY | O_LARGEFILE | O_NOFOLLOW | O_DIRECTORY)
#ifndef O_LARGEFILE
#define O_LARGEFILE 0100000
#endif

static __attribute__((noinline)) long upper_open(const struct start *s, const char *path, int flags)
{
    char real[REAL];
    struct rl_attr a;
    long r = upper_file(s, path, real, &a);
    if (r >= 0 && (flags & O_DIRECTORY))
        return -ENOTDIR;
    if (r >= 0)
        r = rl_permit(a.mode, a.uid, a.gid, RL_R_OK, 0);
    if (r < 0)
        return r;
    r = k4(__NR_openat, s->base.kind == RL_BASE_UPPER ? s->dirfd : AT_FDCWD, (long)real, flags, 0);
    if (r >= 0 && s->base.kind == RL_BASE_VIEW && rl_stirred(s->now)) {
        k_close(r);
        return RL_MISS;
    }
    return r == -ENOENT || r == -ENOTDIR ? RL_MISS : r; /* removed again: a lower object may show */
}

long (*rl_tree_descriptor)(u32 layer);

long rl_fast_open(int dirfd, const char *path, int flags, char *real, size_t size)
{
    if (flags & ~(QUICK_OPEN | 0100000 /* the O_LARGEFILE that x86_64's C libraries pass */))
        return RL_MISS;
    struct start s;
    long id = find(&s, dirfd, path, !(flags & O_NOFOLLOW));
    if (id == RL_MISS)
        return upper_open(&s, path, flags);
    if (id < 0)
        return id;
    const struct rl_view_entry *e = rl_view_entry((u32)id);
    if (e->type == 'f' && (flags & O_DIRECTORY))
        return -ENOTDIR;
    /* A directory's descriptor has to lead back to its name here. */
    if (e->type != 'f' && (e->type != 'd' || e->source_len))
        return RL_MISS;
    long r = rl_permit(e->mode, e->uid, e->gid, RL_R_OK, 0);
    if (r < 0)
        return r;
    int here = s.plain && s.base.kind == RL_BASE_VIEW && s.base.tree == e->layer && !e->source_len;
    long at = s.dirfd, tree = -1;
    if (!s.base.kind && s.plain && !e->source_len && rl_tree_descriptor)
        tree = rl_tree_descriptor(e->layer);
    if (tree >= 0) {
        at = tree;
        while (*path == '/')
            path++;
    } else if (!here) {
        if (rl_view_real((u32)id, real, size) < 0)
            return RL_MISS;
        at = AT_FDCWD;
        path = real;
    }
    r = k4(__NR_openat, at, (long)path, flags, 0);
    if (r >= 0 && e->type == 'd')
        rl_fast_list_begin((int)r);
    if (r >= 0 && !e->source_len)
        rl_fdcache_opened((int)r, (u32)id, e->type == 'd', s.hash, s.keep, s.now);
    return r == -ENOENT || r == -ENOTDIR ? RL_MISS : r; /* not hydrated yet */
}
