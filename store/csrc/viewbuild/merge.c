/* Apply one layer (OCI image specification, layer.md "Applying Changesets").
 *
 * 1. A layer's whiteouts do not hide the layer's own names: each name has one record, and its `replaces` stands for a
 *    whiteout of the same name. So a layer is applied from its root downwards, in any order of its tar.
 * 2. A directory on a directory merges: an explicit one sets the metadata, an implicit one keeps the lower's. Anything
 *    else replaces the old object, including a symbolic link to a directory (as Docker's and containerd's overlay
 *    stores do; a tool that unpacks in place would follow the link).
 * 3. Hard links are applied last, when all first names exist.
 */
#include <stdlib.h>
#include <string.h>

#include "viewbuild.h"

#define FORGET_EACH 16384u /* records */

/* Records of the current layer by id: open addressing. */
struct by_id {
    struct id_slot {
        u32 id;
        u32 number; /* of the record, + 1; 0: empty */
    } *slot;
    size_t size;
};

static struct vb_record record_at(const struct vb_merge *m, size_t number)
{
    return vb_unpack(m->slot[number].bytes);
}

/* While all records are visited in their order: what was read leaves memory. */
static void pass(struct vb_merge *m, size_t number)
{
    if (number % FORGET_EACH == FORGET_EACH - 1)
        vb_arena_forget(&m->arena);
}

int vb_add(struct vb_merge *m, const u8 *key, size_t key_len, const u8 *value, size_t value_len)
{
    struct vb_record r;
    m->error.record = m->records;
    const char *wrong = vb_parse(key, key_len, value, value_len, &r);
    if (wrong)
        return vb_fail(m, VB_CORRUPT, wrong);
    if (m->records) {
        const struct vb_record last = record_at(m, m->records - 1);
        size_t shorter = last.name_len < r.name_len ? last.name_len : r.name_len;
        int order = memcmp(last.name, r.name, shorter);
        if (last.parent > r.parent ||
            (last.parent == r.parent && (order > 0 || (order == 0 && last.name_len >= r.name_len))))
            return vb_fail(m, VB_CORRUPT, "records out of order");
    } else if (r.parent != 0) {
        return vb_fail(m, VB_CORRUPT, "no root");
    }
    u8 *copy = vb_alloc(&m->arena, vb_packed_size(&r));
    if (!copy || !vb_grow(&m->slot, &m->slot_cap, m->records, sizeof *m->slot) ||
        !vb_grow(&m->group, &m->group_cap, m->groups, sizeof *m->group))
        return vb_fail(m, VB_MEMORY, "out of memory");
    vb_pack(&r, copy);
    if (!m->groups || m->group[m->groups - 1].parent != r.parent)
        m->group[m->groups++] = (struct vb_group){.parent = r.parent, .first = (u32)m->records};
    m->slot[m->records++] = (struct vb_slot){.bytes = copy};
    return 0;
}

/* The slot of `id`, or the empty slot for it. */
static struct id_slot *slot_of(const struct by_id *ids, u32 id)
{
    size_t i = (id * RL_MIX >> 32) & (ids->size - 1);
    while (ids->slot[i].number && ids->slot[i].id != id)
        i = (i + 1) & (ids->size - 1);
    return &ids->slot[i];
}

static int map_ids(struct vb_merge *m, struct by_id *ids)
{
    for (ids->size = 64; ids->size < m->records * 2;)
        ids->size *= 2;
    ids->slot = calloc(ids->size, sizeof *ids->slot);
    if (!ids->slot)
        return vb_fail(m, VB_MEMORY, "out of memory");
    for (size_t i = 0; i < m->records; i++) {
        u32 id = record_at(m, i).id;
        struct id_slot *slot = slot_of(ids, id);
        pass(m, i);
        m->error.record = i;
        if (slot->number)
            return vb_fail(m, VB_CORRUPT, "two entries with one id");
        *slot = (struct id_slot){.id = id, .number = (u32)(i + 1)};
    }
    return 0;
}

/* A directory at `dentry`, which may be present. */
static int place_directory(struct vb_merge *m, const struct vb_record *r, u32 dentry)
{
    bool merges = vb_is_dir(m, dentry) && !(r->flags & VB_REPLACES);
    if (dentry == VB_ROOT || merges) {
        if (!merges || r->flags & VB_OPAQUE)
            vb_clear_children(m, dentry);
    } else {
        vb_clear(m, dentry);
    }
    if (merges && r->flags & VB_IMPLICIT && !m->inode[m->dentry[dentry].inode].synthetic)
        return 0;
    u32 inode = vb_new_inode(m, r, dentry);
    if (!inode)
        return vb_fail(m, VB_MEMORY, "out of memory");
    vb_set(m, dentry, inode);
    return 0;
}

static int place(struct vb_merge *m, size_t number, u32 parent)
{
    const struct vb_record r = record_at(m, number);
    struct vb_slot *slot = &m->slot[number];
    if (r.type == 'w') {
        u32 hidden = vb_find(m, parent, r.name, r.name_len);
        if (hidden)
            vb_clear(m, hidden);
        return 0;
    }
    if (m->dentry[parent].path_len + 1u + r.name_len >= RL_DEEP_MAX)
        return vb_fail(m, VB_CORRUPT, "a path of more than 65535 bytes");
    slot->dentry = vb_name(m, parent, r.name, r.name_len);
    if (!slot->dentry)
        return vb_fail(m, VB_MEMORY, "out of memory");
    if (r.type == 'd')
        return place_directory(m, &r, slot->dentry);
    vb_clear(m, slot->dentry);
    if (r.type != 'h' && r.ino == r.id && !(slot->inode = vb_new_inode(m, &r, slot->dentry)))
        return vb_fail(m, VB_MEMORY, "out of memory");
    if (slot->inode)
        vb_set(m, slot->dentry, slot->inode);
    return 0;
}

