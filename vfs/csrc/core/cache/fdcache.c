/* Cache from descriptor to view entry, by the real inode of a layer's tree: a hit takes no walk.
 *
 * 1. The name is read from /proc/self/fd once; the answer is cached by device, inode and birth time, which the inode of
 *    another file never shares. Layers are immutable, so it stays valid.
 * 2. A line is used only while nothing may cover the entry's path (no Bloom filter, no bind knows it), and nothing in
 *    the path may have been renamed (renamebits.c); then the view's attributes are the file's.
 * 3. The table is lock-free: a writer that never finishes costs one line of it.
 * 4. Most programs read the attributes of a file right after they open it (ld.so, cat, tar): files are cached at open,
 *    because their names are known then. After CREDIT opens without an fstat, files are not cached at open until the
 *    next fstat.
 * 5. A directory is clear when a walk from the root has reached it, and no layer and no bind knows its own name: names
 *    in it are then looked up from there. This is valid until a directory is removed or renamed (rl_moment()); all
 *    other new objects in the upper at the names above it are parts to merge with. */
#include "../base/line.h"

#define NOT_ONE 0xffffffffu /* in the place of an entry: no file of a layer's tree */
#define LINES 64 /* one page: a second one would be one more page fault in every program that opens files */

static struct line {
    u32 version; /* of rl_line_*(): guards the rest of the line, which any thread writes */
    u32 id;
    u32 tree; /* the layer whose tree it is in */
    u32 epoch; /* of the launch file that it was learned under */
    u32 clear_at; /* rule 5: one more than the moment, or 0 */
    u64 hash; /* FNV state of the entry's path */
    struct rl_inode inode;
} lines[LINES];
#define CREDIT 8
static struct {
    u16 told[LINES]; /* by entry: the number of the line that it was last written to, plus one. Any thread, no lock: a
                      * wrong number leads to the line of another entry */
    u32 epoch;       /* of the current launch file; set by init alone */
    i32 spent;       /* rule 4: files opened since the last fstat. Any thread, no lock: it is a guess */
} state;

void rl_fdcache_init(void)
{
    state.epoch++;
}

static struct line *line_of(const struct statx *sx)
{
    return &lines[(sx->stx_ino * RL_MIX >> 32) % LINES];
}

static u32 remembered(const struct statx *sx, u64 *hash, u32 *tree, u32 *clear_at)
{
    struct line *l = line_of(sx), copy;
    u32 before = rl_line_version(&l->version);
    copy = *(volatile struct line *)l;
    if (!before || !rl_line_kept(&l->version, before) || copy.epoch != state.epoch || !rl_inode_is(&copy.inode, sx))
        return 0;
    *hash = copy.hash;
    *tree = copy.tree;
    *clear_at = copy.clear_at;
    return copy.id;
}

static void remember(const struct statx *sx, u32 id, u64 hash, u32 tree, u32 clear_at)
{
    struct line *l = line_of(sx);
    if (!rl_line_open(&l->version))
        return;
    l->id = id;
    l->tree = tree;
    l->epoch = state.epoch;
    l->hash = hash;
    l->clear_at = clear_at;
    l->inode = rl_inode_of(sx);
    rl_line_close(&l->version);
    state.told[id % LINES] = (u16)(l - lines + 1);
}

/* Was this entry cached, and is it still? (If its file has been replaced, the next look-up by descriptor shows it.) */
static int is_told(u32 id)
{
    u32 at = state.told[id % LINES];
    return at && lines[at - 1].id == id && lines[at - 1].epoch == state.epoch;
}

/* The entry at rel[0..len) of a tree, while it is the visible path; its FNV state. */
static u32 entry_of(u32 layer, const char *rel, u32 len, u64 *hash)
{
    u32 id = rl_view_at(rel, len);
    const struct rl_view_entry *e = rl_view_entry(id);
    /* A directory is the same one in every layer. */
    if (!e || (e->type != 'd' && (e->type != 'f' || e->layer != layer || e->source_len)))
        return 0;
    *hash = rl_fnv(RL_FNV_START, rel, len);
    return id;
}

