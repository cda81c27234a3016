/* unlink and rmdir.
 *
 * 1. A change of more than one step happens under the upper's lock.
 * 2. A file that only the view has is hidden by one step, its bit or its whiteout (hide.c), and without the lock: a
 *    process that takes the lock meanwhile (a copy-up, which checks for both before it publishes the copy; a rename of
 *    the directory, which writes bits through) is counted (dircache.c), and then the result of both is checked under the
 *    lock. So it is after a copy-up that set the name's bit in the Bloom filter first, and may be published without the
 *    lock.
 * 3. A file that only the upper has, without a record next to it, is removed by one step in the same way.
 * 4. A directory of the view that rm -r has emptied needs no reading if the map has the bits of all its entries: the
 *    kernel removes the upper's part of it only if that is empty. With whiteouts it is read once (wipeddir.h).
 * 5. A directory with a temporary name goes with the directory that it is in. If it has something in it, the process
 *    that removed it has died: a living one would hold the lock. If it has nothing, a process may be making it, without
 *    the lock: its mkdir() comes too late and fails with ENOENT. */
#include "wipeddir.h"

long rl_empty(struct rl_walk *w, int *marks)
{
    struct rl_list l;
    long r = rl_list_build(w, &l);
    if (r < 0)
        return r;
    r = l.count ? -ENOTEMPTY : 0;
    *marks = l.marks;
    rl_list_free(&l);
    return r;
}

/* Remove a name. 1: it is a directory with something in it, and stays. */
static long remove_name(long fd, const char *name)
{
    long r = k4(__NR_unlinkat, fd, (long)name, 0, 0);
    if (r == -EISDIR)
        r = k4(__NR_unlinkat, fd, (long)name, AT_REMOVEDIR, 0);
    return r == -ENOTEMPTY || r == -EEXIST ? 1 : r == -ENOENT ? 0 : r;
}

/* Remove the marks, or `all`, in a real directory. 1: one is a directory that stays; its name is appended to the path. */
static long clear_pass(char *real, u32 *len, int all)
{
    char buf[4096];
    long fd = k_open(real, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0), n = 0, r = 0;
    if (fd < 0)
        return fd;
    while (!r && (n = k_getdents(fd, buf, sizeof buf)) > 0)
        for (long o = 0; !r && o < n;) {
            struct rl_dirent *e = (void *)(buf + o);
            u32 size = (u32)strlen(e->name);
            o += e->reclen;
            if (rl_dots(e->name, size) || !(all || rl_begins(e->name, RL_WH)))
                continue;
            r = remove_name(fd, e->name);
            if (r > 0)
                r = rl_join(real, RL_REAL_MAX, real, *len, "/", 1, e->name, size);
            if (r > 0)
                *len = (u32)r;
        }
    k_close(fd);
    return r < 0 ? r : r ? 1 : n;
}

/* Remove the marks in the real directory real[0..base), in a buffer of RL_REAL_MAX bytes (rule 5). */
static long clear_marks(char *real, u32 base)
{
    u32 len = base;
    long r;
    while ((r = clear_pass(real, &len, len > base)) > 0 || (!r && len > base)) {
        if (r)
            continue; /* down */
        r = k_unlink(real, AT_REMOVEDIR);
        if (r < 0)
            break;
        while (real[--len] != '/')
            ;
        real[len] = 0;
    }
    real[base] = 0;
    return r;
}

/* The marks are removed only after the directory has lost its name: until then they hide the names below. `fnv`: of its
 * path; 0: nobody else knows the directory. */
static long dir_remove(const char *real, u32 len, int marks, const struct rl_wiped_dir *wiped, u64 fnv)
{
    char temp[RL_REAL_MAX];
    long r = marks ? -ENOTEMPTY : k_unlink(real, AT_REMOVEDIR);
    if (r != -ENOTEMPTY && r != -EEXIST)
        return r;
    r = rl_temp_path(temp, sizeof temp, real, len);
    if (r >= 0)
        r = k_rename(real, temp, 0);
    if (r < 0)
        return r;
    r = wiped ? rl_wiped_dir_clear(wiped) : clear_marks(temp, (u32)strlen(temp));
    if (r >= 0)
        r = k_unlink(temp, AT_REMOVEDIR);
    if (r < 0) { /* another process has made a file in it meanwhile; what the marks hid stays hidden */
        if (fnv)
            rl_opaque_make(temp, (u32)strlen(temp), fnv);
        if (k_rename(temp, real, RENAME_NOREPLACE) < 0)
            return 0; /* it has lost its name, and what is below must not appear under it */
    }
    return r;
}

