/* What the core asks of its engine, where the process is not the container's alone.
 *
 * 1. The process's working directory and umask belong to everybody in it. The container's working directory is a
 *    descriptor, which the hooks keep for each activation; the core's few uses of the kernel's are turned to it here.
 * 2. The kernel's umask stays what it is: what the core makes gets its exact mode afterwards.
 * 3. What init maps is remembered, so that a container can be left without a trace.
 */
#include "../core/inside.h"
#include "api.h"

#define RL_EXPORT __attribute__((visibility("default"), used))
#define MAPPINGS 64

struct rl_identity rl_me;

static long (*working_directory)(long nr, long path_or_fd);
static long (*hydrate_entry)(u32 entry, void *who);
static void *hydrate_who;
static struct {
    long at, bytes;
} mapping[MAPPINGS];
static u32 mappings;
static int starting;

static inline long raw(long nr, long a, long b, long c, long d, long e, long f)
{
#if defined(__x86_64__)
    long r;
    register long r10 __asm__("r10") = d;
    register long r8 __asm__("r8") = e;
    register long r9 __asm__("r9") = f;
    __asm__ volatile("syscall" : "=a"(r) : "a"(nr), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                     : "rcx", "r11", "memory");
    return r;
#elif defined(__aarch64__)
    register long x8 __asm__("x8") = nr;
    register long x0 __asm__("x0") = a;
    register long x1 __asm__("x1") = b;
    register long x2 __asm__("x2") = c;
    register long x3 __asm__("x3") = d;
    register long x4 __asm__("x4") = e;
    register long x5 __asm__("x5") = f;
    __asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5) : "memory");
    return x0;
#else
#error "rootlay runs on x86_64 and aarch64"
#endif
}

/* A new object's mode as asked for, whatever the kernel's umask took from it (rule 2). */
static void exact_mode(const char *path, unsigned mode)
{
    if (mode & rl_me.umask & 07777)
        raw(__NR_fchmodat, AT_FDCWD, (long)path, mode & 07777, 0, 0, 0);
}

static long make_object(long nr, long a, long b, long c, long d, long e, long f)
{
    long r = raw(nr, a, b, c, d, e, f);
    if (r < 0)
        return r;
    if (nr != __NR_openat)
        exact_mode((const char *)b, (unsigned)c);
    else if ((c & (O_CREAT | O_EXCL)) == (O_CREAT | O_EXCL))
        exact_mode((const char *)b, (unsigned)d);
    return r;
}

static long start_mapping(long nr, long a, long b, long c, long d, long e, long f)
{
    long r = raw(nr, a, b, c, d, e, f);
    if (starting && !(r < 0 && r > -4096) && mappings < MAPPINGS) {
        mapping[mappings].at = r;
        mapping[mappings++].bytes = b;
    }
    return r;
}

/* /proc/self/cwd, or the same by this process's number. */
static int is_own_directory(const char *path)
{
    u64 pid;
    if (!rl_begins(path, "/proc/"))
        return 0;
    path += 6;
    if (rl_begins(path, "self/"))
        return rl_same(path + 4, "/cwd");
    return rl_number(&path, 10, &pid) && rl_same(path, "/cwd") && (long)pid == raw(__NR_getpid, 0, 0, 0, 0, 0, 0);
}

long rl_sys(long nr, long a, long b, long c, long d, long e, long f)
{
    switch (nr) {
    case __NR_umask:
        return 0; /* rule 2 */
    case __NR_chdir:
    case __NR_fchdir:
        return working_directory(nr, a);
    case __NR_mmap:
        return start_mapping(nr, a, b, c, d, e, f);
    case __NR_mkdirat:
    case __NR_mknodat:
        return make_object(nr, a, b, c, d, e, f);
    case __NR_openat:
        if (c & O_CREAT)
            return make_object(nr, a, b, c, d, e, f);
        break;
    case __NR_readlinkat:
        if (is_own_directory((const char *)b)) {
            char link[32];
            rl_put_u64(rl_put(link, "/proc/self/fd/"), (u64)working_directory(0, 0), 10);
            return raw(nr, a, (long)link, c, d, e, f);
        }
        break;
    case __NR_statx:
        if (a == AT_FDCWD && *(const char *)b != '/')
            a = working_directory(0, 0);
        break;
    default:
        break;
    }
    return raw(nr, a, b, c, d, e, f);
}

static long hydrate_through(u32 entry)
{
    return hydrate_entry(entry, hydrate_who);
}

static void forget_mappings(void)
{
    while (mappings) {
        mappings--;
        raw(__NR_munmap, mapping[mappings].at, mapping[mappings].bytes, 0, 0, 0, 0);
    }
}

static long start(const char *launch_path)
{
    rl_hydrate_here = hydrate_entry ? hydrate_through : NULL;
    starting = 1;
    long r = rl_core_init(launch_path);
    starting = 0;
    if (r < 0)
        forget_mappings();
    return r;
}

static const char *alias(void)
{
    return rl_launch_str(rl_launch->alias);
}

#define RL_CORE_ENTRY(name) .name = rl_##name,
RL_EXPORT const struct rl_core rl_hook_core = {
    .init = start,
    .done = forget_mappings,
    .me = &rl_me,
    .alias = alias,
    .working_directory = &working_directory,
    .hydrate = &hydrate_entry,
    .who = &hydrate_who,
    RL_CORE_CALLS(RL_CORE_ENTRY)
};
