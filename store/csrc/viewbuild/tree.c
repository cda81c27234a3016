/* The merged state: one tree of names, one table of inodes. */
#include <stdlib.h>
#include <string.h>

#include "viewbuild.h"

/* Directory, mode 0755, owned by root: the root of the empty stack, and of a tar without an entry for its root. */
static const u8 SYNTHETIC_ROOT[VB_HEAD] = {[0] = 'd', [4] = 1, [8] = 1, [12] = 1, [16] = 0xed, [17] = 0x01};

int vb_fail(struct vb_merge *m, int code, const char *message)
{
    m->error.message = message;
    m->error.layer = m->layers;
    return code;
}

int vb_init(struct vb_merge *m)
{
    memset(m, 0, sizeof *m);
    m->buckets = 1024;
    m->bucket = calloc(m->buckets, sizeof *m->bucket);
    if (!m->bucket || !vb_grow(&m->dentry, &m->dentry_cap, 0, sizeof *m->dentry) ||
        !vb_grow(&m->inode, &m->inode_cap, 0, sizeof *m->inode))
        return vb_fail(m, VB_MEMORY, "out of memory");
    m->dentry[0] = (struct vb_dentry){.name = SYNTHETIC_ROOT};
    m->dentry[VB_ROOT] = (struct vb_dentry){.name = SYNTHETIC_ROOT, .inode = 1};
    m->dentries = 2;
    m->inode[0] = (struct vb_inode){.value = SYNTHETIC_ROOT};
    m->inode[1] = (struct vb_inode){
        .value = SYNTHETIC_ROOT, .value_len = VB_HEAD, .home = VB_ROOT, .type = 'd', .synthetic = true};
    m->inodes = 2;
    return 0;
}

void vb_use_file(struct vb_merge *m, int fd, size_t chunk_bytes)
{
    m->arena.file = fd;
    m->arena.opened = m->arena.has_file = true;
    m->arena.chunk_bytes = chunk_bytes;
}

void vb_free(struct vb_merge *m)
{
    vb_close_base(m);
    vb_arena_free(&m->arena);
    free(m->dentry);
    free(m->over);
    free(m->inode);
    vb_end_layers(m);
    free(m->order);
    free(m->error.path);
    memset(m, 0, sizeof *m);
}

/* No layer follows: what only these need is freed, for the next step needs the memory. */
void vb_end_layers(struct vb_merge *m)
{
    free(m->bucket);
    free(m->slot);
    free(m->group);
    m->bucket = NULL;
    m->slot = NULL;
    m->group = NULL;
    m->records = m->slot_cap = m->groups = m->group_cap = 0;
}

static u32 short_hash(u32 parent, const u8 *name, size_t len)
{
    return (u32)vb_hash(parent, name, len);
}

static u32 find_own(const struct vb_merge *m, u32 parent, const u8 *name, size_t len)
{
    u32 hash = short_hash(parent, name, len);
    for (size_t i = hash & (m->buckets - 1);; i = (i + 1) & (m->buckets - 1)) {
        u32 found = m->bucket[i];
        if (!found)
            return 0;
        const struct vb_dentry *d = &m->dentry[found];
        if (d->hash == hash && d->parent == parent && d->name_len == len && !memcmp(d->name, name, len))
            return found;
    }
}

u32 vb_find(struct vb_merge *m, u32 parent, const u8 *name, size_t len)
{
    u32 found = find_own(m, parent, name, len);
    return found || !m->base ? found : vb_from_base(m, parent, name, len);
}

static void hash_in(struct vb_merge *m, u32 dentry)
{
    size_t i = m->dentry[dentry].hash & (m->buckets - 1);
    while (m->bucket[i])
        i = (i + 1) & (m->buckets - 1);
    m->bucket[i] = dentry;
}

/* Keep the table at most three quarters full: half costs another 8 MB from a million names on. */
static bool make_room(struct vb_merge *m)
{
    if (m->dentries * 4 < m->buckets * 3)
        return true;
    u32 *bigger = calloc(m->buckets * 2, sizeof *bigger);
    if (!bigger)
        return false;
    free(m->bucket);
    m->bucket = bigger;
    m->buckets *= 2;
    for (size_t i = VB_ROOT + 1; i < m->dentries; i++)
        hash_in(m, (u32)i);
    return true;
}

