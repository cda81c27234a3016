/* Copy-up: copy a lower object into the upper before its first change.
 *
 * 1. The copy is made under a temporary name and renamed: a file is whole or absent.
 * 2. Publishing happens under the lock and not over a whiteout: a file that was removed meanwhile does not reappear.
 *    Without the lock, if this process was the first to set the bit of the name in the Bloom filter, and nobody held the
 *    lock: who removes or renames the lower file afterwards sees the bit, and looks the name up again under the lock. If
 *    somebody has held the lock meanwhile, the result of both is checked under it.
 * 3. Of two copy-ups at once, the second finds the first one's copy and uses it.
 * 4. The parent's times are restored; a copy-up is not a change by the program.
 * 5. Directories are copied under the lock, after the path has been walked under it: else one that another process renames
 *    or removes meanwhile would be made once more at its old path, over its whiteout, and show there with all its content. */
#include "../internal.h"

static void times_of(const struct rl_attr *a, i64 t[4])
{
    t[0] = a->atime_s;
    t[1] = a->atime_ns;
    t[2] = a->mtime_s;
    t[3] = a->mtime_ns;
}

/* Save and restore the times of the directory that holds real[0..len). */
void rl_keep_times(const char *real, u32 len, struct rl_keep *k, int restore)
{
    char *dir = k->dir;
    struct statx sx;
    if (restore) {
        if (k->ok)
            k_utimens(AT_FDCWD, dir, k->times, 0);
        return;
    }
    while (len && real[len - 1] != '/')
        len--;
    memcpy(dir, real, len);
    dir[len] = 0;
    k->ok = len && k_statx(AT_FDCWD, dir, 0, &sx) == 0;
    if (k->ok) {
        k->times[0] = sx.stx_atime.tv_sec;
        k->times[1] = sx.stx_atime.tv_nsec;
        k->times[2] = sx.stx_mtime.tv_sec;
        k->times[3] = sx.stx_mtime.tv_nsec;
    }
}

/* The record that a copy of `hit` needs. Length of the text. (A copy of one of several hard links is a separate file
 * from now on.) */
static long copy_record(const struct rl_attr *a, int with_ino, const char *fields, u32 n, char *text)
{
    struct rl_owner o = {a->uid, a->gid, a->mode, a->rdev_major, a->rdev_minor, 0};
    struct rl_record rec;
    rec.has = n ? RL_HAS_XATTR : 0;
    rec.xattrs_len = n;
    rl_owner_fields(&o, rl_written_mode(a->mode), &rec);
    if (with_ino) {
        rec.has |= RL_HAS_INO;
        rec.ino = a->ino;
    }
    return rl_record_format(&rec, fields, "", text);
}

/* The buffers of a copy-up (pool.c). */
struct work {
    struct rl_attr a;
    struct rl_keep keep;
    char real[RL_REAL_MAX], temp[RL_REAL_MAX], record[RL_PATH_MAX], fields[RL_PATH_MAX];
};

/* A directory has a temporary name until it has its record; in a watched directory, too: events.c knows by it that no
 * program made it. */
static long publish_dir(struct rl_walk *w, long r, const char *temp, const char *real)
{
    if (r >= 0)
        r = rl_publish(w, temp, real);
    if (r < 0)
        k_unlink(temp, AT_REMOVEDIR);
    return r == -EEXIST ? 0 : r;
}