/* The numbers of the records in the directory `parent`: from *first up to what is returned. */
static size_t find_children(const struct vb_merge *m, u32 parent, size_t *first)
{
    size_t low = 0, high = m->groups;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (m->group[middle].parent < parent)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == m->groups || m->group[low].parent != parent)
        return *first = 0;
    *first = m->group[low].first;
    return low + 1 < m->groups ? m->group[low + 1].first : m->records;
}

/* Breadth first. A record that this does not reach has a file or nothing as its parent, or is in a cycle. */
static int place_all(struct vb_merge *m)
{
    if (!m->records)
        return 0;
    u32 *queue = malloc(m->records * sizeof *queue);
    size_t done = 0, waiting = 1, placed = 1;
    if (!queue)
        return vb_fail(m, VB_MEMORY, "out of memory");
    queue[0] = 0;
    m->slot[0].dentry = VB_ROOT;
    const struct vb_record root = record_at(m, 0);
    int code = place_directory(m, &root, VB_ROOT);
    while (!code && done < waiting) {
        u32 directory = m->slot[queue[done]].dentry;
        size_t i, end = find_children(m, record_at(m, queue[done++]).id, &i);
        for (; i < end; i++) {
            m->error.record = i;
            if ((code = place(m, i, directory)))
                break;
            pass(m, placed++);
            if (record_at(m, i).type == 'd')
                queue[waiting++] = (u32)i;
        }
    }
    free(queue);
    if (!code && placed != m->records)
        return vb_fail(m, VB_CORRUPT, "an entry whose parent is no directory");
    return code;
}

/* Later names of a file of this layer. */
static int link_inside(struct vb_merge *m)
{
    struct by_id ids = {0};
    int code = 0;
    for (size_t i = 0; !code && i < m->records; i++) {
        const struct vb_record r = record_at(m, i);
        pass(m, i);
        if (r.ino == r.id || !strchr("flcbp", r.type))
            continue;
        if (!ids.slot && (code = map_ids(m, &ids)))
            break;
        m->error.record = i;
        u32 found = slot_of(&ids, r.ino)->number;
        if (!found)
            code = vb_fail(m, VB_CORRUPT, "a hard link to an entry that is not there");
        else if (record_at(m, found - 1).type != r.type || !m->slot[found - 1].inode)
            code = vb_fail(m, VB_CORRUPT, "a hard link to an entry of another kind");
        else
            vb_set(m, m->slot[i].dentry, m->slot[i].inode = m->slot[found - 1].inode);
    }
    free(ids.slot);
    return code;
}

/* No two records have one id. */
static int check_ids(struct vb_merge *m)
{
    struct by_id ids = {0};
    int code = map_ids(m, &ids);
    free(ids.slot); /* few layers need it again, and then less else needs memory */
    return code;
}

static int missing_target(struct vb_merge *m, size_t number, const char *message)
{
    const struct vb_record r = record_at(m, number);
    u32 dentry = m->slot[number].dentry;
    m->error.path_len = m->dentry[dentry].path_len;
    m->error.path = malloc(m->error.path_len + 1);
    if (!m->error.path)
        return vb_fail(m, VB_MEMORY, "out of memory");
    vb_path(m, dentry, m->error.path);
    m->error.target = (const char *)r.value + VB_HEAD;
    m->error.target_len = r.link_len;
    return vb_fail(m, VB_MISSING, message);
}

/* Hard links to a name that the layers below do not have either: a later link of this layer made it. */
static int link_outside(struct vb_merge *m)
{
    size_t unresolved = 0; /* its number + 1 */
    for (unsigned round = 0; round < RL_MAX_LINKS; round++) {
        bool progress = false;
        unresolved = 0;
        for (size_t i = 0; i < m->records; i++) {
            pass(m, i);
            if (m->slot[i].inode || record_at(m, i).type != 'h')
                continue;
            const struct vb_record r = record_at(m, i);
            u32 inode = vb_link_target(m, &r);
            if (!inode) {
                unresolved = i + 1;
                continue;
            }
            if (m->inode[inode].type == 'd')
                return missing_target(m, i, "is a directory");
            m->slot[i].inode = inode;
            vb_set(m, m->slot[i].dentry, inode);
            progress = true;
        }
        if (!unresolved)
            return 0;
        if (!progress)
            break;
    }
    return missing_target(m, unresolved - 1, "is in no layer");
}

int vb_apply(struct vb_merge *m)
{
    int code = 0;
    if (m->records) {
        code = check_ids(m);
        /* A link means what the tar could link to when it was read: the state below, before this layer. */
        for (size_t i = 0; !code && i < m->records; i++) {
            const struct vb_record r = record_at(m, i);
            pass(m, i);
            if (r.type == 'h') {
                u32 inode = vb_link_target(m, &r);
                m->slot[i].inode = m->inode[inode].type == 'd' ? 0 : inode;
            }
        }
        if (!code)
            code = place_all(m);
        if (!code)
            code = link_inside(m);
        if (!code)
            code = link_outside(m);
    }
    if (m->failed)
        code = vb_fail(m, m->failed, "the base is damaged, or it must be merged as a whole");
    if (!code && m->layers == VB_LAYERS_MAX)
        code = vb_fail(m, VB_TOO_BIG, "more layers than a view can hold");
    if (!code) {
        m->records = m->groups = 0;
        m->layers++;
    }
    return code;
}
