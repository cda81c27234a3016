/* The record of a file with several names that cannot have an attribute (docs/format.md section 6, *Linked record*): a
 * FIFO, socket or symbolic link, and each file on a file system without user.* attributes. The record next to each name holds the path of the record in the upper's root.
 *
 * 1. link(2) makes it, under the lock; every later name gets the same text as the first.
 * 2. It is removed with the last name. A crash before that leaves a record that no name refers to: it means nothing.
 * 3. A reference to a missing record says nothing: the file is being removed. */
#include "../internal.h"

/* Save and restore the times of the upper's root: a mark is not a change by the program. */
static int root_times(i64 times[4], int restore)
{
    struct statx sx;
    const char *root = rl_layers[0].len ? rl_layers[0].path : "/";
    if (restore)
        return (int)k_utimens(AT_FDCWD, root, times, 0);
    if (k_statx(AT_FDCWD, root, 0, &sx) < 0)
        return 0;
    times[0] = sx.stx_atime.tv_sec;
    times[1] = sx.stx_atime.tv_nsec;
    times[2] = sx.stx_mtime.tv_sec;
    times[3] = sx.stx_mtime.tv_nsec;
    return 1;
}

/* The mark's path, into out[RL_REAL_MAX]. Length. */
static long path_of(const struct rl_layer *l, u64 id, char *out)
{
    char name[64];
    u32 n = (u32)(rl_put_u64(rl_put(name, "/" RL_WH_LINKED), id, 10) - name);
    return rl_join(out, RL_REAL_MAX, l->path, l->len, name, n, "", 0);
}

/* The record itself; `mark` is a buffer. Length of the text. */
static long linked_load(const struct rl_layer *l, u64 id, char *mark, char *text, struct rl_record *r)
{
    long n = path_of(l, id, mark);
    if (n >= 0)
        n = k_readlink(mark, text, RL_PATH_MAX - 1);
    if (n < 0 && n != -ENOENT)
        return n;
    text[n < 0 ? 0 : n] = 0;
    if (rl_record_parse(text, (u32)strlen(text), r) < 0)
        return -EIO;
    return (long)strlen(text);
}

/* `text`, n bytes long, was read next to a name: parse it, or the record that it refers to, which is then in `text`.
 * Length. */
long rl_linked_follow(const struct rl_layer *l, long n, char *mark, char *text, struct rl_record *r)
{
    if (rl_record_parse(text, (u32)n, r) < 0)
        return -EIO;
    if (!(r->has & RL_HAS_LINKED))
        return n;
    u64 id = r->linked;
    n = linked_load(l, id, mark, text, r);
    r->has |= RL_HAS_LINKED;
    r->linked = id;
    return n;
}

/* No symbolic link is empty. */
static const char *some(const char *text)
{
    return text[0] ? text : RL_RECORD_NOTHING;
}

long rl_linked_store(struct rl_scratch *s, u64 id, const char *text)
{
    i64 times[4];
    long n = path_of(&rl_layers[0], id, s->mark);
    if (n < 0)
        return n;
    int keep = root_times(times, 0);
    n = rl_mark_put(s->mark, (u32)n, some(text));
    if (keep)
        root_times(times, 1);
    return n;
}

/* A new record. */
static long make(struct rl_scratch *s, const char *text, u64 *id)
{
    i64 now[2] = {0, 0}, times[4];
    int keep = root_times(times, 0);
    long r;
    k4(__NR_clock_gettime, 0, (long)now, 0, 0);
    *id = (u64)now[0] * 1000000000u + (u64)now[1];
    do {
        r = path_of(&rl_layers[0], ++*id, s->mark);
        if (r >= 0)
            r = k_symlink(some(text), s->mark);
    } while (r == -EEXIST);
    if (keep)
        root_times(times, 1);
    return r;
}

/* Rule 1, for the walk's object, at real[0..len): text[RL_PATH_MAX] is next to its name, and is replaced by the one that
 * will be next to all its names. Length. */
long rl_linked_make(struct rl_walk *w, const char *real, u32 len, char *text)
{
    struct rl_keep keep;
    struct rl_record r;
    long n = (long)strlen(text);
    if (rl_record_parse(text, (u32)n, &r) < 0)
        return -EIO;
    if (r.has & RL_HAS_LINKED)
        return n;
    n = make(w->s, text, &r.linked);
    if (n < 0)
        return n;
    r.has = RL_HAS_LINKED;
    n = rl_record_format(&r, "", "", text);
    rl_keep_times(real, len, &keep, 0);
    long e = rl_record_link(w, rl_vhash(w), real, len, text, (u32)n);
    rl_keep_times(real, len, &keep, 1);
    return e < 0 ? e : n;
}

/* The linked record to remove with the walk's name, next to which `text` is; 0: none. */
u64 rl_linked_last(const struct rl_walk *w, const char *text)
{
    const struct rl_hit *h = &w->hit;
    struct rl_record r;
    int last = h->what == RL_IN_LAYER && h->layer == 0 && !rl_isdir(h->mode) && h->sx.stx_nlink == 1;
    return last && rl_record_parse(text, (u32)strlen(text), &r) == 0 && (r.has & RL_HAS_LINKED) ? r.linked : 0;
}

void rl_linked_drop(struct rl_scratch *s, u64 id)
{
    i64 times[4];
    if (!id || path_of(&rl_layers[0], id, s->mark) < 0)
        return;
    int keep = root_times(times, 0);
    k_unlink(s->mark, 0);
    if (keep)
        root_times(times, 1);
}
