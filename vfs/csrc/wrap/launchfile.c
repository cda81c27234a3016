/* The launch file of a start: the template with its texts expanded, and the binds of this start. */
#include "wrap.h"

#define FILE_BYTES (1u << 20)

static char file[FILE_BYTES] __attribute__((aligned(8)));
static char present[FILE_BYTES + 1];
static u32 end;

static struct rl_launch *head(void)
{
    return (struct rl_launch *)file;
}

static struct rl_str append(const char *text)
{
    struct rl_str s = {end, (u32)length(text)};
    if (end + s.len + 1 > FILE_BYTES)
        fail("launch file too large", NULL, 0);
    memcpy(file + end, text, s.len + 1);
    end += s.len + 1;
    return s;
}

static void fill(struct rl_str *s)
{
    static char text[PATH_BYTES];
    if (!s->len || file[s->off] < IN_DIR || file[s->off] > IS_ID)
        return;
    expand(text, file + s->off);
    *s = append(text);
}

static int is_below(const char *path, const char *parent)
{
    size_t n = length(parent);
    return begins(path, parent) && (path[n] == '/' || path[n] == 0 || n == 0);
}

void add_bind(const char *path, u32 flags, int needed)
{
    struct bind *b = &wrap.binds[wrap.n_binds];
    size_t n = length(path);
    if (wrap.n_binds == BINDS_MAX || n >= PATH_BYTES)
        fail(path, ": too many binds", 0);
    long fd = sys(__NR_openat, AT_FDCWD, (long)path, O_PATH | O_CLOEXEC, 0, 0);
    if (fd < 0 && !needed)
        return;
    if (fd < 0)
        fail(path, NULL, -fd);
    put(b->vpath, path);
    while (n > 1 && b->vpath[n - 1] == '/')
        b->vpath[--n] = 0;
    real_path((int)fd, b->host, sizeof b->host);
    sys(__NR_close, fd, 0, 0, 0, 0);
    for (u32 i = 0; i < wrap.n_binds; i++)
        if (same(wrap.binds[i].vpath, b->vpath))
            return;
    b->flags = flags;
    if (n > 1)
        wrap.n_binds++;
}

/* Where the working directory is inside; 0 if it is not. */
static int place_work(const char *cwd, char *inside)
{
    const struct rl_launch_bind *binds = (const void *)(file + head()->off_binds);
    size_t best = 0;
    for (u32 i = 0; i < head()->binds; i++) {
        const char *host = file + binds[i].host.off, *vpath = file + binds[i].vpath.off;
        if (binds[i].host.len && binds[i].host.len > best && is_below(cwd, host)) {
            best = binds[i].host.len;
            join(inside, vpath, cwd + best);
        }
    }
    for (u32 i = 0; i < wrap.n_binds; i++)
        if (length(wrap.binds[i].host) > best && is_below(cwd, wrap.binds[i].host)) {
            best = length(wrap.binds[i].host);
            join(inside, wrap.binds[i].vpath, cwd + best);
        }
    return best > 0;
}

