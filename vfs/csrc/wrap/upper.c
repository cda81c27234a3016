/* The upper of a start: the shared one of the store, the user's own, or one for this start alone. */
#include "wrap.h"

#define BOOT_FILE "/proc/sys/kernel/random/boot_id"
#define BOOT_OFFSET 32
#define BOOT_BYTES 16
#define FILTER_BYTES (RL_BLOOM_HEADER + (1l << RL_BLOOM_LOG2) / 8)
#define FORM "user.rootlay.form"
#define DIGITS "0123456789abcdef"
#define P_PID_ 1
#define SIGCHLD_ 17
#define EXIT_TROUBLE 125

struct filter_header {
    char magic[8];
    u32 version, log2;
    u8 counts[16];
    u8 boot[BOOT_BYTES];
    u8 pad[16];
};

static struct filter_header header;

static void read_boot(void)
{
    char id[64];
    long n = read_file(BOOT_FILE, id, sizeof id - 1);
    u32 digits = 0;
    memcpy(header.magic, RL_BLOOM_MAGIC, 8);
    header.version = RL_BLOOM_VERSION;
    header.log2 = RL_BLOOM_LOG2;
    for (long i = 0; i < n && digits < 2 * BOOT_BYTES; i++) {
        u8 v = id[i] >= '0' && id[i] <= '9' ? (u8)(id[i] - '0') : id[i] >= 'a' && id[i] <= 'f' ? (u8)(id[i] - 'a' + 10) : 16;
        if (v < 16) {
            header.boot[digits / 2] = (u8)(header.boot[digits / 2] << 4 | v);
            digits++;
        }
    }
}

static void write_filter(const char *path, u8 bits)
{
    static u8 block[65536];
    long fd = sys(__NR_openat, AT_FDCWD, (long)path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600, 0), r;
    if (fd < 0)
        fail(path, NULL, -fd);
    r = sys(__NR_write, fd, (long)&header, sizeof header, 0, 0);
    if (bits || (r >= 0 && sys(__NR_fallocate, fd, 0, 0, FILTER_BYTES, 0) < 0)) {
        memset(block, bits, sizeof block);
        for (long at = sizeof header; r >= 0 && at < FILTER_BYTES; at += r)
            r = sys(__NR_write, fd, (long)block, FILTER_BYTES - at < (long)sizeof block ? FILTER_BYTES - at : (long)sizeof block, 0, 0);
    }
    if (r < 0)
        fail(path, NULL, -r);
    sys(__NR_close, fd, 0, 0, 0, 0);
}

/* An upper, its filter and its ID in the new directory `run`. */
static void make_upper(const char *run)
{
    static char path[PATH_BYTES];
    u8 random[ID_DIGITS / 2] = {0};
    if (sys(__NR_getrandom, (long)random, sizeof random, 0, 0, 0) < 0)
        fail("getrandom", NULL, 38);
    for (int i = 0; i < ID_DIGITS; i++)
        wrap.id[i] = DIGITS[i & 1 ? random[i / 2] & 15 : random[i / 2] >> 4];
    join(path, run, "/upper");
    long r = sys(__NR_mkdirat, AT_FDCWD, (long)path, 0755, 0, 0);
    if (r < 0)
        fail(path, NULL, -r);
    sys(__NR_setxattr, (long)path, (long)FORM, (long)"1", 1, 0);
    join(path, run, "/bloom");
    write_filter(path, 0);
    join(path, run, "/lock");
    long fd = sys(__NR_openat, AT_FDCWD, (long)path, O_CREAT | O_RDWR | O_CLOEXEC, 0600, 0);
    sys(__NR_close, fd, 0, 0, 0, 0);
    join(path, run, "/id");
    fd = sys(__NR_openat, AT_FDCWD, (long)path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600, 0);
    r = fd < 0 ? fd : sys(__NR_write, fd, (long)wrap.id, ID_DIGITS, 0, 0);
    if (r < 0)
        fail(path, NULL, -r);
    sys(__NR_close, fd, 0, 0, 0, 0);
}

void new_name(char *out, const char *directory, const char *start)
{
    char text[64];
    u64 random = 0;
    sys(__NR_getrandom, (long)&random, sizeof random, 0, 0, 0);
    put_number(put(text, start), random);
    join(out, directory, text);
}

static void make_parents(char *path)
{
    for (char *p = path + 1; *p; p++)
        if (*p == '/') {
            *p = 0;
            sys(__NR_mkdirat, AT_FDCWD, (long)path, 0700, 0, 0);
            *p = '/';
        }
}

static void find_private(void)
{
    static char path[PATH_BYTES], temporary[PATH_BYTES];
    const char *data = variable("XDG_DATA_HOME"), *home = variable("HOME");
    if (data && *data == '/')
        join(path, data, "/rootlay/wrapped/");
    else if (home && *home == '/')
        join(path, home, "/.local/share/rootlay/wrapped/");
    else
        fail("HOME is not set: the private files of this command are below it", NULL, 0);
    join(wrap.run, path, setting("id"));
    join(path, wrap.run, "/id");
    long n = read_file(path, wrap.id, ID_DIGITS);
    if (n < 0) {
        make_parents(wrap.run);
        new_name(temporary, wrap.run, ".new-");
        n = sys(__NR_mkdirat, AT_FDCWD, (long)temporary, 0700, 0, 0);
        if (n < 0)
            fail(temporary, NULL, -n);
        make_upper(temporary);
        n = rl_rawsys(__NR_renameat2, AT_FDCWD, (long)temporary, AT_FDCWD, (long)wrap.run, 0, 0);
        if (n < 0) /* another start was faster */
            tidy(temporary);
        join(path, wrap.run, "/id");
        n = read_file(path, wrap.id, ID_DIGITS);
    }
    if (n != ID_DIGITS)
        fail(path, ": damaged: remove its directory", 0);
}