u32 vb_name(struct vb_merge *m, u32 parent, const u8 *name, size_t len)
{
    u32 found = vb_find(m, parent, name, len);
    if (found || m->failed)
        return found;
    found = vb_new_name(m, parent, name, len);
    if (found && m->base)
        m->over[found].id = vb_hidden_id(m, parent, name, len);
    return found;
}

u32 vb_new_name(struct vb_merge *m, u32 parent, const u8 *name, size_t len)
{
    if (m->dentries >= INT32_MAX || !make_room(m) ||
        !vb_grow(&m->dentry, &m->dentry_cap, m->dentries, sizeof *m->dentry) ||
        (m->base && !vb_grow(&m->over, &m->over_cap, m->dentries, sizeof *m->over)))
        return 0;
    u32 added = (u32)m->dentries++;
    if (m->base)
        m->over[added] = (struct vb_over){0};
    m->dentry[added] = (struct vb_dentry){
        .name = name, .name_len = (u16)len, .parent = parent, .hash = short_hash(parent, name, len),
        .path_len = (u16)(m->dentry[parent].path_len + 1 + len)};
    hash_in(m, added);
    return added;
}

u32 vb_new_inode(struct vb_merge *m, const struct vb_record *r, u32 home)
{
    if (m->inodes >= INT32_MAX || !vb_grow(&m->inode, &m->inode_cap, m->inodes, sizeof *m->inode))
        return 0;
    m->inode[m->inodes] = (struct vb_inode){
        .value = r->value, .value_len = r->value_len, .layer = m->layers, .home = home, .type = r->type};
    return (u32)m->inodes++;
}

void vb_set(struct vb_merge *m, u32 dentry, u32 inode)
{
    struct vb_dentry *d = &m->dentry[dentry];
    if (!d->inode && dentry != VB_ROOT) {
        struct vb_dentry *parent = &m->dentry[d->parent];
        d->prev = 0;
        d->next = parent->child;
        if (parent->child)
            m->dentry[parent->child].prev = dentry;
        parent->child = dentry;
    }
    d->inode = inode;
    if (m->base)
        vb_show(m, dentry);
}

/* Remove a present name without children from its directory. */
static void unlink_one(struct vb_merge *m, u32 dentry)
{
    struct vb_dentry *d = &m->dentry[dentry];
    if (d->prev)
        m->dentry[d->prev].next = d->next;
    else
        m->dentry[d->parent].child = d->next;
    if (d->next)
        m->dentry[d->next].prev = d->prev;
    d->next = d->prev = d->inode = 0;
    if (m->base && m->over[dentry].id) {
        m->over[dentry].lower = false;
        vb_hide(m, m->over[dentry].id);
    }
}

/* Every cleared name was set once before, so clearing costs no more in total than setting. */
void vb_clear_children(struct vb_merge *m, u32 dentry)
{
    u32 at = dentry;
    if (m->base && m->over[dentry].lower) {
        m->over[dentry].lower = false;
        vb_hide_children(m, m->over[dentry].id);
    }
    for (;;) {
        while (m->dentry[at].child)
            at = m->dentry[at].child;
        if (at == dentry)
            return;
        u32 up = m->dentry[at].parent;
        unlink_one(m, at);
        at = up;
    }
}

void vb_clear(struct vb_merge *m, u32 dentry)
{
    if (!m->dentry[dentry].inode)
        return;
    vb_clear_children(m, dentry);
    unlink_one(m, dentry);
}

void vb_path(const struct vb_merge *m, u32 dentry, char *out)
{
    char *end = out + m->dentry[dentry].path_len;
    for (u32 d = dentry; d != VB_ROOT; d = m->dentry[d].parent) {
        end -= m->dentry[d].name_len;
        memcpy(end, m->dentry[d].name, m->dentry[d].name_len);
        *--end = '/';
    }
}
