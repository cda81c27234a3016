/* Number the merged names and write both forms of the view.
 *
 * Ids are assigned breadth first, the children of each directory by name: a directory's children are contiguous, and
 * (parent id, name), the key order of the LMDB form, is the order of the ids.
 */
#include <stdlib.h>
#include <string.h>

#include "viewbuild.h"

#define FORGET_EACH 4096u /* entries */

int vb_by_name(const void *left, const void *right)
{
    const struct vb_sibling *a = left, *b = right;
    int order = memcmp(a->name, b->name, a->name_len < b->name_len ? a->name_len : b->name_len);
    return order ? order : a->name_len - b->name_len;
}

static size_t xattrs_len(const u8 *value)
{
    size_t start = VB_HEAD + vb_u32(value + 28), at = start;
    for (u32 left = vb_u16(value + 2); left; left--)
        at += 6 + vb_u16(value + at) + (size_t)vb_u32(value + at + 2);
    return at - start;
}

static size_t source_len(const struct vb_merge *m, const struct vb_dentry *d)
{
    u32 home = m->inode[d->inode].home;
    return &m->dentry[home] == d ? 0 : m->dentry[home].path_len;
}

/* String offset 0 is the empty string; every string is followed by a NUL. */
size_t vb_string_bytes(const struct vb_merge *m, const struct vb_dentry *d, bool with_name)
{
    const u8 *value = m->inode[d->inode].value;
    size_t lens[] = {with_name ? d->name_len : 0u, vb_u32(value + 28), source_len(m, d), xattrs_len(value)}, sum = 0;
    for (size_t i = 0; i < sizeof lens / sizeof *lens; i++)
        sum += lens[i] ? lens[i] + 1 : 0;
    return sum;
}

static bool number_one(struct vb_merge *m, u32 dentry, size_t *capacity)
{
    if (!vb_grow(&m->order, capacity, m->entries, sizeof *m->order))
        return false;
    struct vb_dentry *d = &m->dentry[dentry];
    struct vb_inode *inode = &m->inode[d->inode];
    d->id = m->entries;
    m->order[m->entries++] = dentry;
    if (inode->type == 'd') {
        inode->id = d->id;
        inode->nlink = 2;
        if (dentry != VB_ROOT)
            m->inode[m->dentry[d->parent].inode].nlink++;
    } else if (!inode->nlink++) {
        inode->id = d->id;
    }
    m->strings += vb_string_bytes(m, d, true);
    return true;
}

bool vb_new_children(const struct vb_merge *m, u32 dentry, struct vb_sibling **siblings, size_t *capacity, size_t *count)
{
    *count = 0;
    for (u32 child = m->dentry[dentry].child; child; child = m->dentry[child].next) {
        if (m->base && m->over[child].id)
            continue;
        if (!vb_grow(siblings, capacity, *count, sizeof **siblings))
            return false;
        (*siblings)[(*count)++] = (struct vb_sibling){m->dentry[child].name, child, m->dentry[child].name_len};
    }
    if (*count)
        qsort(*siblings, *count, sizeof **siblings, vb_by_name);
    return true;
}

static bool number_children(struct vb_merge *m, u32 dentry, struct vb_sibling **siblings, size_t *siblings_cap,
                            size_t *capacity)
{
    size_t count;
    if (!vb_new_children(m, dentry, siblings, siblings_cap, &count))
        return false;
    m->dentry[dentry].first = count ? m->entries : 0;
    m->dentry[dentry].count = (u32)count;
    for (size_t i = 0; i < count; i++)
        if (!number_one(m, (*siblings)[i].dentry, capacity))
            return false;
    return true;
}