long rl_dir_remove(const char *real, u32 len, u64 fnv)
{
    return dir_remove(real, len, 1, NULL, fnv);
}

void rl_dir_shut(struct rl_walk *w, const char *real, u32 len)
{
    struct statx sx;
    struct rl_record rec;
    char *old = rl_scratch_get(RL_PATH_MAX);
    if (!old)
        return;
    if (k_lstat(real, &sx) >= 0 &&
        rl_record_read(w->s, &rl_layers[0], rl_vhash(w), sx.stx_mode, real, len, old, &rec) > 0 && (rec.has & RL_HAS_REDIRECT)) {
        u32 had = rec.has;
        rec.has &= ~(u32)RL_HAS_REDIRECT;
        long n = rl_record_format(&rec, old + rec.xattrs, "", w->s->text);
        if (n >= 0)
            rl_record_store(w, real, len, &sx, had, w->s->text, (u32)n);
    }
    rl_scratch_put(old, RL_PATH_MAX);
}

static long check(struct rl_walk *w, int rmdir)
{
    if (rmdir && w->dot)
        return w->dot == RL_DOT ? -EINVAL : w->dot == RL_DOT_DOT ? -ENOTEMPTY : -EBUSY;
    if (w->dot)
        return -EISDIR;
    if (rl_read_only(&w->dir))
        return -EROFS;
    if (w->hit.what == RL_NOTHING)
        return -ENOENT;
    if (w->slash && !rmdir)
        return rl_isdir(w->hit.mode) ? -EISDIR : -ENOTDIR;
    if (rl_bind_below(w->v, w->vlen))
        return -EBUSY;
    long r = rl_may_change(w, 1);
    if (r < 0)
        return r;
    if (rmdir && !rl_isdir(w->hit.mode))
        return -ENOTDIR;
    return rl_isdir(w->hit.mode) && !rmdir ? -EISDIR : 0;
}

static long remove_bind(struct rl_walk *w, int flags)
{
    long r = rl_object_real(w, w->s->real);
    if (r >= 0)
        r = k_unlink(w->s->real, flags);
    if (r >= 0 && rl_bind_records(w->dir.bind))
        rl_volume_removed(w->s->real, w->hit.mode);
    return r;
}

/* Have all entries of the view's directory their bits (rule 4)? */
static int all_removed(const struct rl_walk *w)
{
    const struct rl_ctx *d = &w->self;
    return rl_removed_bits && rl_view_entry(d->view) && d->mask == 1 && !d->alias[0] && rl_writable() && !rl_bind_in(w->v, w->vlen) &&
           rl_bits_count(w, d, w->v) && rl_removed_all(d->view);
}

/* The entry of the view that alone shows when the upper's object is gone, or 0. A directory: with its own content. */
static u32 below_alone(const struct rl_walk *w, const struct rl_hit *below, int rmdir)
{
    if (below->what != RL_IN_VIEW || (rmdir && ((w->self.mask & ~1u) || w->self.view != below->view)))
        return 0;
    return below->view;
}

static void unhide(struct rl_walk *w, long hidden, u32 id)
{
    if (hidden == RL_HIDDEN_BIT)
        rl_removed_clear(id);
    else if (hidden >= 0)
        rl_whiteout_drop(w);
}

#define NOT_EMPTIED 1

/* A directory of rule 4, whose bit is set. NOT_EMPTIED: the upper has something in it, maybe marks. */
static long remove_emptied(struct rl_walk *w, const char *real, u32 id, long hidden)
{
    if (hidden != RL_HIDDEN_BIT)
        return NOT_EMPTIED;
    long r = k_unlink(real, AT_REMOVEDIR);
    if (r >= 0)
        return 0;
    unhide(w, hidden, id);
    return r == -ENOTEMPTY || r == -EEXIST ? NOT_EMPTIED : r;
}

