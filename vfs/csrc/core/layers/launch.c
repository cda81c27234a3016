/* The launch file (docs/format.md section 8): mapped once, checked once, then only read.
 *
 * Every offset is checked here, so no other code needs to. */
#include "../internal.h"

const struct rl_launch *rl_launch;
struct rl_layer rl_layers[RL_MAX_DIRS];
u32 rl_nlayers;
const struct rl_launch_bind *rl_binds;
int rl_host_layer;
u32 rl_ways;
const char *rl_launch_file;

/* Set by rl_core_init(), then only read; but for tree_dev. */
static struct {
    const struct rl_str *trees; /* the layers of the view */
    void *counts;               /* of the writable upper's filter, or NULL */
    int sections;               /* that filter counts the lock's holders */
    u64 tree_dev; /* one store is one device: that of the first tree that exists, plus one. Any thread, no lock: all
                   * find the same */
} state;

void *rl_map_file(const char *path, u64 offset, u64 *size, int writable)
{
    long fd = k_open(path, (writable ? O_RDWR : O_RDONLY) | O_CLOEXEC, 0);
    if (fd < 0)
        return NULL;
    long r = k4(__NR_lseek, fd, 0, 2, 0); /* its size, by the cheapest call */
    if (r > 0 && (u64)r > offset && (u64)r - offset >= *size) {
        if (!*size)
            *size = (u64)r - offset;
        r = rl_sys(__NR_mmap, 0, (long)*size, PROT_READ | (writable ? PROT_WRITE : 0), MAP_SHARED, fd,
                   (long)offset);
    } else {
        r = -EINVAL;
    }
    k_close(fd);
    return r < 0 && r > -4096 ? NULL : (void *)r;
}

static int text_ok(const struct rl_launch *l, struct rl_str s)
{
    if (!s.len && !s.off)
        return 1;
    return (u64)s.off + s.len < l->file_bytes && ((const char *)l)[(u64)s.off + s.len] == 0;
}

static int table_ok(const struct rl_launch *l, u32 off, u32 count, u32 size)
{
    return !count || (off % 4 == 0 && (u64)off + (u64)count * size <= l->file_bytes);
}

static int launch_ok(const struct rl_launch *l, u64 size)
{
    if (size < sizeof *l || memcmp(l->magic, RL_LAUNCH_MAGIC, 8) || l->version != 1)
        return 0;
    if (l->file_bytes > size || l->dirs > RL_MAX_DIRS || l->view_layers > (1u << 20) || l->binds > RL_MAX_BINDS)
        return 0;
    if (!table_ok(l, l->off_dirs, l->dirs, sizeof(struct rl_launch_dir)) ||
        !table_ok(l, l->off_view_layers, l->view_layers, sizeof(struct rl_str)) ||
        !table_ok(l, l->off_binds, l->binds, sizeof(struct rl_launch_bind)) ||
        !table_ok(l, l->off_ports, l->ports, sizeof(struct rl_launch_port)))
        return 0;
    const struct rl_launch_dir *d = (const void *)((const char *)l + l->off_dirs);
    for (u32 i = 0; i < l->dirs; i++)
        if (!text_ok(l, d[i].path) || !text_ok(l, d[i].bloom))
            return 0;
    const struct rl_str *t = (const void *)((const char *)l + l->off_view_layers);
    for (u32 i = 0; i < l->view_layers; i++)
        if (!text_ok(l, t[i]))
            return 0;
    const struct rl_launch_bind *b = (const void *)((const char *)l + l->off_binds);
    for (u32 i = 0; i < l->binds; i++)
        if (!text_ok(l, b[i].vpath) || !text_ok(l, b[i].host))
            return 0;
    return text_ok(l, l->view) && text_ok(l, l->engine) && text_ok(l, l->hydrator) && text_ok(l, l->lock) &&
           text_ok(l, l->trace) && text_ok(l, l->container_id) && text_ok(l, l->hostname) &&
           text_ok(l, l->alias) && text_ok(l, l->addresses) && text_ok(l, l->table);
}

const char *rl_launch_str(struct rl_str s)
{
    return s.len ? (const char *)rl_launch + s.off : "";
}

int rl_writable(void)
{
    return rl_nlayers && (rl_launch->flags & RL_LAUNCH_UPPER);
}

u32 rl_tree(u32 layer, const char **path)
{
    if (layer >= rl_launch->view_layers)
        return 0;
    *path = rl_launch_str(state.trees[layer]);
    return state.trees[layer].len;
}

struct rl_bind rl_bind(u32 i)
{
    const struct rl_launch_bind *b = &rl_binds[i];
    struct rl_bind out = {rl_launch_str(b->vpath), rl_launch_str(b->host), b->vpath.len, b->host.len, b->flags,
                          b->uid, b->gid, b->mode};
    return out;
}

