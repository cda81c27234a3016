/* Cache of look-ups of directories in directory layers: a hit takes no system call.
 *
 * 1. The writable upper's filter counts changes (docs/format.md section 7) of directories that are removed, renamed,
 *    get another owner or mode, or are copied into the upper from a layer below. Making a name invalidates nothing:
 *    only existing directories are cached.
 * 2. The counters are read before the file system is; a result is valid until the next change begins. During a change,
 *    and after one whose process died in it until the next one, nothing is cached.
 * 3. A directory in a layer that other processes may change (--lower, the machine's own root) is not cached.
 * 4. The tables are lock-free: a writer that never finishes costs one line. A key has a set of WAYS lines, and a line
 *    that was hit since the last replacement scan stays: directories that a program visits once do not replace the
 *    directories that it works in.
 * 5. A second pair of counters counts how often the lock was taken and released, so that a change of one step can run
 *    without it and check afterwards whether it was alone (remove.c).
 * 6. A plain directory is one of the upper without a record, that nothing else has: its attributes are the kernel's. It
 *    cannot become a merged one, and gets a record only by a change that is counted. */
#include "../base/line.h"

#define WAYS 4
#define LINES (32 * WAYS)
#define NAMES (8 * WAYS)
#define NAME_BYTES 484 /* of a longer path only the hash is cached */

struct counts { /* written under the upper's lock, read without */
    u32 begun, ended;
    u32 taken, given; /* rule 5 */
};
static struct {
    struct counts *counts; /* NULL: nothing is cached. Set by init alone, as the next two */
    int sections;          /* every process counts the second pair */
    u32 foreign;           /* layers of rule 3 */
    int used;              /* the cache has an entry: any thread sets this, with no lock; init clears it */
    u32 turn;              /* where the next replacement scan begins. Any thread, no lock: any value will do */
} state;

struct head {
    u32 version; /* of rl_line_*(): guards the rest of the line */
    u32 at;
    u32 recent; /* rule 4 */
};

static struct line {
    struct head head;
    struct rl_ctx dir;
} lines[LINES] RL_BULK; /* any thread; guarded by head.version (line.h), and so are the names */

static struct name {
    struct head head;
    struct rl_inode inode;
    u64 hash; /* FNV state over the path */
    u32 len;
    int plain; /* rule 6 */
    char path[NAME_BYTES];
} names[NAMES] RL_BULK;

void rl_dircache_init(void *header, int with_sections)
{
    if (state.used) { /* not in a new process: its pages are not mapped yet */
        memset(lines, 0, sizeof lines);
        memset(names, 0, sizeof names);
    }
    state.used = 0;
    rl_chain_init();
    rl_attrcache_init();
    state.counts = header;
    state.sections = with_sections;
    state.foreign = 0;
    for (u32 i = 0; i < rl_nlayers; i++)
        if (!(rl_layers[i].flags & RL_DIR_MARKS))
            state.foreign |= 1u << i;
}

/* ---- changes -------------------------------------------------------------------------------------- */

void rl_changing(void)
{
    if (!state.counts)
        return;
    __atomic_fetch_add(&state.counts->begun, 1, __ATOMIC_SEQ_CST);
    __atomic_thread_fence(__ATOMIC_RELEASE); /* no processor sees the change before its announcement */
}

/* The holder of the lock knows that all changes of other processes have ended, or that their processes have died. */
void rl_changed(void)
{
    if (state.counts)
        __atomic_store_n(&state.counts->ended, __atomic_load_n(&state.counts->begun, __ATOMIC_RELAXED), __ATOMIC_SEQ_CST);
}

/* Data that was valid before the change is valid after it, unless another process changed something. */
static void carry(struct head *h, u32 before)
{
    if (h->version && h->at == before && rl_line_open(&h->version)) {
        if (h->at == before)
            h->at = before + 1;
        rl_line_close(&h->version);
    }
}

/* Like rl_changed(), after a change of only the directory at this path, with no cached directory below it: this process
 * keeps all other entries. */