/* The lock is held. `wiped`: it is a directory, and a wiped one (wipeddir.h). `emptied`: it is one of rule 4; the result
 * may be NOT_EMPTIED. */
static long remove_known(struct rl_walk *w, int rmdir, const struct rl_wiped_dir *wiped, int emptied)
{
    struct rl_ctx self;
    struct rl_hit below;
    char real[RL_REAL_MAX];
    int upper = w->hit.what == RL_IN_LAYER && w->hit.layer == 0, hide, marks = wiped != NULL;
    long r = rmdir && !wiped && !emptied ? rl_empty(w, &marks) : 0, hidden = -1;
    u32 id;
    if (r >= 0)
        r = rl_step_lower(w, &self, &below);
    if (r < 0)
        return r;
    hide = below.what != RL_NOTHING;
    id = below_alone(w, &below, rmdir);
    if (hide) {
        r = rl_copyup_parents(w);
        if (r >= 0)
            r = hidden = rl_hide(w, !upper || rmdir ? id : 0, upper);
        if (r < 0)
            return r;
        if (r == RL_HIDDEN_BEFORE && !upper) /* without the lock (rule 2) since our check: another process has removed it */
            return -ENOENT;
    }
    if (!upper && hidden == RL_HIDDEN_BIT)
        rl_hide_stamp(w, 0);
    if (!upper)
        return 0;
    if (emptied) {
        long len = rl_upper_path(w, w->vlen, real);
        r = len < 0 ? len : remove_emptied(w, real, id, hidden);
        return r ? r : rl_record_link(w, rl_vhash(w), real, (u32)len, "", 0);
    }
    u64 linked = 0;
    long n = rl_upper_path(w, w->vlen, real), beside = rmdir || !rl_unlinked(w);
    if (n >= 0 && !rmdir && beside)
        beside = rl_record_beside(w, rl_vhash(w), real, (u32)n, w->s->text);
    if (beside > 0 && !rmdir)
        linked = rl_linked_last(w, w->s->text);
    r = n < 0 ? n : rmdir ? dir_remove(real, (u32)n, marks, wiped, rl_vhash(w)) : k_unlink(real, 0);
    if (r < 0 && rmdir && n >= 0)
        rl_dir_shut(w, real, (u32)n);
    if (r < 0)
        unhide(w, hidden, id);
    if (r >= 0 && beside > 0)
        rl_record_link(w, rl_vhash(w), real, (u32)n, "", 0);
    if (r >= 0)
        rl_linked_drop(w->s, linked);
    return r;
}

static long remove_locked(struct rl_walk *w, int rmdir)
{
    struct rl_wiped_dir wiped;
    int emptied = rmdir && all_removed(w), is_wiped = rmdir && !emptied && rl_wiped_dir_open(w, &wiped);
    long r = remove_known(w, rmdir, is_wiped ? &wiped : NULL, emptied);
    if (r == NOT_EMPTIED)
        r = remove_known(w, rmdir, NULL, 0);
    if (is_wiped)
        rl_wiped_dir_close(&wiped);
    return r;
}

/* Only the view has it: no object of this name was ever made in a directory layer. */
static int untouched(const struct rl_walk *w)
{
    return w->hit.what == RL_IN_VIEW && !rl_isdir(w->hit.mode) &&
           !rl_bloom_test(&rl_layers[0], rl_bloom_key(rl_vhash(w), RL_KEY_PATH));
}

/* Only the upper has it, and no record is next to it. */
static int upper_alone(struct rl_walk *w)
{
    return w->hit.what == RL_IN_LAYER && w->hit.layer == 0 && !rl_isdir(w->hit.mode) && rl_writable() && rl_upper_only(w);
}

