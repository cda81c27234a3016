/* Real paths that begin at a descriptor, so that an operation reaches the directory that was walked.
 *
 * 1. A program keeps working in the same directory that it has open, or that is its working directory, even if another
 *    process renames it or one above it. So a path of the upper that is below the directory where a walk began is real
 *    relative to that: "./REST" in the working directory, RL_AT, a number, a slash and REST at a descriptor. The k_
 *    functions (kernel.h) accept them.
 * 2. If the walk began elsewhere (in a layer's directory, of which the upper has a part; or it left it upwards), that
 *    directory is opened before it is changed: rl_hold(). Directories are renamed only under the upper's lock, and
 *    holders are counted (dircache.c): while the count is the same as at the start of the walk, names still lead to the
 *    same directories.
 * 3. An operation that fails this check begins again, and then under the lock: rl_retry().
 * 4. The filter knows paths. A new object in a directory that was renamed meanwhile gets its bits under the new name:
 *    rl_late(). A rename reads the directory's content before and after.
 * docs/adr/0014-paths-that-begin-at-a-descriptor.md */
#include "../internal.h"

#define TRIES 40

long (*rl_working_directory)(void);

long rl_at(const char **path)
{
    u64 fd = 0;
    const char *p = *path + 1;
    rl_number(&p, 10, &fd);
    *path = p + 1;
    if (!p[1])
        *path = ".";
    return (long)fd;
}

void rl_path_text(char *real)
{
    if (*real != RL_AT)
        return;
    static const char proc[] = "/proc/self/fd/";
    memmove(real + sizeof proc - 1, real + 1, strlen(real));
    memcpy(real, proc, sizeof proc - 1);
}

long rl_by_text(long nr, const char *real, const void *a, const void *b, size_t c, int d)
{
    long r = *real == RL_AT ? -ENAMETOOLONG : rl_sys(nr, (long)real, (long)a, (long)b, (long)c, d, 0);
    if (r != -ENAMETOOLONG)
        return r;
    char *text = rl_scratch_get(RL_REAL_MAX + 64);
    if (!text)
        return -ENOMEM;
    long fd = rl_far_text(real, text);
    if (fd == -ENAMETOOLONG) { /* it is shorter than that */
        rl_put(text, real);
        rl_path_text(text);
    }
    if (fd >= 0 || fd == -ENAMETOOLONG)
        r = rl_sys(nr, (long)text, (long)a, (long)b, (long)c, d, 0);
    if (fd >= 0)
        k_close(fd);
    rl_scratch_put(text, RL_REAL_MAX + 64);
    return r;
}

void rl_begin_at(struct rl_walk *w, int fd)
{
    w->at = fd == AT_FDCWD && rl_working_directory ? (i32)rl_working_directory() : fd;
    w->at_len = w->vlen;
}

char *rl_put_at(const struct rl_walk *w, char *out)
{
    if (w->at == AT_FDCWD)
        return rl_put(out, "./");
    *out++ = RL_AT;
    return rl_put(rl_put_u64(out, (u64)w->at, 10), "/");
}

/* The directory w->at itself by its name in its parent: its marks are next to it. */
static long own_name(const struct rl_walk *w, char *out)
{
    u32 name = w->at_len;
    while (name && w->v[name - 1] != '/')
        name--;
    char *p = rl_put(rl_put_at(w, out), "../");
    memcpy(p, w->v + name, w->at_len - name);
    p += w->at_len - name;
    *p = 0;
    return p - out;
}

long rl_upper_path(const struct rl_walk *w, u32 len, char *out)
{
    int at = w->at != RL_NO_AT && len > w->at_len, far;
    if (w->deep && w->at != RL_NO_AT && len == w->at_len)
        return own_name(w, out);
    u32 n = at ? len - w->at_len : len;
    const char *rest = w->v + (len - n);
    far = w->deep && rl_layers[0].len + n >= RL_REAL_MAX;
    if (far)
        return rl_far_join(w, at ? NULL : rl_layers[0].path, rest, n, out);
    if (!at)
        return rl_join(out, RL_REAL_MAX, rl_layers[0].path, rl_layers[0].len, rest, n, "", 0);
    char *p = rl_put_at(w, out);
    memcpy(p, rest + 1, n - 1);
    p[n - 1] = 0;
    return p + n - 1 - out;
}

long rl_own_path(const struct rl_walk *w, char *out)
{
    if (w->at == RL_NO_AT || w->vlen != w->at_len)
        return 0;
    return rl_put(rl_put_at(w, out), ".") - out;
}

int rl_still(const struct rl_walk *w)
{
    return !w->relative || !rl_counted() || (w->steady && !rl_stirred(w->began));
}

int rl_current(const struct rl_walk *w)
{
    const struct rl_ctx *d = &w->dir;
    if (!rl_counted())
        return 1;
    if (!w->steady || rl_stirred(w->began))
        return 0;
    return (d->mask & 1) || d->bind >= 0 || !rl_bloom_test(&rl_layers[0], rl_bloom_key(d->hash, RL_KEY_PATH));
}

long rl_sure(const struct rl_walk *w)
{
    return w->at == RL_NO_AT && w->lock < 0 && !rl_still(w) ? -ESTALE : 0;
}

