/* What the upper's files show: found again without a look at their records, or at the names of descriptors.
 *
 * 1. Records change under the upper's lock alone, and its holders are counted (seen.c, rule 5): what was read while
 *    nobody held it stays right as long as nobody has taken it since.
 * 2. Regular files of the upper with one name, by device, inode and birth time, which the inode of another file does not
 *    share. A file that has no record is remembered, too, once somebody has asked for it by descriptor: his name need
 *    not be looked up again.
 * 3. Records with extended attributes are not: their text is elsewhere.
 * 4. A cache without locks, as in seen.c: a writer that is interrupted for good costs one line. */
#include "inside.h"

#define LINES 64
#define FIELDS (RL_HAS_UID | RL_HAS_GID | RL_HAS_MODE | RL_HAS_DEV | RL_HAS_INO)

static int used; /* something has been remembered */
static struct line {
    u32 version; /* odd: being written */
    u32 at;      /* holders of the lock before it was read */
    u64 dev, ino;
    i64 btime_s;
    u32 btime_ns;
    struct rl_record rec;
} lines[LINES];

void rl_recall_init(void)
{
    if (used) /* not in a new process: its pages are not there yet */
        memset(lines, 0, sizeof lines);
    used = 0;
}

static int may_be_kept(const struct statx *sx)
{
    return rl_isreg(sx->stx_mode) && sx->stx_nlink == 1 && (sx->stx_mask & STATX_BTIME) && rl_writable();
}

static struct line *line_of(const struct statx *sx)
{
    return &lines[(sx->stx_ino * RL_MIX >> 32) % LINES];
}

void rl_recall_add(u32 moment, const struct statx *sx, const struct rl_record *rec)
{
    u64 dev = rl_makedev(sx->stx_dev_major, sx->stx_dev_minor);
    struct line *l = line_of(sx);
    u32 now = __atomic_load_n(&l->version, __ATOMIC_RELAXED);
    if (!may_be_kept(sx) || (rec->has & ~FIELDS) || dev != rl_layers[0].dev || !rl_undisturbed(moment))
        return;
    if (now & 1 || !__atomic_compare_exchange_n(&l->version, &now, now + 1, 0, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
        return;
    used = 1;
    l->at = moment;
    l->dev = dev;
    l->ino = sx->stx_ino;
    l->btime_s = sx->stx_btime.tv_sec;
    l->btime_ns = sx->stx_btime.tv_nsec;
    l->rec = *rec;
    __atomic_store_n(&l->version, now + 2, __ATOMIC_RELEASE);
}

int rl_recall(const struct statx *sx, struct rl_record *rec)
{
    struct line *l = line_of(sx);
    if (!used || !may_be_kept(sx)) /* looking would be a page fault */
        return 0;
    u32 before = __atomic_load_n(&l->version, __ATOMIC_ACQUIRE);
    if (!before || before & 1 || l->ino != sx->stx_ino || l->dev != rl_makedev(sx->stx_dev_major, sx->stx_dev_minor) ||
        l->btime_s != sx->stx_btime.tv_sec || l->btime_ns != sx->stx_btime.tv_nsec)
        return 0;
    u32 at = l->at;
    *rec = l->rec;
    __atomic_thread_fence(__ATOMIC_ACQUIRE);
    return __atomic_load_n(&l->version, __ATOMIC_RELAXED) == before && rl_undisturbed(at);
}

int rl_recall_attr(const struct statx *sx, struct rl_attr *out)
{
    struct rl_hit h;
    if (!rl_recall(sx, &h.rec))
        return 0;
    h.sx = *sx;
    h.what = RL_IN_LAYER;
    h.layer = 0;
    h.lower_ino = 0;
    rl_show_real(&rl_layers[0], &h);
    rl_attr_of(NULL, &h, out);
    return 1;
}