/* Rule 3. A process that held the lock meanwhile may have moved the directory to a place where a lower object shows. */
static long remove_plain(struct rl_walk *w, u32 since)
{
    long r = rl_hold(w);
    if (r >= 0)
        r = rl_upper_path(w, w->vlen, w->s->real);
    if (r >= 0)
        r = k_unlink(w->s->real, 0);
    if (r < 0 || rl_alone_since(w, since))
        return r;
    r = rl_lock_now(w);
    if (r < 0)
        return r;
    r = rl_anchor(w);
    if (r >= 0 && w->hit.what != RL_NOTHING && w->hit.layer != 0) {
        r = rl_copyup_parents(w);
        if (r >= 0)
            r = rl_whiteout_make(w);
    }
    rl_unlock(w);
    return r < 0 && r != -ENOENT ? r : 0;
}

/* Rule 2. 1: the name is hidden, by the bit of the entry `bit` if that is not 0, but work is left; 2: it was before. */
static long hide(struct rl_walk *w, u32 since, u32 *bit)
{
    long r = rl_copyup_parents(w);
    if (r >= 0 && !rl_hides(w, w->hit.view)) /* a bit needs no path */
        r = rl_hold(w);
    int first = rl_bloom_set(&rl_layers[0], rl_bloom_key(rl_vhash(w), RL_KEY_PATH));
    if (r >= 0)
        r = rl_hide(w, w->hit.view, 0);
    if (r < 0 || r == RL_HIDDEN_BEFORE)
        return r < 0 ? r : 2;
    *bit = r == RL_HIDDEN_BIT ? w->hit.view : 0;
    if (*bit)
        rl_hide_stamp(w, 0);
    return !first || !rl_alone_since(w, since);
}

/* Rule 2, by a bit, under the lock: the other process may have renamed the directory, or may have made a copy or hidden the
 * name (begin again), or have written bits through before this one was set. */
static long hidden_well(struct rl_walk *w, u32 bit)
{
    switch (rl_hidden_how(w->lock, bit)) {
    case RL_HIDDEN_HERE:
        rl_removed_note();
        rl_hide_stamp(w, 1);
        return 0;
    case RL_HIDDEN_GONE:
        return 0;
    case RL_HIDDEN_NOT:
        rl_removed_clear(bit);
    }
    return -ESTALE;
}

static long remove_at(struct rl_walk *w, int dirfd, const char *path, int flags)
{
    int rmdir = flags & AT_REMOVEDIR, hidden = 0;
    u32 now, bit = 0;
    int alone = !rmdir && rl_quiet(&now);
    long r = rl_resolve(w, dirfd, path, RL_NAME, 0);
    if (r >= 0)
        r = check(w, rmdir);
    if (r < 0)
        return r;
    if (w->hit.what == RL_IN_BIND)
        return remove_bind(w, flags);
    r = rl_copyup_watched(w);
    if (r < 0)
        return r == -ENOENT ? -ESTALE : r;
    if (alone && upper_alone(w))
        return remove_plain(w, now);
    if (alone && untouched(w)) {
        r = hide(w, now, &bit);
        if (r == 0 || r == -ESTALE)
            return r;
        hidden = r == 1;
    }
    r = hidden ? rl_lock_now(w) : rl_lock(w);
    if (r < 0)
        return r;
    if (bit) {
        r = hidden_well(w, bit);
        rl_unlock(w);
        return r;
    }
    if (hidden || !rl_unchanged(w))
        r = rl_anchor(w);
    /* Else another process made a new object of this name before our whiteout, so that it still exists. */
    if (hidden && (r < 0 || w->hit.what == RL_NOTHING || !rl_whiteout_there(w))) {
        rl_unlock(w);
        return 0;
    }
    if (r >= 0)
        r = check(w, rmdir);
    if (rmdir)
        rl_changing();
    if (r >= 0)
        r = remove_locked(w, rmdir);
    if (rmdir)
        rl_changed_one(rl_vhash(w));
    rl_unlock(w);
    return r;
}

long rl_unlink(int dirfd, const char *path, int flags)
{
    struct rl_scratch s;
    struct rl_walk w;
    if (flags & ~AT_REMOVEDIR)
        return -EINVAL;
    long r;
    rl_walk_start(&w, &s);
    do
        r = remove_at(&w, dirfd, path, flags);
    while (rl_retry(&w, &r));
    return r;
}
