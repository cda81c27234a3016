/* rename, with RENAME_NOREPLACE and RENAME_EXCHANGE.
 *
 * 1. A lower file is copied up and moved; a lower directory is made in the upper with a redirect to its old path:
 *    nothing below it is copied.
 * 2. The lock is held; order: Bloom bits of the new names, whiteout of the old name (without effect while the object is
 *    still there), the record next to the new name, the rename itself, then removal of the record next to the old name
 *    and of the new name's whiteout.
 * 3. A file that only the upper has, with no record next to it, moves by one step and without the lock to a name that nothing
 *    below has either; changes of other processes are checked afterwards, as in remove.c.
 * 4. Another process may make a file without the lock while its directory is renamed: bits are set once more
 *    afterwards.
 * 5. Removals below a directory that moves are written through (writethrough.c) before, and once more afterwards, for
 *    those that another process has noted meanwhile: their bits tell only the old path.
 * 6. Of a removal (remove.c, rule 2) and a move of the same lower file at once, one fails: the removal, if it finds the
 *    whiteout of the move; the move, if it finds a whiteout that was made after its copy.
 * 7. A directory without a lower part that moves to the name of a visible lower directory becomes opaque. */
#include "../internal.h"

struct side {
    struct rl_walk w;
    int lower;     /* something below the upper has this name */
    int lower_dir; /* it is a directory, or hides one: a new directory here would merge */
    u32 len;
    struct rl_record rec;
    char real[RL_REAL_MAX];
    char text[RL_PATH_MAX]; /* record that moves with the object */
};

struct move {
    struct rl_scratch s;
    struct side a, b;
    char path[RL_PATH_MAX];
};

/* A record holds a path of PATH_MAX bytes. Beyond that a directory is copied by its program (mv), as in overlayfs. */
static long redirect(char *out, const char *a, u32 an, const char *b, u32 bn)
{
    long n = rl_join(out, RL_PATH_MAX, a, an, b, bn, "", 0);
    return n == -ENAMETOOLONG ? -EXDEV : n;
}

/* The path of the lower part of the directory w->v in the layers below. Length. */
static long lower_path(struct side *side, char *out)
{
    struct rl_walk *w = &side->w;
    char real[RL_REAL_MAX];
    for (u32 len = w->vlen; len;) {
        struct rl_record rec;
        long n = rl_upper_path(w, len, real);
        u64 fnv = rl_fnv(RL_FNV_START, w->v, len);
        long r = n < 0 ? n : rl_record_read(w->s, &rl_layers[0], fnv, S_IFDIR, real, (u32)n, w->s->text, &rec);
        if (r < 0)
            return r;
        if (rec.has & RL_HAS_REDIRECT)
            return redirect(out, w->s->text + rec.redirect, rec.redirect_len, w->v + len, w->vlen - len);
        while (len && w->v[len - 1] != '/')
            len--;
        len = len ? len - 1 : 0;
    }
    return redirect(out, w->v, w->vlen, "", 0);
}

/* The lower object of this name, and the real path. The object (if it exists) is in the upper. */
static long look(struct side *x)
{
    struct rl_ctx self;
    struct rl_hit below;
    long n = rl_upper_path(&x->w, x->w.vlen, x->real);
    if (n < 0)
        return n;
    x->len = (u32)n;
    long r = rl_step_lower(&x->w, &self, &below);
    x->lower = r >= 0 && below.what != RL_NOTHING;
    x->lower_dir = x->lower && rl_isdir(below.mode);
    return r;
}

/* Store the redirect that the object needs at another name: it changes nothing at this one. The text that will be next
 * to its new name, into x->text. Length. */
