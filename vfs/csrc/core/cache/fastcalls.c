/* The calls of the fast path: stat, access, readlink, open. Rules 4 and 5 are those of fastpath.c. */
#include "fastpath.h"

#define REAL 400 /* bytes of a real path in the upper */

/* Rule 4: the real path of a path that rl_fast_find() has left to the upper (rule 5: relative to s->dirfd), and the
 * kernel's attributes. `link`: a symbolic link is meant itself. `basic`: without the time of birth, unless the object
 * may have a record. 0 or RL_MISS. */
static long upper_object(const struct rl_fast_path *s, const char *path, int link, int basic, char *real,
                         struct statx *sx)
{
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
    int dirfd = s->base.kind == RL_BASE_UPPER ? s->dirfd : AT_FDCWD;
    if ((basic && s->upper != UPPER_RECORD ? k_near_basic : k_near)(dirfd, real, AT_SYMLINK_NOFOLLOW, sx) < 0)
        return RL_MISS;
    if (s->base.kind == RL_BASE_VIEW && rl_stirred(s->now)) /* the directory no longer has this path */
        return RL_MISS;
    if (rl_isreg(sx->stx_mode))
        return 0;
    int plain = s->upper == UPPER_PLAIN && (rl_islnk(sx->stx_mode) ? link : rl_isdir(sx->stx_mode) && !s->below);
    return plain ? 0 : RL_MISS;
}

/* The same with the attributes that the program sees. */
static long upper_file(const struct rl_fast_path *s, const char *path, int link, int basic, char *real,
                       struct statx *sx, struct rl_attr *out)
{
    long r = upper_object(s, path, link, basic, real, sx);
    if (r < 0)
        return r;
    if (s->upper == UPPER_RECORD)
        return rl_attrcache_attr(sx, out) ? 0 : RL_MISS;
    rl_attr_plain(sx, out);
    return 0;
}

static __attribute__((noinline)) long upper_attr(const struct rl_fast_path *s, const char *path, int link, int basic,
                                                 struct rl_attr *out)
{
    char real[REAL];
    struct statx sx;
    return upper_file(s, path, link, basic, real, &sx, out);
}

long rl_fast_stat(int dirfd, const char *path, int flags, struct rl_attr *out)
{
    struct rl_fast_path s;
    int link = flags & AT_SYMLINK_NOFOLLOW;
    long id = rl_fast_find(&s, dirfd, path, !link);
    if (id == RL_MISS)
        return upper_attr(&s, path, link, flags & RL_STAT_BASIC, out);
    if (id < 0)
        return id;
    rl_attr_view((u32)id, out);
    return 0;
}

static __attribute__((noinline)) long upper_access(const struct rl_fast_path *s, const char *path, u32 mode, int real_ids)
{
    struct rl_attr a;
    long r = upper_attr(s, path, 0, 1, &a);
    return r < 0 ? r : rl_permit(a.mode, a.uid, a.gid, mode, real_ids);
}

long rl_fast_access(int dirfd, const char *path, int mode, int flags)
{
    struct rl_fast_path s;
    long id = rl_fast_find(&s, dirfd, path, !(flags & AT_SYMLINK_NOFOLLOW));
    if (id == RL_MISS)
        return upper_access(&s, path, (u32)mode & 7, !(flags & AT_EACCESS));
    if (id < 0)
        return id;
    const struct rl_view_entry *e = rl_view_entry((u32)id);
    long r = rl_entry_permit(e, (u32)mode & 7, !(flags & AT_EACCESS));
    return r == 0 && (mode & RL_W_OK) && !rl_writable() ? -EROFS : r;
}

long rl_fast_readlink(int dirfd, const char *path, const char **text)
{
    struct rl_fast_path s;
    long id = rl_fast_find(&s, dirfd, path, 0);
    if (id < 0)
        return id;
    const struct rl_view_entry *e = rl_view_entry((u32)id);
    if (e->type != 'l')
        return -EINVAL;
    *text = rl_view_text(e->link, e->link_len);
    return *text ? (long)e->link_len : RL_MISS;
}

#define QUICK_OPEN (O_CLOEXEC | O_NONBLOCK | O_NOCTTY | O_LARGEFILE | O_NOFOLLOW | O_DIRECTORY)