static void make_throw_away(void)
{
    static char path[PATH_BYTES];
    const char *place = variable("TMPDIR");
    new_name(path, place && *place == '/' ? place : "/var/tmp", "/rootlay-wrapped-");
    long r = sys(__NR_mkdirat, AT_FDCWD, (long)path, 0700, 0, 0);
    if (r < 0)
        fail(path, NULL, -r);
    long fd = sys(__NR_openat, AT_FDCWD, (long)path, O_PATH | O_DIRECTORY | O_CLOEXEC, 0, 0);
    real_path((int)fd, wrap.run, sizeof wrap.run);
    sys(__NR_close, fd, 0, 0, 0, 0);
    wrap.untidy = 1;
    make_upper(wrap.run);
}

/* After a power failure the filter may lack bits of existing files (docs/format.md section 7). */
static void check_after_boot(const char *upper, const char *filter)
{
    struct filter_header found[2]; /* and the NUL of read_file */
    int status = -1;
    long n = read_file(filter, (char *)found, sizeof *found);
    if (n == (long)sizeof *found && memcmp(found->boot, header.boot, BOOT_BYTES) == 0)
        return;
    char *words[10] = {NULL};
    int i = 0;
    for (; wrap.prepare[i]; i++)
        words[i] = wrap.prepare[i];
    words[i++] = (char *)upper;
    words[i] = (char *)filter;
    long pid = wrap.prepare[0] ? fork_child() : -1;
    if (pid == 0) {
        sys(__NR_execve, (long)words[0], (long)words, (long)environment, 0, 0);
        leave(EXIT_TROUBLE);
    }
    while (pid > 0 && sys(__NR_wait4, pid, (long)&status, 0, 0, 0) == -EINTR)
        ;
    if (status != 0) /* without Python: every bit is set, and look-ups ask the kernel */
        write_filter(filter, 0xff);
}

void prepare_upper(void)
{
    static char stack[16384], path[PATH_BYTES];
    const char *upper = "upper", *filter = "bloom";
    char form[64];
    read_boot();
    if (wrap.upper == SHARED) {
        expand(wrap.run, setting("run"));
        join(wrap.id, setting("id"), "");
        upper = setting("upper-name");
        filter = setting("filter-name");
        join(path, wrap.run, "/stack.json");
        if (read_file(path, stack, sizeof stack - 1) < 0)
            stack[0] = 0;
        if (!same(stack, setting("stack"))) /* the template's upper may be frozen */
            fail(wrap.dir, ": its container has a new snapshot: remove the commands, and wrap them again", 0);
    } else if (wrap.upper == PRIVATE) {
        find_private();
    } else {
        make_throw_away();
    }
    join(path, wrap.run, "/");
    join(wrap.upper_path, path, upper);
    join(wrap.filter_path, path, filter);
    if (wrap.upper != THROW_AWAY)
        check_after_boot(wrap.upper_path, wrap.filter_path);
    wrap.attributes = sys(__NR_getxattr, (long)wrap.upper_path, (long)FORM, (long)form, sizeof form, 0) > 0 && form[0] == '1';
}

void tidy_later(void)
{
    static char monitor[PATH_BYTES];
    char *words[] = {monitor, "tidy", wrap.run, wrap.id, NULL};
    long self = sys(__NR_pidfd_open, sys(__NR_getpid, 0, 0, 0, 0, 0), 0, 0, 0, 0);
    if (self < 0)
        fail("pidfd_open", NULL, -self);
    expand(monitor, setting("monitor"));
    int status = 0;
    long pid = fork_child(), second;
    if (pid == 0) {
        sys(__NR_setsid, 0, 0, 0, 0, 0);
        second = fork_child();
        if (second == 0) {
            if (sys(__NR_dup3, self, 0, 0, 0, 0) < 0) /* it is 0: standard input is closed */
                sys(__NR_fcntl, 0, F_SETFD, 0, 0, 0);
            for (int fd = 1; fd < 3; fd++)
                sys(__NR_close, fd, 0, 0, 0, 0);
            if (sys(__NR_close_range, 3, ~0u, 0, 0, 0) < 0)
                for (int fd = 3; fd < 1024; fd++)
                    sys(__NR_close, fd, 0, 0, 0, 0);
            sys(__NR_execve, (long)monitor, (long)words, (long)environment, 0, 0);
        }
        leave(second < 0);
    }
    while (pid > 0 && sys(__NR_wait4, pid, (long)&status, 0, 0, 0) == -EINTR)
        ;
    if (pid < 0 || status)
        fail("cannot start the process that removes the changes", NULL, 11);
    wrap.untidy = 0;
    sys(__NR_close, self, 0, 0, 0, 0);
}
