/* Read a native view (docs/format.md section 5). The resolver core has its own reader; this one serves the tests and
 * the benchmark. It checks every number because its input may be arbitrary bytes. */
#include <string.h>

#include "viewbuild.h"

u64 vb_hash(u32 parent, const u8 *name, size_t len)
{
    u64 h = RL_FNV_START ^ (parent * RL_MIX);
    for (size_t i = 0; i < len; i++)
        h = (h ^ name[i]) * RL_FNV_PRIME;
    h ^= h >> 32;
    h *= RL_MIX;
    return h ^ h >> 29;
}

static bool inside(u64 offset, u64 bytes, size_t size)
{
    return offset <= size && bytes <= size - offset;
}

bool vb_valid_header(const struct rl_view_header *h, size_t size)
{
    return !memcmp(h->magic, RL_VIEW_MAGIC, sizeof h->magic) && h->version == 1 && h->header_bytes == sizeof *h &&
           h->file_bytes == size && h->buckets && !(h->buckets & (h->buckets - 1)) &&
           inside(h->off_buckets, 4ull * h->buckets, size) &&
           inside(h->off_entries, sizeof(struct rl_view_entry) * (u64)h->entries, size) &&
           inside(h->off_strings, h->strings_bytes, size);
}

i64 vb_lookup(const u8 *view, size_t size, u32 parent, const u8 *name, size_t len)
{
    struct rl_view_header h;
    if (size < sizeof h)
        return -1;
    memcpy(&h, view, sizeof h);
    if (!vb_valid_header(&h, size))
        return -1;
    u64 hash = vb_hash(parent, name, len);
    u64 bucket = hash & (h.buckets - 1);
    for (u32 tried = 0; tried < h.buckets; tried++, bucket = (bucket + 1) & (h.buckets - 1)) {
        u32 id = vb_u32(view + h.off_buckets + 4 * bucket);
        struct rl_view_entry e;
        if (!id)
            return 0;
        if (id >= h.entries)
            return -1;
        memcpy(&e, view + h.off_entries + sizeof e * id, sizeof e);
        if (e.hash != (u32)(hash >> 32) || e.parent != parent || e.name_len != len)
            continue;
        if (!inside(e.name, e.name_len, (size_t)h.strings_bytes))
            return -1;
        if (!memcmp(view + h.off_strings + e.name, name, len))
            return id;
    }
    return 0;
}
