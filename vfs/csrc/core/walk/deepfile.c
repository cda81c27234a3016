/* Files of the upper that this process has opened below a long path: the kernel does not tell a descriptor's name, and
 * from a file there is no way up.
 *
 * 1. A file is remembered when it is opened, by its inode, with its directory and its name there.
 * 2. While chain.c knows the directory, the name is looked up. Else the record is that of the moment when it was
 *    opened.
 * 3. A file that is not remembered (another program opened it) has the kernel's attributes. */
#include "../base/line.h"

#define FILES 32

static struct file {
    u32 version; /* of rl_line_*() */
    struct rl_inode inode;
    u64 dir; /* FNV state over the directory's path */
    struct rl_record rec;
    u16 len;
    char name[RL_NAME_MAX];
} files[FILES] RL_BULK;
static int used; /* any thread sets it */

static struct file *file_of(u64 ino)
{
    return &files[(ino * RL_MIX >> 32) % FILES];
}

void rl_deepfile_add(const struct rl_walk *w, long fd)
{
    struct statx sx;
    u32 len = w->vlen - w->dir.vlen - 1;
    if (w->vlen <= RL_LONG || len > RL_NAME_MAX || k_near(fd, "", AT_EMPTY_PATH, &sx) < 0 || !rl_isreg(sx.stx_mode))
        return;
    struct file *f = file_of(sx.stx_ino);
    if (!rl_line_open(&f->version))
        return;
    used = 1;
    f->inode = rl_inode_of(&sx);
    f->dir = w->dir.hash;
    f->rec = w->hit.rec;
    f->len = (u16)len;
    memcpy(f->name, w->v + w->dir.vlen + 1, len);
    rl_line_close(&f->version);
}

long rl_deepfile_find(struct rl_walk *w, const struct statx *sx)
{
    struct file *f = file_of(sx->stx_ino), copy;
    u32 before = used ? rl_line_version(&f->version) : 0;
    copy = *(volatile struct file *)f;
    if (!before || !rl_line_kept(&f->version, before) || !rl_inode_is(&copy.inode, sx))
        return -ENOENT;
    struct rl_hit *h = &w->hit;
    long r = rl_chain_child(w, copy.dir, copy.name, copy.len);
    if (r >= 0 && h->what == RL_IN_LAYER && h->layer == 0 && rl_inode_is(&copy.inode, &h->sx))
        return 0;
    h->what = RL_IN_LAYER;
    h->layer = 0;
    h->lower_ino = 0;
    h->sx = *sx;
    h->rec = copy.rec;
    h->rec.has &= ~(u32)(RL_HAS_XATTR | RL_HAS_REDIRECT); /* their texts are gone */
    rl_show_real(&rl_layers[0], h);
    return 1;
}
