/* Resolve a path inside: the walk over its components.
 *
 * 1. Symbolic links are interpreted in the virtual root and never leave it.
 * 2. `..` is physical: it restores the parent as it was walked, up to KEPT levels; deeper ones are
 *    walked again from the root.
 * 3. A relative path starts from its descriptor's virtual name, which must lead to that same directory. If the
 *    directory is one of the upper, names below it are looked up through the descriptor (at.c).
 * 4. A program with an open directory finds its content, even if another process renames it, or one above it, between
 *    reading its name and walking it: then the walk begins again, the third time under the lock.
 * 5. An absolute path starts at the program's root (root.c).
 * 6. A shown host path (RL_BIND_SHOWN) is found by its full path from the root, whatever is in that path and whatever
 *    its search permissions are. */
#include "../internal.h"

#ifndef RESOLVE_NO_XDEV
#define RESOLVE_NO_XDEV 0x01
#define RESOLVE_NO_MAGICLINKS 0x02
#define RESOLVE_NO_SYMLINKS 0x04
#define RESOLVE_BENEATH 0x08
#define RESOLVE_IN_ROOT 0x10
#endif

#define KEPT 24
#define REST (2 * RL_PATH_MAX)
#define TRIES 2

struct course {
    struct rl_walk *w;
    u32 flags;
    u64 resolve;
    u32 depth, floor; /* floor: RESOLVE_BENEATH and IN_ROOT stay at or below this depth */
    u32 first;        /* depth of st[0] */
    u32 links;
    int magic;             /* the followed link is one of /proc: it names an object, from the container's root */
    const char *p;         /* the rest of the path */
    struct rl_ctx cur;     /* the current directory */
    struct rl_ctx st[KEPT]; /* st[k]: the directory at depth first + k, if that is less than depth */
    char rest[REST];       /* the rest of the path, once a link has been met; ends at the end of the buffer */
};

static void to_root(struct course *c)
{
    c->depth = c->first = 0;
    c->w->at = RL_NO_AT;
    c->w->vlen = 0;
    c->w->aliases = 1;
    c->w->arena_used = 0;
    c->cur = c->w->root;
}

static void push(struct course *c, const struct rl_ctx *self)
{
    if (c->depth - c->first < KEPT)
        c->st[c->depth - c->first] = c->cur;
    c->depth++;
    c->cur = *self;
}

/* Length of the next name: up to the slash, or, at the root, the whole of a shown path: rule 6. */
static u32 next_name(const struct course *c, const char *name)
{
    u32 n = rl_shown && !c->w->vlen ? rl_shown_prefix(name) : 0;
    if (!n)
        while (name[n] && name[n] != '/')
            n++;
    return n;
}

/* Continue in the directory that was found. The directories above it were not walked if its name was a full path
 * (next_name()): `..` walks to them. */
static void descend(struct course *c, const struct rl_ctx *self)
{
    int several = 0;
    for (u32 i = 1; rl_shown && !c->cur.vlen && i < self->vlen; i++)
        several |= c->w->v[i] == '/';
    push(c, self);
    if (several)
        c->depth = c->first + KEPT + 1;
}

/* Is w->v[0..len) a directory that this process has cached? Then w->self is it. */
static int remembered(const struct course *c, u32 len)
{
    const struct rl_ctx *cur = &c->cur;
    if (cur->bind >= 0)
        return 0;
    u64 h = rl_fnv(cur->hash, c->w->v + cur->vlen, len - cur->vlen);
    int bind = !(c->resolve & RESOLVE_NO_XDEV) && rl_bind_seen(h, c->w->v, len, &c->w->self);
    return bind || rl_dircache_find(h, &c->w->self);
}

/* Look w->v[0..len) up in the current directory. */
static long look(struct course *c, u32 len)
{
    struct rl_walk *w = c->w;
    u32 now;
    int keep = rl_moment(&now);
    long r = rl_step(w, &c->cur, w->v, len, &w->self, &w->hit);
    /* The directory that contains it was looked up before: at that moment its name may have belonged to another one. */
    if (r >= 0 && keep && w->steady && now == w->began && w->hit.what == RL_IN_LAYER && rl_isdir(w->hit.mode))
        rl_dircache_add(now, &w->self);
    return r;
}

