/* Fault injection in the C core, for test builds of the engine and of the core's library: the core's only way to the
 * kernel, rl_sys(), is compiled to be rl_sys_point(), which numbers the calls that change something (see shim.c).
 *
 *   -DFAULT_CONTROL="…" -DFAULT_LOG="…"   files, as in shim.c: the engine sees no environment of ours
 *
 * The engine's own calls (trap/) go to rl_sys() as ever; of files it changes none but what the program asked for. */
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

/* What a call is called where it changes something; NULL where it does not. */
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

long rl_sys_point(long nr, long a, long b, long c, long d, long e, long f)
{
    int takes;
    const char *name = name_of(nr, c, &takes);
    if (!name)
        return rl_sys(nr, a, b, c, d, e, f);
    if (!control)
        attach();
    if (!control || !control->armed)
        return rl_sys(nr, a, b, c, d, e, f);
    uint32_t n = __atomic_add_fetch(&control->count, 1, __ATOMIC_SEQ_CST);
    const char *path = nr == __NR_renameat2 || nr == __NR_linkat ? (const char *)d
                     : nr == __NR_symlinkat                      ? (const char *)c
                     : a == AT_FDCWD                             ? (const char *)b
                                                                 : "";
    note(n, name, path ? path : "");
    int fault = fault_of(control, n, takes);
    if (fault == FAULT_KILL) {
        long pid = rl_sys(__NR_getpid, 0, 0, 0, 0, 0, 0);
        for (;;)
            rl_sys(__NR_kill, pid, 9, 0, 0, 0, 0);
    }
    return fault ? -fault : rl_sys(nr, a, b, c, d, e, f);
}