/* Make the directory w->v[0..len), whose lower part is `hit`, in the upper. */
static long dir_with(struct rl_walk *w, struct work *k, const struct rl_ctx *dir, u32 len, const struct rl_ctx *self,
                     const struct rl_hit *hit)
{
    u64 fnv = rl_fnv(RL_FNV_START, w->v, len);
    i64 t[4];
    long n = rl_upper_path(w, len, k->real);
    if (n < 0)
        return n;
    rl_attr_of(self, hit, &k->a);
    long text = rl_xattr_fields(w, dir, len, hit, k->fields);
    if (text >= 0)
        text = copy_record(&k->a, 0, k->fields, (u32)text, k->record);
    if (text < 0)
        return text;
    rl_bloom_set(&rl_layers[0], rl_bloom_key(fnv, RL_KEY_PATH));
    int marked = text || rl_may_be_recorded(&rl_layers[0], fnv);
    if (marked && k_exists(k->real)) /* its record is its own */
        return 0;
    const char *made = text || rl_watched(dir) ? k->temp : k->real;
    long named = made == k->temp ? rl_temp_path(k->temp, sizeof k->temp, k->real, (u32)n) : 0;
    if (named < 0)
        return named;
    rl_keep_times(k->real, (u32)n, &k->keep, 0);
    long r = marked && !text ? rl_record_link(w, fnv, k->real, (u32)n, "", 0) : 0;
    if (r >= 0)
        r = k_mkdir(made, rl_real_mode(k->a.mode) & 07777);
    if (r == -EEXIST)
        return 0;
    if (r >= 0)
        r = rl_record_put(fnv, -1, made, S_IFDIR, k->record, (u32)text);
    if (r > 0)
        r = rl_record_link(w, fnv, k->real, (u32)n, k->record, (u32)r);
    if (r >= 0) {
        rl_xattr_carry(w, dir, len, hit, made);
        times_of(&k->a, t);
        k_utimens(AT_FDCWD, made, t, 0);
    }
    if (made == k->temp)
        r = publish_dir(w, r, k->temp, k->real);
    rl_keep_times(k->real, (u32)n, &k->keep, 1);
    return r;
}

/* A directory of a frozen upper: processes may have it cached without its new part. */
static long dir_seen(struct rl_walk *w, struct work *k, const struct rl_ctx *dir, u32 len, const struct rl_ctx *self,
                     const struct rl_hit *hit)
{
    int mine = w->lock < 0;
    long r = rl_lock(w);
    if (r < 0)
        return r;
    rl_changing();
    r = dir_with(w, k, dir, len, self, hit);
    rl_changed_one(rl_fnv(RL_FNV_START, w->v, len));
    w->steady = rl_moment(&w->began); /* our own change, under the lock */
    if (mine)
        rl_unlock(w);
    return r;
}

static long copyup_dir(struct rl_walk *w, const struct rl_ctx *dir, u32 len, const struct rl_ctx *self,
                       const struct rl_hit *hit)
{
    struct work *k = rl_scratch_get(sizeof *k);
    if (!k)
        return -ENOMEM;
    long r = hit->what == RL_IN_LAYER ? dir_seen(w, k, dir, len, self, hit) : dir_with(w, k, dir, len, self, hit);
    rl_scratch_put(k, sizeof *k);
    return r;
}

/* The nearest directory above w->dir that is in the upper, if this process has it cached. */
static int seen_above(const struct rl_walk *w, struct rl_ctx *at, u32 *end)
{
    u32 n = w->dir.vlen;
    while (n) {
        while (w->v[--n] != '/')
            ;
        if (n && rl_dircache_find(rl_fnv(RL_FNV_START, w->v, n), at) && at->mask & 1) {
            *end = n;
            return 1;
        }
    }
    return 0;
}

/* The directories are in the upper. The next steps of a walk that began at the root do not need the lock: another process
 * may rename a directory now as well as before the walk. */
static void let_others(struct rl_walk *w)
{
    int alone = w->quiet && rl_first_since(w->moment);
    rl_unlock(w);
    w->quiet = alone;
    w->moment++;
}

long rl_copyup_parents(struct rl_walk *w)
{
    struct rl_ctx at, next;
    struct rl_hit hit;
    if (w->dir.mask & 1)
        return 0;
    u32 end = 0, len = w->dir.vlen;
    int mine = w->lock < 0;
    /* Under the lock: no directory must be made at the old path of a renamed one. */
    long r = rl_lock(w);
    if (r >= 0 && !seen_above(w, &at, &end))
        r = rl_step_root(w, 0, &at, &hit);
    while (r >= 0 && end < len) {
        for (end++; end < len && w->v[end] != '/';)
            end++;
        r = rl_step(w, &at, w->v, end, &next, &hit);
        if (r >= 0 && hit.what == RL_NOTHING)
            r = -ENOENT;
        if (r >= 0 && !rl_isdir(hit.mode))
            r = -ENOTDIR;
        if (r >= 0 && !(next.mask & 1)) {
            r = copyup_dir(w, &at, end, &next, &hit);
            next.mask |= 1;
        }
        at = next;
    }
    if (r >= 0)
        w->dir = at;
    if (r >= 0 && mine && w->lock >= 0 && !w->relative)
        let_others(w);
    return r;
}

