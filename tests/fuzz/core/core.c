/* libFuzzer's harness for the resolver core: a native view of any bytes, an upper in which a hostile program has put any
 * names, and a script of calls.
 *
 * Built by build.py with AddressSanitizer and UBSan. What the core maps is copied to the heap, so that each byte beyond
 * a file is found; what it does to files, it does below a scratch directory (FUZZ_SCRATCH: a tmpfs is fastest).
 *
 * Input: u8 flags (1 no view, 2 a filter, 4 and 8 layers, 16 not root, 32 a filter that says yes to all, 64 the view is a
 * delta, 128 a removal map, whose bytes are the first of the script), u8 calls, then the calls (op, then its arguments),
 * then the view; of a delta first its base, and before it the base's length (u16).
 *
 * One process does all executions, and a call costs what its system calls cost: launch files are written once, the
 * filter (a megabyte) stays on the heap and is wiped only when something was set in it, and a script is CALLS long.
 */
#include "internal.h"

/* Not from libc's headers: the kernel's, which the core includes, do not go together with them. */
void *malloc(size_t n);
void free(void *p);
void abort(void);
char *getenv(const char *name);
char *strcpy(char *to, const char *from);
char *strcat(char *to, const char *from);
char *strstr(const char *in, const char *what);
int strcmp(const char *a, const char *b);
void *memchr(const void *in, int c, size_t n);

long plain_sys(long nr, long a, long b, long c, long d, long e, long f);

/* ---- the kernel, but for mmap of files --------------------------------------------------------- */

#define MAPS 64
#define CALLS 24
#define BLOOM_BYTES (RL_BLOOM_HEADER + (1u << (RL_BLOOM_LOG2 - 3)))
static void *maps[MAPS];
static u8 *filter; /* of BLOOM_BYTES, on the heap */

static void *copy_of(int fd, long n, long offset)
{
    if (n == BLOOM_BYTES)
        return filter;
    for (int i = 0; i < MAPS; i++)
        if (!maps[i]) {
            maps[i] = malloc((size_t)n);
            for (long at = 0; at < n;) {
                long r = plain_sys(__NR_pread64, fd, (long)((char *)maps[i] + at), n - at, offset + at, 0, 0);
                if (r <= 0) {
                    memset((char *)maps[i] + at, 0, (size_t)(n - at));
                    break;
                }
                at += r;
            }
            return maps[i];
        }
    abort();
}

long rl_sys(long nr, long a, long b, long c, long d, long e, long f)
{
    if (nr == __NR_mmap && (int)e >= 0)
        return (long)copy_of((int)e, b, f);
    if (nr == __NR_munmap)
        for (int i = 0; i < MAPS; i++)
            if (maps[i] == (void *)a) {
                free(maps[i]);
                maps[i] = NULL;
                return 0;
            }
    return plain_sys(nr, a, b, c, d, e, f);
}

static void unmap_all(void)
{
    for (int i = 0; i < MAPS; i++) {
        free(maps[i]);
        maps[i] = NULL;
    }
}

enum { WIPED, SOME, ALL };
static int filled = SOME; /* which bits of the filter are set */
static int with_filter;

static void fill_filter(int want)
{
    if (filled != want)
        memset(filter, want == ALL ? 0xff : 0, BLOOM_BYTES);
    memset(filter, 0, RL_BLOOM_HEADER);
    memcpy(filter, RL_BLOOM_MAGIC, 8);
    filter[8] = RL_BLOOM_VERSION;
    filter[12] = RL_BLOOM_LOG2;
    filled = want;
}

/* ---- the container ------------------------------------------------------------------------------ */

#define LAUNCHES 16 /* with a view or without, with a filter or without, 0 to 3 layers */
static char scratch[256], upper[300], bloom[300], removed[300], viewfile[300], basefile[300], launchfile[LAUNCHES][300], lockfile[300];

static void write_file(const char *path, const void *data, size_t n)
{
    long fd = k_open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0 || plain_sys(__NR_write, fd, (long)data, (long)n, 0, 0, 0) != (long)n)
        abort();
    k_close(fd);
}

static char *text;
static struct rl_str put_text(const char *base, const char *s)
{
    struct rl_str r = {(u32)(text - base), (u32)strlen(s)};
    memcpy(text, s, r.len + 1);
    text += r.len + 1;
    return r;
}

