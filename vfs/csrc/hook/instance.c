/* The engine's functions for the core, in a process that is not the container's alone.
 *
 * 1. The process's working directory and umask belong to all code in it. The container's working directory is a
 *    descriptor, which the hooks keep for each activation; the core's few uses of the kernel's are redirected to it
 *    here.
 * 2. The kernel's umask is unchanged: new objects of the core get their exact mode afterwards.
 * 3. Mappings made by init are recorded, so that a container can be left without a trace. Afterwards the instance is in
 *    the state in which it was loaded, and serves another container: loading one more takes longer than all other work
 *    for it.
 */
#include "../core/base/rawsys.h"
#include "../core/internal.h"
#include "api.h"

#define RL_EXPORT __attribute__((visibility("default"), used))
#define MAPPINGS 64
#define TREES 16 /* layers that may have a descriptor */
#define OFTEN 8  /* files of a layer that are opened before it gets one */
#ifdef __aarch64__
#define PAGE 65536ul /* or a part of it */
#else
#define PAGE 4096ul
#endif

extern char __bss_start[] __attribute__((visibility("hidden"))), _end[] __attribute__((visibility("hidden")));

struct rl_identity rl_me;

static struct {
    struct rl_host host; /* set before init, then only read */
    int starting;        /* this and the mappings: only init and done, which one thread calls */
    u32 mappings;
    struct {
        long at, bytes;
    } mapping[MAPPINGS];
    struct {
        u32 asked;
        i32 fd;      /* one more than it is; 0: none */
    } trees[TREES]; /* any thread, atomically */
} state;

/* Set a new object's requested mode, whatever bits the kernel's umask cleared (rule 2). */
static void exact_mode(long dir, const char *path, unsigned mode)
{
    if (mode & rl_me.umask & 07777)
        rl_rawsys(__NR_fchmodat, dir, (long)path, mode & 07777, 0, 0, 0);
}

static long make_object(long nr, long a, long b, long c, long d, long e, long f)
{
    long r = rl_rawsys(nr, a, b, c, d, e, f);
    if (r < 0)
        return r;
    if (nr != __NR_openat)
        exact_mode(a, (const char *)b, (unsigned)c);
    else if ((c & (O_CREAT | O_EXCL)) == (O_CREAT | O_EXCL))
        exact_mode(a, (const char *)b, (unsigned)d);
    return r;
}

static long start_mapping(long nr, long a, long b, long c, long d, long e, long f)
{
    long r = rl_rawsys(nr, a, b, c, d, e, f);
    if (state.starting && !(r < 0 && r > -4096) && state.mappings < MAPPINGS) {
        state.mapping[state.mappings].at = r;
        state.mapping[state.mappings++].bytes = b;
    }
    return r;
}

/* /proc/self/cwd, or the same of this thread or by this process's ID. */
static int is_own_directory(const char *path)
{
    u64 pid;
    if (!rl_begins(path, "/proc/"))
        return 0;
    path += 6;
    if (rl_same(path, "thread-self/cwd"))
        return 1;
    if (rl_begins(path, "self/"))
        return rl_same(path + 4, "/cwd");
    return rl_number(&path, 10, &pid) && rl_same(path, "/cwd") && (long)pid == rl_rawsys(__NR_getpid, 0, 0, 0, 0, 0, 0);
}

/* The directory that a path is relative to. */
static long from_directory(long dirfd, const char *path)
{
    return dirfd == AT_FDCWD && *path != '/' ? state.host.working_directory(0, 0) : dirfd;
}

