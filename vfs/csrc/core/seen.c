/* What this process has seen of directories that lie in directory layers: found again without a system call.
 *
 * 1. The writable upper's filter counts changes (docs/format.md section 7): of directories that are removed, renamed,
 *    get another owner or mode, or come into the upper from a layer below. Making a name changes nothing that is
 *    remembered here: only directories that exist are.
 * 2. The counts are read before the file system is; what was read holds as long as nobody has begun a change since.
 *    While a change is going on, and after one whose maker died in it until the next one, nothing is remembered.
 * 3. A directory in a layer that others may change (--lower, the machine's own root) is not remembered.
 * 4. The tables are caches without locks: a writer that is interrupted for good costs one line.
 * 5. A second pair counts how often the lock was taken and given back, so that a change of one step can do without it
 *    and learn afterwards whether it was alone (remove.c). */
#include "inside.h"

#define LINES 128
#define NAMES 32
#define NAME_BYTES 168

struct counts { /* written under the upper's lock, read without */
    u32 begun, ended;
    u32 taken, given; /* rule 5 */
};
static struct counts *counts; /* NULL: nothing is remembered */
static int sections;          /* everybody counts the second pair */
static u32 foreign;           /* layers of rule 3 */
static int used;              /* something has been remembered */

static struct line {
    u32 version; /* odd: being written */
    u32 at;
    struct rl_ctx dir;
} lines[LINES];

static struct name {
    u32 version;
    u32 at;
    u64 dev, ino;
    i64 btime_s;
    u32 btime_ns;
    char path[NAME_BYTES];
} names[NAMES];

void rl_seen_init(void *header, int with_sections)
{
    if (used) { /* not in a new process: its pages are not there yet */
        memset(lines, 0, sizeof lines);
        memset(names, 0, sizeof names);
    }
    used = 0;
    counts = header;
    sections = with_sections;
    foreign = 0;
    for (u32 i = 0; i < rl_nlayers; i++)
        if (!(rl_layers[i].flags & RL_DIR_MARKS))
            foreign |= 1u << i;
}

/* ---- changes -------------------------------------------------------------------------------------- */

void rl_changing(void)
{
    if (counts)
        __atomic_fetch_add(&counts->begun, 1, __ATOMIC_SEQ_CST);
}

/* Whoever holds the lock knows that all changes that others began are over, or their makers dead. */
void rl_changed(void)
{
    if (counts)
        __atomic_store_n(&counts->ended, __atomic_load_n(&counts->begun, __ATOMIC_RELAXED), __ATOMIC_SEQ_CST);
}

int rl_moment(u32 *now)
{
    if (!counts)
        return 0;
    *now = __atomic_load_n(&counts->begun, __ATOMIC_ACQUIRE);
    return *now == __atomic_load_n(&counts->ended, __ATOMIC_ACQUIRE);
}

void rl_section_begin(void)
{
    if (counts)
        __atomic_fetch_add(&counts->taken, 1, __ATOMIC_SEQ_CST);
}

void rl_section_end(void)
{
    if (counts)
        __atomic_store_n(&counts->given, __atomic_load_n(&counts->taken, __ATOMIC_RELAXED), __ATOMIC_SEQ_CST);
}

int rl_quiet(u32 *now)
{
    if (!counts || !sections)
        return 0;
    *now = __atomic_load_n(&counts->taken, __ATOMIC_SEQ_CST);
    return *now == __atomic_load_n(&counts->given, __ATOMIC_SEQ_CST);
}

int rl_undisturbed(u32 since)
{
    return __atomic_load_n(&counts->taken, __ATOMIC_SEQ_CST) == since;
}

int rl_first_since(u32 since)
{
    return __atomic_load_n(&counts->taken, __ATOMIC_SEQ_CST) == since + 1;
}

static int unchanged(u32 since)
{
    return counts && __atomic_load_n(&counts->begun, __ATOMIC_ACQUIRE) == since;
}