static long travel_record(struct side *x, char *path)
{
    struct rl_walk *w = &x->w;
    u64 fnv = rl_vhash(w);
    u32 rest = w->self.mask & ~1u;
    char old[RL_PATH_MAX];
    long r = rl_record_read(w->s, &rl_layers[0], fnv, w->hit.sx.stx_mode, x->real, x->len, old, &x->rec);
    int lacks = r >= 0 && rl_isdir(w->hit.mode) && (rest || w->self.view) && !(x->rec.has & RL_HAS_REDIRECT);
    int moves = r > 0 && rl_record_held(w->hit.sx.stx_mode) && !(x->rec.has & RL_IN_FILE);
    const char *redirect = old + x->rec.redirect;
    if (r >= 0 && lacks) {
        r = lower_path(x, path);
        x->rec.has |= RL_HAS_REDIRECT;
        x->rec.redirect_len = (u32)r;
        redirect = path;
    }
    if (r < 0)
        return r;
    if (x->rec.has & RL_HAS_REDIRECT)
        rl_renamebits_note(redirect, x->rec.redirect_len);
    if (lacks || moves) {
        r = rl_record_format(&x->rec, old + x->rec.xattrs, redirect, x->text);
        if (r >= 0)
            r = rl_record_store_quietly(w, x->real, x->len, &w->hit.sx, x->rec.has, x->text, (u32)r);
    }
    return r < 0 ? r : rl_record_beside(w, fnv, x->real, x->len, x->text);
}

/* A mark is not a change by the program: the directory keeps its time. */
static long opaque(const struct side *x, u64 to)
{
    struct statx sx;
    int known = k_lstat(x->real, &sx) == 0;
    long r = rl_opaque_make(x->real, x->len, to);
    if (known && r >= 0) {
        i64 t[4] = {sx.stx_atime.tv_sec, sx.stx_atime.tv_nsec, sx.stx_mtime.tv_sec, sx.stx_mtime.tv_nsec};
        k_utimens(AT_FDCWD, x->real, t, AT_SYMLINK_NOFOLLOW);
    }
    return r;
}

/* x's object is about to get y's name. */
static long prepare(struct side *x, struct side *y, char *path)
{
    u64 from = rl_vhash(&x->w), to = rl_vhash(&y->w);
    long n = travel_record(x, path), r = n;
    rl_record_moves(from, to);
    rl_bloom_set(&rl_layers[0], rl_bloom_key(to, RL_KEY_PATH));
    if (r >= 0 && rl_isdir(x->w.hit.mode)) {
        r = rl_bits_below(x->real, x->len, from, to);
        if (r >= 0 && !(x->rec.has & RL_HAS_REDIRECT) && y->lower_dir)
            r = opaque(x, to);
    }
    return r < 0 ? r : n;
}

/* x's object has got y's name (rule 4). */
static void bits_after(const struct side *x, const struct side *y)
{
    if (rl_isdir(x->w.hit.mode))
        rl_bits_below(y->real, y->len, rl_vhash(&x->w), rl_vhash(&y->w));
}

static long exchange(struct move *m)
{
    struct side *a = &m->a, *b = &m->b;
    long an = prepare(a, b, m->path), bn = an < 0 ? an : prepare(b, a, m->path);
    if (bn < 0)
        return bn;
    long r = k_rename(a->real, b->real, RENAME_EXCHANGE);
    if (r >= 0) {
        bits_after(a, b);
        bits_after(b, a);
        r = rl_record_link(&b->w, rl_vhash(&b->w), b->real, b->len, a->text, (u32)an);
    }
    if (r >= 0)
        r = rl_record_link(&a->w, rl_vhash(&a->w), a->real, a->len, b->text, (u32)bn);
    return r;
}

/* Remove the upper's own (merged: empty) directory at b: it may contain marks. If another process has just made a file in
 * it, everything is as it was. */
static long replace_dir(struct side *a, struct side *b)
{
    long r = k_rename(a->real, b->real, 0);
    if (r != -ENOTEMPTY && r != -EEXIST)
        return r;
    r = k_rename(a->real, b->real, RENAME_EXCHANGE);
    if (r < 0)
        return r;
    r = rl_dir_remove(a->real, a->len, rl_vhash(&b->w));
    if (r < 0 && k_rename(a->real, b->real, RENAME_EXCHANGE) >= 0)
        rl_dir_shut(&b->w, b->real, b->len);
    return r;
}

/* Rule 6: the copy that this call has made was removed before it could be moved. */
static long removed_first(struct side *a, int recorded)
{
    long r = k_unlink(a->real, 0);
    if (recorded)
        rl_record_link(&a->w, rl_vhash(&a->w), a->real, a->len, "", 0);
    return r < 0 ? r : -ENOENT;
}

