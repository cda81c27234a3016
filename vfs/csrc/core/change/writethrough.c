/* Make the whiteouts that bits of the removal map stand for (docs/format.md section 7a).
 *
 * 1. Of a whole tree that was removed, one whiteout is left to make: that of its root. What is in it no longer shows.
 * 2. Entries are taken in the order of their numbers: siblings follow each other, so that each directory is looked up
 *    once, and its times are restored once: a whiteout is not a change, the removal was one.
 * 3. The bits stay. A bit is marked as written only when its whiteout exists or is not needed; not if the whiteout was
 *    there before: then another process has hidden the name, and the one that has set the bit has removed nothing, which
 *    rl_hidden_how() tells it. */
#include "../internal.h"

struct work {
    struct rl_walk w;
    struct rl_scratch s;
    i32 lock;
    u32 moved; /* entries below it are below `to` */
    const char *to;
    u32 parent; /* the entry that was looked up last, as a directory */
    int shows;  /* … and it still shows at its path */
    struct rl_keep keep;
    char path[RL_REAL_MAX];
};

static int is_below(u32 id, u32 above)
{
    const struct rl_view_entry *e;
    while (id != above && id > RL_VIEW_ROOT && (e = rl_view_entry(id)) && e->parent < id)
        id = e->parent;
    return id == above;
}

/* The entry's current path, into k->path. Length. */
static long path_of(struct work *k, u32 id)
{
    long n = rl_view_path(id, k->path, RL_PATH_MAX);
    if (n < 0 || !k->moved || !is_below(id, k->moved))
        return n;
    long old = rl_view_path(k->moved, k->s.text, sizeof k->s.text);
    u32 new = (u32)strlen(k->to);
    if (old < 0 || old > n || n - old + new >= RL_PATH_MAX)
        return -ENAMETOOLONG;
    memmove(k->path + new, k->path + old, (size_t)(n - old + 1));
    memcpy(k->path, k->to, new);
    return n - old + new;
}

/* Walk to the entry's path. 0: it leads elsewhere, or nowhere. */
static int walk(struct work *k, u32 id, u32 flags)
{
    struct rl_walk *w = &k->w;
    long n = path_of(k, id);
    rl_walk_start(w, &k->s);
    w->lock = k->lock;
    return n >= 0 && rl_resolve(w, AT_FDCWD, n ? k->path : "/", RL_PLAIN | RL_WHOLE | RL_NAME | flags, 0) >= 0 &&
           w->vlen == (u32)n && !memcmp(w->v, k->path, (size_t)n);
}

static void leave(struct work *k)
{
    if (k->shows)
        rl_keep_times(k->s.real, 0, &k->keep, 1);
    k->parent = 0;
    k->shows = 0;
}

static void enter(struct work *k, u32 parent)
{
    leave(k);
    k->shows = walk(k, parent, RL_EXISTS) && rl_isdir(k->w.hit.mode) && k->w.self.view == parent;
    k->parent = parent;
    rl_done(&k->w);
}

/* 1: the whiteout was there before. */
static long hide(struct work *k)
{
    struct rl_walk *w = &k->w;
    long r = rl_copyup_parents(w), n = r < 0 ? r : rl_upper_path(w, w->vlen, k->s.real);
    if (n >= 0 && !k->keep.ok)
        rl_keep_times(k->s.real, (u32)n, &k->keep, 0);
    return n < 0 ? n : rl_whiteout_make(w);
}

static long write_one(struct work *k, u32 id)
{
    const struct rl_view_entry *e = rl_view_entry(id);
    long r = 0;
    if (!e || id == RL_VIEW_ROOT)
        return 0;
    if (k->parent != e->parent) {
        enter(k, e->parent);
        k->keep.ok = 0;
    }
    if (!k->shows)
        return 0;
    int found = walk(k, id, 0), what = k->w.hit.what;
    if (found && what == RL_NOTHING && k->w.hit.white)
        r = hide(k);
    else if (found && what != RL_NOTHING) /* an object that a later removal hides; or a copy, see rl_hidden_how() */
        r = 1;
    rl_done(&k->w);
    return r;
}

static long write_all(struct work *k)
{
    u32 noted;
    long r = 0;
    if (!rl_removed_waits(&noted))
        return 0;
    for (u32 id = 0; r >= 0 && (id = rl_removed_next(id)); id++) {
        r = write_one(k, id);
        if (r == 0)
            rl_removed_wrote(id);
    }
    leave(k);
    if (r >= 0)
        rl_removed_done(noted);
    return r;
}

long rl_write_through(i32 lock, u32 moved, const char *to)
{
    u32 noted;
    if (!rl_removed_waits(&noted) || !rl_writable())
        return 0;
    struct work *k = rl_scratch_get(sizeof *k);
    if (!k)
        return -ENOMEM;
    rl_walk_start(&k->w, &k->s);
    k->w.lock = lock;
    k->moved = moved;
    k->to = to;
    k->parent = 0;
    k->shows = k->keep.ok = 0;
    long r = lock < 0 ? rl_lock_now(&k->w) : 0;
    k->lock = k->w.lock;
    if (r >= 0)
        r = write_all(k);
    k->w.lock = k->lock;
    if (lock < 0)
        rl_unlock(&k->w);
    rl_scratch_put(k, sizeof *k);
    return r < 0 ? r : 0;
}

static int how(struct work *k, u32 id)
{
    const struct rl_view_entry *e = rl_view_entry(id);
    enter(k, e->parent);
    if (k->shows) {
        int found = walk(k, id, 0), what = k->w.hit.what, white = k->w.hit.white;
        int other = found && what == RL_NOTHING && !rl_removed_written(id) && rl_whiteout_there(&k->w);
        rl_done(&k->w);
        if (!found || (what == RL_NOTHING && !white) || other)
            return RL_HIDDEN_NOT;
        return what == RL_NOTHING ? RL_HIDDEN_HERE : rl_removed_written(id) ? RL_HIDDEN_GONE : RL_HIDDEN_OVER;
    }
    for (u32 at = e->parent; at > RL_VIEW_ROOT && (e = rl_view_entry(at)) && e->parent < at; at = e->parent)
        if (rl_removed(at))
            return RL_HIDDEN_GONE;
    return rl_removed_written(id) ? RL_HIDDEN_GONE : RL_HIDDEN_NOT;
}

int rl_hidden_how(i32 lock, u32 id)
{
    struct work *k = rl_scratch_get(sizeof *k);
    if (!k)
        return RL_HIDDEN_HERE; /* the most likely by far */
    k->lock = lock;
    k->moved = k->parent = 0;
    k->shows = k->keep.ok = 0;
    int r = how(k, id);
    rl_scratch_put(k, sizeof *k);
    return r;
}

long rl_removals_settle(void)
{
    return rl_removed_mine() ? rl_write_through(-1, 0, NULL) : 0;
}

long rl_removals_sync(void)
{
    return rl_write_through(-1, 0, NULL);
}