/* Make the copy of a non-directory at `temp`, with the record text[0..n). Returns what must be next to the name in place
 * of the record: n or 0. */
static long make_copy(struct rl_walk *w, const struct rl_attr *a, int data, const char *temp, const char *text, u32 n)
{
    struct rl_scratch *s = w->s;
    struct rl_hit *h = &w->hit;
    u32 type = a->mode & S_IFMT;
    i64 t[4];
    long r = 0, left = n;
    times_of(a, t);
    if (type == S_IFLNK) {
        long len;
        if (h->what == RL_IN_VIEW) {
            const struct rl_view_entry *e = rl_view_entry(h->view);
            const char *target = rl_view_text(e->link, e->link_len);
            len = target && e->link_len < RL_PATH_MAX ? (long)e->link_len : -EIO;
            if (len >= 0)
                memcpy(s->text, target, (size_t)len);
        } else {
            len = rl_object_real(w, s->real);
            if (len >= 0)
                len = k_readlink(s->real, s->text, sizeof s->text - 1);
        }
        if (len < 0)
            return len;
        s->text[len] = 0;
        r = k_symlink(s->text, temp);
    } else if (type != S_IFREG) {
        r = k_mknod(temp, rl_written_mode(a->mode), 0);
    } else {
        r = left = rl_copy_file(w, a, data, temp, t, text, n);
    }
    if (r >= 0)
        rl_xattr_carry(w, &w->dir, w->vlen, h, temp);
    if (r >= 0 && type != S_IFREG) {
        r = k_utimens(AT_FDCWD, temp, t, AT_SYMLINK_NOFOLLOW);
        if (r >= 0 || r == -EOPNOTSUPP)
            r = left = rl_record_put(rl_vhash(w), -1, temp, rl_real_mode(a->mode), text, n);
    }
    return r < 0 ? r : left;
}

/* By the bit of its entry. */
static int is_removed(const struct rl_walk *w)
{
    return w->hit.what == RL_IN_VIEW && rl_removed(w->hit.view) && rl_hides(w, w->hit.view);
}

/* Others have held the lock since the walk began: was the object removed before the copy was published? */
static long settle(struct rl_walk *w, const char *real, u32 len)
{
    struct rl_scratch *s = w->s;
    long r = rl_lock_now(w);
    if (r < 0)
        return r;
    int noted = is_removed(w) && !rl_removed_written(w->hit.view); /* else a new object may be there */
    r = rl_whiteout_path(s->mark, sizeof s->mark, real, len);
    if (r >= 0 && (noted || k_exists(s->mark))) {
        k_unlink(real, 0);
        r = -ENOENT;
    } else if (!rl_still(w) && w->at != RL_NO_AT) {
        rl_anchor(w);
    }
    rl_unlock(w);
    return r;
}

/* Rule 2, without the lock. */
static long publish_alone(struct rl_walk *w, const char *temp, const char *real, u32 len)
{
    long r = k_rename(temp, real, RENAME_NOREPLACE);
    if (r >= 0 && !rl_undisturbed(w->moment))
        r = settle(w, real, len);
    return r;
}

/* Publish the finished copy, unless the object was removed or copied meanwhile; `left` bytes of the record text[0..n) are
 * not in it. 1: it is ours. */