/* Walk w->v[0..len), canonical and made of directories, again; the result is in c->cur. */
static long walk_again(struct course *c, u32 len)
{
    struct rl_walk *w = c->w;
    to_root(c);
    for (u32 end = 0; end < len;) {
        u32 n = next_name(c, w->v + end + 1);
        if (end + 1 + n > len) /* it leads to a shown bind */
            for (n = 0; end + 1 + n < len && w->v[end + 1 + n] != '/';)
                n++;
        end += 1 + n;
        if (!remembered(c, end)) {
            long r = look(c, end);
            if (r < 0)
                return r;
            if (w->hit.what == RL_NOTHING)
                return -ENOENT;
            if (!rl_isdir(w->hit.mode))
                return -ENOTDIR;
        }
        descend(c, &w->self);
        w->vlen = end;
    }
    return 0;
}

/* Go to the program's root. */
static long to_own_root(struct course *c)
{
    to_root(c);
    if (!rl_root_len)
        return 0;
    memcpy(c->w->v, rl_root, rl_root_len + 1);
    return walk_again(c, rl_root_len);
}

static u32 parent_len(const struct rl_walk *w)
{
    u32 n = w->vlen;
    while (n && w->v[n - 1] != '/')
        n--;
    return n ? n - 1 : 0;
}

/* Make c->cur the parent of c->cur. */
static long up(struct course *c)
{
    struct rl_walk *w = c->w;
    if (c->depth <= c->floor) {
        if (c->resolve & RESOLVE_BENEATH)
            return -EXDEV;
        return 0;
    }
    if (rl_root_len && rl_is_root(w->v, w->vlen))
        return 0;
    int bind = c->cur.bind;
    u32 n = parent_len(w);
    if (c->depth - 1 - c->first < KEPT) {
        c->depth--;
        c->cur = c->st[c->depth - c->first];
    } else {
        long r = walk_again(c, n);
        if (r < 0)
            return r;
    }
    w->vlen = n;
    if (n < w->at_len && w->at != RL_NO_AT) {
        if (w->deep)
            rl_deep_up(w, n);
        else
            w->at = RL_NO_AT;
    }
    return (c->resolve & RESOLVE_NO_XDEV) && bind != c->cur.bind ? -EXDEV : 0;
}

/* root may search the root whatever its bits are; other users need the bits. */
static long enter_root(struct rl_walk *w)
{
    u32 now;
    if (!rl_me.fsuid)
        return rl_step_root(w, 0, &w->root, &w->hit);
    if (rl_dircache_find(RL_FNV_START, &w->root))
        return 0;
    int keep = rl_moment(&now);
    long r = rl_root_hit(w, &w->root, &w->hit, 0);
    if (r >= 0 && keep)
        rl_dircache_add(now, &w->root);
    return r;
}

/* The same, if its path is too long for the kernel to tell. */
static long start_deep(struct course *c, int dirfd)
{
    struct rl_walk *w = c->w;
    struct rl_chained at;
    long r = rl_chain_at(w, dirfd, &at);
    if (r < 0)
        return r;
    u32 known = at.depth < KEPT ? at.depth : KEPT;
    c->cur = at.cur;
    c->depth = at.depth;
    c->first = at.depth - known;
    for (u32 i = 0; i < known; i++)
        c->st[known - 1 - i] = at.above[i];
    if (rl_shown) /* not every level is a name */
        c->depth = KEPT + 1, c->first = 0;
    w->relative = rl_writable() && (at.place.place == RL_PLACE_LAYER || at.place.place == RL_PLACE_TREE);
    if (w->relative && at.place.place == RL_PLACE_LAYER && !at.place.index)
        rl_begin_at(w, dirfd);
    return 0;
}

/* Go to the directory w->v[0..len), if it is cached, without a walk to it. As in descend(), `..` walks. */
static int enter_cached(struct course *c, u64 hash, u32 len)
{
    struct rl_walk *w = c->w;
    if (c->resolve || !len || !rl_dircache_find(hash, &w->self) || w->self.vlen != len)
        return 0;
    to_root(c);
    push(c, &w->self);
    c->depth = KEPT + 1;
    w->vlen = len;
    return 1;
}

/* The descriptor's directory, of the upper, is w->v. */
static void keep_name(struct rl_walk *w, int fd)
{
    if (w->steady && k_statx(fd, "", AT_EMPTY_PATH, &w->s->sx) == 0)
        rl_dircache_add_name(w->began, &w->s->sx, w->v, w->vlen);
}