static void write_launch(const char *file, int with_view, int with_bloom, int layers)
{
    static char buf[8192] __attribute__((aligned(8)));
    struct rl_launch *l = (void *)buf;
    memset(buf, 0, sizeof buf);
    memcpy(l->magic, RL_LAUNCH_MAGIC, 8);
    l->version = 1;
    l->flags = RL_LAUNCH_UPPER;
    l->dirs = 1;
    l->off_dirs = sizeof *l;
    struct rl_launch_dir *d = (void *)(buf + l->off_dirs);
    l->view_layers = (u32)layers;
    l->off_view_layers = l->off_dirs + (u32)sizeof *d;
    struct rl_str *trees = (void *)(buf + l->off_view_layers);
    text = buf + l->off_view_layers + 8 * (size_t)layers;
    d->path = put_text(buf, upper);
    if (with_bloom)
        d->bloom = put_text(buf, bloom);
    d->flags = RL_DIR_UPPER | RL_DIR_MARKS;
    for (int i = 0; i < layers; i++)
        trees[i] = put_text(buf, "/nonexistent/layer/tree");
    if (with_view)
        l->view = put_text(buf, viewfile);
    l->engine = put_text(buf, "/nonexistent/engine");
    l->lock = put_text(buf, lockfile);
    l->container_id = put_text(buf, "fuzz");
    l->file_bytes = (u32)(text - buf);
    write_file(file, buf, l->file_bytes);
}

struct dirent64 {
    u64 ino;
    i64 off;
    u16 reclen;
    u8 type;
    char name[];
};

/* Empties a directory by real calls, links not followed. The depth is that of the script: a few levels. */
static void empty(const char *path)
{
    static char names[1 << 16];
    long fd = k_open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC, 0);
    if (fd < 0)
        return;
    long n = plain_sys(__NR_getdents64, fd, (long)names, sizeof names, 0, 0, 0);
    char *copy = n > 0 ? malloc((size_t)n) : NULL;
    if (copy)
        memcpy(copy, names, (size_t)n);
    for (long at = 0; copy && at < n;) {
        struct dirent64 *e = (void *)(copy + at);
        at += e->reclen;
        if (!strcmp(e->name, ".") || !strcmp(e->name, ".."))
            continue;
        if (plain_sys(__NR_unlinkat, fd, (long)e->name, 0, 0, 0, 0) < 0) {
            char *below = malloc(strlen(path) + strlen(e->name) + 2);
            strcpy(below, path);
            strcat(below, "/");
            strcat(below, e->name);
            plain_sys(__NR_fchmodat, fd, (long)e->name, 0700, 0, 0, 0);
            empty(below);
            plain_sys(__NR_unlinkat, fd, (long)e->name, 0x200, 0, 0, 0);
            free(below);
        }
    }
    free(copy);
    k_close(fd);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    const char *base = getenv("FUZZ_SCRATCH");
    if (!base || strlen(base) > 200)
        abort();
    strcpy(scratch, base);
    strcpy(upper, scratch), strcat(upper, "/upper");
    strcpy(bloom, scratch), strcat(bloom, "/bloom");
    strcpy(removed, scratch), strcat(removed, "/removed");
    strcpy(viewfile, scratch), strcat(viewfile, "/view");
    strcpy(basefile, viewfile), strcat(basefile, RL_DELTA_BASE);
    strcpy(lockfile, scratch), strcat(lockfile, "/lock");
    plain_sys(__NR_mkdir, (long)upper, 0700, 0, 0, 0, 0);
    filter = malloc(BLOOM_BYTES);
    fill_filter(WIPED);
    write_file(bloom, filter, BLOOM_BYTES);
    for (int i = 0; i < LAUNCHES; i++) {
        char number[3] = {(char)('a' + i), 0, 0};
        strcpy(launchfile[i], scratch), strcat(launchfile[i], "/launch-"), strcat(launchfile[i], number);
        write_launch(launchfile[i], !(i & 1), i & 2, i >> 2);
    }
    return 0;
}

/* ---- the script ---------------------------------------------------------------------------------- */

static const u8 *at, *end;

static u32 byte(void)
{
    return at < end ? *at++ : 0;
}

static const char *const known[] = {
    "/", "/a", "/a/b", "/a/b/f", "/a/f", "/l", "/dl/f", "/up/b", "/loop", "/src", "/x", "/dev", "/n", "/n/m", "/a/../x",
    ".", "..", "b/f", "/a/.wh.f", "/.wh..wh..opq", "//a///b/./f/", "/dl/../../a/f", "/r", "/r/f", "/proc/self/fd/0",
    "/proc/self/exe",
};

