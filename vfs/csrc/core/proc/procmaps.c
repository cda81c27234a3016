/* /proc/PID/maps and smaps as the program sees them, and the program that another process runs.
 *
 * 1. The kernel writes real paths; each becomes its name inside, and the engine's own files "[rootlay]".
 * 2. The opened file is a copy in memory (procfile.c), made at that moment: its reader sees no later change.
 * 3. To the kernel, every process of a container runs the engine. The program is the file that is mapped at its code's
 *    start address (/proc/PID/stat, field 26): both can be read without ptrace permission. */
#include "../internal.h"

#define BUFFER 32768
#define START_CODE 26
#define SPACES_BEFORE_NAME 5

struct work {
    long in, out;
    u32 have, at, held; /* of text: bytes in it, and the start of the next line; of ready */
    char text[BUFFER];
    char ready[BUFFER];
    char name[RL_PATH_MAX];
    char map[RL_PATH_MAX]; /* the removal map of the first layer, or empty */
    char self[RL_PATH_MAX]; /* the engine, as the kernel calls it */
};

static const char gone[] = " (deleted)";

/* The next line, NUL-terminated, or NULL. */
static char *next_line(struct work *k)
{
    for (;;) {
        for (u32 i = k->at; i < k->have; i++)
            if (k->text[i] == '\n') {
                char *line = k->text + k->at;
                k->text[i] = 0;
                k->at = i + 1;
                return line;
            }
        memmove(k->text, k->text + k->at, k->have - k->at);
        k->have -= k->at;
        k->at = 0;
        long n = k_read(k->in, k->text + k->have, BUFFER - k->have);
        if (n <= 0)
            return NULL;
        k->have += (u32)n;
    }
}

/* The start of a mapping's name in its line; NULL: smaps has other lines, and a name may be missing. */
static char *name_in(char *line)
{
    char *p = line;
    if (!((*p >= '0' && *p <= '9') || (*p >= 'a' && *p <= 'f')))
        return NULL;
    for (int fields = 0; fields < SPACES_BEFORE_NAME; fields++) {
        while (*p && *p != ' ')
            p++;
        while (*p == ' ')
            p++;
    }
    return *p == '/' ? p : NULL;
}

/* Removes " (deleted)". 1: it was there. */
static int take_gone(char *name)
{
    size_t n = strlen(name), k = sizeof gone - 1;
    if (n <= k || !rl_same(name + n - k, gone))
        return 0;
    name[n - k] = 0;
    return 1;
}

static int is_ours(const struct work *k, const char *name)
{
    if (rl_same(name, k->self) || rl_same(name, rl_launch_str(rl_launch->engine)) ||
        rl_same(name, rl_launch_str(rl_launch->view)))
        return 1;
    const struct rl_launch_dir *d = (const void *)((const char *)rl_launch + rl_launch->off_dirs);
    for (u32 i = 0; i < rl_launch->dirs; i++)
        if (d[i].bloom.len && rl_same(name, rl_launch_str(d[i].bloom)))
            return 1;
    return rl_same(name, rl_launch_file) || rl_same(name, k->map);
}

static long flush(struct work *k)
{
    u32 at = 0;
    while (at < k->held) {
        long n = k_write(k->out, k->ready + at, k->held - at);
        if (n < 0)
            return n;
        at += (u32)n;
    }
    k->held = 0;
    return 0;
}

static long put(struct work *k, const char *text, size_t n)
{
    if (k->held + n > BUFFER) {
        long r = flush(k);
        if (r < 0)
            return r;
    }
    memcpy(k->ready + k->held, text, n);
    k->held += (u32)n;
    return 0;
}

/* One line, as the program sees it. */
static long put_line(struct work *k, char *line)
{
    char *name = name_in(line);
    int deleted = name && take_gone(name);
    long n = -ENOENT, r;
    if (name && is_ours(k, name))
        n = rl_put(k->name, "[rootlay]") - k->name, deleted = 0;
    else if (name)
        n = rl_virtual_path(name, k->name, sizeof k->name) < 0 ? -ENOENT : rl_show_name(k->name);
    if (n < 0) {
        r = put(k, line, strlen(line));
    } else {
        r = put(k, line, (size_t)(name - line));
        if (r >= 0)
            r = put(k, k->name, (size_t)n);
    }
    if (r >= 0 && deleted)
        r = put(k, gone, sizeof gone - 1);
    return r < 0 ? r : put(k, "\n", 1);
}