/* Go to the directory of a descriptor. */
static long start_at(struct course *c, int dirfd)
{
    struct rl_walk *w = c->w;
    struct rl_base b;
    struct rl_origin o;
    long r = rl_fdcache_named(dirfd, &b, w->v, RL_PATH_MAX) ? rl_base_virtual(&b, w->v, &o)
             : b.deep                                         ? -ENAMETOOLONG
                                                              : rl_fd_virtual(w->s, dirfd, w->v, &o);
    if (r == -ENAMETOOLONG || r > RL_LONG)
        return start_deep(c, dirfd);
    if (r < 0 && r != -ENOENT)
        return r;
    w->relative = rl_writable() && (o.place == RL_PLACE_LAYER || o.place == RL_PLACE_TREE);
    if (r < 0)
        return r;
    u32 len = (u32)r;
    r = enter_cached(c, b.kind == RL_BASE_UPPER ? b.hash : rl_fnv(RL_FNV_START, w->v, len), len) ? 0 : walk_again(c, len);
    if (r == -ENOTDIR) { /* the descriptor is not a directory's, or its directory was removed and a file has the name */
        struct statx *sx = &w->s->sx;
        return k_statx(dirfd, "", AT_EMPTY_PATH, sx) == 0 && rl_isdir(sx->stx_mode) ? -ENOENT : r;
    }
    if (r < 0 || !rl_is_origin(w, &c->cur, &o))
        return r < 0 ? r : -ENOENT;
    if (!w->relative || o.place != RL_PLACE_LAYER || o.index)
        return r;
    if (b.kind == RL_BASE_OTHER)
        keep_name(w, dirfd);
    rl_begin_at(w, dirfd);
    return r;
}

static long start(struct course *c, int dirfd, const char *path)
{
    struct rl_walk *w = c->w;
    long r = enter_root(w);
    if (r < 0)
        return r;
    to_root(c);
    c->p = path;
    int boxed = (c->resolve & (RESOLVE_BENEATH | RESOLVE_IN_ROOT)) != 0;
    if (path[0] == '/' && (c->resolve & RESOLVE_BENEATH))
        return -EXDEV;
    if (path[0] == '/' && !boxed)
        return c->flags & RL_WHOLE ? 0 : to_own_root(c);
    r = start_at(c, dirfd);
    if (r == -EXDEV && !(c->flags & RL_EMPTY)) /* outside */
        r = -ENOENT;
    c->floor = boxed ? c->depth : 0;
    return r;
}

/* Put a link's target before the rest of the path. */
static long splice(struct course *c, const char *text, u32 n, const char *tail)
{
    if (!n)
        return -ENOENT;
    u32 left = (u32)strlen(tail);
    if ((u64)left + n + 1 > REST)
        return -ENAMETOOLONG;
    char *at = c->rest + REST - 1 - left;
    memmove(at, tail, left + 1);
    memmove(at - n, text, n);
    c->p = at - n;
    if (c->p[0] != '/')
        return 0;
    if (c->resolve & RESOLVE_BENEATH)
        return -EXDEV;
    if (c->floor) {
        while (c->depth > c->floor) {
            long r = up(c);
            if (r < 0)
                return r;
        }
        return 0;
    }
    int bind = c->cur.bind;
    long r = 0;
    if (c->magic)
        to_root(c);
    else
        r = to_own_root(c);
    if (r < 0)
        return r;
    return (c->resolve & RESOLVE_NO_XDEV) && bind >= 0 ? -EXDEV : 0;
}

/* The text of the link at w->v[0..len). Length, -ENOLINK: the kernel must follow it. */
static long link_text(struct course *c, u32 len, const char **text)
{
    struct rl_walk *w = c->w;
    struct rl_hit *h = &w->hit;
    c->magic = 0;
    if (h->what == RL_IN_VIEW) {
        const struct rl_view_entry *e = rl_view_entry(h->view);
        *text = rl_view_text(e->link, e->link_len);
        return *text ? (long)e->link_len : -EIO;
    }
    *text = w->s->text;
    if (h->what == RL_IN_BIND) {
        if (rl_proc_magic(w, &w->self, len)) {
            if (c->resolve & RESOLVE_NO_MAGICLINKS)
                return -ELOOP;
            *text = w->s->mark;
            c->magic = 1;
            return rl_proc_target(w, len);
        }
        long r = rl_bind_real(w, &w->self, len, w->s->real);
        if (r < 0)
            return r;
    } else {
        long r = rl_layer_path(w, &c->cur, w->v, len, (u32)h->layer, w->s->real);
        if (r < 0)
            return r;
    }
    return k_readlink(w->s->real, w->s->text, sizeof w->s->text);
}