int vb_number(struct vb_merge *m)
{
    size_t capacity = 0, siblings_cap = 0;
    struct vb_sibling *siblings = NULL;
    vb_end_layers(m);
    vb_arena_forget(&m->arena);
    bool fits = vb_grow(&m->order, &capacity, 0, sizeof *m->order);
    m->entries = 1;
    m->strings = 1;
    if (fits) {
        m->order[0] = 0;
        fits = number_one(m, VB_ROOT, &capacity);
    }
    u32 forgotten = 0;
    for (u32 id = 1; fits && id < m->entries; id++) {
        if (m->entries - forgotten > FORGET_EACH) {
            vb_arena_forget(&m->arena);
            forgotten = m->entries;
        }
        fits = number_children(m, m->order[id], &siblings, &siblings_cap, &capacity);
    }
    free(siblings);
    if (!fits)
        return vb_fail(m, VB_MEMORY, "out of memory");
    if (m->strings > UINT32_MAX || m->entries > UINT32_MAX / 4)
        return vb_fail(m, VB_TOO_BIG, "more names than a view can hold");
    return 0;
}

/* ---- native form --------------------------------------------------------------------------------------- */

static struct rl_view_header header(const struct vb_merge *m)
{
    struct rl_view_header h = {.version = 1, .header_bytes = sizeof h, .entries = m->entries, .layers = m->layers};
    memcpy(h.magic, RL_VIEW_MAGIC, sizeof h.magic);
    for (h.buckets = 4; h.buckets < 2 * m->entries;)
        h.buckets *= 2;
    h.off_buckets = sizeof h;
    h.off_entries = h.off_buckets + 4ull * h.buckets; /* aligned: at least 4 buckets */
    h.off_strings = h.off_entries + sizeof(struct rl_view_entry) * (u64)m->entries;
    h.strings_bytes = m->strings;
    h.file_bytes = h.off_strings + h.strings_bytes;
    return h;
}

u64 vb_native_head_size(const struct vb_merge *m)
{
    return header(m).off_entries;
}

static u32 type_bits(u8 type)
{
    switch (type) {
    case 'd': return 0040000;
    case 'l': return 0120000;
    case 'c': return 0020000;
    case 'b': return 0060000;
    case 'p': return 0010000;
    default: return 0100000;
    }
}

/* Room for one string in the table; returns its offset there. */
static u32 string_at(u32 *end, size_t len)
{
    u32 start = *end;
    if (!len)
        return 0;
    *end += (u32)len + 1;
    return start;
}

static u64 entry_hash(const struct vb_merge *m, const struct vb_dentry *d)
{
    return vb_hash(m->dentry[d->parent].id, d->name, d->name_len);
}

void vb_native_entry(const struct vb_merge *m, const struct vb_dentry *d, bool with_name, u32 *end,
                     struct rl_view_entry *e)
{
    const struct vb_inode *inode = &m->inode[d->inode];
    const u8 *value = inode->value;
    *e = (struct rl_view_entry){
        .parent = m->dentry[d->parent].id, .name_len = d->name_len, .type = inode->type,
        .mode = type_bits(inode->type) | vb_u32(value + 16), .uid = vb_u32(value + 20), .gid = vb_u32(value + 24),
        .nlink = inode->nlink, .size = vb_u64(value + 32), .mtime_ns = (i64)vb_u64(value + 40),
        .layer = inode->layer, .ino = inode->id, .first_child = d->first, .children = d->count,
        .link_len = vb_u32(value + 28), .source_len = (u32)source_len(m, d), .xattrs_len = (u32)xattrs_len(value),
        .rdev_major = vb_u32(value + 56), .rdev_minor = vb_u32(value + 60)};
    e->hash = (u32)(entry_hash(m, d) >> 32);
    if (inode->type == 'l')
        e->size = e->link_len;
    e->name = string_at(end, with_name ? d->name_len : 0);
    e->link = string_at(end, e->link_len);
    e->source = string_at(end, e->source_len);
    e->xattrs = string_at(end, e->xattrs_len);
}