static long name_of(int fd, char *real, size_t size)
{
    char link[32];
    if (fd == AT_FDCWD)
        rl_put(link, "/proc/thread-self/cwd"); /* a thread may have its own (unshare) */
    else
        rl_put_u64(rl_put(link, "/proc/self/fd/"), (u64)(u32)fd, 10);
    long n = k4(__NR_readlinkat, AT_FDCWD, (long)link, (long)real, (long)size - 1);
    if (n <= 0 || (size_t)n == size - 1)
        return 0;
    real[n] = 0;
    return n;
}

/* By the descriptor's name. */
static u32 named(int fd, u64 *hash, u32 *layer)
{
    char real[512];
    const char *tree;
    long n = name_of(fd, real, sizeof real);
    if (!n)
        return 0;
    for (u32 i = 0; i < rl_launch->view_layers; i++) {
        u32 len = rl_tree(i, &tree);
        if (len && (u32)n > len && real[len] == '/' && !memcmp(real, tree, len)) {
            *layer = i;
            return entry_of(i, real + len, (u32)n - len, hash);
        }
    }
    *hash = *layer = 0;
    return NOT_ONE;
}

static int covered(u64 hash)
{
    u64 key = rl_bloom_key(hash, RL_KEY_PATH);
    for (u32 i = 0; i < rl_nlayers; i++)
        if (!rl_layers[i].bloom || rl_bloom_test(&rl_layers[i], key))
            return 1;
    return rl_bind_hash(hash);
}

/* 0: not a layer's file, or its inode is ambiguous. */
static u32 known(int fd, const struct statx *sx, u64 *hash, u32 *tree, u32 *clear_at)
{
    if ((!rl_isreg(sx->stx_mode) && !rl_isdir(sx->stx_mode)) || !sx->stx_nlink || !(sx->stx_mask & STATX_BTIME))
        return 0;
    if (rl_isreg(sx->stx_mode))
        rl_fdcache_asked();
    u32 id = remembered(sx, hash, tree, clear_at);
    if (!id && rl_isdir(sx->stx_mode) && rl_chain_has(sx))
        return 0;
    if (!id && (id = named(fd, hash, tree)) != 0) {
        if (id != NOT_ONE && (rl_view_entry(id)->type == 'd') != rl_isdir(sx->stx_mode))
            return 0;
        *clear_at = 0;
        remember(sx, id, *hash, *tree, 0);
    }
    return id == NOT_ONE ? 0 : id;
}

/* Is it worth a system call to cache the file that was just opened (rule 4)? */
static int credit(void)
{
    return state.spent < CREDIT && ++state.spent;
}

void rl_fdcache_asked(void)
{
    state.spent = 0;
}

void rl_fdcache_created(int fd, u32 moment, const struct rl_record *rec)
{
    struct statx sx;
    if (credit() && k_near(fd, "", AT_EMPTY_PATH, &sx) == 0)
        rl_attrcache_add(moment, &sx, rec);
}

u32 rl_fdcache_entry(const struct statx *sx)
{
    u64 hash;
    u32 tree, clear_at, id = rl_isreg(sx->stx_mode) && sx->stx_nlink ? remembered(sx, &hash, &tree, &clear_at) : 0;
    return !id || id == NOT_ONE || covered(hash) || rl_renamebits_entry(id) ? 0 : id;
}

void rl_fdcache_opened(int fd, u32 id, int directory, u64 hash, int clear, u32 now)
{
    struct statx sx;
    if (is_told(id) || (!directory && !credit()))
        return;
    if (k_near(fd, "", AT_EMPTY_PATH, &sx) == 0 && (sx.stx_mask & STATX_BTIME) &&
        (directory ? rl_isdir(sx.stx_mode) : rl_isreg(sx.stx_mode)))
        remember(&sx, id, hash, rl_view_entry(id)->layer, directory && clear ? now + 1 : 0);
}

