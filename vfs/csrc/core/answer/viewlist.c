/* The listing of a directory that only the view has: the same result as that of listing.c, without its collecting step.
 *
 * Entries with equal positions may be in any order: readdir.c returns them together. */
#include "../internal.h"

#define RUN 12 /* entries that are sorted by insertion */
#define FEW 24 /* entries that are sorted on the stack */

struct key {
    u64 pos;
    u32 id;
};

static void insertion(struct key *a, u32 n)
{
    for (u32 i = 1; i < n; i++) {
        struct key one = a[i];
        u32 j = i;
        for (; j && a[j - 1].pos > one.pos; j--)
            a[j] = a[j - 1];
        a[j] = one;
    }
}

/* Merge sort, bottom up. Returns the array that holds the result. */
static struct key *sort(struct key *a, struct key *b, u32 n)
{
    for (u32 lo = 0; lo < n; lo += RUN)
        insertion(a + lo, n - lo < RUN ? n - lo : RUN);
    for (u32 width = RUN; width < n; width *= 2) {
        for (u32 lo = 0; lo < n; lo += 2 * width) {
            u32 mid = lo + width < n ? lo + width : n, hi = lo + 2 * width < n ? lo + 2 * width : n;
            for (u32 i = lo, j = mid, k = lo; k < hi; k++)
                b[k] = j >= hi || (i < mid && a[i].pos <= a[j].pos) ? a[i++] : a[j++];
        }
        struct key *t = a;
        a = b;
        b = t;
    }
    return a;
}

static u32 record_bytes(u32 name_len)
{
    return (RL_DIRENT_HEAD + name_len + 1u + 7) & ~7u;
}

/* The keys of a directory's children, unsorted, and their number. Bytes of their records, or -EIO. */
static long read_keys(const struct rl_children *c, struct key *keys, u32 *count)
{
    long bytes = 0;
    *count = 0;
    for (u32 k = 0; k < c->count[0] + c->count[1]; k++) {
        u32 id = rl_child(c, k);
        if (rl_view_hides(id))
            continue;
        const struct rl_view_entry *e = rl_view_entry(id);
        const char *name = e ? rl_view_text(e->name, e->name_len) : NULL;
        if (!name || !e->name_len || e->name_len > RL_NAME_MAX)
            return -EIO;
        keys[*count].pos = rl_list_position(name, e->name_len);
        keys[(*count)++].id = id;
        bytes += record_bytes(e->name_len);
    }
    return bytes;
}

/* Returns the end. */
static char *emit(const struct key *keys, u32 n, char *at)
{
    for (const struct key *k = keys; k < keys + n; k++) {
        const struct rl_view_entry *v = rl_view_entry(k->id);
        struct rl_dirent *e = (void *)at;
        e->reclen = (u16)record_bytes(v->name_len);
        e->ino = RL_INO_BASE + v->ino;
        e->off = (i64)k->pos + 1;
        e->type = (u8)(v->mode >> 12 & 15);
        memcpy(e->name, rl_view_text(v->name, v->name_len), v->name_len);
        e->name[v->name_len] = 0;
        at += e->reclen;
    }
    return at;
}

long rl_list_view(u32 id, struct rl_list *l)
{
    struct rl_children c = rl_view_children(id);
    size_t half = ((size_t)c.count[0] + c.count[1]) * sizeof(struct key);
    u32 n = 0;
    struct key *keys = half ? rl_scratch_get(2 * half) : NULL;
    memset(l, 0, sizeof *l);
    if (!keys)
        return half ? -ENOMEM : 0;
    long r = read_keys(&c, keys, &n);
    if (r >= 0) {
        l->cap = ((u32)r + 4095u) & ~4095u;
        l->buf = rl_scratch_get(l->cap);
        r = l->buf ? 0 : -ENOMEM;
    }
    if (r >= 0) {
        l->len = (size_t)(emit(sort(keys, keys + n, n), n, l->buf) - l->buf);
        l->count = n;
    }
    rl_scratch_put(keys, 2 * half);
    return r;
}

long rl_list_few(u32 id, char *buf, size_t size)
{
    struct key keys[FEW];
    struct rl_children c = rl_view_children(id);
    u32 n = 0;
    long r = c.count[0] + c.count[1] <= FEW ? read_keys(&c, keys, &n) : -EIO;
    if (r < 0 || (size_t)r > size)
        return RL_MISS;
    insertion(keys, n);
    emit(keys, n, buf);
    return r;
}