long rl_hold(struct rl_walk *w)
{
    if (!w->relative || w->lock >= 0 || w->dir.bind >= 0 || w->at != RL_NO_AT)
        return 0;
    long fd = rl_upper_path(w, w->dir.vlen, w->s->real);
    if (fd >= 0)
        fd = rl_reserve_open(w->s->real, O_PATH | O_DIRECTORY | O_CLOEXEC, 0);
    if (!rl_still(w)) {
        if (fd >= 0)
            k_close(fd);
        return -ESTALE;
    }
    if (fd < 0)
        return fd;
    w->pin = w->at = (i32)fd;
    w->at_len = w->dir.vlen;
    return 0;
}

int rl_unchanged(const struct rl_walk *w)
{
    const struct rl_hit *h = &w->hit;
    if (!w->quiet || !rl_first_since(w->moment))
        return 0;
    __atomic_thread_fence(__ATOMIC_SEQ_CST); /* who sets the bit from now on sees our section */
    return h->what == RL_NOTHING || (h->what == RL_IN_LAYER && !h->layer) ||
           !rl_bloom_test(&rl_layers[0], rl_bloom_key(rl_vhash(w), RL_KEY_PATH));
}

int rl_alone_since(const struct rl_walk *w, u32 since)
{
    return rl_undisturbed(since) || (w->lock >= 0 && rl_first_since(since));
}

long rl_hold_object(struct rl_walk *w)
{
    return rl_isdir(w->hit.mode) && w->relative && w->at == RL_NO_AT ? rl_lock(w) : rl_hold(w);
}

static void let_go(struct rl_walk *w)
{
    if (w->pin >= 0)
        k_close(w->pin);
    if (w->pin >= 0 && w->at == w->pin)
        w->at = RL_NO_AT;
    w->pin = -1;
    rl_done(w);
}

void rl_end(struct rl_walk *w)
{
    let_go(w);
    rl_unlock(w);
}

int rl_retry(struct rl_walk *w, long *r)
{
    i32 lock = w->lock;
    u32 tries = w->tries + 1;
    let_go(w);
    if (*r != -ESTALE || tries == TRIES) {
        rl_unlock(w);
        *r = *r == -ESTALE ? -EAGAIN : *r;
        return 0;
    }
    rl_walk_start(w, w->s);
    w->lock = lock;
    w->tries = tries;
    long got = rl_lock_now(w);
    *r = got < 0 ? got : *r;
    return got >= 0;
}

long rl_lowest(struct rl_walk *w, long fd, int flags)
{
    i32 *own = w->pin >= 0 && (w->lock < 0 || w->pin < w->lock) ? &w->pin : &w->lock;
    if (fd < 0 || *own < 0 || *own > fd)
        return fd;
    if (own == &w->lock)
        rl_lock_free(w);
    else
        w->at = RL_NO_AT;
    long r = rl_sys(__NR_dup3, fd, *own, flags & O_CLOEXEC, 0, 0, 0);
    if (r < 0)
        return fd;
    *own = -1;
    k_close(fd);
    return r;
}

/* The bits of v[from..len) and of all names in its path, in a directory whose path is text[0..n). */
static void bits_of(const char *text, u32 n, const char *v, u32 from, u32 len)
{
    u64 h = rl_fnv(RL_FNV_START, text, n);
    while (from < len) {
        u32 end = from + 1;
        while (end < len && v[end] != '/')
            end++;
        h = rl_fnv(h, v + from, end - from);
        rl_bloom_set(&rl_layers[0], rl_bloom_key(h, RL_KEY_PATH));
        from = end;
    }
    rl_bloom_set(&rl_layers[0], rl_bloom_key(h, RL_BLOOM_RECORD));
    rl_bloom_set(&rl_layers[0], rl_bloom_key(h, RL_BLOOM_OPAQUE));
}

/* The directory's path is too long for a text: from its descriptor. */
static long anchor_deep(struct rl_walk *w)
{
    char *text = w->s->text;
    i32 pin = w->pin;
    u32 rest = w->vlen - w->at_len;
    if (!rest || rest > RL_PATH_MAX)
        return -ENAMETOOLONG;
    memcpy(text, w->v + w->at_len + 1, rest - 1);
    text[rest - 1] = 0;
    long r = rl_resolve(w, w->at, text, RL_PLAIN | RL_NAME, 0);
    w->pin = pin;
    if (r >= 0)
        bits_of(w->v, w->at_len, w->v, w->at_len, w->vlen);
    return r;
}

long rl_anchor(struct rl_walk *w)
{
    struct rl_origin o;
    char *text = w->s->text;
    if (rl_still(w) || w->at == RL_NO_AT)
        return rl_again(w);
    i32 pin = w->pin;
    u32 rest = w->vlen - w->at_len;
    long n = rl_fd_virtual(w->s, w->at, text, &o);
    if (n == -ENAMETOOLONG || (n >= 0 && (u32)n + rest >= RL_PATH_MAX))
        return anchor_deep(w);
    if (n < 0)
        return n;
    bits_of(text, (u32)n, w->v, w->at_len, w->vlen);
    memcpy(text + n, w->v + w->at_len, rest);
    text[(u32)n + rest] = 0;
    n = rl_resolve(w, AT_FDCWD, text, RL_PLAIN | RL_WHOLE | RL_NAME, 0);
    w->pin = pin;
    return n;
}

/* The name exists already: a failure to set its bits is not an error of the call that made it. */
void rl_late(struct rl_walk *w)
{
    if (rl_still(w) || w->lock >= 0 || w->at == RL_NO_AT || rl_lock_now(w) < 0)
        return;
    rl_anchor(w);
    rl_unlock(w);
}
