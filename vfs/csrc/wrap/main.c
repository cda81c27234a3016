/* usage: DIR/NAME [ARGUMENT…]: run the program NAME of the image that DIR belongs to. */
#include "../monitor/start.h"
#include "wrap.h"

#define EXIT_TROUBLE 125
#define UMASK_DIGITS 8
#define INSIDE "ROOTLAY_WRAPPED"
#define PROT_READ_WRITE 3
#define MAP_PRIVATE_ANONYMOUS 0x22

/* Control characters of a path would be commands to the terminal. */
static void say(const char *text)
{
    static char line[PATH_BYTES];
    size_t n = 0;
    for (; text[n] && n < sizeof line; n++)
        line[n] = (u8)text[n] < ' ' || text[n] == 0x7f ? '?' : text[n];
    sys(__NR_write, 2, (long)line, (long)n, 0, 0);
}

void fail(const char *what, const char *detail, long error)
{
    static const struct {
        long number;
        const char *text;
    } known[] = {{2, "No such file or directory"}, {7, "Argument list too long"}, {11, "Resource temporarily unavailable"}, {12, "Cannot allocate memory"}, {13, "Permission denied"}, {17, "File exists"}, {20, "Not a directory"}, {28, "No space left on device"}, {30, "Read-only file system"}, {122, "Disk quota exceeded"}};
    char digits[24];
    say("rootlay: ");
    say(what);
    if (detail)
        say(detail);
    if (error) {
        const char *text = NULL;
        for (size_t i = 0; i < sizeof known / sizeof *known; i++)
            if (known[i].number == error)
                text = known[i].text;
        put_number(digits, (u64)error);
        say(": ");
        say(text ? text : "error ");
        if (!text)
            say(digits);
    }
    sys(__NR_write, 2, (long)"\n", 1, 0, 0);
    if (wrap.untidy) {
        wrap.untidy = 0;
        tidy(wrap.run);
    }
    leave(EXIT_TROUBLE);
}

/* A list of so many texts, and its NULL. */
static char **new_list(size_t count)
{
    long r = rl_rawsys(__NR_mmap, 0, (long)((count + 1) * sizeof(char *)), PROT_READ_WRITE, MAP_PRIVATE_ANONYMOUS, -1, 0);
    if (r < 0 && r > -4096)
        fail("list of arguments", NULL, -r);
    return (char **)r;
}

const char *variable(const char *name)
{
    for (char **v = environment; *v; v++)
        if (begins(*v, name) && (*v)[length(name)] == '=')
            return *v + length(name) + 1;
    return NULL;
}

long read_file(const char *path, char *out, size_t size)
{
    long fd = sys(__NR_openat, AT_FDCWD, (long)path, O_RDONLY | O_CLOEXEC, 0, 0), done = 0, n = 0;
    if (fd < 0)
        return fd;
    while ((size_t)done < size && (n = sys(__NR_read, fd, (long)(out + done), (long)size - done, 0, 0)) > 0)
        done += n;
    sys(__NR_close, fd, 0, 0, 0, 0);
    out[n < 0 ? 0 : done] = 0;
    return n < 0 ? n : done;
}

void real_path(int fd, char *out, size_t size)
{
    char link[48];
    put_number(put(link, "/proc/self/fd/"), (u64)fd);
    long n = sys(__NR_readlinkat, AT_FDCWD, (long)link, (long)out, (long)size - 1, 0);
    if (n <= 0)
        fail("/proc is not mounted here, and programs need it: mount it", NULL, 0);
    out[n] = 0;
}

static void find_self(void)
{
    long n = sys(__NR_readlinkat, AT_FDCWD, (long)"/proc/self/exe", (long)wrap.dir, sizeof wrap.dir - 1, 0);
    if (n <= 0)
        fail("/proc is not mounted here, and programs need it: mount it", NULL, 0);
    while (n > 0 && wrap.dir[n - 1] != '/')
        n--;
    put(wrap.name, wrap.dir + n);
    wrap.dir[n > 1 ? n - 1 : n] = 0;
}