int rl_tree_device(u64 dev)
{
    const char *path;
    struct statx sx;
    for (u32 i = 0; !state.tree_dev && i < rl_launch->view_layers; i++)
        if (rl_tree(i, &path) && k_near(AT_FDCWD, path, 0, &sx) == 0)
            state.tree_dev = rl_makedev(sx.stx_dev_major, sx.stx_dev_minor) + 1;
    return state.tree_dev && dev == state.tree_dev - 1;
}

/* May a file on this device be one of ours? */
int rl_own_device(u64 dev)
{
    if (rl_host_layer || dev == rl_launch->st_dev)
        return 1;
    for (u32 i = 0; i < rl_nlayers; i++)
        if (rl_layers[i].dev == dev)
            return 1;
    return rl_tree_device(dev) || rl_bind_device(dev);
}

/* Each walk begins in the root: a filter with many names, which denies nothing, would let each look for the mark. */
static u32 is_opaque(const struct rl_layer *l)
{
    char mark[RL_REAL_MAX];
    return (l->flags & RL_DIR_MARKS) && rl_bloom_test(l, rl_bloom_key(RL_FNV_START, RL_BLOOM_OPAQUE)) &&
           rl_opaque_path(mark, sizeof mark, l->path, l->len) >= 0 && k_exists(mark);
}

static void open_layer(struct rl_layer *l, const struct rl_launch_dir *d)
{
    struct statx sx;
    l->path = rl_launch_str(d->path);
    l->len = d->path.len;
    l->flags = d->flags;
    l->uid = d->flags & RL_DIR_OWNER ? d->uid : rl_launch->map_uid;
    l->gid = d->flags & RL_DIR_OWNER ? d->gid : rl_launch->map_gid;
    l->bloom = NULL;
    l->tells_moves = 0;
    l->dev = 0;
    if (!l->len)
        rl_host_layer = 1;
    else if ((d->flags & RL_DIR_UPPER) && rl_launch->st_dev)
        l->dev = rl_launch->st_dev; /* it is that of the upper */
    else if (k_near(AT_FDCWD, l->path, 0, &sx) == 0)
        l->dev = rl_makedev(sx.stx_dev_major, sx.stx_dev_minor);
    if (!d->bloom.len)
        return;
    u64 size = 0;
    u8 *map = rl_map_file(rl_launch_str(d->bloom), 0, &size, d->flags & RL_DIR_UPPER);
    u32 version = map && size > 12 ? *(const u32 *)(const void *)(map + 8) : 0;
    /* An unusable filter only costs time: without one we always read the layer. But a process with a usable filter
     * would rely on our bits, so a writer to an upper without its filter would be wrong. */
    if (!map || size < RL_BLOOM_HEADER + (1u << (RL_BLOOM_LOG2 - 3)) || memcmp(map, RL_BLOOM_MAGIC, 8) ||
        version > RL_BLOOM_VERSION)
        return;
    l->bloom = (u64 *)(void *)(map + RL_BLOOM_HEADER);
    l->near = (1u << (version >= RL_BLOOM_NEAR ? RL_BLOOM_NEAR_LOG2 : RL_BLOOM_LOG2)) - 1;
    l->tells_moves = version >= RL_BLOOM_MOVES;
    l->opaque = is_opaque(l);
    if ((d->flags & RL_DIR_UPPER) && version >= RL_BLOOM_COUNTING) {
        state.counts = map + RL_BLOOM_COUNTS;
        state.sections = version >= RL_BLOOM_SECTIONS;
    }
}

long rl_core_init(const char *launch_path)
{
    u64 size = 0;
    const struct rl_launch *l = rl_map_file(launch_path, 0, &size, 0);
    if (!l)
        return -ENOENT;
    if (!launch_ok(l, size))
        return -EINVAL;
    rl_launch = l;
    rl_launch_file = launch_path;
    const char *base = (const char *)l;
    state.trees = (const void *)(base + l->off_view_layers);
    rl_binds = (const void *)(base + l->off_binds);
    rl_host_layer = 0;
    state.counts = NULL;
    rl_nlayers = l->dirs;
    rl_ways = 0;
    const struct rl_launch_dir *d = (const void *)(base + l->off_dirs);
    for (u32 i = 0; i < l->dirs; i++) {
        open_layer(&rl_layers[i], &d[i]);
        rl_ways |= d[i].flags & RL_DIR_WAYS ? 1u << i : 0;
        if (i == 0 && rl_writable() && d[0].bloom.len && !rl_layers[0].bloom)
            return -EINVAL;
    }
    rl_bind_init();
    rl_content_init();
    rl_fdcache_init();
    rl_renamed_path_init();
    rl_dircache_init(state.counts, state.sections);
    k4(__NR_umask, 0, 0, 0, 0); /* rl_me.umask is applied here; the kernel must not apply another */
    long r = rl_view_open(l->view.len ? rl_launch_str(l->view) : NULL, l->view_offset, l->view_bytes);
    rl_removed_init(state.counts ? (u8 *)state.counts + (RL_BLOOM_REMOVALS - RL_BLOOM_COUNTS) : NULL);
    return r;
}
