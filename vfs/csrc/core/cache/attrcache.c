/* Cache of the attributes of the upper's files: it saves reading their records, and the names of descriptors.
 *
 * 1. Records change only under the upper's lock, and its holders are counted (dircache.c, rule 5): a record that was
 *    read while the lock was free stays valid until the lock is taken again.
 * 2. It holds regular files of the upper with one name, by device, inode and birth time, which the inode of another
 *    file never shares. A file without a record is also cached once it was read by descriptor: its name need not be
 *    looked up again.
 * 3. Records with extended attributes are not cached: their text is elsewhere.
 * 4. The cache is lock-free, as in dircache.c: a writer that never finishes costs one line. */
#include "../base/line.h"

#define LINES 64
#define FIELDS (RL_IN_FILE | RL_HAS_UID | RL_HAS_GID | RL_HAS_MODE | RL_HAS_DEV | RL_HAS_INO)

static struct {
    int used; /* the cache has an entry: any thread sets this, with no lock; init clears it */
} state;
static struct line {
    u32 version;
    u32 at; /* number of lock holders before the record was read */
    struct rl_inode inode;
    struct rl_record rec;
} lines[LINES] RL_BULK;

void rl_attrcache_init(void)
{
    if (state.used) /* not in a new process: its pages are not mapped yet */
        memset(lines, 0, sizeof lines);
    state.used = 0;
}

static int may_be_kept(const struct statx *sx)
{
    return rl_isreg(sx->stx_mode) && sx->stx_nlink == 1 && (sx->stx_mask & STATX_BTIME) && rl_writable();
}

static struct line *line_of(const struct statx *sx)
{
    return &lines[(sx->stx_ino * RL_MIX >> 32) % LINES];
}

void rl_attrcache_add(u32 moment, const struct statx *sx, const struct rl_record *rec)
{
    struct rl_inode inode = rl_inode_of(sx);
    struct line *l = line_of(sx);
    if (!may_be_kept(sx) || (rec->has & ~FIELDS) || inode.dev != rl_layers[0].dev || !rl_undisturbed(moment))
        return;
    if (!rl_line_open(&l->version))
        return;
    state.used = 1;
    l->at = moment;
    l->inode = inode;
    l->rec = *rec;
    rl_line_close(&l->version);
}

int rl_attrcache_find(const struct statx *sx, struct rl_record *rec)
{
    struct line *l = line_of(sx);
    if (!state.used || !may_be_kept(sx)) /* reading the cache would be a page fault */
        return 0;
    u32 before = rl_line_version(&l->version);
    if (!before || !rl_inode_is(&l->inode, sx))
        return 0;
    u32 at = l->at;
    *rec = l->rec;
    return rl_line_kept(&l->version, before) && rl_undisturbed(at);
}

int rl_attrcache_attr(const struct statx *sx, struct rl_attr *out)
{
    struct rl_hit h;
    if (!rl_attrcache_find(sx, &h.rec))
        return 0;
    h.sx = *sx;
    h.what = RL_IN_LAYER;
    h.layer = 0;
    h.lower_ino = 0;
    rl_show_real(&rl_layers[0], &h);
    rl_attr_of(NULL, &h, out);
    return 1;
}