/* A program of this image that starts another one is there already. */
static void run_here(char **words)
{
    u8 page;
    const char *id = variable(INSIDE);
    if (sys(__NR_mincore, (long)RL_ENGINE_ADDRESS, 1, (long)&page, 0, 0) < 0) /* no engine is in this process */
        return;
    if (!id || !same(id, setting("id")))
        fail(wrap.name, ": a command of one image cannot start one of another image: start it outside", 0);
    words[0] = (char *)wrap.program;
    long r = sys(__NR_execve, (long)words[0], (long)words, (long)environment, 0, 0);
    fail(wrap.program, NULL, -r);
}

static int is_named(const char *entry, const char *other)
{
    while (*entry && *entry != '=' && *entry == *other) {
        entry++;
        other++;
    }
    return (*entry == '=' || !*entry) && (*other == '=' || !*other);
}

/* The caller's variables; those of the image take precedence. */
static char **make_environment(void)
{
    static char inside[sizeof INSIDE + 1 + ID_DIGITS];
    size_t n = 1;
    for (char **v = environment; *v; v++)
        n++;
    for (const char *v = next_setting("env", NULL); v; v = next_setting("env", v))
        n++;
    char **made = new_list(n);
    n = 0;
    put(put(inside, INSIDE "="), setting("id"));
    for (const char *v = next_setting("env", NULL); v; v = next_setting("env", v))
        made[n++] = (char *)v;
    made[n++] = inside;
    size_t own = n;
    for (char **v = environment; *v; v++) {
        int hidden = 0;
        for (size_t i = 0; i < own && !hidden; i++)
            hidden = is_named(made[i], *v);
        for (const char *u = next_setting("unset", NULL); u && !hidden; u = next_setting("unset", u))
            hidden = is_named(*v, u);
        if (!hidden)
            made[n++] = *v;
    }
    made[n] = NULL;
    return made;
}

static char *state(void)
{
    static char text[PATH_BYTES];
    char digits[UMASK_DIGITS], *d = digits + sizeof digits;
    long umask = sys(__NR_umask, 022, 0, 0, 0, 0);
    sys(__NR_umask, umask, 0, 0, 0, 0);
    if (length(wrap.uid) + length(wrap.gid) + length(wrap.groups) + sizeof digits + 4 > sizeof text)
        fail("damaged settings: ", "groups", 0);
    *--d = 0;
    do
        *--d = (char)('0' + (umask & 7));
    while (umask >>= 3);
    put(put(put(put(put(put(put(text, wrap.uid), ":"), wrap.gid), ":"), d), ":"), wrap.groups);
    return text;
}

static void choose_binds(void)
{
    const char *home = variable("HOME");
    if (wrap.home && home && *home == '/')
        add_bind(home, RL_BIND_OWNER, 0);
    if (wrap.temporary)
        add_bind("/tmp", RL_BIND_OWNER, 0);
    for (const char *v = next_setting("ro-bind", NULL); v; v = next_setting("ro-bind", v))
        add_bind(v, RL_BIND_OWNER | RL_BIND_RO, 0);
}

void begin(long *stack)
{
    static char engine[PATH_BYTES], launch[PATH_BYTES];
    long count = stack[0];
    char **given = (char **)(stack + 1);
    environment = given + count + 1;
    if (count < 1)
        fail("started without argv[0]", NULL, 0);
    find_self();
    read_settings();
    char **words = new_list((size_t)count + 5);
    memcpy(words + 5, given, (size_t)count * sizeof *given);
    run_here(words + 5);
    prepare_upper();
    choose_binds();
    write_launch(launch);
    if (wrap.upper == THROW_AWAY)
        tidy_later();
    expand(engine, setting("engine"));
    words[0] = engine;
    words[1] = "--run";
    words[2] = launch;
    words[3] = state();
    words[4] = wrap.cwd;
    words[5] = (char *)wrap.program;
    long r = sys(__NR_execve, (long)engine, (long)words, (long)make_environment(), 0, 0);
    fail(engine, NULL, -r);
}