/* Keep the name of the plain directory that was opened (dircache.c, rule 6), and what is known of it. */
static void keep_opened(const struct rl_fast_path *s, const char *path, char *real, const struct statx *sx,
                        const struct rl_attr *a)
{
    const char *text = real + rl_layers[0].len;
    u32 k = (u32)strlen(path), n = s->base.len;
    if (s->base.kind == RL_BASE_UPPER) { /* its path was relative to that directory */
        if (n == RL_NO_TEXT || n + k + 2 > REAL)
            return;
        memcpy(real, s->buf, n);
        real[n] = '/';
        memcpy(real + n + 1, path, k + 1);
        text = real;
    }
    n = (u32)strlen(text);
    if (!s->keep || rl_fnv(RL_FNV_START, text, n) != s->hash) /* the path has dots in it, or an empty name */
        return;
    struct rl_ctx dir = {.hash = s->hash, .vlen = n, .mask = 1, .bind = -1};
    dir.mode = a->mode;
    dir.uid = a->uid;
    dir.gid = a->gid;
    rl_dircache_add_name(s->now, sx, text, n, 1);
    rl_dircache_add_plain(s->now, &dir);
}

static __attribute__((noinline)) long upper_open(const struct rl_fast_path *s, const char *path, int flags)
{
    char real[REAL];
    struct statx sx;
    struct rl_attr a;
    long r = upper_file(s, path, 0, 0, real, &sx, &a);
    int directory = r >= 0 && rl_isdir(sx.stx_mode);
    if (r >= 0 && (flags & O_DIRECTORY) && !directory)
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
    if (r >= 0 && directory) {
        rl_fast_list_begin((int)r);
        keep_opened(s, path, real, &sx, &a);
    }
    return r == -ENOENT || r == -ENOTDIR ? RL_MISS : r; /* removed again: a lower object may show */
}

long (*rl_tree_descriptor)(u32 layer, u32 directory);
long (*rl_tree_descriptor_used)(long fd, long r);

/* A descriptor that the engine keeps, and the rest of the path from there. Negative: none. */
static long kept_descriptor(const struct rl_fast_path *s, u32 id, const struct rl_view_entry *e, const char **path,
                            char *real, size_t size)
{
    if (!rl_tree_descriptor || e->source_len)
        return -1;
    long at = e->parent == RL_VIEW_ROOT ? -1 : rl_tree_descriptor(e->layer, e->parent);
    if (at >= 0) {
        const char *name = rl_view_text(e->name, e->name_len);
        if (!name || e->name_len >= size)
            return -1;
        memcpy(real, name, e->name_len);
        real[e->name_len] = 0;
        *path = real;
        return at;
    }
    at = rl_tree_descriptor(e->layer, RL_VIEW_ROOT);
    if (at < 0)
        return -1;
    if (s->plain && !s->base.kind) {
        while (**path == '/')
            ++*path;
        return at;
    }
    if (rl_view_path(id, real, size) < 0)
        return -1;
    *path = real + 1;
    return at;
}

long rl_fast_open(int dirfd, const char *path, int flags, char *real, size_t size)
{
    if (flags & ~QUICK_OPEN)
        return RL_MISS;
    struct rl_fast_path s;
    long id = rl_fast_find(&s, dirfd, path, !(flags & O_NOFOLLOW));
    if (id == RL_MISS)
        return upper_open(&s, path, flags);
    if (id < 0)
        return id;
    const struct rl_view_entry *e = rl_view_entry((u32)id);
    if (e->type == 'f' && (flags & O_DIRECTORY))
        return -ENOTDIR;
    if (rl_opens_watched())
        return RL_MISS;
    /* A directory's descriptor has to lead back to its name here. */
    if (e->type != 'f' && (e->type != 'd' || e->source_len))
        return RL_MISS;
    long r = rl_entry_permit(e, RL_R_OK, 0);
    if (r < 0)
        return r;
    int here = s.plain && s.base.kind == RL_BASE_VIEW && s.base.tree == e->layer && !e->source_len;
    long at = s.dirfd, kept = here ? -1 : kept_descriptor(&s, (u32)id, e, &path, real, size);
    if (kept >= 0) {
        at = kept;
    } else if (!here) {
        if (rl_view_real((u32)id, real, size) < 0)
            return RL_MISS;
        at = AT_FDCWD;
        path = real;
    }
    r = k4(__NR_openat, at, (long)path, flags, 0);
    if (kept >= 0 && rl_tree_descriptor_used)
        r = rl_tree_descriptor_used(kept, r);
    if (r >= 0 && e->type == 'd')
        rl_fast_list_begin((int)r);
    if (r >= 0 && !e->source_len)
        rl_fdcache_opened((int)r, (u32)id, e->type == 'd', s.hash, s.keep, s.now);
    return r == -ENOENT || r == -ENOTDIR ? RL_MISS : r; /* not hydrated yet */
}
