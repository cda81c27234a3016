/* The native view (docs/format.md section 5): one immutable hash table, mapped read-only; or a delta and its base.
 *
 * The header is checked once, ids and string offsets at every use: a damaged file gives wrong answers
 * or ENOENT, never a fault. */
#include "../internal.h"

static const struct rl_view_header *view; /* with a delta: its base */
static const struct rl_view_entry *entries;
static const u32 *buckets;
static const char *strings;

/* A name that the base has keeps its id, and its mark tells whether the delta hides it or has its entry. */
static struct {
    const struct rl_delta_header *head; /* NULL: the view is no delta */
    const struct rl_view_entry *entries;
    const u32 *buckets;
    const char *strings;
    const struct rl_delta_mark *marks;
} state;

static int table_inside(u64 off, u64 count, u64 size, u64 file)
{
    return off <= file && (file - off) / size >= count;
}

static int header_ok(const struct rl_view_header *h, u64 size)
{
    if (size < sizeof *h || memcmp(h->magic, RL_VIEW_MAGIC, 8) || h->version != 1 || h->file_bytes > size)
        return 0;
    if (h->entries < 2 || !h->buckets || (h->buckets & (h->buckets - 1)))
        return 0;
    if (h->off_entries % 8 || h->off_buckets % 4)
        return 0;
    return table_inside(h->off_entries, h->entries, sizeof(struct rl_view_entry), size) &&
           table_inside(h->off_buckets, h->buckets, 4, size) && table_inside(h->off_strings, h->strings_bytes, 1, size);
}

static int delta_ok(const struct rl_delta_header *d, u64 size)
{
    if (d->version != 1 || d->file_bytes > size || !d->buckets || (d->buckets & (d->buckets - 1)))
        return 0;
    if (d->off_entries % 8 || d->off_buckets % 4 || d->off_marks % 4)
        return 0;
    return table_inside(d->off_entries, (u64)d->changed + d->added, sizeof(struct rl_view_entry), size) &&
           table_inside(d->off_buckets, d->buckets, 4, size) &&
           table_inside(d->off_marks, d->base_entries / 32u + 1, sizeof(struct rl_delta_mark), size) &&
           table_inside(d->off_strings, d->strings_bytes, 1, size);
}

static int fits_base(const struct rl_delta_header *d, const struct rl_view_header *b)
{
    return d->base_entries == b->entries && d->base_strings == b->strings_bytes && d->base_bytes == b->file_bytes &&
           !memcmp(d->base_chain_id, b->chain_id, sizeof b->chain_id);
}

static int is_delta(const void *file, u64 size)
{
    return size >= sizeof(struct rl_delta_header) && !memcmp(file, RL_DELTA_MAGIC, 8);
}

static void take_view(const struct rl_view_header *h)
{
    entries = (const void *)((const char *)h + h->off_entries);
    buckets = (const void *)((const char *)h + h->off_buckets);
    strings = (const char *)h + h->off_strings;
    view = h;
}

static long open_delta(const struct rl_delta_header *d, u64 size, const char *path)
{
    char base_path[RL_PATH_MAX + sizeof RL_DELTA_BASE];
    u64 base_size = 0;
    if (!delta_ok(d, size) || !rl_view_base(path, base_path))
        return -EINVAL;
    const struct rl_view_header *b = rl_map_file(base_path, 0, &base_size, 0);
    if (!b)
        return -ENOENT;
    if (!header_ok(b, base_size) || !fits_base(d, b)) {
        k_munmap((void *)b, base_size);
        return -EINVAL;
    }
    take_view(b);
    state.entries = (const void *)((const char *)d + d->off_entries);
    state.buckets = (const void *)((const char *)d + d->off_buckets);
    state.strings = (const char *)d + d->off_strings;
    state.marks = (const void *)((const char *)d + d->off_marks);
    state.head = d;
    return 0;
}