/* The path ended in a directory that was entered, not named: find its parent and its attributes. */
static long settle_dot(struct course *c)
{
    struct rl_walk *w = c->w;
    if (!c->depth) {
        w->dot = w->dot ? w->dot : RL_ROOT;
        w->v[0] = 0;
        long r = rl_root_hit(w, &w->self, &w->hit, 1);
        w->dir = w->self;
        return r;
    }
    u32 len = w->vlen;
    w->v[len] = 0;
    w->dot = w->dot ? w->dot : RL_ROOT;
    if (c->depth - 1 - c->first < KEPT) {
        w->dir = c->st[c->depth - 1 - c->first];
    } else {
        long r = walk_again(c, parent_len(w));
        if (r < 0)
            return r;
        w->dir = c->cur;
    }
    w->vlen = len;
    return rl_again(w);
}

/* The last name is a link of /proc that has no text inside: the object is the one that the kernel finds. */
static long kernel_link(struct course *c, u32 len)
{
    struct rl_walk *w = c->w;
    struct rl_hit *h = &w->hit;
    long r = rl_bind_real(w, &w->self, len, w->s->real);
    if (r >= 0)
        r = k_statx(AT_FDCWD, w->s->real, 0, &h->sx);
    if (r < 0)
        return r;
    h->magic = 1;
    h->mode = h->sx.stx_mode;
    h->uid = h->sx.stx_uid;
    h->gid = h->sx.stx_gid;
    w->dir = c->cur;
    w->vlen = len;
    return 1;
}

/* A link of /proc whose text would be too long: the kernel follows it to its directory. */
static long enter_link(struct course *c, u32 len, int last)
{
    struct rl_walk *w = c->w;
    long r = rl_bind_real(w, &w->self, len, w->s->real);
    long fd = r < 0 ? r : rl_deep_open(w, w->s->real);
    if (fd == -ENOTDIR && last)
        return kernel_link(c, len);
    r = fd < 0 ? fd : start_deep(c, (int)fd);
    return r == -EXDEV ? -ENAMETOOLONG : r;
}

static int follow_last(const struct course *c)
{
    if (c->w->slash)
        return !(c->flags & RL_NAME);
    return (c->flags & RL_FOLLOW) != 0;
}

/* A name was looked up. 0: continue, 1: it was the last, and the walk is done. */
static long found(struct course *c, u32 len, int last)
{
    struct rl_walk *w = c->w;
    struct rl_hit *h = &w->hit;
    if ((c->resolve & RESOLVE_NO_XDEV) && h->what != RL_NOTHING && w->self.bind != c->cur.bind)
        return -EXDEV;
    if (h->what != RL_NOTHING && rl_islnk(h->mode) && (!last || follow_last(c))) {
        const char *text;
        if (++c->links > RL_MAX_LINKS || (c->resolve & RESOLVE_NO_SYMLINKS))
            return -ELOOP;
        long n = link_text(c, len, &text);
        if (n == -ENAMETOOLONG && c->magic)
            return enter_link(c, len, last);
        if (n == -ENOLINK)
            return last ? kernel_link(c, len) : -EACCES;
        return n < 0 ? n : splice(c, text, (u32)n, c->p);
    }
    if (last) {
        w->dir = c->cur;
        w->vlen = len;
        return 1;
    }
    if (h->what == RL_NOTHING)
        return -ENOENT;
    if (!rl_isdir(h->mode))
        return -ENOTDIR;
    descend(c, &w->self);
    w->vlen = len;
    return 0;
}

/* May names be looked up in the current directory? The path to an open directory needs no search permission. */
static long searchable(const struct course *c)
{
    if (!rl_me.fsuid || (c->flags & RL_WHOLE) || (c->cur.bind >= 0 && !c->cur.given))
        return 0;
    return rl_permit(c->cur.mode, c->cur.uid, c->cur.gid, RL_X_OK, 0);
}