/* ---- lines that are written and read at once ------------------------------------------------------- */

/* 0: somebody else is writing. */
static int line_open(u32 *version)
{
    u32 now = __atomic_load_n(version, __ATOMIC_RELAXED);
    return !(now & 1) && __atomic_compare_exchange_n(version, &now, now + 1, 0, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED);
}

static void line_close(u32 *version)
{
    __atomic_store_n(version, *version + 1, __ATOMIC_RELEASE);
}

/* Version 0 has never been written. */
static u32 line_version(const u32 *version)
{
    u32 now = __atomic_load_n(version, __ATOMIC_ACQUIRE);
    return now & 1 ? 0 : now;
}

static int line_kept(const u32 *version, u32 before)
{
    __atomic_thread_fence(__ATOMIC_ACQUIRE);
    return __atomic_load_n(version, __ATOMIC_RELAXED) == before;
}

/* ---- directories by path ---------------------------------------------------------------------------- */

static struct line *line_of(u64 hash)
{
    return &lines[rl_mix(hash) % LINES];
}

void rl_seen_add(u32 now, const struct rl_ctx *dir)
{
    struct line *l = line_of(dir->hash);
    if (dir->bind >= 0 || !dir->mask || (dir->mask & foreign))
        return;
    for (u32 i = 0; i < rl_nlayers; i++) /* the text of a redirect is in the walk */
        if (dir->alias[i])
            return;
    if (!line_open(&l->version))
        return;
    used = 1;
    l->at = now;
    l->dir = *dir;
    line_close(&l->version);
}

/* The names below a directory that was renamed with its lower part are not those of the view. */
int rl_seen_own(const struct rl_ctx *dir)
{
    char path[NAME_BYTES];
    long n = dir->view ? rl_view_path(dir->view, path, sizeof path) : 0;
    return !dir->view || (n >= 0 && rl_fnv(RL_FNV_START, path, (u32)n) == dir->hash);
}

int rl_seen(u64 hash, struct rl_ctx *out)
{
    struct line *l = line_of(hash);
    u32 before = used ? line_version(&l->version) : 0; /* looking at it would be a page fault */
    if (!before || l->dir.hash != hash)
        return 0;
    u32 at = l->at;
    *out = l->dir;
    return line_kept(&l->version, before) && out->hash == hash && unchanged(at);
}

/* ---- names of descriptors --------------------------------------------------------------------------- */

static struct name *name_of(const struct statx *sx)
{
    return &names[(sx->stx_ino * RL_MIX >> 32) % NAMES];
}

static u64 device_of(const struct statx *sx)
{
    return rl_makedev(sx->stx_dev_major, sx->stx_dev_minor);
}

void rl_seen_name_add(u32 now, const struct statx *sx, const char *path, u32 len)
{
    struct name *n = name_of(sx);
    if (len >= NAME_BYTES || !(sx->stx_mask & STATX_BTIME) || !line_open(&n->version))
        return;
    used = 1;
    n->at = now;
    n->dev = device_of(sx);
    n->ino = sx->stx_ino;
    n->btime_s = sx->stx_btime.tv_sec;
    n->btime_ns = sx->stx_btime.tv_nsec;
    memcpy(n->path, path, len);
    n->path[len] = 0;
    line_close(&n->version);
}

int rl_seen_name(const struct statx *sx, char *out, size_t size)
{
    struct name *n = name_of(sx);
    u32 before = used ? line_version(&n->version) : 0, i = 0;
    if (!before || n->ino != sx->stx_ino || n->dev != device_of(sx) || n->btime_s != sx->stx_btime.tv_sec ||
        n->btime_ns != sx->stx_btime.tv_nsec || !sx->stx_nlink)
        return 0;
    u32 at = n->at;
    for (; i < NAME_BYTES && i < size && (out[i] = n->path[i]) != 0; i++)
        ;
    return i < NAME_BYTES && i < size && line_kept(&n->version, before) && unchanged(at);
}