long rl_sys(long nr, long a, long b, long c, long d, long e, long f)
{
    switch (nr) {
    case __NR_umask:
        return 0; /* rule 2 */
    case __NR_chdir:
    case __NR_fchdir:
        return state.host.working_directory(nr, a);
    case __NR_mmap:
        return start_mapping(nr, a, b, c, d, e, f);
    case __NR_mkdirat:
    case __NR_mknodat:
        return make_object(nr, a, b, c, d, e, f);
    case __NR_openat:
        a = from_directory(a, (const char *)b);
        if (c & O_CREAT)
            return make_object(nr, a, b, c, d, e, f);
        break;
    case __NR_readlinkat:
        if (is_own_directory((const char *)b)) {
            char link[32];
            rl_put_u64(rl_put(link, "/proc/self/fd/"), (u64)state.host.working_directory(0, 0), 10);
            return rl_rawsys(nr, a, (long)link, c, d, e, f);
        }
        break;
    case __NR_statx:
        a = from_directory(a, (const char *)b);
        break;
    default:
        break;
    }
    return rl_rawsys(nr, a, b, c, d, e, f);
}

static long own_directory(void)
{
    return state.host.working_directory(0, 0);
}

static long tree_descriptor(u32 layer, u32 directory)
{
    const char *path;
    i32 fd = layer < TREES && directory == RL_VIEW_ROOT ? __atomic_load_n(&state.trees[layer].fd, __ATOMIC_ACQUIRE) : -1;
    if (fd || __atomic_add_fetch(&state.trees[layer].asked, 1, __ATOMIC_RELAXED) != OFTEN || !rl_tree(layer, &path))
        return fd - 1;
    long made = rl_rawsys(__NR_openat, AT_FDCWD, (long)path, O_PATH | O_DIRECTORY | O_CLOEXEC, 0, 0, 0);
    if (made >= 0)
        made = state.host.descriptor(made, 1);
    if (made >= 0)
        __atomic_store_n(&state.trees[layer].fd, (i32)made + 1, __ATOMIC_RELEASE);
    return made;
}

static void forget_trees(void)
{
    for (u32 i = 0; i < TREES; i++)
        if (state.trees[i].fd > 0)
            state.host.descriptor(state.trees[i].fd - 1, 0);
}

static long hydrate_through(u32 entry)
{
    return state.host.hydrate(entry, state.host.who);
}

static void forget_mappings(void)
{
    while (state.mappings) {
        state.mappings--;
        rl_rawsys(__NR_munmap, state.mapping[state.mappings].at, state.mapping[state.mappings].bytes, 0, 0, 0, 0);
    }
}

/* Every variable of the core is zero at first; init sets the others. */
static void clear(void)
{
    char *low = (char *)(((size_t)__bss_start + PAGE - 1) & ~(PAGE - 1)), *high = (char *)((size_t)_end & ~(PAGE - 1));

    if (low > high)
        low = high = _end;
    memset(__bss_start, 0, (size_t)(low - __bss_start));
    rl_rawsys(__NR_madvise, (long)low, high - low, MADV_DONTNEED, 0, 0, 0);
    memset(high, 0, (size_t)(_end - high));
    __asm__ volatile("" ::: "memory");
}

static void done(void)
{
    rl_forget_lists();
    forget_trees();
    forget_mappings();
    clear();
}

static long start(const char *launch_path)
{
    static char path[RL_PATH_MAX]; /* the caller's own */

    if (strlen(launch_path) >= sizeof path)
        return -ENAMETOOLONG;
    memcpy(path, launch_path, strlen(launch_path) + 1);
    rl_hydrate_here = state.host.hydrate ? hydrate_through : NULL;
    rl_tree_descriptor = tree_descriptor;
    rl_has_openat2 = 1;
    rl_working_directory = own_directory;
    state.starting = 1;
    long r = rl_core_init(path);
    state.starting = 0;
    if (r < 0)
        done();
    else
        rl_make_mount_points();
    return r;
}

static const char *alias(void)
{
    return rl_launch_str(rl_launch->alias);
}

static const char *upper(void)
{
    return rl_writable() ? rl_layers[0].path : "";
}

#define RL_CORE_ENTRY(name) .name = rl_##name,
RL_EXPORT const struct rl_core rl_hook_core = {
    .init = start,
    .done = done,
    .me = &rl_me,
    .alias = alias,
    .upper = upper,
    .host = &state.host,
    RL_CORE_CALLS(RL_CORE_ENTRY)
};