void vb_native_head(struct vb_merge *m, const u8 chain_id[32], u8 *out)
{
    struct rl_view_header h = header(m);
    memset(out, 0, (size_t)h.off_entries);
    memcpy(h.chain_id, chain_id, sizeof h.chain_id);
    memcpy(out, &h, sizeof h);
    for (u32 id = 1; id < m->entries; id++) {
        if (id % FORGET_EACH == 0)
            vb_arena_forget(&m->arena);
        u64 bucket = entry_hash(m, &m->dentry[m->order[id]]) & (h.buckets - 1);
        while (vb_u32(out + h.off_buckets + 4 * bucket))
            bucket = (bucket + 1) & (h.buckets - 1);
        vb_put32(out + h.off_buckets + 4 * bucket, id);
    }
}

u32 vb_native_entries(const struct vb_merge *m, u32 first, u32 count, u32 end, u8 *out)
{
    for (u32 id = first; id < first + count; id++) {
        struct rl_view_entry e;
        vb_native_entry(m, &m->dentry[m->order[id]], true, &end, &e);
        memcpy(out, &e, sizeof e);
        out += sizeof e;
    }
    return end;
}

u64 vb_native_strings_size(const struct vb_merge *m, u32 first, u32 count)
{
    u64 size = 0;
    for (u32 id = first; id < first + count; id++)
        size += vb_string_bytes(m, &m->dentry[m->order[id]], true);
    return size;
}

static u8 *put_string(u8 *out, const void *bytes, size_t len)
{
    if (!len)
        return out;
    memcpy(out, bytes, len);
    out[len] = 0;
    return out + len + 1;
}

u8 *vb_put_strings(const struct vb_merge *m, const struct vb_dentry *d, bool with_name, u8 *out)
{
    char source[RL_DEEP_MAX];
    const struct vb_inode *inode = &m->inode[d->inode];
    const u8 *value = inode->value;
    size_t link_len = vb_u32(value + 28), from = source_len(m, d);
    if (from)
        vb_path(m, inode->home, source);
    out = put_string(out, d->name, with_name ? d->name_len : 0);
    out = put_string(out, value + VB_HEAD, link_len);
    out = put_string(out, source, from);
    return put_string(out, value + VB_HEAD + link_len, xattrs_len(value));
}

void vb_native_strings(const struct vb_merge *m, u32 first, u32 count, u8 *out)
{
    for (u32 id = first; id < first + count; id++)
        out = vb_put_strings(m, &m->dentry[m->order[id]], true, out);
}

/* ---- LMDB form ----------------------------------------------------------------------------------------- */

size_t vb_key_size(const struct vb_merge *m, u32 id)
{
    return 4u + m->dentry[m->order[id]].name_len;
}

void vb_key(const struct vb_merge *m, u32 id, u8 *out)
{
    const struct vb_dentry *d = &m->dentry[m->order[id]];
    u32 parent = m->dentry[d->parent].id;
    for (int i = 0; i < 4; i++)
        out[i] = (u8)(parent >> (24 - 8 * i));
    memcpy(out + 4, d->name, d->name_len);
}

size_t vb_value_size(const struct vb_merge *m, u32 id)
{
    const struct vb_dentry *d = &m->dentry[m->order[id]];
    return 8 + source_len(m, d) + m->inode[d->inode].value_len;
}

void vb_value(const struct vb_merge *m, u32 id, u8 *out)
{
    const struct vb_dentry *d = &m->dentry[m->order[id]];
    const struct vb_inode *inode = &m->inode[d->inode];
    size_t source = source_len(m, d);
    u8 *entry = out + 8 + source;
    vb_put32(out, inode->layer);
    vb_put32(out + 4, (u32)source);
    if (source)
        vb_path(m, inode->home, (char *)out + 8);
    memcpy(entry, inode->value, inode->value_len);
    entry[1] &= VB_SPARSE;
    vb_put32(entry + 4, d->id);
    vb_put32(entry + 8, inode->id);
    vb_put32(entry + 12, inode->nlink);
    if (inode->type == 'l')
        vb_put64(entry + 32, vb_u32(entry + 28));
}