void rl_changed_one(u64 hash)
{
    if (!state.counts)
        return;
    u32 before = __atomic_load_n(&state.counts->begun, __ATOMIC_RELAXED) - 1;
    int first = __atomic_load_n(&state.counts->ended, __ATOMIC_RELAXED) == before;
    rl_changed();
    for (u32 i = 0; state.used && first && i < LINES; i++)
        if (lines[i].dir.hash != hash)
            carry(&lines[i].head, before);
    for (u32 i = 0; state.used && first && i < NAMES; i++)
        if (names[i].hash != hash)
            carry(&names[i].head, before);
    if (first)
        rl_chain_carry(before, hash);
}

int rl_moment(u32 *now)
{
    if (!state.counts)
        return 0;
    *now = __atomic_load_n(&state.counts->begun, __ATOMIC_ACQUIRE);
    return *now == __atomic_load_n(&state.counts->ended, __ATOMIC_ACQUIRE);
}

int rl_counted(void)
{
    return state.counts != NULL;
}

/* What was read before is older than the counters that are read now. */
static void after_reading(void) { __atomic_thread_fence(__ATOMIC_ACQUIRE); }

int rl_stirred(u32 since)
{
    after_reading();
    return state.counts && (__atomic_load_n(&state.counts->begun, __ATOMIC_ACQUIRE) != since ||
                      __atomic_load_n(&state.counts->ended, __ATOMIC_ACQUIRE) != since);
}

void rl_section_begin(void)
{
    if (!state.counts)
        return;
    __atomic_fetch_add(&state.counts->taken, 1, __ATOMIC_SEQ_CST);
    __atomic_thread_fence(__ATOMIC_RELEASE);
}

void rl_section_end(void)
{
    if (state.counts)
        __atomic_store_n(&state.counts->given, __atomic_load_n(&state.counts->taken, __ATOMIC_RELAXED), __ATOMIC_SEQ_CST);
}

int rl_quiet(u32 *now)
{
    if (!state.counts || !state.sections)
        return 0;
    *now = __atomic_load_n(&state.counts->taken, __ATOMIC_SEQ_CST);
    return *now == __atomic_load_n(&state.counts->given, __ATOMIC_SEQ_CST);
}

u32 rl_sections(void)
{
    return state.counts ? __atomic_load_n(&state.counts->taken, __ATOMIC_SEQ_CST) : 0;
}

int rl_undisturbed(u32 since)
{
    after_reading();
    return __atomic_load_n(&state.counts->taken, __ATOMIC_SEQ_CST) == since;
}

int rl_first_since(u32 since)
{
    after_reading();
    return __atomic_load_n(&state.counts->taken, __ATOMIC_SEQ_CST) == since + 1;
}

static int unchanged(u32 since)
{
    after_reading();
    return state.counts && __atomic_load_n(&state.counts->begun, __ATOMIC_ACQUIRE) == since;
}

/* ---- lines that are written and read atomically --------------------------------------------------- */

static int line_kept(struct head *h, u32 before)
{
    if (!rl_line_kept(&h->version, before))
        return 0;
    if (!h->recent)
        h->recent = 1;
    return 1;
}

/* The line for a new key, among the WAYS lines of `size` bytes each from `set` on (rule 4). */
static void *choose(void *set, size_t size)
{
    u32 first = state.turn++;
    for (u32 i = 0; i < WAYS; i++) {
        struct head *h = (struct head *)((char *)set + i * size);
        if (!h->version || !unchanged(h->at))
            return h;
    }
    for (u32 i = 0; i < WAYS; i++) {
        struct head *h = (struct head *)((char *)set + (first + i) % WAYS * size);
        if (!h->recent)
            return h;
        h->recent = 0;
    }
    return (char *)set + first % WAYS * size;
}

/* ---- directories by path ---------------------------------------------------------------------------- */

static struct line *lines_of(u64 hash)
{
    return &lines[rl_mix(hash) % (LINES / WAYS) * WAYS];
}

/* The names below a directory that was renamed with its lower part are not the view's names. */
static int is_own(const struct rl_ctx *dir)
{
    char path[NAME_BYTES];
    long n = dir->view ? rl_view_path(dir->view, path, sizeof path) : 0;
    return !dir->view || (n >= 0 && rl_fnv(RL_FNV_START, path, (u32)n) == dir->hash);
}

