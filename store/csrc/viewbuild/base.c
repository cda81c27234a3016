/* A merge on top of a finished view: names of the base become dentries when a layer names them.
 *
 * 1. A dentry takes the place of the base's name, whether it is present or not; other names show through.
 * 2. A hidden name is marked, with everything below it: who reads the base by ids sees what is left.
 * 3. The number of names of a hard-linked file is stored with each of them. To change it would need a search of the
 *    whole base: then this merge fails with VB_WHOLE, and the caller merges all layers.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "viewbuild.h"

struct rl_view_entry vb_base_entry(const struct vb_base *b, u32 id)
{
    struct rl_view_entry e = {0};
    if (id && id < b->head.entries)
        memcpy(&e, b->bytes + b->head.off_entries + sizeof e * (u64)id, sizeof e);
    return e;
}

static const u8 *string_of(const struct vb_base *b, u32 offset, u32 len)
{
    return (u64)offset + len <= b->head.strings_bytes ? b->bytes + b->head.off_strings + offset : NULL;
}

/* The xattrs of a native entry: how many, or -1. */
static long count_xattrs(const u8 *at, size_t left)
{
    long count = 0;
    for (; left; count++) {
        u64 size = left < 6 ? left : 6ull + vb_u16(at) + vb_u32(at + 2);
        if (left < 6 || size > left)
            return -1;
        at += size;
        left -= (size_t)size;
    }
    return count > UINT16_MAX ? -1 : count;
}

/* The entry in the form of a layer index, in the arena; its content cannot be read from it. NULL: m->failed. */
static const u8 *record_of(struct vb_merge *m, const struct rl_view_entry *e, u32 id, u32 *size)
{
    const u8 *link = string_of(m->base, e->link, e->link_len), *xattrs = string_of(m->base, e->xattrs, e->xattrs_len);
    long count = xattrs ? count_xattrs(xattrs, e->xattrs_len) : -1;
    if (!link || count < 0 || e->layer > VB_LAYERS_MAX) {
        m->failed = VB_CORRUPT;
        return NULL;
    }
    *size = VB_HEAD + e->link_len + e->xattrs_len;
    u8 *value = vb_alloc(&m->arena, *size);
    if (!value) {
        m->failed = VB_MEMORY;
        return NULL;
    }
    memset(value, 0, VB_HEAD);
    value[0] = e->type;
    value[2] = (u8)count;
    value[3] = (u8)(count >> 8);
    vb_put32(value + 4, id);
    vb_put32(value + 8, id);
    vb_put32(value + 12, e->nlink);
    vb_put32(value + 16, e->mode & 07777);
    vb_put32(value + 20, e->uid);
    vb_put32(value + 24, e->gid);
    vb_put32(value + 28, e->link_len);
    vb_put64(value + 32, e->size);
    vb_put64(value + 40, (u64)e->mtime_ns);
    vb_put32(value + 56, e->rdev_major);
    vb_put32(value + 60, e->rdev_minor);
    memcpy(value + VB_HEAD, link, e->link_len);
    memcpy(value + VB_HEAD + e->link_len, xattrs, e->xattrs_len);
    return value;
}

/* The inode of an entry of the base, shown by one dentry only. 0: m->failed. */
static u32 inode_of(struct vb_merge *m, u32 id, u32 dentry)
{
    struct rl_view_entry e = vb_base_entry(m->base, id);
    struct vb_record r = {.type = e.type};
    r.value = record_of(m, &e, id, &r.value_len);
    u32 inode = r.value ? vb_new_inode(m, &r, dentry) : 0;
    if (!inode) {
        m->failed = m->failed ? m->failed : VB_MEMORY;
        return 0;
    }
    m->inode[inode].of_base = true;
    m->inode[inode].layer = e.layer;
    m->over[dentry] = (struct vb_over){.id = id, .lower = e.type == 'd'};
    return inode;
}

