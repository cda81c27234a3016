/* Number the names that the layers changed on top of a base, and write them (docs/format.md section 5, "Delta").
 *
 * 1. A name that the base has keeps its id, also if its object is another one: then all names below are marked as
 *    hidden. Ids of added names follow the base's, in the order of the keys.
 * 2. A directory with added names is a changed one.
 */
#include <stdlib.h>
#include <string.h>

#include "viewbuild.h"

static bool is_present(const struct vb_merge *m, u32 dentry)
{
    return m->dentry[dentry].inode != 0;
}

/* What each directory's number of subdirectories, and the need to have an entry, follow from. */
static void tell_parents(struct vb_merge *m)
{
    for (u32 i = VB_ROOT + 1; i < m->dentries; i++) {
        struct vb_over *parent = &m->over[m->dentry[i].parent];
        u32 id = m->over[i].id;
        if (is_present(m, i) && !id)
            parent->told = true;
        parent->links += vb_is_dir(m, i);
        if (id && parent->lower && vb_base_entry(m->base, id).type == 'd')
            parent->links--;
    }
}

static u32 links_of(const struct vb_merge *m, u32 dentry)
{
    const struct vb_over *o = &m->over[dentry];
    return (o->lower ? vb_base_entry(m->base, o->id).nlink : 2) + (u32)o->links;
}

static bool is_changed(const struct vb_merge *m, u32 dentry)
{
    const struct vb_inode *inode = &m->inode[m->dentry[dentry].inode];
    u32 id = m->over[dentry].id;
    return id && is_present(m, dentry) &&
           (m->over[dentry].told || !inode->of_base ||
            (inode->type == 'd' && links_of(m, dentry) != vb_base_entry(m->base, id).nlink));
}

struct by_id {
    u32 id, dentry;
};

static int compare_ids(const void *left, const void *right)
{
    const struct by_id *a = left, *b = right;
    return a->id < b->id ? -1 : a->id > b->id;
}

static bool append(struct vb_merge *m, u32 dentry, u32 id, size_t *capacity)
{
    if (!vb_grow(&m->order, capacity, m->entries, sizeof *m->order))
        return false;
    struct vb_dentry *d = &m->dentry[dentry];
    struct vb_inode *inode = &m->inode[d->inode];
    m->order[m->entries++] = dentry;
    d->id = id;
    m->over[dentry].told = true;
    if (inode->type == 'd') {
        inode->id = id;
        inode->nlink = links_of(m, dentry);
    } else if (!inode->nlink++) {
        inode->id = id;
    }
    m->strings += vb_string_bytes(m, d, !m->over[dentry].id);
    return true;
}

static bool append_changed(struct vb_merge *m, size_t *capacity)
{
    struct by_id *found = NULL;
    size_t count = 0, found_cap = 0;
    bool fits = true;
    for (u32 i = VB_ROOT; fits && i < m->dentries; i++) {
        m->dentry[i].id = m->over[i].id; /* an unchanged parent of a changed entry needs its id, too */
        if (is_changed(m, i) && (fits = vb_grow(&found, &found_cap, count, sizeof *found)))
            found[count++] = (struct by_id){m->over[i].id, i};
    }
    if (count)
        qsort(found, count, sizeof *found, compare_ids);
    for (size_t i = 0; fits && i < count; i++)
        fits = append(m, found[i].dentry, found[i].id, capacity);
    free(found);
    m->changed = m->entries - 1;
    return fits;
}

static bool append_children(struct vb_merge *m, u32 dentry, struct vb_sibling **siblings, size_t *siblings_cap,
                            size_t *capacity)
{
    size_t count;
    if (!vb_new_children(m, dentry, siblings, siblings_cap, &count))
        return false;
    m->dentry[dentry].first = count ? m->base->head.entries + m->entries - 1 - m->changed : 0;
    m->dentry[dentry].count = (u32)count;
    for (size_t i = 0; i < count; i++)
        if (!append(m, (*siblings)[i].dentry, m->dentry[dentry].first + (u32)i, capacity))
            return false;
    return true;
}

/* Negative, 0 or positive: the order of the keys of two names. */
static int compare_keys(const struct vb_merge *m, u32 left, u32 right)
{
    const struct vb_dentry *a = &m->dentry[left], *b = &m->dentry[right];
    u32 in_a = m->dentry[a->parent].id, in_b = m->dentry[b->parent].id;
    if (in_a != in_b)
        return in_a < in_b ? -1 : 1;
    struct vb_sibling names[2] = {{a->name, 0, a->name_len}, {b->name, 0, b->name_len}};
    return vb_by_name(&names[0], &names[1]);
}