static long walk(struct course *c)
{
    struct rl_walk *w = c->w;
    for (;;) {
        while (*c->p == '/')
            c->p++;
        if (!*c->p)
            return settle_dot(c);
        const char *name = c->p, *end = name + next_name(c, name);
        u32 n = (u32)(end - name);
        const char *next = end;
        while (*next == '/')
            next++;
        long r = searchable(c);
        if (r < 0)
            return r;
        c->p = end;
        enum rl_dots dots = rl_dots(name, n);
        if (dots) {
            w->dot = (u8)dots;
            r = dots == RL_DOT_DOT ? up(c) : 0;
            if (r < 0)
                return r;
            continue;
        }
        u32 at = w->vlen, len = at + 1 + n;
        if ((n > RL_NAME_MAX && (!rl_shown || at)) || rl_deep_room(w, len + 1) < 0)
            return -ENAMETOOLONG;
        w->dot = RL_NO_DOTS;
        w->slash = *end == '/' && !*next;
        w->v[at] = '/';
        memcpy(w->v + at + 1, name, n);
        w->v[len] = 0;
        if (*next && remembered(c, len)) {
            descend(c, &w->self);
            w->vlen = len;
            continue;
        }
        r = look(c, len);
        if (r < 0)
            return r;
        r = found(c, len, !*next);
        if (r)
            return r < 0 ? r : 0;
    }
}

static long attempt(struct course *c, int dirfd, const char *path)
{
    struct rl_walk *w = c->w;
    c->links = c->floor = 0;
    w->slash = w->dot = 0;
    long r = start(c, dirfd, path);
    if (r >= 0)
        r = walk(c);
    if (r < 0 || !(c->flags & RL_EXISTS))
        return r;
    if (w->hit.what == RL_NOTHING)
        return -ENOENT;
    return w->slash && !rl_isdir(w->hit.mode) ? -ENOTDIR : 0;
}

static void begin(struct rl_walk *w)
{
    w->at = RL_NO_AT;
    w->relative = 0;
    w->steady = rl_moment(&w->began);
    if (w->steady || w->lock < 0 || !rl_counted())
        return;
    rl_changed(); /* no other process is at work: the one that began that change has died in it */
    w->steady = rl_moment(&w->began);
}

struct rl_since rl_since(struct rl_walk *w)
{
    begin(w);
    return (struct rl_since){w->began, w->steady};
}

long rl_and_still(struct rl_walk *w, struct rl_since since, long r)
{
    w->relative = rl_writable();
    w->began = since.began;
    w->steady = since.steady;
    return w->lock >= 0 || rl_still(w) ? r : -ESTALE;
}


/* The descriptor's object: by its name, which has no links in it. */
static long itself(struct course *c, int fd)
{
    struct rl_walk *w = c->w;
    struct rl_origin o;
    long r = rl_chain_has_fd(fd) ? -ENAMETOOLONG : rl_fd_virtual(w->s, fd, c->rest, &o);
    c->flags |= RL_WHOLE; /* no search permission is needed */
    if (r == -ENAMETOOLONG || r > RL_LONG) {
        long deep = attempt(c, fd, ".");
        w->dot = RL_NO_DOTS;
        if (r < 0 || deep != -ENAMETOOLONG) /* it is a directory */
            return deep;
    }
    int ours = rl_writable() && (o.place == RL_PLACE_LAYER || o.place == RL_PLACE_TREE);
    if (r >= 0)
        r = attempt(c, AT_FDCWD, r ? c->rest : "/");
    w->relative = ours;
    if (r >= 0 && ours && o.place == RL_PLACE_LAYER && !o.index && rl_isdir(w->hit.mode))
        rl_begin_at(w, fd);
    return r;
}

long rl_resolve(struct rl_walk *w, int dirfd, const char *path, u32 flags, u64 resolve)
{
    struct course c;
    u32 n = (u32)strlen(path);
    if (n >= RL_PATH_MAX)
        return -ENAMETOOLONG;
    if (!n && !(flags & RL_EMPTY))
        return -ENOENT;
    c.w = w;
    c.flags = flags;
    c.resolve = resolve;
    if (flags & RL_PLAIN) {
        memcpy(c.rest, path, n + 1);
        path = c.rest;
    }
    int held = w->lock >= 0;
    long r = 0;
    for (int i = 0; r >= 0 && i < 100; i++) { /* without a lock file it is not held */
        begin(w);
        r = n ? attempt(&c, dirfd, path) : itself(&c, dirfd);
        if (rl_still(w)) /* rule 4 */
            break;
        r = i < TRIES ? 0 : rl_lock_now(w);
    }
    if (!held)
        rl_unlock(w);
    return r;
}

long rl_resolve_plain(struct rl_walk *w, const char *vpath)
{
    return rl_resolve(w, AT_FDCWD, vpath[0] ? vpath : "/", RL_EXISTS | RL_PLAIN | RL_WHOLE, 0);
}