int rl_view_base(const char *path, char *out)
{
    size_t n = strlen(path);
    if (n >= RL_PATH_MAX)
        return 0;
    memcpy(out, path, n);
    memcpy(out + n, RL_DELTA_BASE, sizeof RL_DELTA_BASE);
    return 1;
}

long rl_view_open(const char *path, u64 offset, u64 bytes)
{
    u64 size = bytes;
    view = NULL;
    state.head = NULL;
    if (!path)
        return 0;
    const struct rl_view_header *h = rl_map_file(path, offset, &size, 0);
    if (!h)
        return -ENOENT;
    long r = is_delta(h, size) && !bytes ? open_delta((const void *)h, size, path) : header_ok(h, size) ? 0 : -EINVAL;
    if (r < 0)
        k_munmap((void *)h, size);
    else if (!state.head)
        take_view(h);
    return r;
}

u32 rl_view_count(void)
{
    return view ? view->entries + (state.head ? state.head->added : 0) : 0;
}

static u32 bits_of(u32 v)
{
    v -= v >> 1 & 0x55555555u;
    v = (v & 0x33333333u) + (v >> 2 & 0x33333333u);
    return ((v + (v >> 4)) & 0x0f0f0f0fu) * 0x01010101u >> 24;
}

/* With a delta; `id` may be any. */
static const struct rl_view_entry *delta_entry(u32 id)
{
    if (id >= view->entries) {
        u32 n = id - view->entries;
        return n < state.head->added ? &state.entries[state.head->changed + n] : NULL;
    }
    const struct rl_delta_mark *m = &state.marks[id >> 5];
    u32 bit = 1u << (id & 31);
    if (m->hidden & bit)
        return NULL;
    if (!(m->changed & bit))
        return id ? &entries[id] : NULL;
    u32 n = m->before + bits_of(m->changed & (bit - 1));
    return n < state.head->changed ? &state.entries[n] : NULL;
}

int rl_view_is_of(const u8 *chain_id, const u8 *base)
{
    static const u8 whole[32];
    return !memcmp(chain_id, state.head ? state.head->chain_id : view->chain_id, 32) &&
           !memcmp(base, state.head ? state.head->base_chain_id : whole, 16);
}

const struct rl_view_entry *rl_view_entry(u32 id)
{
    if (state.head)
        return delta_entry(id);
    return view && id && id < view->entries ? &entries[id] : NULL;
}

const char *rl_view_text(u32 off, u64 len)
{
    if (!view)
        return NULL;
    if ((u64)off + len <= view->strings_bytes)
        return strings + off;
    if (!state.head || off < view->strings_bytes)
        return NULL;
    u64 at = off - view->strings_bytes;
    return at + len <= state.head->strings_bytes ? state.strings + at : NULL;
}

static int in_base(u32 id, u32 bits_of_mark)
{
    return id < view->entries && bits_of_mark >> (id & 31) & 1;
}

int rl_view_hides(u32 id)
{
    return state.head && in_base(id, state.marks[id < view->entries ? id >> 5 : 0].hidden);
}

/* Does the delta have the entry of this directory? If not, it adds no name to it. */
static int may_add(u32 parent)
{
    return parent >= view->entries || in_base(parent, state.marks[parent >> 5].changed);
}

struct rl_children rl_view_children(u32 id)
{
    const struct rl_view_entry *e = rl_view_entry(id);
    struct rl_children c = {{0, 0}, {0, 0}};
    if (!e)
        return c;
    u32 own = state.head && may_add(id);
    c.first[own] = e->first_child;
    c.count[own] = e->children;
    if (own && id < view->entries) {
        c.first[0] = entries[id].first_child;
        c.count[0] = entries[id].children;
    }
    for (u32 i = 0; i < 2; i++)
        if (c.count[i] > rl_view_count()) /* damaged: a child that does not exist says so; and the sum fits */
            c.count[i] = rl_view_count();
    return c;
}

u32 rl_view_count_children(u32 id)
{
    struct rl_children c = rl_view_children(id);
    u32 shown = 0;
    if (!state.head)
        return c.count[0];
    for (u32 k = 0; k < c.count[0] + c.count[1]; k++)
        shown += !rl_view_hides(rl_child(&c, k));
    return shown;
}