int rl_dir_lasts(const struct rl_ctx *dir)
{
    if (dir->bind >= 0 || (dir->mask & state.foreign) || (dir->acl & RL_ACL_ACCESS)) /* judged for this user */
        return 0;
    for (u32 i = 0; i < rl_nlayers; i++) /* the text of a redirect is in the walk */
        if (dir->alias[i])
            return 0;
    return 1;
}

static void add(u32 now, const struct rl_ctx *dir, int own)
{
    struct line *set = lines_of(dir->hash), *l = NULL;
    for (u32 i = 0; i < WAYS && !l; i++)
        if (set[i].head.version && set[i].dir.hash == dir->hash)
            l = &set[i];
    if (!l)
        l = choose(set, sizeof *set);
    if (!rl_line_open(&l->head.version))
        return;
    state.used = 1;
    l->head.at = now;
    l->head.recent = 0;
    l->dir = *dir;
    l->dir.own = (u8)own;
    rl_line_close(&l->head.version);
}

void rl_dircache_add(u32 now, const struct rl_ctx *dir)
{
    if (dir->mask && rl_dir_lasts(dir))
        add(now, dir, is_own(dir));
}

void rl_dircache_add_plain(u32 now, const struct rl_ctx *dir)
{
    add(now, dir, 1);
}

int rl_dircache_find(u64 hash, struct rl_ctx *out)
{
    struct line *l = lines_of(hash), *end = l + WAYS;
    if (!state.used) /* reading the cache would be a page fault */
        return 0;
    for (; l < end; l++) {
        u32 before = rl_line_version(&l->head.version), at = l->head.at;
        if (!before || l->dir.hash != hash)
            continue;
        *out = l->dir;
        return line_kept(&l->head, before) && out->hash == hash && unchanged(at);
    }
    return 0;
}

/* ---- names of descriptors --------------------------------------------------------------------------- */

static struct name *names_of(const struct statx *sx)
{
    return &names[(sx->stx_ino * RL_MIX >> 32) % (NAMES / WAYS) * WAYS];
}

int rl_dir_plain(const struct rl_ctx *dir)
{
    return dir->mask == 1 && !dir->view && dir->bind < 0 && rl_writable() && (rl_layers[0].flags & RL_DIR_MARKS) &&
           !rl_may_be_recorded(&rl_layers[0], dir->hash);
}

void rl_dircache_add_name(u32 now, const struct statx *sx, const char *path, u32 len, int plain)
{
    if (!(sx->stx_mask & STATX_BTIME))
        return;
    struct name *set = names_of(sx), *n = NULL;
    u64 dev = rl_makedev(sx->stx_dev_major, sx->stx_dev_minor);
    for (u32 i = 0; i < WAYS && !n; i++)
        if (set[i].head.version && set[i].inode.ino == sx->stx_ino && set[i].inode.dev == dev)
            n = &set[i];
    if (!n)
        n = choose(set, sizeof *set);
    if (!rl_line_open(&n->head.version))
        return;
    state.used = 1;
    n->head.at = now;
    n->head.recent = 0;
    n->inode = rl_inode_of(sx);
    n->hash = rl_fnv(RL_FNV_START, path, len);
    n->len = len;
    n->plain = plain;
    if (len < NAME_BYTES)
        memcpy(n->path, path, len);
    rl_line_close(&n->head.version);
}

int rl_dircache_plain(const struct statx *sx)
{
    struct rl_base b;
    char none[1];
    return rl_dircache_find_name(sx, &b, none, sizeof none) && b.plain;
}

int rl_dircache_find_name(const struct statx *sx, struct rl_base *b, char *out, size_t size)
{
    struct name *n = names_of(sx), *end = n + WAYS;
    if (!state.used || !sx->stx_nlink)
        return 0;
    for (; n < end; n++) {
        u32 before = rl_line_version(&n->head.version), at = n->head.at;
        if (!before || !rl_inode_is(&n->inode, sx))
            continue;
        b->hash = n->hash;
        b->len = n->len;
        b->plain = n->plain;
        if (b->len < NAME_BYTES && b->len < size) {
            memcpy(out, n->path, b->len);
            out[b->len] = 0;
        } else {
            b->len = RL_NO_TEXT;
        }
        return line_kept(&n->head, before) && unchanged(at);
    }
    return 0;
}