static int is_system(const char *path)
{
    static const char *const names[] = {"/usr", "/bin", "/sbin", "/lib", "/lib64", "/etc", "/proc", "/sys", "/dev", "/boot"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (is_below(path, names[i]))
            return 1;
    return path[0] != '/' || path[1] == 0;
}

static void place(void)
{
    static char cwd[PATH_BYTES];
    join(wrap.cwd, wrap.directory, "");
    if (sys(__NR_getcwd, (long)cwd, sizeof cwd, 0, 0, 0) < 0 || cwd[0] != '/')
        return;
    if (place_work(cwd, wrap.cwd) || !wrap.work || is_system(cwd))
        return;
    add_bind(cwd, RL_BIND_OWNER, 0);
    place_work(cwd, wrap.cwd);
}

/* The binds of the template and of this start in one table, longest virtual path first. The template's take precedence. */
static void merge_binds(void)
{
    struct rl_launch *l = head();
    const struct rl_launch_bind *old = (const void *)(file + l->off_binds);
    u32 count = l->binds;
    end = (end + 7) & ~7u;
    struct rl_launch_bind *all = (void *)(file + end);
    if (end + (count + BINDS_MAX) * sizeof *all > FILE_BYTES)
        fail("launch file too large", NULL, 0);
    memcpy(all, old, count * sizeof *all);
    l->off_binds = end;
    end += (u32)((count + BINDS_MAX) * sizeof *all);
    for (u32 i = 0; i < wrap.n_binds; i++) {
        struct rl_launch_bind b;
        u32 at = 0;
        memset(&b, 0, sizeof b);
        for (u32 k = 0; k < count; k++)
            if (same(file + all[k].vpath.off, wrap.binds[i].vpath))
                at = count + 1;
        if (at)
            continue;
        b.vpath = append(wrap.binds[i].vpath);
        b.host = append(wrap.binds[i].host);
        b.flags = wrap.binds[i].flags;
        while (at < count && all[at].vpath.len >= b.vpath.len)
            at++;
        for (u32 k = count; k > at; k--)
            all[k] = all[k - 1];
        all[at] = b;
        count++;
    }
    l->binds = count;
}

static void fill_all(void)
{
    struct rl_launch *l = head();
    struct rl_str *texts[] = {&l->view, &l->engine, &l->hydrator, &l->lock, &l->trace, &l->container_id, &l->hostname, &l->alias, &l->addresses};
    struct rl_launch_dir *dirs = (void *)(file + l->off_dirs);
    struct rl_str *layers = (void *)(file + l->off_view_layers);
    struct rl_launch_bind *binds = (void *)(file + l->off_binds);
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        fill(texts[i]);
    for (u32 i = 0; i < l->dirs; i++) {
        fill(&dirs[i].path);
        fill(&dirs[i].bloom);
    }
    for (u32 i = 0; i < l->view_layers; i++)
        fill(&layers[i]);
    for (u32 i = 0; i < l->binds; i++)
        fill(&binds[i].host);
}

/* Let lists of running containers find it (rootlay.store.containers.containers, rule 5). */
static void note_session(const char *launch)
{
    static char path[PATH_BYTES];
    size_t containers = length(wrap.run), token = length(launch);
    while (containers && wrap.run[containers - 1] != '/')
        containers--;
    while (launch[token - 1] != '-')
        token--;
    if (containers + length(wrap.id) + HASH_DIGITS + 16 > sizeof path)
        return;
    memcpy(path, wrap.run, containers);
    put(put(put(put(path + containers, "launched/"), wrap.id), "-"), launch + token);
    sys(__NR_mknodat, AT_FDCWD, (long)path, 0100600, 0, 0);
}

void write_launch(char *path)
{
    static char temporary[PATH_BYTES], template[PATH_BYTES];
    char name[64], *p = name;
    long status[32]; /* struct stat: the device is first */
    join(template, wrap.dir, "/.rootlay/template");
    long n = read_file(template, file, sizeof file / 2);
    if (n < (long)sizeof(struct rl_launch))
        fail(template, ": damaged", n < 0 ? -n : 0);
    struct rl_launch *l = head();
    end = (u32)n;
    fill_all();
    place();
    merge_binds();
    l->host_uid = (u32)sys(__NR_geteuid, 0, 0, 0, 0, 0);
    l->host_gid = (u32)sys(__NR_getegid, 0, 0, 0, 0, 0);
    struct rl_launch_dir *dirs = (void *)(file + l->off_dirs);
    dirs[0].flags = (dirs[0].flags & ~RL_DIR_ATTRS) | (wrap.attributes ? RL_DIR_ATTRS : 0);
    if (sys(__NR_newfstatat, AT_FDCWD, (long)wrap.upper_path, (long)status, 0, 0) < 0)
        fail(wrap.upper_path, NULL, 2);
    l->st_dev = (u64)status[0];
    l->file_bytes = end;
    u64 hash = RL_FNV_START;
    for (u32 i = 0; i < end; i++)
        hash = (hash ^ (u8)file[i]) * RL_FNV_PRIME;
    p = put(p, "/launch-w"); /* no number of a process follows */
    for (int i = HASH_DIGITS - 1; i >= 0; i--)
        *p++ = "0123456789abcdef"[hash >> (4 * i) & 15];
    *p = 0;
    join(path, wrap.run, name);
    if (read_file(path, present, FILE_BYTES) == (long)end && !memcmp(present, file, end)) /* a power failure may cut it */
        return;
    new_name(temporary, wrap.run, "/.launch-"); /* of no other machine that shares the directory either */
    long fd = sys(__NR_openat, AT_FDCWD, (long)temporary, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600, 0);
    long r = fd < 0 ? fd : sys(__NR_write, fd, (long)file, end, 0, 0);
    if (r >= 0 && r < (long)end)
        r = -ENOSPC;
    if (r > 0)
        r = rl_rawsys(__NR_renameat2, AT_FDCWD, (long)temporary, AT_FDCWD, (long)path, 0, 0);
    if (r < 0) {
        sys(__NR_unlinkat, AT_FDCWD, (long)temporary, 0, 0, 0);
        fail(temporary, NULL, -r);
    }
    sys(__NR_close, fd, 0, 0, 0, 0);
    if (wrap.upper == SHARED)
        note_session(path);
}