u32 rl_view_find(u32 parent, const char *name, u32 len)
{
    return rl_view_find_hashed(parent, name, len, rl_fnv(rl_view_hash(parent), name, len));
}

/* `table`: of `size` buckets, a power of two. */
static inline u32 probe(const u32 *table, u32 size, u32 parent, const char *name, u32 len, u64 h)
{
    u32 mask = size - 1;
    for (u32 n = 0, i = (u32)h & mask; n <= mask; n++, i = (i + 1) & mask) {
        u32 id = table[i];
        if (!id)
            return 0;
        /* Of the base itself: a changed entry has the same name. */
        const struct rl_view_entry *e = id < view->entries ? &entries[id] : rl_view_entry(id);
        if (!e || e->hash != (u32)(h >> 32) || e->parent != parent || e->name_len != len)
            continue;
        const char *text = rl_view_text(e->name, len);
        if (text && !memcmp(text, name, len))
            return id;
    }
    return 0;
}

u32 rl_view_find_hashed(u32 parent, const char *name, u32 len, u64 fnv)
{
    if (!view)
        return 0;
    u64 h = rl_mix(fnv);
    u32 id = probe(buckets, view->buckets, parent, name, len, h);
    if (!state.head)
        return id;
    if (id)
        return delta_entry(id) ? id : 0; /* hidden, or the mark of a damaged delta leads nowhere */
    return may_add(parent) ? probe(state.buckets, state.head->buckets, parent, name, len, h) : 0;
}

u32 rl_view_at(const char *path, u32 len)
{
    u32 id = RL_VIEW_ROOT, at = 0;
    while (id && at < len) {
        u32 end = at + 1;
        while (end < len && path[end] != '/')
            end++;
        id = rl_view_find(id, path + at + 1, end - at - 1);
        at = end;
    }
    return id;
}

/* The length is measured first, then the path is written from its end: no byte after the path is touched (it may be on
 * another page), and none is moved. */
long rl_view_path(u32 id, char *out, size_t size)
{
    size_t n = 0, depth = 0;
    for (u32 at = id; at != RL_VIEW_ROOT; depth++) {
        const struct rl_view_entry *e = rl_view_entry(at);
        if (!e || !e->name_len || depth > RL_DEEP_MAX / 2)
            return -EIO;
        n += e->name_len + 1u;
        at = e->parent;
    }
    if (n >= size)
        return -ENAMETOOLONG;
    out[n] = 0;
    for (size_t at = n; at;) {
        const struct rl_view_entry *e = rl_view_entry(id);
        const char *name = e ? rl_view_text(e->name, e->name_len) : NULL;
        if (!name)
            return -EIO;
        at -= e->name_len;
        memcpy(out + at, name, e->name_len);
        out[--at] = '/';
        id = e->parent;
    }
    return (long)n;
}

long rl_view_real(u32 id, char *out, size_t size)
{
    const struct rl_view_entry *e = rl_view_entry(id);
    const char *tree;
    u32 n = e ? rl_tree(e->layer, &tree) : 0;
    if (!n)
        return -EIO;
    if (n >= size)
        return -ENAMETOOLONG;
    if (e->source_len) {
        const char *source = rl_view_text(e->source, e->source_len);
        return source ? rl_join(out, size, tree, n, source, e->source_len, "", 0) : -EIO;
    }
    memcpy(out, tree, n);
    long r = rl_view_path(id, out + n, size - n);
    return r < 0 ? r : r + (long)n;
}

u32 rl_view_by_source(u32 layer, const char *path, u32 len)
{
    for (u32 id = RL_VIEW_ROOT; id < rl_view_count(); id++) {
        const struct rl_view_entry *e = rl_view_entry(id);
        if (!e || e->layer != layer || e->source_len != len || !len)
            continue;
        const char *source = rl_view_text(e->source, len);
        if (source && !memcmp(source, path, len))
            return id;
    }
    return 0;
}