static struct work *begin(const char *real, long *error)
{
    struct work *k = k_mmap(sizeof *k);
    *error = -ENOMEM;
    if (!k)
        return NULL;
    long n = k_readlink("/proc/self/exe", k->self, sizeof k->self - 1);
    k->self[n > 0 ? n : 0] = 0;
    const struct rl_launch_dir *d = (const void *)((const char *)rl_launch + rl_launch->off_dirs);
    if (!rl_launch->dirs || rl_removed_path(rl_launch_str(d->bloom), d->bloom.len, k->map, sizeof k->map) < 0)
        k->map[0] = 0;
    k->in = k_open(real, O_RDONLY | O_CLOEXEC, 0);
    if (k->in >= 0)
        return k;
    *error = k->in;
    k_munmap(k, sizeof *k);
    return NULL;
}

long rl_maps_open(const char *real, int flags)
{
    long r;
    struct work *k = begin(real, &r);
    if (!k)
        return r;
    r = k->out = rl_procfile_begin("maps");
    for (char *line; r >= 0 && (line = next_line(k)) != NULL;)
        r = put_line(k, line);
    if (r >= 0)
        r = flush(k);
    k_close(k->in);
    if (k->out >= 0 && r >= 0)
        r = rl_procfile_end(k->out, flags);
    else if (k->out >= 0)
        k_close(k->out);
    k_munmap(k, sizeof *k);
    return r;
}

long rl_maps_each(void (*each)(u64 from, u64 to, void *data), void *data)
{
    long r;
    struct work *k = begin("/proc/self/maps", &r);
    if (!k)
        return r;
    for (char *line; (line = next_line(k)) != NULL;) {
        u64 from, to;
        const char *p = line;
        char *name = name_in(line);
        if ((!name || !is_ours(k, name)) && rl_number(&p, 16, &from) && *p++ == '-' && rl_number(&p, 16, &to))
            each(from, to, data);
    }
    k_close(k->in);
    k_munmap(k, sizeof *k);
    return 0;
}

/* Field `field` of the process's stat file, a number; 0: it could not be read. */
static u64 stat_field(u64 pid, u32 field, char *buf, u32 size)
{
    rl_put(rl_put_u64(rl_put(buf, "/proc/"), pid, 10), "/stat");
    long fd = k_open(buf, O_RDONLY | O_CLOEXEC, 0), n;
    u64 value = 0;
    u32 at = 2;
    if (fd < 0)
        return 0;
    n = k_read(fd, buf, size - 1);
    k_close(fd);
    if (n <= 0)
        return 0;
    buf[n] = 0;
    const char *p = buf + n;
    while (p > buf && *p != ')') /* the name may contain any byte */
        p--;
    for (; *p && at < field; p++)
        at += *p == ' ';
    return rl_number(&p, 10, &value) ? value : 0;
}

/* The field before a mapping's name. */
static u64 inode_before(const char *line, const char *name)
{
    u64 ino = 0;
    while (name > line && name[-1] == ' ')
        name--;
    while (name > line && name[-1] != ' ')
        name--;
    return rl_number(&name, 10, &ino) ? ino : 0;
}

/* The program of process `pid`, by its path inside, into out[RL_PATH_MAX]. Length, or -ENOENT. `ino`: of the
 * real file, or 0. */
long rl_maps_program(u64 pid, char *out, u64 *ino)
{
    char path[512];
    u64 code = stat_field(pid, START_CODE, path, sizeof path), from, to;
    long r = -ENOENT;
    *ino = 0;
    rl_put(rl_put_u64(rl_put(path, "/proc/"), pid, 10), "/maps");
    struct work *k = code ? begin(path, &r) : NULL;
    if (!k)
        return -ENOENT;
    r = -ENOENT;
    for (char *line; (line = next_line(k)) != NULL;) {
        const char *p = line;
        char *name = name_in(line);
        if (!name || !rl_number(&p, 16, &from) || *p++ != '-' || !rl_number(&p, 16, &to) || code < from || code >= to)
            continue;
        int deleted = take_gone(name);
        if (!is_ours(k, name)) { /* it may not have loaded its program yet */
            *ino = inode_before(line, name);
            r = rl_virtual_path(name, out, RL_PATH_MAX - sizeof gone);
        }
        if (r >= 0 && deleted)
            r = rl_put(out + r, gone) - out;
        break;
    }
    k_close(k->in);
    k_munmap(k, sizeof *k);
    return r;
}