/* A path: a known one, or bytes of the script. */
static const char *path(char buf[256])
{
    u32 n = byte(), used = 0;
    if (n < 128)
        return known[n % (sizeof known / sizeof *known)];
    for (n &= 127; used < n && at < end && *at; used++)
        buf[used] = (char)*at++;
    buf[used] = 0;
    return buf;
}

static const char *path1(void)
{
    static char buf[256];
    return path(buf);
}

static const char *path2(void)
{
    static char buf[256];
    return path(buf);
}

/* What a program that gets round the engine can leave in the upper: any name, a link to any text. */
static void plant(void)
{
    char real[700];
    const char *p = path1();
    strcpy(real, upper);
    strcat(real, "/");
    strcat(real, p);
    if (strstr(real, ".."))
        return;
    if (with_filter)
        fill_filter(ALL); /* whoever can plant names can set the bits for them */
    switch (byte() & 3) {
    case 0:
        plain_sys(__NR_symlink, (long)path2(), (long)real, 0, 0, 0, 0);
        break;
    case 1:
        plain_sys(__NR_mkdir, (long)real, 0700, 0, 0, 0, 0);
        break;
    default: {
        long fd = k_open(real, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        if (fd >= 0)
            k_close(fd);
    }
    }
}

static void list(const char *p)
{
    static struct rl_open o;
    static char buf[4096];
    if (rl_open_prepare(AT_FDCWD, p, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0, 0, &o) < 0)
        return;
    long fd = o.done_fd >= 0 ? o.done_fd : k_open(o.real, o.flags, o.mode);
    fd = rl_open_finish(&o, fd);
    if (fd < 0)
        return;
    for (int i = 0; i < 20; i++) {
        long n = rl_getdents64((int)fd, buf, 64 + byte() * 8);
        if (n <= 0)
            break;
        for (long k = 0; k < n;) {
            struct dirent64 *e = (void *)(buf + k);
            if (!e->reclen || k + e->reclen > n || !memchr(e->name, 0, e->reclen - 19u))
                abort(); /* a broken listing */
            k += e->reclen;
        }
    }
    rl_forget_fd((int)fd);
    k_close(fd);
}

static void open_file(const char *p, u32 how)
{
    static struct rl_open o;
    static const int flags[] = {O_RDONLY, O_WRONLY, O_RDWR | O_CREAT, O_WRONLY | O_CREAT | O_EXCL, O_RDONLY | O_NOFOLLOW,
                                O_WRONLY | O_TRUNC, O_PATH, O_WRONLY | O_APPEND};
    if (rl_open_prepare(AT_FDCWD, p, flags[how & 7] | O_NONBLOCK | O_CLOEXEC, 0644, how >> 3, &o) < 0)
        return;
    long fd = o.done_fd >= 0 ? o.done_fd : k_open(o.real, o.flags, o.mode);
    fd = rl_open_finish(&o, fd);
    if (fd >= 0)
        k_close(fd);
}

static void call(void)
{
    static char buf[RL_PATH_MAX + 512];
    static struct rl_attr attr;
    static struct rl_exec exec;
    static const i64 times[4] = {1, 2, 3, 4};
    const char *answer;
    u32 op = byte();
    switch (op % 32) {
    case 0: rl_stat(AT_FDCWD, path1(), (int)(byte() & 1) << 8, &attr); break;
    case 1: rl_readlink(AT_FDCWD, path1(), buf, byte() * 17); break;
    case 2: rl_access(AT_FDCWD, path1(), (int)(byte() & 7), 0); break;
    case 3: list(path1()); break;
    case 4: open_file(path1(), byte()); break;
    case 5: rl_mkdir(AT_FDCWD, path1(), 0755); break;
    case 6: rl_symlink(path1(), AT_FDCWD, path2()); break;
    case 7: rl_link(AT_FDCWD, path1(), AT_FDCWD, path2(), (int)(byte() & 1) << 10); break;
    case 8: rl_unlink(AT_FDCWD, path1(), (int)(byte() & 1) << 9); break;
    case 9: rl_rename(AT_FDCWD, path1(), AT_FDCWD, path2(), byte() & 3); break;
    case 10: rl_truncate(path1(), (i64)byte()); break;
    case 11: rl_chmod(AT_FDCWD, path1(), byte() * 257u & 07777, 0); break;
    case 12: rl_chown(AT_FDCWD, path1(), byte(), byte(), 0); break;
    case 13: rl_utimens(AT_FDCWD, path1(), times, 0); break;
    case 14: rl_getxattr(AT_FDCWD, path1(), "user.k", buf, byte(), 0); break;
    case 15: rl_listxattr(AT_FDCWD, path1(), buf, byte() * 4, 0); break;
    case 16: rl_setxattr(AT_FDCWD, path1(), path2(), buf, byte(), 0, 0); break;
    case 17: rl_removexattr(AT_FDCWD, path1(), "user.k", 0); break;
    case 18: rl_chdir(path1()); break;
    case 19: rl_getcwd(buf, byte() * 16); break;
    case 20: rl_exec_find(AT_FDCWD, path1(), 0, &exec); break;
    case 21: rl_real_path(AT_FDCWD, path1(), 0, buf, sizeof buf); break;
    case 28: {
        long lock = rl_name_begin(path1(), buf, sizeof buf);
        if (lock >= 0)
            rl_name_end(buf, lock, (int)(byte() & 1));
        break;
    }
    case 22: rl_virtual_path(path1(), buf, sizeof buf); break;
    case 23: rl_fast_stat(AT_FDCWD, path1(), (int)(byte() & 1) << 8, &attr); break;
    case 24: rl_fast_readlink(AT_FDCWD, path1(), &answer); break;
    case 25: rl_fast_open(AT_FDCWD, path1(), 0, buf, sizeof buf); break;
    case 26: rl_fast_access(AT_FDCWD, path1(), 4, 0); break;
    case 27: rl_mknod(AT_FDCWD, path1(), 0020644, 0x103); break;
    case 30: rl_removals_sync(); break;
    case 31: rl_removals_settle(); break;
    default: plant(); break;
    }
}

/* The view, and the base in front of it. */
static void write_views(const u8 *bytes, size_t size, int delta)
{
    if (delta && size >= 2) {
        size_t base = bytes[0] | (size_t)bytes[1] << 8;
        base = base < size - 2 ? base : size - 2;
        write_file(basefile, bytes + 2, base);
        bytes += 2 + base;
        size -= 2 + base;
    }
    write_file(viewfile, bytes, size);
}

/* A removal map that fits the view: the header's fields, and one byte all over. */
static void write_map(const u8 *view, size_t size, u8 fill)
{
    static u8 buf[1 << 16];
    struct rl_removed_header *h = (void *)buf;
    struct rl_view_header v;
    struct rl_delta_header d;
    memset(buf, fill, sizeof buf);
    memset(h, 0, sizeof *h);
    memcpy(h->magic, RL_REMOVED_MAGIC, 8);
    h->version = RL_REMOVED_VERSION;
    if (size >= sizeof v) {
        memcpy(&v, view, sizeof v);
        h->entries = v.entries;
        memcpy(h->chain_id, v.chain_id, sizeof h->chain_id);
    }
    if (size >= sizeof d && !memcmp(view, RL_DELTA_MAGIC, 8)) {
        memcpy(&d, view, sizeof d);
        h->entries = d.base_entries + d.added;
        memcpy(h->chain_id, d.chain_id, sizeof h->chain_id);
        memcpy(h->base, d.base_chain_id, sizeof h->base);
    }
    u64 bytes = sizeof *h + 16ull * ((h->entries + 63ull) / 64);
    write_file(removed, buf, bytes < sizeof buf ? (size_t)bytes : sizeof buf);
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
    if (size < 2)
        return -1;
    u32 flags = data[0], calls = data[1];
    at = data + 2;
    end = data + size;
    size_t script = size - 2 < calls * 4u ? size - 2 : calls * 4u;
    const u8 *bytes = at + script;
    if (!(flags & 1))
        write_views(bytes, (size_t)(end - bytes), flags & 64);
    if (flags & 128) {
        size_t base = flags & 64 && end - bytes >= 2 ? 2 + (bytes[0] | (size_t)bytes[1] << 8) : 0;
        base = base < (size_t)(end - bytes) ? base : (size_t)(end - bytes);
        write_map(bytes + base, (size_t)(end - bytes) - base, byte());
    } else {
        plain_sys(__NR_unlink, (long)removed, 0, 0, 0, 0, 0);
    }
    end = bytes;
    with_filter = flags & 2;
    if (with_filter)
        fill_filter(flags & 32 ? ALL : WIPED);
    rl_me.uid = rl_me.euid = rl_me.suid = rl_me.fsuid = flags & 16 ? 1000 : 0;
    if (rl_core_init(launchfile[flags & 15]) == 0) {
        for (int i = 0; i < CALLS && at < end; i++)
            call();
        rl_chdir("/");
    }
    if (with_filter && filled == WIPED)
        filled = SOME;
    unmap_all();
    plain_sys(__NR_chdir, (long)scratch, 0, 0, 0, 0, 0);
    empty(upper);
    return 0;
}