/* `copied`: this call has made the copy at a, over no whiteout. */
static long replace(struct move *m, int there, int b_upper, int copied)
{
    struct side *a = &m->a, *b = &m->b;
    char old[RL_PATH_MAX];
    long n = prepare(a, b, m->path), r = n, k;
    if (r >= 0 && a->lower)
        r = rl_whiteout_make(&a->w);
    if (r > 0 && a->lower && copied)
        return removed_first(a, n > 0);
    if (r < 0)
        return r;
    k = rl_record_beside(&b->w, rl_vhash(&b->w), b->real, b->len, old);
    r = k < 0 ? k : k || n ? rl_record_link(&b->w, rl_vhash(&b->w), b->real, b->len, a->text, (u32)n) : 0;
    if (r >= 0)
        r = rl_isdir(a->w.hit.mode) && b_upper ? replace_dir(a, b) : k_rename(a->real, b->real, 0);
    if (r < 0) {
        if (a->lower)
            rl_whiteout_drop(&a->w);
        if (k || n)
            rl_record_link(&b->w, rl_vhash(&b->w), b->real, b->len, old, (u32)k);
        return r;
    }
    bits_after(a, b);
    if (n)
        rl_record_link(&a->w, rl_vhash(&a->w), a->real, a->len, "", 0);
    rl_linked_drop(&m->s, rl_linked_last(&b->w, old));
    if (!there && b->w.hit.white)
        rl_whiteout_drop(&b->w);
    return 0;
}

static long locked(struct move *m, unsigned flags)
{
    struct rl_walk *a = &m->a.w, *b = &m->b.w;
    long r = rl_rename_check(a, b, flags);
    if (r)
        return r < 0 ? r : 0;
    int there = b->hit.what != RL_NOTHING, swap = (flags & RENAME_EXCHANGE) != 0, marks;
    int copies = !rl_isdir(a->hit.mode) && (a->hit.what != RL_IN_LAYER || a->hit.layer != 0);
    if (there && !swap && rl_isdir(b->hit.mode)) {
        r = rl_empty(b, &marks);
        if (r >= 0)
            r = rl_again(b);
    }
    b->lock = a->lock; /* one lock for both */
    if (r >= 0)
        r = rl_copyup(a, 1);
    if (r >= 0)
        r = swap ? rl_copyup(b, 1) : rl_copyup_parents(b);
    b->lock = -1;
    if (r >= 0)
        r = look(&m->a);
    if (r >= 0)
        r = look(&m->b);
    if (r < 0)
        return r;
    return swap ? exchange(m) : replace(m, there, b->hit.what == RL_IN_LAYER && b->hit.layer == 0, copies);
}

/* Rule 3: does only the upper have this name, with no record next to it? */
static int bare(struct rl_walk *w)
{
    int upper = w->hit.what == RL_IN_LAYER && w->hit.layer == 0 && !rl_isdir(w->hit.mode);
    return (upper || (w->hit.what == RL_NOTHING && !w->hit.white)) && (w->dir.mask & 1) && rl_upper_only(w);
}

/* Another process held the lock while we moved a to b: a record made for a belongs to b, and a lower object that shows
 * at a is hidden. */
static long move_late(struct rl_walk *a, struct rl_walk *b, struct move *m)
{
    long r = rl_lock_now(a);
    if (r < 0)
        return r;
    if (!rl_still(b))
        rl_anchor(b);
    int elsewhere = !rl_still(a) && rl_anchor(a) < 0;
    rl_record_moves(rl_vhash(a), rl_vhash(b));
    r = rl_record_beside(a, rl_vhash(a), m->a.real, m->a.len, m->a.text);
    if (r > 0 && !k_exists(m->a.real)) {
        r = rl_record_link(b, rl_vhash(b), m->b.real, m->b.len, m->a.text, (u32)r);
        rl_record_link(a, rl_vhash(a), m->a.real, m->a.len, "", 0);
    }
    if (r >= 0 && !elsewhere)
        r = rl_again(a);
    if (r >= 0 && !elsewhere && a->hit.what != RL_NOTHING && a->hit.layer != 0)
        r = rl_whiteout_make(a);
    rl_unlock(a);
    return r < 0 ? r : 0;
}