static long publish(struct rl_walk *w, const char *temp, const char *real, u32 len, const char *text, u32 n, long left,
                    int alone)
{
    struct rl_scratch *s = w->s;
    int mine = w->lock < 0;
    if (w->at == RL_NO_AT && !rl_current(w))
        alone = 0;
    long r = alone && !left ? publish_alone(w, temp, real, len) : -EINVAL;
    if (r != -EINVAL) {
        if (r < 0)
            k_unlink(temp, 0);
        return r == -EEXIST ? 0 : r < 0 ? r : 1;
    }
    r = rl_lock(w);
    if (r < 0) {
        k_unlink(temp, 0);
        return r;
    }
    if (!(w->quiet && rl_first_since(w->moment)) && k_exists(real)) {
        r = -EEXIST;
    } else {
        r = rl_whiteout_path(s->mark, sizeof s->mark, real, len);
        if (r >= 0)
            r = k_exists(s->mark) || is_removed(w) ? -ENOENT : 0;
        if (r >= 0 && (left || !n)) /* an attribute counts instead of a link that was left over */
            r = rl_record_link(w, rl_vhash(w), real, len, text, (u32)left);
        if (r >= 0)
            r = rl_publish(w, temp, real);
    }
    if (mine)
        rl_unlock(w);
    if (r < 0)
        k_unlink(temp, 0);
    return r == -EEXIST ? 0 : r < 0 ? r : 1;
}

static long other_with(struct rl_walk *w, struct work *k, int data)
{
    long n = rl_upper_path(w, w->vlen, k->real);
    if (n < 0)
        return n;
    rl_attr_of(NULL, &w->hit, &k->a);
    long text = rl_xattr_fields(w, &w->dir, w->vlen, &w->hit, k->fields);
    if (text >= 0)
        text = copy_record(&k->a, k->a.nlink < 2, k->fields, (u32)text, k->record);
    long r = text < 0 ? text : rl_temp_path(k->temp, sizeof k->temp, k->real, (u32)n);
    if (r < 0)
        return r;
    int alone = w->lock < 0 && w->quiet && rl_isreg(k->a.mode) && rl_unrecorded(w) && !rl_watched(&w->dir);
    if (!rl_bloom_set(&rl_layers[0], rl_bloom_key(rl_vhash(w), RL_KEY_PATH)))
        alone = 0;
    rl_keep_times(k->real, (u32)n, &k->keep, 0);
    r = make_copy(w, &k->a, data, k->temp, k->record, (u32)text);
    if (r < 0)
        k_unlink(k->temp, 0);
    else
        r = publish(w, k->temp, k->real, (u32)n, k->record, (u32)text, r, alone);
    rl_keep_times(k->real, (u32)n, &k->keep, 1);
    if (r <= 0 && w->fd >= 0) {
        k_close(w->fd);
        w->fd = -1;
    }
    return r;
}

static long copyup_other(struct rl_walk *w, int data)
{
    struct work *k = rl_scratch_get(sizeof *k);
    if (!k)
        return -ENOMEM;
    long r = other_with(w, k, data);
    rl_scratch_put(k, sizeof *k);
    return r;
}

long rl_copyup(struct rl_walk *w, int data)
{
    struct rl_hit *h = &w->hit;
    if (h->what == RL_IN_BIND || (h->what == RL_IN_LAYER && h->layer == 0 && rl_writable()))
        return 0;
    if (!rl_writable())
        return -EROFS;
    if (h->what == RL_NOTHING)
        return -ENOENT;
    long r = rl_isdir(h->mode) ? rl_lock(w) : 0; /* it may be renamed, too */
    if (r >= 0)
        r = rl_copyup_parents(w);
    if (r >= 0)
        r = rl_hold(w);
    if (r >= 0)
        r = rl_isdir(h->mode) ? copyup_dir(w, &w->dir, w->vlen, &w->self, h) : copyup_other(w, data);
    if (r >= 0 && w->fd >= 0) { /* ours, and open: its attributes are known */
        h->what = RL_IN_LAYER;
        h->layer = 0;
        return 0;
    }
    if (r >= 0)
        r = rl_again(w);
    if (r >= 0 && h->what == RL_NOTHING)
        r = -ENOENT;
    else if (r >= 0 && (h->what != RL_IN_LAYER || h->layer)) /* the lower object: never to be changed */
        r = -ESTALE;
    return r;
}