/* Changed and added names are in the order of their keys already: one merge. */
static bool sort_rows(struct vb_merge *m)
{
    u32 *sorted = malloc(m->entries * sizeof *sorted);
    if (!sorted)
        return false;
    u32 i = 1, j = m->changed + 1, n = 0;
    sorted[n++] = 0;
    while (i <= m->changed || j < m->entries) {
        bool first = j == m->entries || (i <= m->changed && compare_keys(m, m->order[i], m->order[j]) < 0);
        sorted[n++] = m->order[first ? i++ : j++];
    }
    free(m->order);
    m->order = sorted;
    return true;
}

int vb_number_delta(struct vb_merge *m)
{
    size_t capacity = 0, siblings_cap = 0;
    struct vb_sibling *siblings = NULL;
    bool fits = vb_grow(&m->order, &capacity, 0, sizeof *m->order);
    m->entries = 1;
    m->strings = 0;
    tell_parents(m);
    if (fits) {
        m->order[0] = 0;
        fits = append_changed(m, &capacity);
    }
    for (u32 i = 1; fits && i < m->entries; i++)
        fits = append_children(m, m->order[i], &siblings, &siblings_cap, &capacity);
    free(siblings);
    if (!fits || !sort_rows(m))
        return vb_fail(m, VB_MEMORY, "out of memory");
    if (m->strings + m->base->head.strings_bytes > UINT32_MAX || m->entries + m->base->head.entries > UINT32_MAX / 4)
        return vb_fail(m, VB_WHOLE, "more names than a delta can hold");
    return 0;
}

static struct rl_delta_header header(const struct vb_merge *m)
{
    const struct rl_view_header *b = &m->base->head;
    struct rl_delta_header h = {
        .version = 1, .header_bytes = sizeof h, .base_entries = b->entries, .layers = m->layers, .changed = m->changed,
        .added = m->entries - 1 - m->changed, .base_layers = b->layers, .base_bytes = b->file_bytes,
        .base_strings = b->strings_bytes, .strings_bytes = m->strings};
    memcpy(h.magic, RL_DELTA_MAGIC, sizeof h.magic);
    memcpy(h.base_chain_id, b->chain_id, sizeof h.base_chain_id);
    for (h.buckets = 4; h.buckets < 2 * h.added;)
        h.buckets *= 2;
    h.off_entries = sizeof h;
    h.off_buckets = h.off_entries + sizeof(struct rl_view_entry) * ((u64)h.changed + h.added);
    h.off_marks = h.off_buckets + 4ull * h.buckets;
    h.off_strings = h.off_marks + sizeof(struct rl_delta_mark) * (b->entries / 32 + 1ull);
    h.file_bytes = h.off_strings + h.strings_bytes;
    return h;
}

u64 vb_delta_size(const struct vb_merge *m)
{
    return header(m).file_bytes;
}

static void put_marks(const struct vb_merge *m, u8 *out)
{
    u32 words = m->base->head.entries / 32 + 1, before = 0;
    struct rl_delta_mark *marks = (void *)out;
    for (u32 i = 0; i < words; i++)
        marks[i].hidden = m->base->hidden[i];
    for (u32 i = 1; i < m->entries; i++) {
        u32 id = m->over[m->order[i]].id;
        if (id)
            marks[id / 32].changed |= vb_mark(id);
    }
    for (u32 i = 0; i < words; i++) {
        marks[i].before = before;
        before += (u32)__builtin_popcount(marks[i].changed);
    }
}

static void put_bucket(const struct rl_delta_header *h, u8 *buckets, u64 hash, u32 id)
{
    u64 bucket = hash & (h->buckets - 1);
    while (vb_u32(buckets + 4 * bucket))
        bucket = (bucket + 1) & (h->buckets - 1);
    vb_put32(buckets + 4 * bucket, id);
}

void vb_delta(const struct vb_merge *m, const u8 chain_id[32], u8 *out)
{
    struct rl_delta_header h = header(m);
    u8 *strings = out + h.off_strings;
    u32 end = (u32)h.base_strings, changed = 0;
    memset(out, 0, (size_t)h.file_bytes);
    memcpy(h.chain_id, chain_id, sizeof h.chain_id);
    memcpy(out, &h, sizeof h);
    put_marks(m, out + h.off_marks);
    for (u32 i = 1; i < m->entries; i++) {
        const struct vb_dentry *d = &m->dentry[m->order[i]];
        u32 in_base = m->over[m->order[i]].id;
        u32 place = in_base ? changed++ : h.changed + (d->id - h.base_entries);
        struct rl_view_entry e;
        vb_native_entry(m, d, !in_base, &end, &e);
        strings = vb_put_strings(m, d, !in_base, strings);
        if (in_base)
            e.name = vb_base_entry(m->base, in_base).name;
        else
            put_bucket(&h, out + h.off_buckets, vb_hash(e.parent, d->name, d->name_len), d->id);
        memcpy(out + h.off_entries + sizeof e * place, &e, sizeof e);
    }
}
