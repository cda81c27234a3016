/* Search an upper for the directory whose redirect names a path, or the longest part of it.
 *
 * Every directory of the upper is listed: only a process that holds a renamed directory pays for that
 * (renamedpath.c). Without recursion: the directories still to list are in memory that grows, the deepest last, so
 * that it stays small. */
#include "../internal.h"

#define MARK_BYTES 64 /* more than a record of a long name has */

struct search {
    const struct rl_layer *layer;
    const char *path; /* that records can name */
    u32 len;
    char *out; /* the directory whose record names path[0..best) */
    u32 best, out_len;
    char *todo; /* paths in the layer, each with a slash before it, and its length after it */
    u32 used, room;
    char mark[MARK_BYTES]; /* a record of a long name that would match; its name is elsewhere in the directory */
    u32 mark_best;
    char dir[RL_PATH_MAX], real[RL_REAL_MAX], text[RL_PATH_MAX];
    char entries[4096] __attribute__((aligned(8)));
};

static int todo_put(struct search *s, const char *dir, u32 dn, const char *name, u32 n)
{
    u32 all = dn + 1 + n;
    if (all >= RL_PATH_MAX)
        return 0; /* no path can name it */
    while (s->used + all + 2 > s->room) {
        char *more = rl_scratch_get(s->room * 2);
        if (!more)
            return -ENOMEM;
        memcpy(more, s->todo, s->used);
        rl_scratch_put(s->todo, s->room);
        s->todo = more;
        s->room *= 2;
    }
    char *p = s->todo + s->used;
    memcpy(p, dir, dn);
    p[dn] = '/';
    memcpy(p + dn + 1, name, n);
    p[all] = (char)(all & 255);
    p[all + 1] = (char)(all >> 8);
    s->used += all + 2;
    return 0;
}

/* Into s->dir. */
static u32 todo_take(struct search *s)
{
    u32 n = (u8)s->todo[s->used - 2] | (u32)(u8)s->todo[s->used - 1] << 8;
    s->used -= n + 2;
    memcpy(s->dir, s->todo + s->used, n);
    s->dir[n] = 0;
    return n;
}

/* How much of the path the record of n bytes in s->text names, if that is more than the best so far; else 0. */
static u32 names(struct search *s, long n)
{
    struct rl_record rec;
    if (n <= 0)
        return 0;
    s->text[n] = 0;
    if (rl_record_parse(s->text, (u32)n, &rec) < 0 || !(rec.has & RL_HAS_REDIRECT))
        return 0;
    u32 k = rec.redirect_len;
    if (k <= s->best || k > s->len || memcmp(s->text + rec.redirect, s->path, k) || (k < s->len && s->path[k] != '/'))
        return 0;
    return k;
}

static u32 link_names(struct search *s, long fd, const char *mark)
{
    return names(s, k4(__NR_readlinkat, fd, (long)mark, (long)s->text, sizeof s->text - 1));
}

/* The same of the attribute of the directory `name` in s->dir. */
static u32 directory_names(struct search *s, u32 dn, const char *name, u32 n)
{
    const struct rl_layer *l = s->layer;
    u64 fnv = rl_fnv(rl_fnv(rl_fnv(RL_FNV_START, s->dir, dn), "/", 1), name, n);
    if (!(l->flags & RL_DIR_ATTRS) || !rl_may_be_recorded(l, fnv))
        return 0;
    long r = rl_join(s->real, sizeof s->real, l->path, l->len, s->dir, dn, "/", 1);
    if (r < 0 || (u32)r + n >= sizeof s->real)
        return 0;
    memcpy(s->real + r, name, n + 1);
    return names(s, rl_by_text(__NR_lgetxattr, s->real, RL_XATTR_RECORD, s->text, sizeof s->text - 1, 0));
}