int vb_open_base(struct vb_merge *m, int fd)
{
    off_t size = lseek(fd, 0, SEEK_END); /* fstat() would need glibc 2.33 */
    struct vb_base *b = calloc(1, sizeof *b);
    if (!b)
        return vb_fail(m, VB_MEMORY, "out of memory");
    void *map = size < 0 ? MAP_FAILED : mmap(NULL, (size_t)size, PROT_READ, MAP_SHARED, fd, 0);
    if (map == MAP_FAILED) {
        free(b);
        return vb_fail(m, VB_MEMORY, "the base cannot be mapped");
    }
    b->bytes = map;
    b->size = (size_t)size;
    m->base = b;
    if (b->size >= sizeof b->head)
        memcpy(&b->head, b->bytes, sizeof b->head);
    if (!vb_valid_header(&b->head, b->size) || b->head.entries < 2 || b->head.layers > VB_LAYERS_MAX)
        return vb_fail(m, VB_CORRUPT, "the base is not a native view");
    b->hidden = calloc(b->head.entries / 32 + 1, sizeof *b->hidden);
    if (!b->hidden || !vb_grow(&m->over, &m->over_cap, m->dentries, sizeof *m->over))
        return vb_fail(m, VB_MEMORY, "out of memory");
    m->over[0] = (struct vb_over){0};
    u32 inode = inode_of(m, RL_VIEW_ROOT, VB_ROOT);
    if (!inode)
        return vb_fail(m, m->failed, "the root of the base cannot be read");
    m->dentry[VB_ROOT].inode = inode;
    m->layers = b->head.layers;
    return 0;
}

void vb_close_base(struct vb_merge *m)
{
    if (!m->base)
        return;
    munmap((void *)m->base->bytes, m->base->size);
    free(m->base->hidden);
    free(m->base);
    m->base = NULL;
}

u32 vb_hidden_id(struct vb_merge *m, u32 parent, const u8 *name, size_t len)
{
    i64 id = vb_lookup(m->base->bytes, m->base->size, m->over[parent].id, name, len);
    if (id < 0)
        m->failed = VB_CORRUPT;
    return id < 0 ? 0 : (u32)id;
}

u32 vb_from_base(struct vb_merge *m, u32 parent, const u8 *name, size_t len)
{
    u32 id = m->over[parent].lower ? vb_hidden_id(m, parent, name, len) : 0;
    if (!id || m->base->hidden[id / 32] & vb_mark(id))
        return 0;
    const struct rl_view_entry e = vb_base_entry(m->base, id);
    u32 dentry = vb_new_name(m, parent, string_of(m->base, e.name, e.name_len), len); /* vb_lookup has checked it */
    u32 inode = dentry ? inode_of(m, id, dentry) : 0;
    if (!inode) {
        m->failed = m->failed ? m->failed : VB_MEMORY;
        return 0;
    }
    vb_set(m, dentry, inode);
    return dentry;
}

void vb_show(struct vb_merge *m, u32 dentry)
{
    const struct vb_inode *inode = &m->inode[m->dentry[dentry].inode];
    u32 id = m->over[dentry].id;
    if (inode->of_base && inode->home != dentry) /* a further name for a file of the base */
        m->failed = VB_WHOLE;
    m->base->hidden[id / 32] &= ~vb_mark(id);
}

/* Marks one entry; whether it is a directory whose children must follow. */
static bool hide_one(struct vb_merge *m, u32 id)
{
    u32 *marks = &m->base->hidden[id / 32];
    if (*marks & vb_mark(id))
        return false;
    *marks |= vb_mark(id);
    const struct rl_view_entry e = vb_base_entry(m->base, id);
    if (e.type != 'd' && e.nlink > 1)
        m->failed = VB_WHOLE;
    return e.type == 'd';
}

/* A directory that is marked has only marked children, so each is visited once, in a damaged base, too. */
void vb_hide_children(struct vb_merge *m, u32 id)
{
    size_t waiting = 1, capacity = 0;
    u32 *queue = NULL;
    if (!vb_grow(&queue, &capacity, 0, sizeof *queue)) {
        m->failed = VB_MEMORY;
        return;
    }
    queue[0] = id;
    while (waiting) {
        const struct rl_view_entry e = vb_base_entry(m->base, queue[--waiting]);
        for (u32 k = 0; k < e.children && e.first_child + (u64)k < m->base->head.entries; k++) {
            if (!hide_one(m, e.first_child + k))
                continue;
            if (!vb_grow(&queue, &capacity, waiting, sizeof *queue)) {
                m->failed = VB_MEMORY;
                break;
            }
            queue[waiting++] = e.first_child + k;
        }
    }
    free(queue);
}

void vb_hide(struct vb_merge *m, u32 id)
{
    if (hide_one(m, id))
        vb_hide_children(m, id);
}
