/* Fault injection in the C core, for test builds of the engine and of the core's library: the core's only way to the
 * kernel, rl_sys(), is compiled to be rl_sys_point(), which numbers the calls that change something (see shim.c).
 *
 *   -DFAULT_CONTROL="…" -DFAULT_LOG="…"   files, as in shim.c: the engine sees no environment of ours
 *
 * The steps that change memory which processes share (builds.py, MEMORY) are numbered, too. There a process can die or
 * stop, but no error is injected. Each step of the removal map is a point. A step of the Bloom filter is a point only
 * for stops: a process that dies after it leaves the same as one that dies at the next call.
 *
 * The engine's own calls (trap/) still go to rl_sys(): the engine changes only the files that the program names. */
#include "control.h"

#include <asm/unistd.h>

#define O_RDWR 2
#define O_CREAT 0100
#define O_LOG 02002101 /* O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC */
#define AT_FDCWD (-100)

long rl_sys(long nr, long a, long b, long c, long d, long e, long f);
long rl_sys_point(long nr, long a, long b, long c, long d, long e, long f);

static struct control *control;

static void attach(void)
{
    long fd = rl_sys(__NR_openat, AT_FDCWD, (long)FAULT_CONTROL, O_RDWR, 0, 0, 0);
    if (fd < 0)
        return;
    long p = rl_sys(__NR_mmap, 0, 4096, 3, 1 /* MAP_SHARED */, fd, 0);
    rl_sys(__NR_close, fd, 0, 0, 0, 0, 0);
    if (p > 0)
        control = (struct control *)p;
}

/* The name of a call if it changes something, else NULL. */
static const char *name_of(long nr, long flags, int *takes_space)
{
    *takes_space = 1;
    switch (nr) {
    case __NR_openat:
        return flags & O_CREAT ? "open" : (const char *)0;
    case __NR_mkdirat:
        return "mkdir";
    case __NR_mknodat:
        return "mknod";
    case __NR_symlinkat:
        return "symlink";
    case __NR_linkat:
        return "link";
    case __NR_renameat2:
        return "rename";
    case __NR_pwrite64:
        return "pwrite";
    case __NR_copy_file_range:
        return "copy_file_range";
    case __NR_ftruncate:
        return "ftruncate";
    case __NR_setxattr:
    case __NR_lsetxattr:
    case __NR_fsetxattr:
        return "setxattr";
    case __NR_unlinkat:
    case __NR_fchmodat:
    case __NR_utimensat:
    case __NR_removexattr:
    case __NR_lremovexattr:
    case __NR_fremovexattr:
        *takes_space = 0;
        return nr == __NR_unlinkat ? "unlink" : nr == __NR_fchmodat ? "chmod" : nr == __NR_utimensat ? "utimens" : "removexattr";
    default:
        return (const char *)0;
    }
}

static char *put(char *at, char *end, const char *text)
{
    while (*text && at < end)
        *at++ = *text++;
    return at;
}

static void note(uint32_t n, const char *name, const char *path)
{
    char line[512], digits[12], *end = line + sizeof line - 1, *at = line;
    int k = sizeof digits - 1;
    digits[k] = 0;
    do
        digits[--k] = (char)('0' + n % 10);
    while (n /= 10);
    at = put(at, end, digits + k);
    at = put(at, end, "\tcore ");
    at = put(at, end, name);
    at = put(at, end, "\t");
    at = put(at, end, path);
    *at++ = '\n';
    long fd = rl_sys(__NR_openat, AT_FDCWD, (long)FAULT_LOG, O_LOG, 0600, 0, 0);
    if (fd >= 0) {
        rl_sys(__NR_write, fd, (long)line, at - line, 0, 0, 0);
        rl_sys(__NR_close, fd, 0, 0, 0, 0, 0);
    }
}

static int is_armed(void)
{
    if (!control)
        attach();
    return control && control->armed;
}

/* Counts one more point. Returns its errno, or 0; does not return in a process that it kills. */
static int point(const char *name, const char *path, int takes_space)
{
    uint32_t n = __atomic_add_fetch(&control->count, 1, __ATOMIC_SEQ_CST);
    note(n, name, path);
    int fault = fault_of(control, n, takes_space);
    if (fault != FAULT_KILL && fault != FAULT_STOP)
        return fault;
    long pid = rl_sys(__NR_getpid, 0, 0, 0, 0, 0, 0);
    do
        rl_sys(__NR_kill, pid, fault == FAULT_KILL ? 9 : 19 /* SIGSTOP */, 0, 0, 0, 0);
    while (fault == FAULT_KILL);
    return 0;
}

long rl_sys_point(long nr, long a, long b, long c, long d, long e, long f)
{
    int takes;
    const char *name = name_of(nr, c, &takes);
    if (!name || !is_armed())
        return rl_sys(nr, a, b, c, d, e, f);
    const char *path = nr == __NR_renameat2 || nr == __NR_linkat ? (const char *)d
                     : nr == __NR_symlinkat                      ? (const char *)c
                     : a == AT_FDCWD                             ? (const char *)b
                                                                 : "";
    int fault = point(name, path ? path : "", takes);
    return fault ? -fault : rl_sys(nr, a, b, c, d, e, f);
}

/* ---- memory ------------------------------------------------------------------------------------ */

extern uint64_t *rl_removed_bits;
void rl_removed_note(void);
void rl_removed_clear(uint32_t id);
void rl_removed_wrote(uint32_t id);
void rl_removed_done(uint32_t noted);
int rl_bloom_set(const void *layer, uint64_t key);
int rl_removed_set_point(uint32_t id);
void rl_removed_clear_point(uint32_t id);
void rl_removed_wrote_point(uint32_t id);
void rl_removed_done_point(uint32_t noted);
int rl_bloom_set_point(const void *layer, uint64_t key);

static void memory(const char *name)
{
    if (is_armed())
        point(name, "", 0);
}

/* As rl_removed_set(), with a point between its two steps. */
int rl_removed_set_point(uint32_t id)
{
    uint64_t bit = (uint64_t)1 << (id & 63);
    memory("count a removal");
    rl_removed_note();
    memory("set a removal");
    return (__atomic_fetch_or(&rl_removed_bits[id >> 6], bit, __ATOMIC_SEQ_CST) & bit) != 0;
}

void rl_removed_clear_point(uint32_t id)
{
    memory("clear a removal");
    rl_removed_clear(id);
}

void rl_removed_wrote_point(uint32_t id)
{
    memory("a removal is written");
    rl_removed_wrote(id);
}

void rl_removed_done_point(uint32_t noted)
{
    memory("all removals are written");
    rl_removed_done(noted);
}

int rl_bloom_set_point(const void *layer, uint64_t key)
{
    if (is_armed() && control->action == FAULT_STOP)
        point("set a bit", "", 0);
    return rl_bloom_set(layer, key);
}