/* A record means nothing without its directory. */
static void found(struct search *s, long fd, u32 dn, const char *name, u32 best)
{
    struct statx sx;
    u32 n = (u32)strlen(name);
    if (k_near(fd, name, AT_SYMLINK_NOFOLLOW, &sx) < 0 || !rl_isdir(sx.stx_mode) || dn + n + 2 > RL_PATH_MAX)
        return;
    memcpy(s->out, s->dir, dn);
    s->out[dn] = '/';
    memcpy(s->out + dn + 1, name, n + 1);
    s->out_len = dn + 1 + n;
    s->best = best;
}

static long entry(struct search *s, long fd, u32 dn, const struct rl_dirent *e)
{
    const char *name = e->name;
    u32 n = (u32)strlen(name), best;
    if (rl_dots(name, n))
        return 0;
    if (rl_begins(name, RL_WH_RECORD)) {
        if ((best = link_names(s, fd, name)) != 0)
            found(s, fd, dn, name + sizeof RL_WH_RECORD - 1, best);
    } else if (rl_begins(name, RL_WH_RECORD_LONG) && n < MARK_BYTES) {
        if ((best = link_names(s, fd, name)) > s->mark_best) {
            s->mark_best = best;
            memcpy(s->mark, name, n + 1);
        }
    } else if (!rl_reserved(name, n) && (e->type == 4 || !e->type)) {
        if ((best = directory_names(s, dn, name, n)) != 0)
            found(s, fd, dn, name, best);
        return todo_put(s, s->dir, dn, name, n);
    }
    return 0;
}

/* Is this the name that the record s->mark belongs to? */
static void long_entry(struct search *s, long fd, u32 dn, const char *name)
{
    u32 n = (u32)strlen(name);
    s->real[0] = '/';
    memcpy(s->real + 1, name, n);
    if (n > RL_RECORD_MAX_NAME && rl_record_path(s->text, sizeof s->text, s->real, n + 1, 0) >= 0 &&
        rl_same(s->text + 1, s->mark))
        found(s, fd, dn, name, s->mark_best);
}

static long list(struct search *s, long fd, u32 dn, int long_names)
{
    long n, r = 0;
    k4(__NR_lseek, fd, 0, 0, 0);
    while (r >= 0 && (n = k_getdents(fd, s->entries, sizeof s->entries)) > 0)
        for (long o = 0; o < n && r >= 0;) {
            struct rl_dirent *e = (void *)(s->entries + o);
            o += e->reclen;
            if (long_names)
                long_entry(s, fd, dn, e->name);
            else
                r = entry(s, fd, dn, e);
        }
    return r;
}

static long one_directory(struct search *s, u32 dn)
{
    long n = rl_join(s->real, sizeof s->real, s->layer->path, s->layer->len, s->dir, dn, "", 0);
    long fd = n < 0 ? n : rl_reserve_open(s->real, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW, 0);
    if (fd < 0)
        return fd == -EMFILE || fd == -ENFILE || fd == -ENOMEM ? fd : 0; /* else it was removed */
    s->mark_best = 0;
    long r = list(s, fd, dn, 0);
    if (r >= 0 && s->mark_best > s->best)
        r = list(s, fd, dn, 1);
    k_close(fd);
    return r;
}

/* Length of the directory's path in the layer, 0: none. *from: how much of the path its redirect names. */
long rl_redirect_find(u32 layer, const char *path, u32 len, char *out, u32 *from)
{
    struct search *s = rl_scratch_get(sizeof *s);
    if (!s)
        return -ENOMEM;
    s->layer = &rl_layers[layer];
    s->path = path;
    s->len = len;
    s->out = out;
    s->best = s->out_len = 0;
    s->room = RL_BLOCK;
    s->todo = rl_scratch_get(s->room);
    s->used = 0;
    s->dir[0] = 0;
    long r = s->todo ? one_directory(s, 0) : -ENOMEM;
    while (r >= 0 && s->used && s->best < len)
        r = one_directory(s, todo_take(s));
    *from = s->best;
    r = r < 0 ? r : (long)s->out_len;
    if (s->todo)
        rl_scratch_put(s->todo, s->room);
    rl_scratch_put(s, sizeof *s);
    return r;
}
