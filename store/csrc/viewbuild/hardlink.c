/* Resolve a hard link to a name of another layer. */
#include <string.h>

#include "viewbuild.h"

/* Symbolic links in the path are followed inside the root, as a tool that unpacks into one tree would do. */
u32 vb_link_target(struct vb_merge *m, const struct vb_record *r)
{
    u8 path[RL_DEEP_MAX + RL_PATH_MAX]; /* filled from its end, so that a link's target can be put in front of the rest */
    const size_t end = sizeof path;
    size_t at = end - r->link_len;
    u32 here = VB_ROOT;
    unsigned followed = 0;
    memcpy(path + at, r->value + VB_HEAD, r->link_len);
    for (;;) {
        while (at < end && path[at] == '/')
            at++;
        if (at == end)
            return m->dentry[here].inode;
        size_t name = at;
        while (at < end && path[at] != '/')
            at++;
        size_t len = at - name;
        if (len == 1 && path[name] == '.')
            continue;
        if (len == 2 && path[name] == '.' && path[name + 1] == '.') {
            here = here == VB_ROOT ? VB_ROOT : m->dentry[here].parent;
            continue;
        }
        u32 next = vb_find(m, here, path + name, len);
        const struct vb_inode *inode = &m->inode[next ? m->dentry[next].inode : 0];
        if (at == end)
            return next ? m->dentry[next].inode : 0;
        if (inode->type == 'd') {
            here = next;
            continue;
        }
        u32 target_len = inode->type == 'l' ? vb_u32(inode->value + 28) : 0;
        if (!target_len || ++followed > RL_MAX_LINKS || target_len > at)
            return 0;
        at -= target_len;
        memcpy(path + at, inode->value + VB_HEAD, target_len);
        if (path[at] == '/')
            here = VB_ROOT;
    }
}
