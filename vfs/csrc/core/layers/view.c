/* The native view (docs/format.md section 5): one immutable hash table, mapped read-only.
 *
 * The header is checked once, ids and string offsets at every use: a damaged file gives wrong answers
 * or ENOENT, never a fault. */
#include "../internal.h"

static const struct rl_view_header *view;
static const struct rl_view_entry *entries;
static const u32 *buckets;
static const char *strings;

static int header_ok(const struct rl_view_header *h, u64 size)
{
    if (size < sizeof *h || memcmp(h->magic, RL_VIEW_MAGIC, 8) || h->version != 1 || h->file_bytes > size)
        return 0;
    if (h->entries < 2 || !h->buckets || (h->buckets & (h->buckets - 1)))
        return 0;
    if (h->off_entries % 8 || h->off_buckets % 4)
        return 0;
    return h->off_entries <= size && (size - h->off_entries) / sizeof(struct rl_view_entry) >= h->entries &&
           h->off_buckets <= size && (size - h->off_buckets) / 4 >= h->buckets && h->off_strings <= size &&
           size - h->off_strings >= h->strings_bytes;
}

long rl_view_open(const char *path, u64 offset, u64 bytes)
{
    u64 size = bytes;
    view = NULL;
    if (!path)
        return 0;
    const struct rl_view_header *h = rl_map_file(path, offset, &size, 0);
    if (!h)
        return -ENOENT;
    if (!header_ok(h, size)) {
        k_munmap((void *)h, size);
        return -EINVAL;
    }
    entries = (const void *)((const char *)h + h->off_entries);
    buckets = (const void *)((const char *)h + h->off_buckets);
    strings = (const char *)h + h->off_strings;
    view = h;
    return 0;
}

u32 rl_view_count(void)
{
    return view ? view->entries : 0;
}

const u8 *rl_view_chain(void)
{
    return view->chain_id;
}

const struct rl_view_entry *rl_view_entry(u32 id)
{
    return view && id && id < view->entries ? &entries[id] : NULL;
}

const char *rl_view_text(u32 off, u32 len)
{
    return view && (u64)off + len <= view->strings_bytes ? strings + off : NULL;
}

u32 rl_view_find(u32 parent, const char *name, u32 len)
{
    return rl_view_find_hashed(parent, name, len, rl_fnv(rl_view_hash(parent), name, len));
}

u32 rl_view_find_hashed(u32 parent, const char *name, u32 len, u64 fnv)
{
    if (!view)
        return 0;
    u64 h = rl_mix(fnv);
    u32 mask = view->buckets - 1;
    for (u32 n = 0, i = (u32)h & mask; n <= mask; n++, i = (i + 1) & mask) {
        u32 id = buckets[i];
        if (!id)
            return 0;
        const struct rl_view_entry *e = rl_view_entry(id);
        if (!e || e->hash != (u32)(h >> 32) || e->parent != parent || e->name_len != len)
            continue;
        const char *text = rl_view_text(e->name, len);
        if (text && !memcmp(text, name, len))
            return id;
    }
    return 0;
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
        const struct rl_view_entry *e = &entries[id];
        if (e->layer != layer || e->source_len != len || !len)
            continue;
        const char *source = rl_view_text(e->source, len);
        if (source && !memcmp(source, path, len))
            return id;
    }
    return 0;
}
