/* Answers from the view alone: no system call, no lock, a small stack.
 *
 * 1. Where no Bloom filter knows a name of the path, no bind is mounted on one and the view is there, the
 *    view's answer is the answer; a name that it does not have is absent. Anything else is RL_QUICK_NO:
 *    the caller asks the full resolver.
 * 2. Symbolic links and `..` of the view are followed here. A path that ends in a slash or a dot, or that is
 *    unusually deep, goes the full way. A relative path starts at a directory that known.c knows.
 * 3. Nothing is held: a signal's longjmp may leave these functions at any instruction. */
#include "inside.h"

#define DEPTH 24
#define TEXTS 6
#define BASE 256 /* of the path that a relative one starts at */
#define LONGEST 1024 /* bytes of a path: no ENAMETOOLONG here */

/* A directory on the way: its view entry and the FNV state of its path. */
struct place {
    u64 hash;
    u32 id;
};

struct quick {
    struct place at[DEPTH];
    const char *text[TEXTS]; /* what follows the links that are being followed */
    u32 depth, texts, links;
};

/* May a directory layer have an object, a whiteout or a record of this path? */
static int layers_may_know(u64 hash)
{
    u64 key = rl_bloom_key(hash, RL_KEY_PATH);
    for (u32 i = 0; i < rl_nlayers; i++)
        if (rl_bloom_test(&rl_layers[i], key))
            return 1;
    return 0;
}

/* The root as the view has it. */
static int root_is_the_views(void)
{
    for (u32 i = 0; i < rl_nlayers; i++) {
        const struct rl_layer *l = &rl_layers[i];
        if (!l->bloom || rl_bloom_test(l, rl_bloom_key(RL_FNV_START, RL_BLOOM_OPAQUE)))
            return 0;
        if (rl_me.fsuid && rl_bloom_test(l, rl_bloom_key(RL_FNV_START, RL_BLOOM_RECORD)))
            return 0;
    }
    return rl_nlayers <= 1 && rl_view_entry(RL_VIEW_ROOT) != NULL;
}

static long searchable(u32 id)
{
    const struct rl_view_entry *e = rl_view_entry(id);
    return rl_me.fsuid ? rl_permit(e->mode, e->uid, e->gid, RL_X_OK, 0) : 0;
}

/* Go on with the link's target; `rest` is what follows the link. NULL: not here. */
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

/* One name in the current directory. Its entry id, 0: absent, or -errno. */
static long look(struct quick *q, const char *name, u32 n, u64 *hash)
{
    const struct place *dir = &q->at[q->depth];
    if (n > RL_NAME_MAX || rl_reserved(name, n))
        return RL_QUICK_NO;
    *hash = rl_fnv(rl_fnv(dir->hash, "/", 1), name, n);
    if (rl_bind_hash(*hash) || layers_may_know(*hash))
        return RL_QUICK_NO;
    return rl_view_find(dir->id, name, n);
}

/* The entry that a path leads to, -errno, or RL_QUICK_NO. `base`: where a relative one starts. */
static __attribute__((noinline)) long walk(const char *base, const char *p, int follow_last)
{
    struct quick q;
    q.depth = q.texts = q.links = 0;
    q.at[0] = (struct place){RL_FNV_START, RL_VIEW_ROOT};
    if (*p != '/') {
        q.text[q.texts++] = p;
        p = base;
    }
    for (;;) {
        while (*p == '/')
            p++;
        if (!*p) {
            if (!q.texts)
                return RL_QUICK_NO; /* the root, or a slash at the end */
            p = q.text[--q.texts];
            continue;
        }
        const char *name = p;
        while (*p && *p != '/')
            p++;
        u32 n = (u32)(p - name);
        int last = !*p && !q.texts, dots = name[0] != '.' ? 0 : n == 1 ? 1 : n == 2 && name[1] == '.' ? 2 : 0;
        long r = searchable(q.at[q.depth].id);
        if (r < 0)
            return r;
        if (dots && last)
            return RL_QUICK_NO;
        if (dots) {
            q.depth -= dots == 2 && q.depth;
            continue;
        }
        u64 hash;
        r = look(&q, name, n, &hash);
        if (r <= 0)
            return r ? r : -ENOENT;
        const struct rl_view_entry *e = rl_view_entry((u32)r);
        if (e->type == 'l' && (!last || follow_last)) {
            if (!(p = follow(&q, e, p)))
                return RL_QUICK_NO;
            continue;
        }
        if (last)
            return r;
        if (e->type != 'd')
            return -ENOTDIR;
        if (++q.depth == DEPTH)
            return RL_QUICK_NO;
        q.at[q.depth] = (struct place){hash, (u32)r};
    }
}

static long find(int dirfd, const char *path, int follow_last)
{
    char base[BASE];
    if (!*path || strlen(path) > LONGEST || !root_is_the_views())
        return RL_QUICK_NO;
    if (*path != '/' && !rl_known_directory(dirfd, base, sizeof base))
        return RL_QUICK_NO;
    return walk(base, path, follow_last);
}

long rl_quick_stat(int dirfd, const char *path, int flags, struct rl_attr *out)
{
    long id = find(dirfd, path, !(flags & AT_SYMLINK_NOFOLLOW));
    if (id < 0)
        return id;
    rl_attr_view((u32)id, out);
    return 0;
}

long rl_quick_access(int dirfd, const char *path, int mode, int flags)
{
    long id = find(dirfd, path, !(flags & AT_SYMLINK_NOFOLLOW));
    if (id < 0)
        return id;
    const struct rl_view_entry *e = rl_view_entry((u32)id);
    long r = rl_permit(e->mode, e->uid, e->gid, (u32)mode & 7, !(flags & AT_EACCESS));
    return r == 0 && (mode & RL_W_OK) && !rl_writable() ? -EROFS : r;
}

long rl_quick_readlink(int dirfd, const char *path, const char **text)
{
    long id = find(dirfd, path, 0);
    if (id < 0)
        return id;
    const struct rl_view_entry *e = rl_view_entry((u32)id);
    if (e->type != 'l')
        return -EINVAL;
    *text = rl_view_text(e->link, e->link_len);
    return *text ? (long)e->link_len : RL_QUICK_NO;
}

#define QUICK_OPEN (O_CLOEXEC | O_NONBLOCK | O_NOCTTY | O_LARGEFILE | O_NOFOLLOW | O_DIRECTORY)
#ifndef O_LARGEFILE
#define O_LARGEFILE 0100000
#endif

long rl_quick_open(int dirfd, const char *path, int flags, char *real, size_t size)
{
    if (flags & ~(QUICK_OPEN | 0100000 /* what x86_64's C libraries pass as O_LARGEFILE */))
        return RL_QUICK_NO;
    long id = find(dirfd, path, !(flags & O_NOFOLLOW));
    if (id < 0)
        return id;
    const struct rl_view_entry *e = rl_view_entry((u32)id);
    if (e->type == 'f' && (flags & O_DIRECTORY))
        return -ENOTDIR;
    /* A directory's descriptor has to lead back to its name here. */
    if (e->type != 'f' && (e->type != 'd' || e->source_len))
        return RL_QUICK_NO;
    long r = rl_permit(e->mode, e->uid, e->gid, RL_R_OK, 0);
    if (r < 0)
        return r;
    if (rl_view_real((u32)id, real, size) < 0)
        return RL_QUICK_NO;
    r = k_open(real, flags, 0);
    if (r >= 0 && e->type == 'd')
        rl_known_opened((int)r, (u32)id);
    return r == -ENOENT || r == -ENOTDIR ? RL_QUICK_NO : r; /* not hydrated yet */
}
