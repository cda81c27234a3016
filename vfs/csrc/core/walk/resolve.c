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
 *    its search permissions are.
 * 7. A link of /proc leads to an object, which may be a symbolic link that was opened with O_PATH: it is not followed. */
#include "course.h"

#define TRIES 2

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
        long r = rl_walk_again(c, rl_parent_len(w));
        if (r < 0)
            return r;
        w->dir = c->cur;
    }
    w->vlen = len;
    return rl_again(w);
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
    int link = h->what != RL_NOTHING && rl_islnk(h->mode);
    if (link && c->p == c->object && !last)
        return -ENOTDIR;
    if (link && c->p != c->object && (!last || follow_last(c))) {
        const char *text;
        if (++c->links > RL_MAX_LINKS || (c->resolve & RESOLVE_NO_SYMLINKS))
            return -ELOOP;
        long n = rl_link_text(c, len, &text);
        if (n == -ENAMETOOLONG && c->magic)
            return rl_enter_link(c, len, last);
        if (n == -ENOLINK)
            return last ? rl_kernel_link(c, len) : -EACCES;
        return n < 0 ? n : rl_splice(c, text, (u32)n, c->p);
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
    rl_descend(c, &w->self);
    w->vlen = len;
    return 0;
}

/* May names be looked up in the current directory? The path to an open directory needs no search permission. */
static long searchable(const struct course *c)
{
    if (!rl_me.fsuid || (c->flags & RL_WHOLE) || (c->cur.bind >= 0 && !c->cur.given))
        return 0;
    return rl_dir_permit(&c->cur, RL_X_OK);
}

static long walk(struct course *c)
{
    struct rl_walk *w = c->w;
    for (;;) {
        while (*c->p == '/')
            c->p++;
        if (!*c->p)
            return settle_dot(c);
        const char *name = c->p, *end = name + rl_next_name(c, name);
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
            r = dots == RL_DOT_DOT ? rl_go_up(c) : 0;
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
        if (*next && rl_course_cached(c, len)) {
            rl_descend(c, &w->self);
            w->vlen = len;
            continue;
        }
        r = rl_course_look(c, len);
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
    c->object = NULL;
    w->slash = w->dot = 0;
    long r = rl_start(c, dirfd, path);
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
    long r = rl_chain_has_fd(fd) ? -ENAMETOOLONG : rl_fd_virtual(w->s, fd, c->given, &o);
    c->flags |= RL_WHOLE; /* no search permission is needed */
    if (r == -ENAMETOOLONG || r > RL_LONG) {
        long deep = attempt(c, fd, ".");
        w->dot = RL_NO_DOTS;
        if (r < 0 || deep != -ENAMETOOLONG) /* it is a directory */
            return deep;
    }
    int ours = rl_writable() && (o.place == RL_PLACE_LAYER || o.place == RL_PLACE_TREE);
    if (r >= 0)
        r = attempt(c, AT_FDCWD, r ? c->given : "/");
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
    c.long_rest = NULL;
    if (flags & RL_PLAIN) {
        memcpy(c.given, path, n + 1);
        path = c.given;
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
    if (c.long_rest)
        k_munmap(c.long_rest, REST_MAX);
    return r;
}

long rl_resolve_plain(struct rl_walk *w, const char *vpath)
{
    return rl_resolve(w, AT_FDCWD, vpath[0] ? vpath : "/", RL_EXISTS | RL_PLAIN | RL_WHOLE, 0);
}