long rl_fdcache_file(int fd, const struct statx *sx, struct rl_attr *out)
{
    u64 hash;
    u32 tree, clear_at, id = known(fd, sx, &hash, &tree, &clear_at);
    if (!id || covered(hash) || rl_renamebits_entry(id))
        return RL_MISS;
    rl_attr_view(id, out);
    return 0;
}

/* A directory of the upper, by its name; the answer is cached (dircache.c). */
static __attribute__((noinline)) int in_upper(int fd, const struct statx *sx, char *out, size_t size)
{
    static const char gone[] = " (deleted)";
    const struct rl_layer *l = &rl_layers[0];
    u32 now;
    char real[512];
    if (!rl_moment(&now))
        return 0;
    long n = name_of(fd, real, sizeof real), k = sizeof gone - 1;
    if (n <= (long)l->len || (n > k && rl_same(real + n - k, gone)))
        return 0;
    struct rl_real at = rl_classify(real, (u32)n);
    u32 rest = (u32)n - l->len;
    if (at.place != RL_PLACE_LAYER || at.index != 0 || rest >= size)
        return 0;
    memcpy(out, real + l->len, rest + 1);
    rl_dircache_add_name(now, sx, out, rest, 0);
    return 1;
}

enum rl_base_kind rl_fdcache_directory(int fd, struct rl_base *b, char *out, size_t size)
{
    struct statx sx;
    u64 dev;
    u32 now, clear_at;
    int keep = rl_moment(&now);
    b->kind = RL_BASE_OTHER;
    b->clear = b->deep = b->plain = 0;
    b->len = 0;
    long r = fd == AT_FDCWD && keep ? rl_cwd_statx(now, &sx) : k_near(fd, "", AT_EMPTY_PATH, &sx);
    if (r < 0 || !rl_isdir(sx.stx_mode))
        return RL_BASE_OTHER;
    if (rl_dircache_find_name(&sx, b, out, size))
        return b->kind = RL_BASE_UPPER;
    if ((b->deep = rl_chain_has(&sx)) != 0)
        return RL_BASE_OTHER;
    dev = rl_makedev(sx.stx_dev_major, sx.stx_dev_minor);
    b->id = rl_tree_device(dev) ? known(fd, &sx, &b->hash, &b->tree, &clear_at) : 0;
    if (b->id) {
        b->clear = keep && clear_at == now + 1;
        return b->kind = RL_BASE_VIEW;
    }
    if (!rl_writable() || dev != rl_layers[0].dev || !sx.stx_nlink || !in_upper(fd, &sx, out, size))
        return RL_BASE_OTHER;
    b->len = (u32)strlen(out);
    b->hash = rl_fnv(RL_FNV_START, out, b->len);
    return b->kind = RL_BASE_UPPER;
}

int rl_fdcache_named(int fd, struct rl_base *b, char *out, size_t size)
{
    return rl_fdcache_directory(fd, b, out, size) && b->len != RL_NO_TEXT;
}

long rl_base_path(const struct rl_base *b, char *out, size_t size)
{
    if (b->kind == RL_BASE_VIEW)
        return rl_view_path(b->id, out, size);
    return b->len == RL_NO_TEXT ? -ENAMETOOLONG : (long)b->len;
}

long rl_base_virtual(const struct rl_base *b, char *out, struct rl_origin *o)
{
    long n = rl_base_path(b, out, RL_PATH_MAX);
    *o = (struct rl_origin){b->kind == RL_BASE_VIEW ? RL_PLACE_TREE : RL_PLACE_LAYER, 0, b->id, 1, 0};
    return n < 0 ? n : rl_renamed_path(o, "", out, (u32)n);
}

void rl_base_clear(const struct rl_base *b, u32 now)
{
    u32 at = state.told[b->id % LINES];
    struct line *l = at ? &lines[at - 1] : NULL;
    if (!l || !rl_line_open(&l->version))
        return;
    if (l->id == b->id && l->epoch == state.epoch)
        l->clear_at = now + 1;
    rl_line_close(&l->version);
}

int rl_base_covered(const struct rl_base *b)
{
    return covered(b->hash);
}