static long move_bare(struct move *m, u32 since)
{
    struct rl_walk *a = &m->a.w, *b = &m->b.w;
    long r = rl_hold(a);
    if (r >= 0)
        r = rl_hold(b);
    if (r < 0)
        return r;
    long n = rl_upper_path(a, a->vlen, m->a.real), k = rl_upper_path(b, b->vlen, m->b.real);
    if (n < 0 || k < 0)
        return n < 0 ? n : k;
    m->a.len = (u32)n;
    m->b.len = (u32)k;
    rl_bloom_set(&rl_layers[0], rl_bloom_key(rl_vhash(b), RL_KEY_PATH));
    rl_record_moves(rl_vhash(a), rl_vhash(b));
    r = k_rename(m->a.real, m->b.real, 0);
    return r < 0 || rl_undisturbed(since) ? r : move_late(a, b, m);
}

static long rename_pair(struct move *m, int olddirfd, const char *oldpath, int newdirfd, const char *newpath,
                        unsigned flags)
{
    struct rl_walk *a = &m->a.w, *b = &m->b.w;
    u32 now;
    int alone = rl_quiet(&now) && !flags;
    long r = rl_resolve(a, olddirfd, oldpath, RL_NAME, 0);
    b->lock = a->lock; /* one lock for both */
    if (r >= 0)
        r = rl_resolve(b, newdirfd, newpath, RL_NAME, 0);
    b->lock = -1;
    if (r >= 0)
        r = rl_rename_check(a, b, flags);
    if (r)
        return r < 0 ? r : 0;
    if (a->dir.bind >= 0) {
        r = rl_bind_real(a, &a->dir, a->vlen, m->a.real);
        if (r >= 0)
            r = rl_bind_real(b, &b->dir, b->vlen, m->b.real);
        if (r >= 0 && rl_bind_records(a->dir.bind))
            return rl_volume_rename(m->a.real, a->hit.mode, m->b.real, b->hit.what == RL_NOTHING ? 0 : b->hit.mode, flags);
        return r < 0 ? r : k_rename(m->a.real, m->b.real, flags);
    }
    if (alone && rl_writable() && a->hit.what == RL_IN_LAYER && bare(a) && bare(b))
        return move_bare(m, now);
    int held = a->lock >= 0;
    r = rl_lock(a);
    if (r >= 0 && !(held || a->lock < 0 ? rl_still(b) : rl_current(b)))
        r = -ESTALE;
    if (r < 0)
        return r;
    if (!rl_unchanged(a) || !rl_unchanged(b)) {
        r = rl_again(a);
        if (r >= 0)
            r = rl_again(b);
    }
    int seen = rl_isdir(a->hit.mode) || rl_isdir(b->hit.mode);
    u32 from = rl_isdir(a->hit.mode) ? a->self.view : 0;
    u32 other = (flags & RENAME_EXCHANGE) && rl_isdir(b->hit.mode) ? b->self.view : 0;
    if (r >= 0 && seen)
        r = rl_write_through(a->lock, 0, NULL);
    if (seen)
        rl_changing();
    if (r >= 0)
        r = locked(m, flags);
    if (seen)
        rl_changed();
    if (r >= 0 && seen) { /* it has happened: an error is not its own */
        rl_write_through(a->lock, from, b->v);
        rl_write_through(a->lock, other, a->v);
    }
    rl_unlock(a);
    return r;
}

long rl_rename(int olddirfd, const char *oldpath, int newdirfd, const char *newpath, unsigned flags)
{
    if (flags & ~(RENAME_NOREPLACE | RENAME_EXCHANGE) ||
        flags == (RENAME_NOREPLACE | RENAME_EXCHANGE))
        return -EINVAL;
    struct move *m = rl_scratch_get(sizeof *m);
    if (!m)
        return -ENOMEM;
    long r;
    rl_walk_start(&m->a.w, &m->s);
    do {
        rl_walk_start(&m->b.w, &m->s);
        r = rename_pair(m, olddirfd, oldpath, newdirfd, newpath, flags);
        rl_end(&m->b.w);
    } while (rl_retry(&m->a.w, &r));
    rl_scratch_put(m, sizeof *m);
    return r;
}
